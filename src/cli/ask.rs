//! `paliadin ask`: asks a question and streams the answer to the terminal.

use std::io::{IsTerminal, Read, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use eventsource_stream::{Event, Eventsource};
use futures_util::StreamExt;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Global, block_on, fail};

/// Wait between two tries to reach the server, while a turn runs.
const RECONNECT: Duration = Duration::from_millis(500);
/// Tries in a row without any event, after which it is given up.
const MAX_RECONNECTS: u32 = 20;
/// Further tries of the question itself.
const MAX_POSTS: u32 = 3;
/// How long a server may say nothing at all: it pings every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    after_help = "Exit status: 0 answered, 1 the turn failed, 2 bad arguments, 3 the server cannot be reached,\n\
    4 not signed in or not allowed, 5 refused (too large, not found), 6 worth trying again (queue full, busy)\n\n\
    The token is taken from PALIADIN_TOKEN, or from the file that a server on this host made for its own account."
)]
pub struct Ask {
    /// Address of the server
    #[arg(long, env = "PALIADIN_URL", default_value = "http://127.0.0.1:8717")]
    url: String,
    /// Conversation to ask in (its id is told at the end of an answer in a terminal, and by --json); a new one if absent
    #[arg(long, value_name = "UUID")]
    session: Option<Uuid>,
    /// Print every event as a line of JSON instead of the answer's text
    #[arg(long)]
    json: bool,
    /// The question; `-` reads it from standard input
    question: String,
}

/// Why there is no (further) answer: exit status and a line for people. Status 0 says that nobody wants more.
struct Failure(u8, String);

impl Ask {
    /// Runs the command.
    pub fn run(self, global: &Global) -> ExitCode {
        let question = match self.question.as_str() {
            "-" => {
                let mut text = String::new();
                match std::io::stdin().read_to_string(&mut text) {
                    Ok(_) => text,
                    Err(error) => return fail(2, format!("standard input: {error}")),
                }
            }
            text => text.to_owned(),
        };
        let address = match Address::parse(&self.url) {
            Ok(address) => address,
            Err(Failure(status, text)) => return fail(status, text),
        };
        let token = match token(global, &address) {
            Ok(token) => token,
            Err(Failure(status, text)) => return fail(status, text),
        };
        block_on(async {
            match self.ask(&question, &token, &address).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(Failure(0, _)) => ExitCode::SUCCESS,
                Err(Failure(status, text)) => fail(status, text),
            }
        })
    }

    async fn ask(&self, question: &str, token: &str, address: &Address) -> Result<(), Failure> {
        let mut client = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(SILENCE);
        if address.is_loopback {
            // A proxy for the world outside has no business with this host.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| Failure(2, chain(&error)))?;
        let mut body = json!({ "user_message": question, "client_turn_id": Uuid::new_v4() });
        if let Some(session) = self.session {
            body["session_id"] = json!(session);
        }
        let mut tries = 0;
        let turn = loop {
            let post = client.post(format!("{}/api/paliadin/turn", address.base));
            let post = post.header("content-type", "application/json").body(body.to_string());
            match post.bearer_auth(token).send().await {
                // It may have arrived. Asked twice, it is the same turn: `client_turn_id` says so.
                Err(error) if !error.is_connect() && !error.is_builder() && tries < MAX_POSTS => {
                    tries += 1;
                    say(&format!("{}; trying again", chain(&error)));
                    tokio::time::sleep(RECONNECT).await;
                }
                answer => break json_of(accepted(answer).await?).await?,
            }
        };
        let text = |name: &str| turn.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut printer = Printer::new(self.json, std::io::stdout().is_terminal());
        if self.json {
            printer.line(&json!({ "event": "accepted", "data": turn }).to_string())?;
        }
        let url = format!("{}{}", address.base, text("sse_url"));
        follow(&client, token, &url, &mut printer).await?;
        if !self.json && std::io::stderr().is_terminal() {
            say(&format!("conversation {}", text("session_id")));
        }
        Ok(())
    }
}

/// Where the server is.
struct Address {
    /// Without a slash at its end.
    base: String,
    is_loopback: bool,
}

impl Address {
    fn parse(url: &str) -> Result<Self, Failure> {
        let wrong = |problem: &str| Failure(2, format!("--url {url}: {problem}"));
        let parsed = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("it must begin with http:// or https://"));
        }
        let host = parsed.host_str().unwrap_or_default();
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_loopback = host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback());
        Ok(Self { base: url.trim_end_matches('/').to_owned(), is_loopback })
    }
}

