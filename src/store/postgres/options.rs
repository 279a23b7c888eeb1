//! Which server, and how patient to be with it.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// What may stand behind the `?` of an address. sqlx would pass over anything else with a warning that quotes it, and it
/// may be a password.
const PARAMETERS: [&str; 10] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// Where the database is, and as whom it is used. Never printed whole: it has the password.
#[derive(Clone)]
pub struct PostgresAddress(pub(super) PgConnectOptions);

/// How a database is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Which one.
    pub address: PostgresAddress,
    /// How long connecting may take, and how long a statement waits for another transaction's lock, before the store
    /// counts as unavailable.
    pub patience: Duration,
    /// How long one read may take.
    pub read_limit: Duration,
    /// How long one batch of writes may take.
    pub write_limit: Duration,
    /// Connections for reads. Searches have one more of their own, and writes another.
    pub readers: u32,
    /// How long a search may wait for those before it, and then take itself.
    pub search_limit: Duration,
}

impl PostgresOptions {
    /// The defaults for the database at this address, `postgres://…` or `postgresql://…`. What it leaves open comes from
    /// the variables of libpq (`PGHOST`, `PGPASSWORD`, …) and from `~/.pgpass`.
    ///
    /// # Errors
    /// What is wrong with the address, without anything that may be a password.
    pub fn from_url(url: &str) -> Result<Self, String> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('='));
        for name in names {
            let (name, _) = name.ok_or("something behind the `?` is not `name=value`")?;
            if !PARAMETERS.contains(&name) {
                return Err(format!("a parameter behind the `?` is not known; there are {}", PARAMETERS.join(", ")));
            }
        }
        let connect = PgConnectOptions::from_str(url).map_err(|error| match error {
            sqlx::Error::Configuration(error) => error.to_string(),
            _ => "not an address".to_owned(),
        })?;
        if !matches!(connect.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer) {
            return Err("this program cannot encrypt the connection: no `sslmode` above `prefer`".to_owned());
        }
        let named = connect.get_application_name().is_some();
        Ok(Self {
            address: PostgresAddress(if named { connect } else { connect.application_name("paliadin") }),
            patience: Duration::from_secs(5),
            read_limit: Duration::from_secs(30),
            write_limit: Duration::from_secs(30),
            readers: 4,
            search_limit: Duration::from_secs(5),
        })
    }

    /// For messages: host or socket, and database.
    pub fn place(&self) -> String {
        let PostgresAddress(connect) = &self.address;
        let database = connect.get_database().unwrap_or_else(|| connect.get_username());
        match connect.get_socket() {
            Some(socket) => format!("PostgreSQL at {}, database {database:?}", socket.display()),
            None => {
                let (host, port) = (connect.get_host(), connect.get_port());
                format!("PostgreSQL at {host}:{port}, database {database:?}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(url: &str) -> String {
        PostgresOptions::from_url(url).err().unwrap()
    }

    #[test]
    fn an_address_is_taken_apart() {
        let options = PostgresOptions::from_url("postgresql://ada:s3cret@db.example.org:5433/chat").unwrap();
        assert_eq!(options.place(), "PostgreSQL at db.example.org:5433, database \"chat\"");
        let options = PostgresOptions::from_url("postgres://ada@localhost/chat?host=/run/db&port=5433").unwrap();
        assert_eq!(options.place(), "PostgreSQL at /run/db, database \"chat\"");
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for (url, word) in [
            ("postgres://ada:s3cret@localhost:99999/chat", "port"),
            ("postgres://ada:s3cret@localhost/chat?sslmode=require", "encrypt"),
            ("postgres://ada:s3cret@localhost/chat?sslmode=s3cret", "ssl"),
            ("postgres://localhost/chat?passwort=s3cret", "not known"),
            ("postgres://localhost/chat?s3cret", "name=value"),
        ] {
            let told = wrong(url);
            let told = if word == "ssl" { told.replace("\"s3cret\"", "") } else { told };
            assert!(told.contains(word) && !told.contains("s3cret") && !told.contains('\n'), "{told}");
        }
    }
}
