//! `paliadin skill install`, and the recipes of the skill on a real PostgreSQL.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, raw_sql};

use crate::harness::{TestApp, Tested, postgres};

/// The turn that the skill's examples speak of.
const TURN: &str = "01a1fc53-450c-7435-803d-384a2f9c420b";

/// A profile of an agent that looks for skills.
fn with_profile(app: &mut TestApp, skills: &str) -> Tested {
    let profiles = app.root().join("profiles");
    fs::create_dir_all(&profiles)?;
    let profile = format!("command = ['x']\nnewline = 'lf'\ninterrupt_key = 'Escape'\nskills = '{skills}'\n");
    fs::write(profiles.join("learned.toml"), profile)?;
    app.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
    Ok(())
}

fn refusal(app: &TestApp, arguments: &[&str], status: i32) -> Tested<String> {
    let output = app.run(arguments)?;
    let line = String::from_utf8(output.stderr)?;
    assert_eq!((output.status.code(), line.lines().count()), (Some(status), 1), "{line}");
    Ok(line)
}

#[test]
fn a_directory_gets_it_once() -> Tested {
    let app = TestApp::prepare(&[])?;
    let install = ["skill", "install", "--dir", "some/skills"];
    let told = app.cli(&install)?;
    assert!(told.lines().all(|line| line.starts_with("written: some/skills/paliadin/")), "{told}");
    let skill = app.root().join("some/skills/paliadin");
    assert!(fs::read_to_string(skill.join("SKILL.md"))?.starts_with("---\nname: paliadin\n"));
    assert_eq!(app.cli(&install)?, "up to date: some/skills/paliadin");
    fs::write(skill.join("references/input.md"), "changed")?;
    assert_eq!(app.cli(&install)?, "written: some/skills/paliadin/references/input.md");
    assert!(!app.state().exists(), "nothing else was touched");
    Ok(())
}

#[test]
fn a_directory_that_cannot_be_used_is_named() -> Tested {
    let app = TestApp::prepare(&[])?;
    fs::write(app.root().join("file"), "")?;
    let line = refusal(&app, &["skill", "install", "--dir", "file"], 1)?;
    assert!(line.contains("file"), "{line}");
    fs::create_dir(app.root().join("skills"))?;
    std::os::unix::fs::symlink(app.root(), app.root().join("skills/paliadin"))?;
    let line = refusal(&app, &["skill", "install", "--dir", "skills"], 1)?;
    assert!(line.contains("skills/paliadin") && line.contains("link"), "{line}");
    Ok(())
}

#[test]
fn a_profile_has_to_be_known_and_to_say_where() -> Tested {
    let app = TestApp::prepare(&[])?;
    let line = refusal(&app, &["skill", "install", "--profile", "nobody"], 2)?;
    assert!(line.contains("nobody"), "{line}");
    // The demo agent, by the configuration and by name.
    for arguments in [&["skill", "install"][..], &["skill", "install", "--profile", "demo"]] {
        let line = refusal(&app, arguments, 2)?;
        assert!(line.contains("\"demo\"") && line.contains("--dir"), "{line}");
    }
    let both = app.run(&["skill", "install", "--profile", "demo", "--dir", "x"])?;
    assert_eq!(both.status.code(), Some(2));
    Ok(())
}

#[test]
fn sessions_get_it_in_their_working_directories() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    with_profile(&mut app, ".some/skills")?;
    let install = ["skill", "install", "--profile", "learned"];
    let none = app.cli(&install)?;
    assert!(none.contains("by itself"), "{none}");
    let spool = app.state().join("spool");
    for path in ["paliadin-1/work", "paliadin-2/work", "paliadin-3/in", "elsewhere"] {
        fs::create_dir_all(spool.join(path))?;
    }
    // Neither is a directory of a session.
    std::os::unix::fs::symlink(spool.join("elsewhere"), spool.join("paliadin-3/work"))?;
    std::os::unix::fs::symlink(spool.join("paliadin-1"), spool.join("paliadin-4"))?;
    let told = app.cli(&install)?;
    assert!(told.ends_with("\nsessions: 2"), "{told}");
    for session in ["paliadin-1", "paliadin-2"] {
        assert!(spool.join(session).join("work/.some/skills/paliadin/SKILL.md").is_file(), "{session}");
    }
    assert!(fs::read_dir(spool.join("elsewhere"))?.next().is_none());
    assert_eq!(fs::read_dir(app.root().join("home"))?.count(), 0, "the home directory is left alone");
    // The configured profile is taken where none is named; one session that cannot have it does not keep it from others.
    app.set("PALIADIN_PROFILE", "learned");
    let again = app.cli(&["skill", "install"])?;
    assert_eq!(again.lines().filter(|line| line.starts_with("up to date: ")).count(), 2, "{again}");
    fs::remove_dir_all(spool.join("paliadin-1/work/.some"))?;
    fs::write(spool.join("paliadin-1/work/.some"), "in the way")?;
    fs::remove_dir_all(spool.join("paliadin-2/work/.some"))?;
    let line = refusal(&app, &["skill", "install"], 1)?;
    assert!(line.contains("paliadin-1"), "{line}");
    assert!(spool.join("paliadin-2/work/.some/skills/paliadin/SKILL.md").is_file());
    Ok(())
}

/// The blocks of code of this language in a file of the skill.
pub fn recipes(file: &str, language: &str) -> Tested<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("skills/paliadin/references").join(file);
    let text = fs::read_to_string(path)?;
    let fence = format!("```{language}\n");
    Ok(text.split(&fence).skip(1).filter_map(|rest| Some(rest.split("```").next()?.to_owned())).collect())
}

