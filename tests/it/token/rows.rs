//! What a token is good for: docs/examples/row-level-security.sql on a real PostgreSQL, and tokens of real turns.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::engine::{Engine, general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tokio::sync::MutexGuard;

use super::{cancelled, hanging};
use crate::harness::planted::JWT_SECRET;
use crate::harness::{Client, TestApp, Tested, eventually, postgres};
use crate::launch;
use crate::skill::{Agent, recipes};

/// What the page of the skill and the example have in common: from the function that decodes to the grant.
const VERIFIES: (&str, &str) = ("create function paliadin.bytes", "to authenticated;");

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/row-level-security.sql")
}

/// The recipe by which an agent has its token verified by the database.
fn recipe() -> Tested<String> {
    Ok(recipes("data-access.md", "sh")?.into_iter().nth(1).ok_or("no recipe")?)
}

/// A database in which the example was run.
struct Rows {
    database: String,
    services: PathBuf,
    owner: PgConnection,
    /// The roles are the cluster's.
    _roles: MutexGuard<'static, ()>,
}

impl Rows {
    async fn prepare(app: &TestApp) -> Tested<Self> {
        let _roles = postgres::ROLES.lock().await;
        let cluster = postgres::shared()?;
        let database = cluster.create().await?;
        let services = app.root().join("services");
        let socket = cluster.socket().display();
        let service = |name, user| format!("[{name}]\nhost={socket}\nuser={user}\ndbname={database}\n");
        fs::write(&services, service("app", "paliadin_agent") + &service("owner", "tester"))?;
        let owner = cluster.connect(&database).await?;
        let rows = Self { database, services, owner, _roles };
        let refused = rows.run_example("")?;
        let told = String::from_utf8(refused.stderr)?;
        assert!(!refused.status.success() && told.contains("PALIADIN_JWT_SECRET is not set"), "{told}");
        let made = rows.run_example(JWT_SECRET)?;
        let told = String::from_utf8([made.stdout, made.stderr].concat())?;
        assert!(made.status.success() && told.is_empty(), "{told}");
        Ok(rows)
    }

    fn run_example(&self, secret: &str) -> Tested<Output> {
        let mut psql = Command::new("psql");
        psql.arg("-X").arg("-f").arg(example()).arg("service=owner");
        Ok(psql.env("PGSERVICEFILE", &self.services).env("PALIADIN_JWT_SECRET", secret).output()?)
    }

    async fn add(&mut self, owner_id: &str, title: &str) -> Tested {
        let insert = format!("insert into deals (owner_id, title, stage) values ('{owner_id}', '{title}', 'stuck')");
        raw_sql(AssertSqlSafe(insert)).execute(&mut self.owner).await?;
        Ok(())
    }

    fn agent(&self) -> Tested<Agent> {
        Agent::new(fs::read_to_string(&self.services)?)
    }

    async fn remove(mut self) -> Tested {
        raw_sql("drop owned by authenticated, paliadin_agent").execute(&mut self.owner).await?;
        raw_sql("drop role paliadin_agent, authenticated").execute(&mut self.owner).await?;
        self.owner.close().await?;
        postgres::shared()?.remove(&self.database).await
    }
}

/// The same token with other claims.
fn changed(token: &str, change: impl FnOnce(&mut Value)) -> Tested<String> {
    let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { return Err("no token".into()) };
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body)?)?;
    change(&mut claims);
    Ok(format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string())))
}

#[test]
fn the_skill_verifies_as_the_example_does() -> Tested {
    let verifying = |text: &str| -> Tested<String> {
        let (_, rest) = text.split_once(VERIFIES.0).ok_or("no function")?;
        Ok(rest.split_once(VERIFIES.1).ok_or("no grant")?.0.to_owned())
    };
    let skill = recipes("row-level-security.md", "sql")?.concat();
    let (skill, example) = (verifying(&skill)?, verifying(&fs::read_to_string(example())?)?);
    assert!(skill.contains("function paliadin.user_id()"));
    assert_eq!(skill, example);
    Ok(())
}

