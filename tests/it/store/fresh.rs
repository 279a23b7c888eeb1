//! Empty databases.

use std::sync::Arc;

use paliadin::store::SharedStore;
use paliadin::store::postgres::{PostgresOptions, PostgresStore};
use paliadin::store::sqlite::SqliteStore;
use tempfile::TempDir;

use crate::harness::postgres::shared;

/// How many stores the properties of several use.
const SEVERAL: usize = 4;

/// A store, empty at first.
pub struct Fresh {
    pub store: SharedStore,
    place: Place,
}

enum Place {
    /// A file in this directory.
    Directory(TempDir),
    /// A database of the server that tests share.
    Database(String),
}

impl Fresh {
    /// One in a file.
    pub async fn sqlite() -> Self {
        Self::at(Place::Directory(tempfile::tempdir().unwrap())).await
    }

    /// One on a server.
    pub async fn postgres() -> Self {
        Self::at(Place::Database(shared().unwrap().create().await.unwrap())).await
    }

    async fn at(place: Place) -> Self {
        Self { store: open(&place).await, place }
    }

    /// The same as another process sees it.
    pub async fn another(&self) -> SharedStore {
        open(&self.place).await
    }

    /// The same as several other processes see it.
    pub async fn several(&self) -> Vec<SharedStore> {
        let mut stores = Vec::new();
        for _ in 0..SEVERAL {
            stores.push(self.another().await);
        }
        stores
    }

    /// The name of the database on the server.
    pub fn database(&self) -> &str {
        match &self.place {
            Place::Database(name) => name,
            Place::Directory(_) => panic!("a file"),
        }
    }

    /// Closes it and removes everything.
    pub async fn end(self) {
        self.store.close().await;
        if let Place::Database(name) = self.place {
            shared().unwrap().remove(&name).await.unwrap();
        }
    }
}

async fn open(place: &Place) -> SharedStore {
    match place {
        Place::Directory(directory) => Arc::new(SqliteStore::open(&directory.path().join("db")).await.unwrap()),
        Place::Database(name) => {
            let options = PostgresOptions::from_url(&shared().unwrap().url(name)).unwrap();
            Arc::new(PostgresStore::open(options).await.unwrap())
        }
    }
}
