//! What is PostgreSQL's alone: the server, its connections, its other clients.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use paliadin::store::postgres::{PostgresOptions, PostgresStore};
use paliadin::store::{Listing, NewTurn, Store, StoreError, Write, Written};
use paliadin::turn::{EventId, UserId};
use sqlx::{AssertSqlSafe, PgConnection, Row, query, raw_sql};

use super::fresh::Fresh;
use super::{accept, account, at, claim, new_user, question, queued_turn, write};
use crate::harness::eventually;
use crate::harness::postgres::{Cluster, shared};

mod outage;

mod contract {
    super::super::contract!(super::Fresh::postgres);
}

/// As patient as a test.
fn options(fresh: &Fresh) -> PostgresOptions {
    PostgresOptions::from_url(&shared().unwrap().url(fresh.database())).unwrap()
}

async fn raw(fresh: &Fresh) -> PgConnection {
    shared().unwrap().connect(fresh.database()).await.unwrap()
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

fn save() -> Write {
    let user_id = UserId::fresh();
    Write::SaveUser(account(user_id, &format!("{user_id}@example.org")))
}

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let fresh = Fresh::postgres().await;
    let store = fresh.another().await;
    let turn = accept(&*store, question(new_user(&*store).await)).await.turn;
    store.close().await;
    assert!(matches!(store.write(&[]).await, Ok(results) if results.is_empty()));
    assert!(is_unavailable(&store.write(&[save()]).await));
    assert!(is_unavailable(&store.ping().await));
    assert!(is_unavailable(&store.conversations(turn.user_id, NEEDLE).await));
    assert!(fresh.store.turn(turn.turn_id).await.unwrap() == Some(turn.clone()));
    assert!(fresh.store.has_event(turn.turn_id, EventId { epoch: 0, seq: 1 }).await.unwrap());
    fresh.end().await;
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let fresh = Fresh::postgres().await;
    let mut connection = raw(&fresh).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', true, '', 0)";
    execute(&mut connection, newer).await;
    let Err(StoreError::Corrupt(message)) = PostgresStore::open(options(&fresh)).await else { panic!("it was opened") };
    assert!(message.contains("9999") && message.contains("newer version"), "{message}");
    execute(&mut connection, "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    fresh.another().await.close().await;
    execute(&mut connection, "UPDATE _sqlx_migrations SET checksum = ''").await;
    assert!(matches!(PostgresStore::open(options(&fresh)).await, Err(StoreError::Corrupt(_))));
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_database_at_once() {
    let cluster = shared().unwrap();
    let database = cluster.create().await.unwrap();
    let stores = join_all((0..8).map(|_| {
        let options = PostgresOptions::from_url(&cluster.url(&database)).unwrap();
        tokio::spawn(PostgresStore::open(options))
    }));
    for store in stores.await {
        let store = store.unwrap().unwrap();
        new_user(&store).await;
        store.close().await;
    }
    cluster.remove(&database).await.unwrap();
}

/// Another time zone, another isolation level, commits that do not wait for the disk.
#[tokio::test]
async fn the_settings_of_the_server_do_not_matter() {
    let fresh = Fresh::postgres().await;
    let name = fresh.database();
    let mut connection = raw(&fresh).await;
    for setting in [
        "timezone = 'Pacific/Kiritimati'",
        "default_transaction_isolation = 'serializable'",
        "synchronous_commit = off",
        "datestyle = 'SQL, DMY'",
        "statement_timeout = '20s'",
    ] {
        execute(&mut connection, &format!("ALTER DATABASE {name} SET {setting}")).await;
    }
    let url = format!("{}&options=-c%20timezone%3DAmerica%2FLima", shared().unwrap().url(name));
    let store = PostgresStore::open(PostgresOptions::from_url(&url).unwrap()).await.unwrap();
    let stores = fresh.several().await;
    super::events::events_are_pruned_by_the_age_of_their_turn(&*stores[0]).await;
    super::turns::an_answer_reads_back(&store).await;
    super::late::a_late_answer_reads_back(&store).await;
    super::concurrent::every_take_is_an_epoch_of_its_own(&stores).await;
    let turn = queued_turn(&store).await;
    let stored = query("SELECT queued_at FROM paliadin_turns WHERE turn_id = $1").bind(turn.turn_id.0);
    let stored: i64 = stored.fetch_one(&mut connection).await.unwrap().get(0);
    assert_eq!(stored, at(0).0);
    store.close().await;
    for store in stores {
        store.close().await;
    }
    fresh.end().await;
}

#[tokio::test]
async fn what_cannot_be_used_is_told_in_one_line_without_the_password() {
    let cluster = shared().unwrap();
    let mut connection = cluster.connect("postgres").await.unwrap();
    let ascii = format!("ascii_{}", uuid::Uuid::new_v4().simple());
    let make = format!("CREATE DATABASE {ascii} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    execute(&mut connection, &make).await;
    let cases = [
        (cluster.url("nowhere"), "\"nowhere\" does not exist"),
        (cluster.url(&ascii), "UTF8"),
        (cluster.url_as("nobody:s3cret", "x"), "\"nobody\" does not exist"),
        ("postgres://ada:s3cret@127.0.0.1:1/x".to_owned(), "127.0.0.1:1"),
        ("postgres://ada:s3cret@localhost/x?host=/nowhere".to_owned(), "/nowhere"),
    ];
    for (url, word) in cases {
        let error = PostgresStore::open(PostgresOptions::from_url(&url).unwrap()).await.err().unwrap().to_string();
        assert!(error.contains(word) && !error.contains("s3cret") && !error.contains('\n'), "{error}");
    }
    cluster.remove(&ascii).await.unwrap();
}

/// A user with a conversation of fifty megabytes, and another one with next to nothing.
async fn heavy_and_light(fresh: &Fresh) -> (UserId, UserId) {
    let store = &*fresh.store;
    let (heavy, light) = (new_user(store).await, new_user(store).await);
    accept(store, NewTurn { user_message: "needle".to_owned(), ..question(light) }).await;
    let turn = accept(store, question(heavy)).await.turn;
    let fill = format!(
        "INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, state, backend, profile, \
         user_message, queued_at, created_at, updated_at) \
         SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, user_id, session_id, 'x', 'queued', \
         backend, profile, repeat('0', 100000), queued_at, created_at, updated_at \
         FROM paliadin_turns, generate_series(1, 500) n WHERE turn_id = '{}'",
        turn.turn_id
    );
    execute(&mut raw(fresh).await, &fill).await;
    (heavy, light)
}

const NEEDLE: Listing<'static> = Listing { search: Some("needle"), before: None, limit: 9 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_takes_too_long_is_stopped() {
    let fresh = Fresh::postgres().await;
    let options = PostgresOptions { search_limit: Duration::from_millis(5), ..options(&fresh) };
    let store = PostgresStore::open(options).await.unwrap();
    let (heavy, _) = heavy_and_light(&fresh).await;
    for _ in 0..3 {
        let given_up = store.conversations(heavy, NEEDLE).await;
        assert!(matches!(given_up, Err(StoreError::TooSlow(_))), "{given_up:?}");
        assert_eq!(store.conversations(heavy, Listing { search: None, ..NEEDLE }).await.unwrap().len(), 1);
    }
    store.close().await;
    assert!(fresh.store.conversations(heavy, NEEDLE).await.unwrap().is_empty());
    fresh.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_wait_for_each_other_and_nobody_else_for_them() {
    let fresh = Fresh::postgres().await;
    let (heavy, light) = heavy_and_light(&fresh).await;
    let store = &fresh.store;
    let begin = Instant::now();
    assert!(store.conversations(heavy, NEEDLE).await.unwrap().is_empty());
    let whole = begin.elapsed();
    let begin = Instant::now();
    for _ in 0..5 {
        assert!(tokio::time::timeout(whole / 20, store.conversations(heavy, NEEDLE)).await.is_err());
    }
    assert_eq!(store.conversations(light, NEEDLE).await.unwrap().len(), 1);
    println!("one search takes {whole:?}, five that were dropped and one more {:?}", begin.elapsed());
    // The server stops what nobody waits for; it looks now and then.
    let mut connection = raw(&fresh).await;
    let running = async || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND state = 'active' AND query LIKE '%strpos%' AND pid <> pg_backend_pid()";
        let running: i64 = query(running).fetch_one(&mut connection).await?.get(0);
        Ok((running == 0).then_some(()))
    };
    eventually("the searches to be stopped", running).await.unwrap();
    fresh.end().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_harms_no_other() {
    let fresh = Fresh::postgres().await;
    let store = &*fresh.store;
    let turn = accept(store, question(new_user(store).await)).await.turn;
    let mut connection = raw(&fresh).await;
    for damage in ["rows_seen = '{}'", "rows_seen = '[]', user_message = chr(1)", "user_message = '', state = 'queued'"]
    {
        execute(&mut connection, &format!("UPDATE paliadin_turns SET {damage}")).await;
        if damage.starts_with("user_message") {
            assert!(claim(store, turn.turn_id, 1).await.is_some());
            continue;
        }
        assert!(matches!(store.turn(turn.turn_id).await, Err(StoreError::Corrupt(_))));
        let batch = [Write::ClaimTurn { turn_id: turn.turn_id, epoch: 1, pane: "%1".to_owned(), at: at(1) }, save()];
        let results = store.write(&batch).await.unwrap();
        assert!(matches!(results[..], [Err(StoreError::Corrupt(_)), Ok(Written::Done)]), "{results:?}");
    }
    assert_eq!(store.users().await.unwrap().len(), 3);
    fresh.end().await;
}