/// HMAC with SHA-256 (RFC 2104), for keys of at most one block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// A token as the server makes it, good for so many seconds.
fn token(secret: &str, sub: &str, seconds: i64) -> Tested<String> {
    use base64::engine::{Engine, general_purpose::URL_SAFE_NO_PAD};
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    let claims = json!({"sub": sub, "role": "authenticated", "aud": "test", "exp": now + seconds, "turn_id": TURN});
    let parts = [json!({"alg": "HS256", "typ": "JWT"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = parts.join(".");
    let signature = URL_SAFE_NO_PAD.encode(hmac(secret.as_bytes(), signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

/// The agent's side of the recipes.
pub struct Agent {
    spool: tempfile::TempDir,
    service: String,
}

impl Agent {
    /// One that knows this service.
    pub fn new(service: String) -> Tested<Self> {
        let spool = tempfile::tempdir()?;
        fs::create_dir(spool.path().join("in"))?;
        Ok(Self { spool, service })
    }

    /// Runs a recipe with this token in its place; what it printed, or its errors.
    pub fn run(&self, recipe: &str, token: Option<&str>) -> Tested<Result<String, String>> {
        let file = self.spool.path().join("in").join(format!("{TURN}.jwt"));
        match token {
            Some(token) => fs::write(file, token)?,
            None => drop(fs::remove_file(file)),
        }
        let services = self.spool.path().join("services");
        fs::write(&services, &self.service)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", recipe]).env("PALIADIN_SPOOL", self.spool.path()).env("PGSERVICEFILE", services);
        let output = shell.output()?;
        let (told, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        Ok(if output.status.success() { Ok(told) } else { Err(errors) })
    }
}

#[tokio::test]
async fn under_its_recipes_a_person_sees_the_persons_rows() -> Tested {
    let (ann, bob) = ("0a000000-0000-4000-8000-00000000000a", "0b000000-0000-4000-8000-00000000000b");
    let _roles = postgres::ROLES.lock().await;
    let cluster = postgres::shared()?;
    let database = cluster.create().await?;
    let mut owner = cluster.connect(&database).await?;
    let table = format!(
        "create table deals (id integer, owner_id uuid, title text, stage text, amount numeric);
         insert into deals values (1, '{ann}', 'of Ann', 'stuck', 5), (2, '{bob}', 'of Bob', 'stuck', 9);"
    );
    let setup = recipes("row-level-security.md", "sql")?;
    let [roles, verify, policy, by_claims, _supabase] = &setup[..] else { panic!("{setup:?}") };
    let secret = "insert into paliadin.secret values ('not a real secret');";
    for statements in [roles, verify, &table, &secret.to_owned(), policy] {
        raw_sql(AssertSqlSafe(statements.clone())).execute(&mut owner).await?;
    }
    let service = format!("[app]\nhost={}\nuser=paliadin_agent\ndbname={database}\n", cluster.socket().display());
    let agent = Agent::new(service)?;
    let scripts = recipes("data-access.md", "sh")?;
    let [_curl, verified, claimed, with_value] = &scripts[..] else { panic!("{scripts:?}") };

    let good = token("not a real secret", ann, 60)?;
    let seen = agent.run(verified, Some(&good))?.map_err(|errors| format!("refused: {errors}"))?;
    assert!(seen.contains("of Ann") && !seen.contains("of Bob") && seen.ends_with("rows: 1\n"), "{seen}");
    let other = agent.run(verified, Some(&token("not a real secret", bob, 60)?))??;
    assert!(other.contains("of Bob") && !other.contains("of Ann"), "{other}");
    let context = agent.spool.path().join("in").join(format!("{TURN}.context.json"));
    fs::write(&context, r#"{"selection": "of Ann"}"#)?;
    let found = agent.run(with_value, Some(&good))??;
    assert!(found.ends_with("rows: 1\n"), "{found}");
    fs::write(&context, r#"{"selection": "x' or true --"}"#)?;
    let injected = agent.run(with_value, Some(&good))??;
    assert!(injected.ends_with("rows: 0\n"), "{injected}");
    for (what, token) in [
        ("not valid", Some(token("another secret", ann, 60)?)),
        ("expired", Some(token("not a real secret", ann, -1)?)),
        ("not valid", Some("nonsense".to_owned())),
        ("no token", None),
    ] {
        let refused = agent.run(verified, token.as_deref())?;
        let errors = refused.err().ok_or_else(|| format!("{what}: it was let in"))?;
        assert!(errors.contains(what), "{errors}");
    }
    // Claims that nobody signed open nothing here.
    let forged = agent.run(claimed, Some(&token("another secret", bob, 60)?))??;
    assert!(forged.ends_with("rows: 0\n"), "{forged}");

    let replaced = format!("drop policy deals_of_the_person on deals; {by_claims}");
    raw_sql(AssertSqlSafe(replaced)).execute(&mut owner).await?;
    let seen = agent.run(claimed, Some(&good))??;
    assert!(seen.contains("of Ann") && !seen.contains("of Bob") && seen.ends_with("rows: 1\n"), "{seen}");
    assert!(!seen.contains(ann), "the claims are not printed: {seen}");

    // Its roles are the cluster's.
    raw_sql("drop owned by authenticated, paliadin_agent").execute(&mut owner).await?;
    raw_sql("drop role paliadin_agent, authenticated").execute(&mut owner).await?;
    owner.close().await?;
    cluster.remove(&database).await
}
