//! Where the keys come from, and what becomes of a token when they change.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{SECRET, claims, look, signed, status, with};
use crate::harness::{Tested, eventually};

/// A key pair of the other service.
struct Pair {
    name: String,
    algorithm: Algorithm,
    private: EncodingKey,
    public: String,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl Pair {
    fn rsa(name: &str) -> Tested<Self> {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| "no key")?;
        let private = AsDer::<Pkcs8V1Der>::as_der(&pair).map_err(|_| "no DER")?;
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).map_err(|_| "no DER")?;
        Ok(Self {
            name: name.to_owned(),
            algorithm: Algorithm::RS256,
            private: EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes())?,
            public: pem("PUBLIC KEY", public.as_ref()),
        })
    }

    fn ed(name: &str) -> Tested<Self> {
        let pair = Ed25519KeyPair::generate().map_err(|_| "no key")?;
        let private = AsDer::<Pkcs8V1Der>::as_der(&pair).map_err(|_| "no DER")?;
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).map_err(|_| "no DER")?;
        Ok(Self {
            name: name.to_owned(),
            algorithm: Algorithm::EdDSA,
            private: EncodingKey::from_ed_der(private.as_ref()),
            public: pem("PUBLIC KEY", public.as_ref()),
        })
    }

    fn token(&self) -> Tested<String> {
        let header = Header { kid: Some(self.name.clone()), ..Header::new(self.algorithm) };
        signed(&header, &claims(&json!({}))?, &self.private)
    }

    fn jwk(&self) -> Tested<Value> {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm)?)?;
        jwk["kid"] = json!(self.name);
        jwk["use"] = json!("sig");
        Ok(jwk)
    }
}

fn set(pairs: &[&Pair]) -> Tested<String> {
    let keys: Tested<Vec<Value>> = pairs.iter().map(|pair| pair.jwk()).collect();
    Ok(json!({ "keys": keys? }).to_string())
}

