//! How SQLite finds what it is asked for.

use sqlx::{AssertSqlSafe, Row, query};

use crate::store::sql::plans;

/// Every read by key or range must be a search of an index; only listings of small tables may scan.
#[tokio::test]
async fn every_read_has_its_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = super::SqliteStore::open(&directory.path().join("db")).await.unwrap();
    let searches = plans::indexed();
    let sorted = plans::SORTED.into_iter().map(|sql| (sql, true));
    for (sql, may_sort) in searches.map(|sql| (sql, false)).chain(sorted) {
        let plan = query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&store.readers).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.starts_with("SEARCH")), "{sql}\n{plan:#?}");
        for step in &plan {
            // `chosen` is what a search has found.
            let scans = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW" && step != "SCAN chosen";
            let sorts = step.contains("TEMP B-TREE") && !may_sort;
            assert!(!scans && !sorts, "{sql}\n{plan:#?}");
        }
    }
    let plan =
        query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", plans::OPEN_TURNS))).fetch_all(&store.readers).await;
    let plan: Vec<String> = plan.unwrap().iter().map(|row| row.get("detail")).collect();
    assert!(plan[0].contains("turns_open"), "{plan:#?}");
}
