//! Connections that are kept for nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{TestApp, Tested, within};

/// Reads until the server closes the connection; what it has said.
async fn to_the_end(connection: &mut TcpStream) -> Tested<String> {
    let mut said = Vec::new();
    match within("the end of the connection", connection.read_to_end(&mut said)).await? {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

async fn connect(address: SocketAddr) -> Tested<TcpStream> {
    Ok(TcpStream::connect(address).await?)
}

#[tokio::test]
async fn a_head_that_does_not_come_in_whole_ends_the_connection() -> Tested {
    let app = TestApp::with(&[("PALIADIN_SERVER__HEAD_TIMEOUT", "700ms")]).await?;
    let address = app.nobody().address();
    for begun in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let mut connection = connect(address).await?;
        connection.write_all(begun.as_bytes()).await?;
        let said = to_the_end(&mut connection).await?;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{begun:?}: {said}");
    }
    // Likewise one that idles after its answer.
    let mut idle = connect(address).await?;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let said = to_the_end(&mut idle).await?;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_body_that_comes_in_a_byte_at_a_time_is_given_up() -> Tested {
    let app = TestApp::with(&[("PALIADIN_SERVER__REQUEST_TIMEOUT", "1s")]).await?;
    let ann = app.user("ann@example.org")?;
    let mut connection = connect(ann.address()).await?;
    let head = format!(
        "POST /api/paliadin/turn HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        ann.token
    );
    connection.write_all(head.as_bytes()).await?;
    let said = to_the_end(&mut connection).await?;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("\"code\":\"request_timeout\""), "{said}");
    assert_eq!(app.typed_all()?.len(), 0);
    // A stream is none of that: its answer has begun.
    let turn = ann.ask("!sleep 2").await?;
    assert_eq!(ann.collect(&turn).await?.last().map(|event| event.kind.clone()).as_deref(), Some("end"));
    Ok(())
}

#[tokio::test]
async fn whoever_keeps_all_places_gives_them_up_in_time() -> Tested {
    let app =
        TestApp::with(&[("PALIADIN_SERVER__MAX_CONNECTIONS", "4"), ("PALIADIN_SERVER__HEAD_TIMEOUT", "1s")]).await?;
    let address = app.nobody().address();
    // More than there are places: some of them are not even accepted.
    let mut slow = Vec::new();
    for _ in 0..12 {
        let mut connection = connect(address).await?;
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").await?;
        slow.push(connection);
    }
    // Whoever comes after them waits for its turn, and gets it.
    assert_eq!(app.nobody().get("/healthz").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_server_that_may_open_few_files_takes_fewer_connections() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_SERVER__HEAD_TIMEOUT", "1s")])?;
    app.wrap(["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"].map(str::to_owned).into(), None);
    app.boot().await?;
    let ann = app.user("ann@example.org")?;
    let mut slow = Vec::new();
    for _ in 0..400 {
        slow.push(connect(ann.address()).await?);
    }
    // There is room for the agent, its files and the database all the same.
    let turn = ann.ask("!echo here").await?;
    assert_eq!(ann.ended(&turn).await?["response"], "here");
    Ok(())
}

#[tokio::test]
async fn what_is_no_http_or_too_much_of_it_is_refused() -> Tested {
    let app = TestApp::start().await?;
    let address = app.nobody().address();
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200));
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {}\r\n\r\n", "y".repeat(40 * 1024));
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(70 * 1024));
    for (request, statuses) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", &[400][..]),
        (&many, &[431]),
        (&large, &[431]),
        (&long, &[414, 431]),
        (
            "POST /api/paliadin/turn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            &[400],
        ),
        ("POST /api/paliadin/turn HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", &[400]),
    ] {
        let mut connection = connect(address).await?;
        // It may be refused, and the rest not read.
        let _ = connection.write_all(request.as_bytes()).await;
        let said = to_the_end(&mut connection).await?;
        let status = said.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).unwrap_or(0);
        assert!(statuses.contains(&status), "{:?}…: {said:?}", &request[..request.len().min(60)]);
    }
    Ok(())
}
