//! `auth.mode = proxy` behind a real nginx, with the lines of docs/operation.md; it signs people in by HTTP's own passwords.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::http::Request;
use crate::harness::{Client, TestApp, Tested, eventually};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Ends with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines of the location that the manual has for a proxy, but for how people are signed in, and where everything is.
fn location(server: SocketAddr) -> Tested<String> {
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operation.md"))?;
    let block = manual.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).ok_or("no such block")?;
    let lines = block.lines().filter(|line| !line.contains("auth_request"));
    let lines: Vec<String> = lines.map(|line| line.replace("$email", "$remote_user").replace('…', SECRET)).collect();
    Ok(lines.join("\n").replace("127.0.0.1:8717", &server.to_string()))
}

/// Starts one at this address.
async fn start(directory: &Path, address: SocketAddr, server: SocketAddr) -> Tested<Nginx> {
    fs::create_dir(directory)?;
    let at = |name: &str| directory.join(name).display().to_string();
    fs::write(at("passwords"), "ann@example.org:{PLAIN}word\neve@example.org:{PLAIN}word\n")?;
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", at(kind)))
        .concat();
    let config = format!(
        "daemon off; master_process off; pid {}; error_log stderr warn;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}\
         server {{ listen {address}; auth_basic x; auth_basic_user_file {};\n{}\n}} }}\n",
        at("pid"),
        at("passwords"),
        location(server)?,
    );
    fs::write(at("nginx.conf"), config)?;
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
    let mut nginx = Command::new(program.ok_or("nginx is not installed: scripts/bootstrap installs it")?);
    nginx.args(["-e", "stderr", "-p", &at(""), "-c", &at("nginx.conf")]).stdin(Stdio::null());
    let nginx = Nginx(nginx.spawn()?);
    eventually("nginx to listen", async || Ok(tokio::net::TcpStream::connect(address).await.ok())).await?;
    Ok(nginx)
}

#[tokio::test]
async fn people_whom_nginx_has_signed_in_come_in_as_themselves() -> Tested {
    let app = TestApp::with(&[
        ("PALIADIN_AUTH_MODE", "proxy"),
        ("PALIADIN_AUTH__PROXY_ADDRESSES", "127.0.0.1"),
        ("PALIADIN_AUTH__PROXY_SECRET", SECRET),
        ("PALIADIN_OWNERS", "ann@example.org"),
        ("PALIADIN_SERVER__ALLOWED_HOSTS", "chat.example.org"),
    ])
    .await?;
    let server = app.nobody().address();
    // An address that no other test has.
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = SocketAddr::from((Ipv4Addr::new(127, high | 128, low, 250), 8080));
    let _nginx = start(&app.root().join("nginx"), address, server).await?;
    let request = |method: &str, path: &str, who: Option<&str>| {
        let request = Request::new(address, method, path).header("host", "chat.example.org");
        let password = |who: &str| format!("Basic {}", STANDARD.encode(format!("{who}@example.org:word")));
        who.map_or_else(|| Request::new(address, method, path), |who| request.header("authorization", password(who)))
    };
    assert_eq!(request("GET", "/api/paliadin/status", None).send().await?.status, 401);
    // What a client sends itself under the proxy's names is gone.
    let forged = request("GET", "/api/paliadin/status", Some("ann")).header("x-forwarded-email", "root@example.org");
    assert_eq!(forged.send().await?.json().await?["user"]["email"], "ann@example.org");
    assert_eq!(request("GET", "/api/paliadin/status", Some("eve")).send().await?.status, 404);
    // Past the proxy nobody comes in, also from its address.
    let past = Request::new(server, "GET", "/api/paliadin/status").header("x-forwarded-email", "ann@example.org");
    assert_eq!(past.send().await?.status, 401);
    // The page's own requests pass, those of others do not; answers come as they are written.
    let ask = |origin: &str| {
        let body = json!({ "user_message": "!lines 5 50" }).to_string();
        request("POST", "/api/paliadin/turn", Some("ann")).json(body).header("origin", origin)
    };
    assert_eq!(ask("https://evil.example").send().await?.status, 403);
    let accepted = ask("https://chat.example.org").send().await?.json().await?;
    let url = accepted["sse_url"].as_str().ok_or("no stream")?;
    let mut stream = Client::opened(request("GET", url, Some("ann"))).await?;
    let first = stream.until("content").await?;
    assert!(first.data["delta"].as_str().is_some_and(|delta| delta.lines().count() < 5), "{}", first.raw);
    assert_eq!(stream.rest().await?.last().map(|event| event.kind.clone()).as_deref(), Some("end"));
    Ok(())
}
