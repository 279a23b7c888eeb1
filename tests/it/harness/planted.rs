//! Secrets that every test plants wherever one can be configured, and that nothing may tell: each product is searched for
//! them when its test is over.

use std::fs;
use std::path::Path;

use super::Tested;
use super::database::Database;
use super::processes::Process;

/// The word in each of them.
const WORD: &str = "planted0secret";
/// What the tokens of turns are signed with, unless a test says otherwise.
pub const JWT_SECRET: &str = "planted0secret-turns-0123456789abcdef";
/// Files that are there to hold secrets, or the test's own configuration.
const HOLDERS: [&str; 2] = ["cli.token", "paliadin.toml"];
/// Bytes of the largest file that a product writes.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Begins every token that the server makes for a turn: the head is always the same.
const TURN_TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.";

/// The password in a database's address.
pub fn password() -> String {
    format!("{WORD}-database")
}

/// Variables with secrets.
pub fn variables() -> [(&'static str, String); 3] {
    let secret = |of: &str| format!("{WORD}-{of}-0123456789abcdef0123456789");
    [
        ("PALIADIN_JWT_SECRET", JWT_SECRET.to_owned()),
        ("PALIADIN_AUTH__JWT_KEY", secret("people")),
        ("PALIADIN_AUTH__PROXY_SECRET", secret("proxy")),
    ]
}

/// Everything that may be found nowhere: those, and the tokens of this test.
pub struct Planted {
    words: Vec<String>,
}

impl Planted {
    /// With these tokens.
    pub fn with(tokens: &[String]) -> Self {
        let fixed = [WORD, TURN_TOKEN].map(str::to_owned);
        Self { words: fixed.into_iter().chain(tokens.iter().cloned()).collect() }
    }

    /// Where one of them lies in a file below this directory.
    pub fn in_files(&self, directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                found.extend(self.in_files(&path));
            } else if kind.is_file() && !HOLDERS.iter().any(|holder| name == *holder) {
                // A copy of the program, which is the largest of them, holds the marks of tokens, too.
                if entry.metadata().is_ok_and(|file| file.len() > LARGEST) {
                    continue;
                }
                let bytes = fs::read(&path).unwrap_or_default();
                found.extend(self.told(&path.display().to_string(), &bytes));
            }
        }
        found
    }

    /// Where one of them is in the arguments or the environment of a process.
    pub fn in_process(&self, process: &Process) -> Vec<String> {
        let read = |what: &str| fs::read(format!("/proc/{}/{what}", process.pid)).unwrap_or_default();
        let name = |what: &str| format!("{what} of process {} {:?}", process.pid, process.arguments);
        ["cmdline", "environ"].iter().flat_map(|what| self.told(&name(what), &read(what))).collect()
    }

    /// Where one of them is in a row.
    pub async fn in_rows(&self, mut database: Database) -> Tested<Vec<String>> {
        let mut found = Vec::new();
        for table in [
            "users",
            "api_tokens",
            "web_sessions",
            "agent_sessions",
            "conversations",
            "paliadin_turns",
            "turn_events",
            "audit_log",
            "aichat_clients",
        ] {
            // Where no server was started, there is no table.
            if database.value(&format!("SELECT to_regclass('{table}')"), &[]).await?.is_empty() {
                continue;
            }
            for row in database.rows(&format!("SELECT * FROM {table}"), &[]).await? {
                let row: Vec<String> = row.into_iter().flatten().collect();
                found.extend(self.told(&format!("a row of {table}"), row.join("\n").as_bytes()));
            }
        }
        Ok(found)
    }

    /// Which of them are in a text.
    pub fn in_text(&self, text: &[u8]) -> Vec<String> {
        self.told("what was said", text)
    }

    fn told(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let holds = |word: &&String| memchr::memmem::find(bytes, word.as_bytes()).is_some();
        self.words.iter().filter(holds).map(|word| format!("the secret {word} in {place}")).collect()
    }
}
