//! On a bundle of their own, so that they pass whether or not the real one was built.

use axum::body::to_bytes;

use super::*;

#[derive(RustEmbed)]
#[folder = "src/http/pages/fixture"]
struct Built;

#[derive(RustEmbed)]
#[folder = "src/http/pages/not-there"]
#[allow_missing = true]
struct NotBuilt;

const SCRIPT: &str = "assets/chat-1a2b3c4d.js";

fn asked(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

fn text(response: &Response, name: HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn body(response: Response) -> Vec<u8> {
    to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

#[tokio::test]
async fn files_have_their_types_and_may_be_kept_as_long_as_they_stay_true() {
    let files = [
        (SCRIPT, "text/javascript; charset=utf-8", "private, max-age=31536000, immutable"),
        ("sw.js", "text/javascript; charset=utf-8", "private, no-cache"),
        ("manifest.webmanifest", "application/manifest+json", "private, no-cache"),
        ("icon.svg", "image/svg+xml", "private, no-cache"),
    ];
    for (name, content_type, cache) in files {
        let answer = file::<Built>(name, &HeaderMap::new()).expect(name);
        assert_eq!(answer.status(), 200);
        assert_eq!((text(&answer, header::CONTENT_TYPE), text(&answer, header::CACHE_CONTROL)), (content_type, cache));
        let scope = HeaderName::from_static("service-worker-allowed");
        assert_eq!(text(&answer, scope), if name == "sw.js" { "/paliadin" } else { "" }, "{name}");
        assert!(text(&answer, header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'; script-src 'self'"));
        assert_eq!(body(answer).await, std::fs::read(format!("src/http/pages/fixture/{name}")).unwrap());
    }
    let page = page::<Built>("chat.html", &HeaderMap::new()).unwrap();
    assert_eq!(text(&page, header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(text(&page, header::CACHE_CONTROL), "private, no-cache");
}

#[tokio::test]
async fn whoever_takes_gzip_gets_it() {
    for (accepted, compressed) in [
        ("gzip", true),
        ("br, GZIP;q=0.5", true),
        ("gzip;q=1.0", true),
        ("gzip;q=0", false),
        ("gzip; q=0.000", false),
        ("gzip;Q=0", false),
        ("gzip;x=1;q=0", false),
        ("br", false),
        ("*", false),
        ("", false),
    ] {
        let answer = file::<Built>(SCRIPT, &asked(header::ACCEPT_ENCODING, accepted)).unwrap();
        assert_eq!(text(&answer, header::VARY), "accept-encoding");
        assert_eq!(text(&answer, header::CONTENT_TYPE), "text/javascript; charset=utf-8");
        assert_eq!(text(&answer, header::CONTENT_ENCODING), if compressed { "gzip" } else { "" }, "{accepted}");
        assert_eq!(body(answer).await.starts_with(&[0x1f, 0x8b]), compressed, "{accepted}");
    }
    let never = file::<Built>("icon.svg", &asked(header::ACCEPT_ENCODING, "gzip")).unwrap();
    assert_eq!((text(&never, header::CONTENT_ENCODING), text(&never, header::VARY)), ("", ""));
}

#[tokio::test]
async fn whoever_has_this_version_is_told_so() {
    let mut tags = Vec::new();
    for encoding in ["gzip", "identity"] {
        let mut request = asked(header::ACCEPT_ENCODING, encoding);
        let first = file::<Built>(SCRIPT, &request).unwrap();
        let tag = text(&first, header::ETAG).to_owned();
        for held in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            request.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&held).unwrap());
            let again = file::<Built>(SCRIPT, &request).unwrap();
            assert_eq!(again.status(), 304, "{held}");
            for name in [header::ETAG, header::CACHE_CONTROL, header::VARY] {
                assert_eq!(text(&again, name.clone()), text(&first, name));
            }
            assert!(body(again).await.is_empty());
        }
        request.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(file::<Built>(SCRIPT, &request).unwrap().status(), 200);
        tags.push(tag);
    }
    assert_ne!(tags[0], tags[1], "the two encodings are two files");
}

#[test]
fn there_is_nothing_beside_the_files() {
    let names = [
        "",
        ".",
        "assets",
        "assets/",
        "/sw.js",
        "./sw.js",
        "../sw.js",
        "../mod.rs",
        "assets/../sw.js",
        "..\\mod.rs",
        "assets\\chat-1a2b3c4d.js",
        "/etc/passwd",
        "sw.js\0",
        "SW.JS",
        "chat.html",
        "assets/chat-1a2b3c4d.js.gz",
    ];
    for name in names {
        assert!(file::<Built>(name, &HeaderMap::new()).is_none(), "{name:?}");
    }
}

#[test]
fn without_a_bundle_there_is_nothing() {
    assert!(page::<NotBuilt>("chat.html", &HeaderMap::new()).is_none());
    assert!(file::<NotBuilt>("sw.js", &HeaderMap::new()).is_none());
}
