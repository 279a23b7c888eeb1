//! A migration that makes a table anew keeps what is in it.

use sqlx::{Connection, Row, SqliteConnection, query};

use super::open::MIGRATIONS;
use crate::store::sql::migrations;

/// The first that made `agent_sessions` anew.
const REBUILT: i64 = 5;

async fn columns(connection: &mut SqliteConnection) -> Vec<String> {
    let names = query("SELECT name FROM pragma_table_info('agent_sessions')").fetch_all(connection).await.unwrap();
    names.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn agent_sessions_keep_their_columns_and_rows() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let before: Vec<_> = MIGRATIONS.iter().copied().filter(|(version, ..)| *version < REBUILT).collect();
    migrations::run(&mut connection, &before).await.unwrap();
    let columns_before = columns(&mut connection).await;
    let user = "0198c0de-0000-7000-8000-000000000000";
    let add =
        "INSERT INTO users (user_id, email, role, created_at, updated_at) VALUES ($1, 'ada@example.org', 'user', 1, 1)";
    query(add).bind(user).execute(&mut connection).await.unwrap();
    let add = "INSERT INTO agent_sessions (name, user_id, persona, backend, host, owner_node, lease_until, epoch, \
               agent_resume_id, state, restarts, last_reason, last_used_at, created_at, updated_at) \
               VALUES ('paliadin-0198c0de', $1, 'p', 'local', 'h', 'n', 1, 2, 'r', 's', 3, 'l', 4, 5, 6)";
    query(add).bind(user).execute(&mut connection).await.unwrap();

    migrations::run(&mut connection, MIGRATIONS).await.unwrap();
    let columns_after = columns(&mut connection).await;
    for column in columns_before {
        assert!(columns_after.contains(&column), "{column} is lost");
    }
    let all = "SELECT concat_ws(' ', name, user_id, persona, backend, host, owner_node, lease_until, epoch, \
               agent_resume_id, state, restarts, last_reason, last_used_at, created_at, updated_at), session_id \
               FROM agent_sessions";
    let row = query(all).fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<String, _>(0), format!("paliadin-0198c0de {user} p local h n 1 2 r s 3 l 4 5 6"));
    assert_eq!(row.get::<Option<String>, _>(1), None);
}
