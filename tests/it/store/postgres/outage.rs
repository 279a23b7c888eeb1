//! A server that is away, does not answer, refuses, or ends what it was asked.

use super::*;

/// Ends every other connection to this database; how many there were.
async fn end_all(connection: &mut PgConnection) -> usize {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    query(end).fetch_all(connection).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_are_opened_again() {
    let fresh = Fresh::postgres().await;
    let (store, mut other) = (&*fresh.store, raw(&fresh).await);
    let user = new_user(store).await;
    accept(store, NewTurn { user_message: "needle".to_owned(), ..question(user) }).await;
    for _ in 0..3 {
        assert_eq!(store.conversations(user, NEEDLE).await.unwrap().len(), 1);
        store.ping().await.unwrap();
        assert!(end_all(&mut other).await >= 3, "one that writes, one that searches, one that reads");
        // Reads take another connection; a write fails at most once, for it might have been made.
        store.ping().await.unwrap();
        assert_eq!(store.conversations(user, NEEDLE).await.unwrap().len(), 1);
        let first = store.write(&[save()]).await;
        assert!(is_unavailable(&first) || first.is_ok(), "{first:?}");
        write(store, save()).await;
    }
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_loses_its_connection_is_not_made() {
    let fresh = Fresh::postgres().await;
    let turn = queued_turn(&*fresh.store).await;
    let (mut holder, mut other) = (raw(&fresh).await, raw(&fresh).await);
    execute(&mut holder, "BEGIN; UPDATE paliadin_turns SET updated_at = 1").await;
    let batch = [save(), Write::ClaimTurn { turn_id: turn.turn_id, epoch: 1, pane: "%1".to_owned(), at: at(1) }];
    let (store, writes) = (fresh.store.clone(), batch.clone());
    let writing = tokio::spawn(async move { store.write(&writes).await });
    let waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let end_it = async || Ok(Some(query(waiting).fetch_all(&mut other).await?).filter(|ended| !ended.is_empty()));
    eventually("the batch to wait for the row", end_it).await.unwrap();
    let result = writing.await.unwrap();
    assert!(is_unavailable(&result), "{result:?}");
    execute(&mut holder, "ROLLBACK").await;
    assert_eq!(fresh.store.users().await.unwrap().len(), 1);
    assert!(fresh.store.turn(turn.turn_id).await.unwrap() == Some(turn));
    let results = fresh.store.write(&batch).await.unwrap();
    assert!(matches!(results[..], [Ok(Written::Done), Ok(Written::Turn(Some(_)))]), "{results:?}");
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_others_hold_is_unavailable_until_it_is_free() {
    let fresh = Fresh::postgres().await;
    let options = PostgresOptions { patience: Duration::from_millis(300), ..options(&fresh) };
    let store = PostgresStore::open(options).await.unwrap();
    let user = new_user(&store).await;
    let mut other = raw(&fresh).await;
    for _ in 0..3 {
        execute(&mut other, "BEGIN; UPDATE users SET display_name = 'x'").await;
        let new = question(user);
        let result = store.write(&[save(), Write::AcceptTurn(Box::new(new.clone()))]).await;
        assert!(is_unavailable(&result), "{result:?}");
        assert_eq!(store.users().await.unwrap().len(), 1, "reads do not wait for a writer");
        execute(&mut other, "ROLLBACK").await;
        assert!(store.turn(new.turn_id).await.unwrap().is_none());
        accept(&store, new).await;
    }
    store.close().await;
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_unavailable_and_then_used_again() {
    let cluster = Cluster::start().unwrap();
    let database = cluster.create().await.unwrap();
    let options = PostgresOptions::from_url(&cluster.url(&database)).unwrap();
    let limit = Duration::from_millis(300);
    let options = PostgresOptions { patience: limit, read_limit: limit, write_limit: limit, ..options };
    let store = PostgresStore::open(options).await.unwrap();
    let user = new_user(&store).await;
    let turn = accept(&store, question(user)).await.turn;
    let paused = cluster.pause().unwrap();
    for _ in 0..3 {
        assert!(is_unavailable(&store.turn(turn.turn_id).await));
        assert!(is_unavailable(&store.write(&[save()]).await));
    }
    drop(paused);
    eventually("the server to be used again", async || {
        Ok(store.turn(turn.turn_id).await.is_ok_and(|found| found == Some(turn.clone())).then_some(()))
    })
    .await
    .unwrap();
    eventually("writes to be made again", async || Ok(store.write(&[save()]).await.is_ok().then_some(())))
        .await
        .unwrap();
    store.close().await;
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_and_started_is_used_again() {
    let mut cluster = Cluster::start().unwrap();
    let database = cluster.create().await.unwrap();
    let options = PostgresOptions::from_url(&cluster.url(&database)).unwrap();
    let patience = Duration::from_millis(300);
    let store = PostgresStore::open(PostgresOptions { patience, ..options.clone() }).await.unwrap();
    let user = new_user(&store).await;
    for round in 1..=2 {
        let turn = accept(&store, question(user)).await.turn;
        assert_eq!(store.conversations(user, NEEDLE).await.unwrap().len(), 0);
        cluster.stop().unwrap();
        for _ in 0..2 {
            assert!(is_unavailable(&store.write(&[save()]).await));
            assert!(is_unavailable(&store.ping().await));
            assert!(is_unavailable(&store.conversations(user, NEEDLE).await));
        }
        let refused = PostgresStore::open(PostgresOptions { patience, ..options.clone() }).await;
        assert!(is_unavailable(&refused));
        cluster.resume().unwrap();
        assert!(store.turn(turn.turn_id).await.unwrap() == Some(turn.clone()));
        assert!(claim(&store, turn.turn_id, 1).await.is_some());
        assert_eq!(store.conversations(user, Listing { search: Some("many"), ..NEEDLE }).await.unwrap().len(), round);
        assert_eq!(store.users().await.unwrap().len(), 1);
    }
    store.close().await;
}

/// What the server says of itself, told by a trigger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_says_is_sorted_by_its_code() {
    let fresh = Fresh::postgres().await;
    let mut connection = raw(&fresh).await;
    for (code, wanted) in [
        ("53100", "unavailable"), // disk full
        ("53200", "unavailable"), // out of memory
        ("57P01", "unavailable"), // shutdown
        ("57014", "unavailable"), // cancelled
        ("25006", "unavailable"), // a replica
        ("55P03", "unavailable"), // a lock
        ("40001", "unavailable"), // others in the way, however often it is tried
        ("22P02", "refused"),
        ("23514", "refused"),
        ("54000", "refused"),        // too long for an index
        ("42501", "unavailable"),    // no right to it
        ("42P01", "unavailable"),    // no such table
        ("42703", "cannot be read"), // no such column
        ("XX001", "cannot be read"),
    ] {
        let raise = format!(
            "CREATE OR REPLACE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END$$; \
             CREATE OR REPLACE TRIGGER raise BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION raise()"
        );
        execute(&mut connection, &raise).await;
        let error = match fresh.store.write(&[Write::Nothing, save()]).await {
            Ok(results) => results.into_iter().find_map(Result::err).unwrap(),
            Err(error) => error,
        };
        assert!(error.to_string().contains(wanted), "{code}: {error}");
        execute(&mut connection, "DROP TRIGGER raise ON users").await;
        write(&*fresh.store, save()).await;
    }
    fresh.end().await;
}

#[tokio::test]
async fn too_many_connections_are_an_outage() {
    let fresh = Fresh::postgres().await;
    let mut connection = raw(&fresh).await;
    let role = format!("few_{}", fresh.database());
    let make = format!(
        "CREATE ROLE {role} LOGIN CONNECTION LIMIT 1; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT CREATE ON SCHEMA public TO {role}"
    );
    execute(&mut connection, &make).await;
    let url = shared().unwrap().url_as(&format!("{role}:s3cret"), fresh.database());
    let options = PostgresOptions { patience: Duration::from_millis(500), ..PostgresOptions::from_url(&url).unwrap() };
    let store = PostgresStore::open(options.clone()).await.unwrap();
    for result in [store.ping().await, PostgresStore::open(options).await.map(drop)] {
        assert!(is_unavailable(&result), "{result:?}");
        let told = result.unwrap_err().to_string();
        assert!(!told.contains("s3cret") && !told.contains('\n'), "{told}");
    }
    store.write(&[Write::Nothing]).await.unwrap();
    store.close().await;
    execute(&mut connection, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    fresh.end().await;
}