#[tokio::test]
async fn a_public_key_is_for_its_own_algorithm_only() -> Tested {
    for pair in [Pair::rsa("one")?, Pair::ed("one")?] {
        let app = with(&[("PALIADIN_AUTH__JWT_KEY", &pair.public)]).await?;
        assert_eq!(status(&app, &pair.token()?).await?, 200, "{:?}", pair.algorithm);
        // The oldest trick: the public key, which everybody knows, as the secret of another algorithm.
        let forged = EncodingKey::from_secret(pair.public.trim().as_bytes())?;
        let forged = signed(&Header::new(Algorithm::HS256), &claims(&json!({}))?, &forged)?;
        assert_eq!(status(&app, &forged).await?, 401);
        let other = if pair.algorithm == Algorithm::RS256 { Pair::rsa("one")? } else { Pair::ed("one")? };
        assert_eq!(status(&app, &other.token()?).await?, 401);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_of_keys_is_read_anew_when_it_changes() -> Tested {
    let (rsa, ed) = (Pair::rsa("rsa")?, Pair::ed("ed")?);
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("keys.json");
    std::fs::write(&file, set(&[&rsa])?)?;
    let app = with(&[("PALIADIN_AUTH__JWT_JWKS_FILE", &file.display().to_string())]).await?;
    assert_eq!((status(&app, &rsa.token()?).await?, status(&app, &ed.token()?).await?), (200, 401));
    let put = |text: &str| -> Tested {
        std::fs::write(directory.path().join("new"), text)?;
        Ok(std::fs::rename(directory.path().join("new"), &file)?)
    };
    put(&set(&[&ed])?)?;
    assert_eq!((status(&app, &rsa.token()?).await?, status(&app, &ed.token()?).await?), (401, 200));
    // What cannot be used changes nothing.
    put("{")?;
    assert_eq!(status(&app, &ed.token()?).await?, 200);
    // A secret may stand in a file, too.
    let secret = EncodingKey::from_secret(SECRET.as_bytes())?;
    let jwk = serde_json::to_value(Jwk::from_encoding_key(&secret, Algorithm::HS256)?)?;
    put(&json!({ "keys": [jwk] }).to_string())?;
    let by_secret = signed(&Header::new(Algorithm::HS256), &claims(&json!({}))?, &secret)?;
    assert_eq!(status(&app, &by_secret).await?, 200);
    Ok(())
}

/// A service that has the keys at an address.
struct Service {
    url: String,
    said: Arc<Mutex<(String, usize)>>,
}

impl Service {
    async fn start(first: String) -> Tested<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/keys", listener.local_addr()?);
        let said = Arc::new(Mutex::new((first, 0)));
        let told = said.clone();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let body = {
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    told.1 += 1;
                    told.0.clone()
                };
                let mut head = [0; 2048];
                let _ = connection.read(&mut head).await;
                let status = if body.is_empty() { "503 Service Unavailable" } else { "200 OK" };
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        Ok(Self { url, said })
    }

    /// From now on it has these; nothing where it is out of order.
    fn say(&self, text: String) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).0 = text;
    }

    fn asked(&self) -> usize {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[tokio::test]
async fn keys_at_an_address_are_kept_and_change_with_it() -> Tested {
    let (first, second) = (Pair::ed("first")?, Pair::ed("second")?);
    let service = Service::start(set(&[&first])?).await?;
    let app = with(&[("PALIADIN_AUTH__JWT_JWKS_URL", &service.url), ("PALIADIN_AUTH__JWT_REFRESH", "1h")]).await?;
    for _ in 0..20 {
        assert_eq!(status(&app, &first.token()?).await?, 200);
    }
    assert_eq!(service.asked(), 1, "they are kept");
    // Names that are made up do not have them fetched again and again.
    for number in 0..20 {
        let unknown = Pair { name: format!("made-up-{number}"), ..Pair::ed("x")? };
        assert_eq!(status(&app, &unknown.token()?).await?, 401);
    }
    assert_eq!(service.asked(), 1, "they were had just now");
    // The service changes its key. The new one is known once it is asked for again, and the old one is not any more.
    service.say(set(&[&second])?);
    eventually("the new key", async || Ok((status(&app, &second.token()?).await? == 200).then_some(()))).await?;
    assert_eq!(status(&app, &first.token()?).await?, 401);
    // While the service is away, the keys hold.
    service.say(String::new());
    let before = service.asked();
    eventually("another fetch", async || {
        assert_eq!(status(&app, &first.token()?).await?, 401);
        assert_eq!(status(&app, &second.token()?).await?, 200);
        Ok((service.asked() > before).then_some(()))
    })
    .await?;
    assert_eq!(status(&app, &second.token()?).await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_taken_out_ends_without_anyone_asking_for_another() -> Tested {
    let (first, second) = (Pair::ed("first")?, Pair::ed("second")?);
    let service = Service::start(set(&[&first])?).await?;
    let app = with(&[("PALIADIN_AUTH__JWT_JWKS_URL", &service.url), ("PALIADIN_AUTH__JWT_REFRESH", "2s")]).await?;
    assert_eq!(status(&app, &first.token()?).await?, 200);
    service.say(set(&[&second])?);
    eventually("the end of the old key", async || Ok((status(&app, &first.token()?).await? == 401).then_some(())))
        .await?;
    Ok(())
}

/// Whoever hangs up while the keys are fetched does not keep them from coming.
#[tokio::test]
async fn a_fetch_is_nobodys_own() -> Tested {
    let (first, second) = (Pair::ed("first")?, Pair::ed("second")?);
    let service = Service::start(set(&[&first])?).await?;
    let app = with(&[("PALIADIN_AUTH__JWT_JWKS_URL", &service.url), ("PALIADIN_AUTH__JWT_REFRESH", "1h")]).await?;
    let address = app.nobody().address();
    service.say(set(&[&second])?);
    let asked = service.asked();
    let unknown = Pair { name: "made-up".to_owned(), ..Pair::ed("x")? }.token()?;
    let head =
        format!("GET /api/paliadin/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {unknown}\r\n\r\n");
    eventually("a fetch", async || {
        let mut hasty = tokio::net::TcpStream::connect(address).await?;
        hasty.write_all(head.as_bytes()).await?;
        drop(hasty);
        Ok((service.asked() > asked).then_some(()))
    })
    .await?;
    eventually("the new key", async || Ok((status(&app, &second.token()?).await? == 200).then_some(()))).await?;
    assert_eq!(service.asked(), asked + 1, "the fetch that was begun came to its end");
    Ok(())
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_they_are_told_to_come_again() -> Tested {
    let pair = Pair::ed("one")?;
    let service = Service::start(String::new()).await?;
    let app = with(&[("PALIADIN_AUTH__JWT_JWKS_URL", &service.url)]).await?;
    let mut answer = look(&app, "/api/paliadin/status", &pair.token()?).await?;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.problem().await?, "auth_unavailable");
    // A secret has no business at an address that everyone can read.
    let secret = EncodingKey::from_secret(SECRET.as_bytes())?;
    let jwk = serde_json::to_value(Jwk::from_encoding_key(&secret, Algorithm::HS256)?)?;
    service.say(json!({ "keys": [jwk, pair.jwk()?] }).to_string());
    eventually("the keys", async || Ok((status(&app, &pair.token()?).await? == 200).then_some(()))).await?;
    let by_secret = signed(&Header::new(Algorithm::HS256), &claims(&json!({}))?, &secret)?;
    assert_eq!(status(&app, &by_secret).await?, 401);
    Ok(())
}