/// What the agent reads in a turn of this user's, by the recipe.
async fn deals(user: &Client) -> Tested<String> {
    user.response(r#"sed "s/^turn=.*/turn=$turn/" "$RECIPE" | sh"#).await
}

#[tokio::test]
async fn an_agent_reads_the_rows_of_its_turns_user_and_no_others() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let mut rows = Rows::prepare(&app).await?;
    let file = app.root().join("recipe");
    fs::write(&file, recipe()?)?;
    for directory in ["bin", "profiles"] {
        fs::create_dir(app.root().join(directory))?;
    }
    app.set("PALIADIN_AGENT__PROFILES_DIR", &app.root().join("profiles").display().to_string());
    let variables = format!("RECIPE = '{}', PGSERVICEFILE = '{}'", file.display(), rows.services.display());
    app.choose("shell", &format!("{}\nenvironment = {{ {variables} }}", launch::shell(&app)?))?;
    app.boot().await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    let nobody = app.user("cem@example.org")?;
    rows.add(&ann.user_id, "of Ann").await?;
    rows.add(&bob.user_id, "of Bob").await?;
    rows.add(&bob.user_id, "another of Bob").await?;
    let (anns, bobs, none) = tokio::join!(deals(&ann), deals(&bob), deals(&nobody));
    let (anns, bobs, none) = (anns?, bobs?, none?);
    assert!(anns.contains("of Ann") && !anns.contains("of Bob") && anns.ends_with("rows: 1\nstatus 0\n"), "{anns}");
    assert!(
        bobs.contains("another of Bob") && !bobs.contains("of Ann") && bobs.ends_with("rows: 2\nstatus 0\n"),
        "{bobs}"
    );
    assert!(none.ends_with("rows: 0\nstatus 0\n"), "{none}");
    // The next turn has a token of its own.
    assert_eq!(deals(&ann).await?, anns);

    app.set("PALIADIN_JWT_SECRET", "");
    app.restart(rustix::process::Signal::TERM).await?;
    assert_eq!(deals(&ann).await?, "no token: no access\nstatus 1\n");
    app.set("PALIADIN_JWT_SECRET", "another secret, as long as it must be");
    app.restart(rustix::process::Signal::TERM).await?;
    let refused = deals(&ann).await?;
    assert!(refused.contains("the token is not valid") && !refused.contains("of Ann"), "{refused}");
    drop(app);
    rows.remove().await
}

#[tokio::test]
async fn nothing_but_the_token_itself_opens_anything() -> Tested {
    let app = TestApp::start().await?;
    let mut rows = Rows::prepare(&app).await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    rows.add(&ann.user_id, "of Ann").await?;
    rows.add(&bob.user_id, "of Bob").await?;
    let (turn, file) = hanging(&app, &ann).await?;
    let token = fs::read_to_string(&file)?;
    let (agent, recipe) = (rows.agent()?, recipe()?);
    let seen = agent.run(&recipe, Some(&token))??;
    assert!(seen.contains("of Ann") && !seen.contains("of Bob") && seen.ends_with("rows: 1\n"), "{seen}");

    let as_bob = changed(&token, |claims| claims["sub"] = json!(bob.user_id))?;
    let longer = changed(&token, |claims| claims["exp"] = json!(9_999_999_999_u64))?;
    let body = as_bob.split('.').nth(1).ok_or("no claims")?;
    let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string()));
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body)?)?;
    let forged = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another secret")?)?;
    for (name, token) in [("of Bob", as_bob), ("longer", longer), ("unsigned", unsigned), ("forged", forged)] {
        let refused = agent.run(&recipe, Some(&token))?;
        let errors = refused.err().ok_or_else(|| format!("{name}: it was let in"))?;
        assert!(errors.contains("the token is not valid"), "{name}: {errors}");
    }
    let errors = agent.run(&recipe, None)?.err().ok_or("it was let in without a token")?;
    assert_eq!(errors, "no token: no access\n");

    // An agent that keeps to no recipe.
    let asks = |sql: &str| agent.run(&format!("psql -X -q -A -t service=app -c \"{sql}\""), None);
    let role = "set role authenticated";
    assert_eq!(asks(&format!("{role}; select count(*) from deals"))??, "0\n");
    let claims = json!({"sub": bob.user_id, "role": "authenticated"}).to_string().replace('"', "\\\"");
    assert_eq!(asks(&format!("{role}; set request.jwt.claims = '{claims}'; select count(*) from deals"))??, "0\n");
    for sql in [
        "select count(*) from deals",
        "set role authenticated; select value from paliadin.secret",
        "set role authenticated; delete from deals",
        "set role authenticated; select paliadin.hmac('x', 'y', 'sha256')",
        "set role authenticated; set role tester",
    ] {
        let errors = asks(sql)?.err().ok_or_else(|| format!("{sql}: it was let"))?;
        assert!(errors.contains("permission denied"), "{sql}: {errors}");
    }
    cancelled(&ann, &turn).await?;
    drop(app);
    rows.remove().await
}

#[tokio::test]
async fn a_token_that_is_over_opens_nothing() -> Tested {
    let app = TestApp::with(&[("PALIADIN_TURN__DEADLINE", "1s")]).await?;
    let mut rows = Rows::prepare(&app).await?;
    let ann = app.user("ann@example.org")?;
    rows.add(&ann.user_id, "of Ann").await?;
    // Its end waits, with the token there.
    app.arm_hold("answer.before_commit")?;
    let (turn, file) = hanging(&app, &ann).await?;
    app.held("answer.before_commit").await?;
    let token = fs::read_to_string(&file)?;
    let (agent, recipe) = (rows.agent()?, recipe()?);
    eventually("the token to be refused", async || match agent.run(&recipe, Some(&token))? {
        Ok(seen) if seen.ends_with("rows: 1\n") => Ok(None),
        Ok(seen) => Err(seen.into()),
        Err(errors) if errors.contains("the token has expired") => Ok(Some(())),
        Err(errors) => Err(errors.into()),
    })
    .await?;
    app.release("answer.before_commit")?;
    assert_eq!(ann.ended(&turn).await?["error_code"], "timeout");
    ann.reset().await?;
    drop(app);
    rows.remove().await
}