/// Reads the stream to its end; a connection that breaks is taken up where it broke.
async fn follow(client: &Client, token: &str, url: &str, printer: &mut Printer) -> Result<(), Failure> {
    let mut last_id = String::new();
    let mut tries = 0;
    loop {
        let mut get = client.get(url);
        if !last_id.is_empty() {
            get = get.header("last-event-id", &last_id);
        }
        match send(get, token).await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => {
                return Err(Failure(6, "the answer's end was missed".to_owned()));
            }
            Ok(response) => {
                let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
                if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
                    return Err(foreign());
                }
                let mut events = response.bytes_stream().eventsource();
                while let Some(Ok(event)) = events.next().await {
                    tries = 0;
                    if !event.id.is_empty() {
                        last_id.clone_from(&event.id);
                    }
                    if let Some(end) = printer.event(&event)? {
                        return end;
                    }
                }
            }
            Err(Failure(3 | 6, text)) if tries < MAX_RECONNECTS => {
                if tries == 0 {
                    say(&format!("{text}; trying again"));
                }
            }
            Err(failure) => return Err(failure),
        }
        tries += 1;
        if tries > MAX_RECONNECTS {
            return Err(Failure(3, "the connection keeps breaking".to_owned()));
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Writes events as they come.
struct Printer {
    json: bool,
    /// Standard output is a terminal, which obeys control characters: an answer shall not steer it.
    plain: bool,
    /// The answer as it was printed.
    printed: String,
}

impl Printer {
    fn new(json: bool, plain: bool) -> Self {
        Self { json, plain, printed: String::new() }
    }

    /// Prints an event; `Some` where it is the last one.
    fn event(&mut self, event: &Event) -> Result<Option<Result<(), Failure>>, Failure> {
        let data: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
        if self.json {
            self.line(&json!({ "event": event.event, "id": event.id, "data": data }).to_string())?;
        } else {
            match event.event.as_str() {
                "content" => {
                    let piece =
                        data.get("delta").or_else(|| data.get("text")).and_then(Value::as_str).unwrap_or_default();
                    self.print(piece)?;
                }
                "resync" => self.resync(text("text"))?,
                "attention" => say(&format!("the agent asks: {}", sanitised(text("prompt")))),
                "queued" if data["position"].as_u64().is_some_and(|position| position > 0) => {
                    say(&format!("waiting: {} before this", data["position"]));
                }
                _ => {}
            }
        }
        Ok(match event.event.as_str() {
            "end" => {
                if !self.json && !self.printed.ends_with('\n') {
                    self.print("\n")?;
                }
                Some(Ok(()))
            }
            "error" => {
                let status = if data["retryable"].as_bool() == Some(true) { 6 } else { 1 };
                Some(Err(Failure(status, format!("{}: {}", text("code"), sanitised(text("message"))))))
            }
            _ => None,
        })
    }

    /// What was printed cannot be taken back: only what differs is printed again.
    fn resync(&mut self, text: &str) -> Result<(), Failure> {
        match text.strip_prefix(self.printed.as_str()) {
            Some(rest) => {
                let rest = rest.to_owned();
                self.print(&rest)
            }
            None => {
                self.print("\n[the answer so far was replaced]\n")?;
                self.printed.clear();
                self.print(text)
            }
        }
    }

    fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.printed.push_str(text);
        if self.plain { write_out(&sanitised(text)) } else { write_out(text) }
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        write_out(&format!("{text}\n"))
    }
}

/// Without control characters but newline and tab.
fn sanitised(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// A line for people, beside the answer.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("paliadin: {text}\n").as_bytes());
}

fn write_out(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        // Whoever reads has seen enough.
        std::io::ErrorKind::BrokenPipe => Failure(0, String::new()),
        _ => Failure(1, format!("standard output: {error}")),
    })
}

/// The token from the environment, or the one that a server on this host made.
fn token(global: &Global, address: &Address) -> Result<String, Failure> {
    if let Ok(token) = std::env::var("PALIADIN_TOKEN")
        && !token.is_empty()
    {
        return Ok(token);
    }
    if !address.is_loopback {
        // The file's token is for the server on this host, and for no other.
        return Err(Failure(4, "no token: set PALIADIN_TOKEN for a server on another host".to_owned()));
    }
    let config = global.load().map_err(|error| Failure(2, error.to_string()))?;
    let file = config.state.cli_token();
    std::fs::read_to_string(&file).map(|text| text.trim().to_owned()).map_err(|error| {
        let hint = "is a server running here? Else set PALIADIN_TOKEN";
        Failure(4, format!("no token: {}: {error}; {hint}", file.display()))
    })
}

async fn send(request: RequestBuilder, token: &str) -> Result<Response, Failure> {
    accepted(request.bearer_auth(token).send().await).await
}

/// The answer, if it is a good one.
async fn accepted(answer: reqwest::Result<Response>) -> Result<Response, Failure> {
    let response = answer.map_err(|error| Failure(if error.is_builder() { 2 } else { 3 }, chain(&error)))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let problem: Value =
        response.text().await.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let exit = match status.as_u16() {
        401 | 403 => 4,
        429 | 503 => 6,
        400..=499 => 5,
        _ => 1,
    };
    Err(Failure(
        exit,
        format!("{}: {}", if problem.is_null() { status.as_str() } else { text("code") }, text("detail")),
    ))
}

async fn json_of(response: Response) -> Result<Value, Failure> {
    let text = response.text().await.map_err(|error| Failure(3, chain(&error)))?;
    serde_json::from_str(&text).map_err(|_| foreign())
}

fn foreign() -> Failure {
    Failure(5, "what answers there is no Paliadin server".to_owned())
}

/// An error with its causes: reqwest keeps the interesting part there.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
