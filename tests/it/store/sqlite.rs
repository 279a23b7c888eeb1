//! What is SQLite's alone: the file, its locks, its schema.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use paliadin::store::sqlite::{SqliteOptions, SqliteStore};
use paliadin::store::{AuditEntry, Listing, NewTurn, Store, StoreError, Write, Written};
use paliadin::turn::{EventId, UserId};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, query};

use super::fresh::Fresh;
use super::{accept, account, at, new_user, question, write};

mod contract {
    super::super::contract!(super::Fresh::sqlite);
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn execute(connection: &mut SqliteConnection, sql: &str) {
    query(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("a/state");
    let path = state.join("paliadin.db");
    let store = SqliteStore::open(&path).await.unwrap();
    new_user(&store).await;
    assert_eq!(mode(&state), 0o700);
    for name in ["paliadin.db", "paliadin.db-wal", "paliadin.db-shm"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
    store.close().await;
    assert!(!state.join("paliadin.db-wal").exists(), "a clean end leaves one file");
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let turn = accept(&store, question(new_user(&store).await)).await.turn;
    store.close().await;
    assert!(matches!(store.write(&[]).await, Ok(results) if results.is_empty()));
    let closed = store.write(&[Write::DeleteWebSession { hash: String::new() }]).await;
    assert!(matches!(closed, Err(StoreError::Unavailable(_))), "{closed:?}");
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));

    let store = SqliteStore::open(&path).await.unwrap();
    assert!(store.turn(turn.turn_id).await.unwrap() == Some(turn.clone()));
    assert!(store.has_event(turn.turn_id, EventId { epoch: 0, seq: 1 }).await.unwrap());
    store.close().await;
}

#[tokio::test]
async fn the_connections_are_set_up_as_promised() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut connection = raw(&path).await;
    let journal = query("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
    assert_eq!(journal.get::<String, _>(0), "wal");
    let tables = query("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0");
    let tables: Vec<String> = tables.fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get(0)).collect();
    for table in tables {
        assert!(table.starts_with("sqlite_") || table == "_sqlx_migrations", "{table} is not strict");
    }
    connection.close().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    SqliteStore::open(&path).await.unwrap().close().await;
    let mut connection = raw(&path).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', 1, x'00', 0)";
    execute(&mut connection, newer).await;
    let Err(StoreError::Corrupt(message)) = SqliteStore::open(&path).await else { panic!("it was opened") };
    assert!(message.contains("9999") && message.contains("newer version"), "{message}");
    execute(&mut connection, "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    SqliteStore::open(&path).await.unwrap().close().await;

    execute(&mut connection, "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::Corrupt(_))));
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    std::fs::write(&path, "not a database, but long enough to be looked at".repeat(100)).unwrap();
    assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(SqliteStore::open(directory.path()).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(SqliteStore::open(&path.join("below/a/file")).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_database_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let stores = join_all((0..8).map(|_| {
        let path = path.clone();
        tokio::spawn(async move { SqliteStore::open(&path).await })
    }));
    for store in stores.await {
        let store = store.unwrap().unwrap();
        new_user(&store).await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let stores = [SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap()];
    let user = new_user(&stores[0]).await;
    let write_many = async |store: &SqliteStore| {
        for _ in 0..50 {
            accept(store, NewTurn { queue_limit: 1_000, ..question(user) }).await;
        }
    };
    tokio::join!(write_many(&stores[0]), write_many(&stores[1]));
    for store in &stores {
        let queued = store.queued(&question(user).agent_session).await.unwrap();
        assert_eq!(queued.len(), 100);
        assert!(queued.is_sorted());
    }
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_is_unavailable_until_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = SqliteOptions { busy_timeout: Duration::from_millis(100), ..SqliteOptions::default() };
    let store = SqliteStore::open_with(&path, options).await.unwrap();
    let user = new_user(&store).await;
    let mut other = raw(&path).await;
    for _ in 0..3 {
        execute(&mut other, "BEGIN IMMEDIATE").await;
        let new = question(user);
        let batch = vec![
            Write::SaveUser(account(UserId::fresh(), "late@example.org")),
            Write::AcceptTurn(Box::new(new.clone())),
        ];
        let result = store.write(&batch).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        assert_eq!(store.users().await.unwrap().len(), 1, "reads do not wait for a writer");
        execute(&mut other, "COMMIT").await;
        assert_eq!(store.user_by_email("late@example.org").await.unwrap(), None);
        assert!(store.turn(new.turn_id).await.unwrap().is_none());
        accept(&store, new).await;
    }
    other.close().await.unwrap();
    store.close().await;
}

/// A user with a conversation of fifty megabytes, and another one with next to nothing.
async fn heavy_and_light(store: &SqliteStore, path: &Path) -> (UserId, UserId) {
    let (heavy, light) = (new_user(store).await, new_user(store).await);
    accept(store, NewTurn { user_message: "needle".to_owned(), ..question(light) }).await;
    let turn = accept(store, question(heavy)).await.turn;
    let mut connection = raw(path).await;
    execute(&mut connection, "PRAGMA synchronous = OFF").await;
    let fill = format!(
        "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 500) \
         INSERT INTO paliadin_turns (turn_id, user_id, session_id, agent_session, state, backend, profile, \
         user_message, queued_at, created_at, updated_at) \
         SELECT printf('01900000-0000-7000-8000-%012d', n), user_id, session_id, 'x', 'queued', backend, profile, \
         hex(zeroblob(50000)), queued_at, created_at, updated_at FROM paliadin_turns, number WHERE turn_id = '{}'",
        turn.turn_id
    );
    execute(&mut connection, &fill).await;
    connection.close().await.unwrap();
    (heavy, light)
}

const NEEDLE: Listing<'static> = Listing { search: Some("needle"), before: None, limit: 9 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_takes_too_long_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = SqliteOptions { search_limit: Duration::from_millis(2), ..SqliteOptions::default() };
    let store = SqliteStore::open_with(&path, options).await.unwrap();
    let (heavy, _) = heavy_and_light(&store, &path).await;
    for _ in 0..3 {
        let given_up = store.conversations(heavy, NEEDLE).await;
        assert!(matches!(given_up, Err(StoreError::TooSlow(_))), "{given_up:?}");
        assert_eq!(store.conversations(heavy, Listing { search: None, ..NEEDLE }).await.unwrap().len(), 1);
    }
    store.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert!(store.conversations(heavy, NEEDLE).await.unwrap().is_empty());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_nobody_waits_for_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = SqliteOptions { search_limit: Duration::from_secs(60), ..SqliteOptions::default() };
    let store = SqliteStore::open_with(&path, options).await.unwrap();
    let (heavy, light) = heavy_and_light(&store, &path).await;
    let begin = Instant::now();
    assert!(store.conversations(heavy, NEEDLE).await.unwrap().is_empty());
    let whole = begin.elapsed();
    let begin = Instant::now();
    for _ in 0..10 {
        let dropped = tokio::time::timeout(whole / 20, store.conversations(heavy, NEEDLE)).await;
        assert!(dropped.is_err());
    }
    assert_eq!(store.conversations(light, NEEDLE).await.unwrap().len(), 1);
    let waited = begin.elapsed();
    println!("one search takes {whole:?}, ten that were dropped {waited:?}");
    assert!(waited < whole * 4, "{waited:?}: one search takes {whole:?}");
    store.close().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_harms_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let turn = accept(&store, question(new_user(&store).await)).await.turn;
    let mut connection = raw(&path).await;
    execute(&mut connection, "UPDATE paliadin_turns SET rows_seen = '{}'").await;
    assert!(matches!(store.turn(turn.turn_id).await, Err(StoreError::Corrupt(_))));
    let user = account(UserId::fresh(), "ada@example.org");
    let batch = vec![
        Write::ClaimTurn { turn_id: turn.turn_id, epoch: 1, pane: "%1".to_owned(), at: at(1) },
        Write::SaveUser(user.clone()),
    ];
    let results = store.write(&batch).await.unwrap();
    assert!(matches!(results[..], [Err(StoreError::Corrupt(_)), Ok(Written::Done)]), "{results:?}");
    assert_eq!(store.user(user.user_id).await.unwrap(), Some(user));
    let state = query("SELECT state FROM paliadin_turns").fetch_one(&mut connection).await.unwrap();
    assert_eq!(state.get::<String, _>(0), "queued");
    connection.close().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn the_audit_log_keeps_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    for action in ["token.created", "session.reset"] {
        let entry = AuditEntry { detail: json!({ "why": "\0" }), at: at(4), ..AuditEntry::now("system", action, "x") };
        assert_eq!(write(&store, Write::Audit(entry)).await, Written::Done);
    }
    let mut connection = raw(&path).await;
    let rows = query("SELECT action, at, detail FROM audit_log ORDER BY id").fetch_all(&mut connection).await.unwrap();
    let actions: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(actions, ["token.created", "session.reset"]);
    assert_eq!((rows[0].get::<i64, _>(1), rows[0].get::<&str, _>(2)), (at(4).0, "{\"why\":\"\\u0000\"}"));
    connection.close().await.unwrap();
    store.close().await;
}
