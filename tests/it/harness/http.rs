//! The least of an HTTP/1.1 client: one connection for each request, every header as the test says, and bytes read only
//! when the test asks for them.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::{Tested, within};

/// Bytes read at once.
const READ_SIZE: usize = 16 * 1024;

/// A request to be sent.
pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    from: Option<IpAddr>,
}

impl Request {
    /// A request with the headers that HTTP needs.
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let headers = vec![("host".to_owned(), address.to_string()), ("connection".to_owned(), "close".to_owned())];
        Self { address, method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new(), from: None }
    }

    /// Sets a header in place of the one of this name.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.also(name, value)
    }

    /// Adds a header, even if there is one of this name.
    pub fn also(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends it from this address of the host.
    pub fn from(mut self, address: impl Into<IpAddr>) -> Self {
        self.from = Some(address.into());
        self
    }

    /// Sends this as JSON, whatever it is.
    pub fn json(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    /// Sends it and reads the answer's head.
    pub async fn send(self) -> Tested<Response> {
        let what = format!("an answer to {} {}", self.method, self.path);
        within(&what, self.exchange()).await?
    }

    async fn exchange(self) -> Tested<Response> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let mut connection = socket.connect(self.address).await?;
        connection.set_nodelay(true)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method != "GET" || !self.body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        connection.write_all(head.as_bytes()).await?;
        // A body that is refused unread may be cut off; the answer tells.
        let _ = connection.write_all(&self.body).await;
        Response::read(BufReader::with_capacity(READ_SIZE, connection)).await
    }
}

/// How the end of a body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

/// An answer whose body is still to be read.
pub struct Response {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    framing: Framing,
    connection: BufReader<TcpStream>,
}

impl Response {
    async fn read(mut connection: BufReader<TcpStream>) -> Tested<Self> {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).ok_or("the connection was closed without an answer")?.parse()?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            connection.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Self { status, headers, framing: Framing::Close, connection };
        if let Some(length) = response.header("content-length") {
            response.framing = Framing::Length(length.parse()?);
        } else if response.header("transfer-encoding").is_some() {
            response.framing = Framing::Chunked;
        } else if status == 204 {
            response.framing = Framing::Length(0);
        }
        Ok(response)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Every header, by its name in lower case.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// Where the connection breaks before the end.
    pub async fn bytes(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let cut = || Error::from(ErrorKind::UnexpectedEof);
        match self.framing {
            Framing::Length(length) => {
                let mut body = vec![0; length];
                self.connection.read_exact(&mut body).await?;
                self.framing = Framing::Length(0);
                Ok(Some(body).filter(|body| !body.is_empty()))
            }
            Framing::Chunked => {
                let mut line = String::new();
                if self.connection.read_line(&mut line).await? == 0 {
                    return Err(cut());
                }
                let length = usize::from_str_radix(line.trim_end(), 16).map_err(|_| cut())?;
                let mut chunk = vec![0; length + 2];
                self.connection.read_exact(&mut chunk).await?;
                chunk.truncate(length);
                if length == 0 {
                    self.framing = Framing::Length(0);
                }
                Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
            }
            Framing::Close => {
                let mut body = Vec::new();
                self.connection.read_to_end(&mut body).await?;
                self.framing = Framing::Length(0);
                Ok(Some(body).filter(|body| !body.is_empty()))
            }
        }
    }

    /// The whole body.
    pub async fn text(&mut self) -> Tested<String> {
        within("the body of an answer", async {
            let mut body = Vec::new();
            while let Some(bytes) = self.bytes().await? {
                body.extend(bytes);
            }
            Ok(String::from_utf8(body)?)
        })
        .await?
    }

    /// The whole body as JSON.
    pub async fn json(&mut self) -> Tested<Value> {
        let text = self.text().await?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}: {text:?}", self.status).into())
    }

    /// The stable code of a refusal, which must be a problem document.
    pub async fn problem(&mut self) -> Tested<String> {
        let content_type = self.header("content-type").unwrap_or_default().to_owned();
        let body = self.json().await?;
        if content_type != "application/problem+json" || body["status"] != self.status || body["title"] == "" {
            return Err(format!("no problem document ({content_type}): {body}").into());
        }
        Ok(body["code"].as_str().ok_or("a problem without a code")?.to_owned())
    }
}
