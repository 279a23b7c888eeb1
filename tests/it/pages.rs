//! The chat page, its files, and what stands in for it. They hold whether or not `make web` was run before the build.

use crate::harness::http::{Request, Response};
use crate::harness::{Client, TestApp, Tested};

const PAGE: &str = "/paliadin";
const FILES: &str = "/paliadin/app/";
/// What a browser accepts where it opens a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// The page's files, by their addresses in it; none where the program was built without the page.
async fn files(user: &Client) -> Tested<Vec<String>> {
    let page = user.get(PAGE).await?.text().await?;
    let addresses = page.split('"').filter(|part| part.starts_with(FILES));
    Ok(addresses.map(str::to_owned).collect())
}

fn tag(answer: &Response) -> Tested<String> {
    Ok(answer.header("etag").ok_or("no ETag")?.to_owned())
}

#[tokio::test]
async fn the_page_is_never_stale() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut page = user.get(PAGE).await?;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = page.text().await?;
    assert!(text.contains("Paliadin"));
    assert!(!text.contains(&user.token) && !text.contains(&user.user_id) && !text.contains("ann@example.org"));
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(!policy.contains("unsafe"), "{policy}");
    if files(&user).await?.is_empty() {
        println!("built without the chat page");
        assert!(text.contains("make web") && text.contains("paliadin ask"), "{text}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        return Ok(());
    }
    for part in ["script-src 'self'; ", "connect-src 'self'; ", "require-trusted-types-for 'script'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    let again = user.request("GET", PAGE).header("if-none-match", tag(&page)?).send().await?;
    assert_eq!((again.status, again.header("etag")), (304, page.header("etag")));
    let other = user.request("GET", PAGE).header("if-none-match", "\"other\"").send().await?;
    assert_eq!(other.status, 200);
    // What the page's policy does not allow it cannot hold.
    assert!(!text.contains("<style") && !text.contains("style=\"") && !text.contains("<script>"), "{text}");
    Ok(())
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut hashed = 0;
    for path in files(&user).await? {
        let mut file = user.get(&path).await?;
        assert_eq!(file.status, 200, "{path}");
        let is_hashed = path.starts_with("/paliadin/app/assets/");
        let cache = if is_hashed { "private, max-age=31536000, immutable" } else { "private, no-cache" };
        assert_eq!(file.header("cache-control"), Some(cache), "{path}");
        let extension = path.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default();
        let content_type = match extension {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "webmanifest" => "application/manifest+json",
            other => return Err(format!("{path}: a type that this test does not know: {other}").into()),
        };
        assert_eq!(file.header("content-type"), Some(content_type), "{path}");
        assert_eq!(file.header("content-encoding"), None);
        let mut length = 0;
        while let Some(bytes) = file.bytes().await? {
            length += bytes.len();
        }
        let head = user.request("HEAD", &path).send().await?;
        assert_eq!((head.status, head.header("content-length")), (200, Some(length.to_string().as_str())), "{path}");
        let same = user.request("GET", &path).header("if-none-match", tag(&file)?).send().await?;
        assert_eq!(same.status, 304, "{path}");
        if file.header("vary").is_some() {
            let mut compressed = user.request("GET", &path).header("accept-encoding", "gzip, br").send().await?;
            assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{path}");
            assert_eq!(compressed.header("content-type"), Some(content_type), "{path}");
            let bytes = compressed.bytes().await?.unwrap_or_default();
            assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < length, "{path}");
            assert_ne!(compressed.header("etag"), file.header("etag"), "{path}");
        }
        hashed += usize::from(is_hashed);
    }
    println!("{hashed} files whose names have a hash");
    Ok(())
}

#[tokio::test]
async fn the_service_worker_may_serve_the_page() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    if files(&user).await?.is_empty() {
        return Ok(());
    }
    let mut worker = user.get("/paliadin/app/sw.js").await?;
    assert_eq!((worker.status, worker.header("service-worker-allowed")), (200, Some(PAGE)));
    assert_eq!(worker.header("cache-control"), Some("private, no-cache"));
    // Its own requests obey the policy that comes with it.
    assert!(worker.header("content-security-policy").is_some_and(|policy| policy.contains("connect-src 'self'")));
    let text = worker.text().await?;
    assert!(text.contains("const BUILD = \"") && !text.contains("const BUILD = \"dev\""), "the build gives it a name");
    Ok(())
}

#[tokio::test]
async fn there_is_nothing_beside_the_files() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let names = [
        "",
        "nothing.js",
        "assets",
        "assets/",
        "chat.html",
        "chat.html.gz",
        "sw.js.gz",
        "../sw.js",
        "..%2fsw.js",
        "%2e%2e/%2e%2e/Cargo.toml",
        "..%2f..%2f..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "....//....//etc/passwd",
        "..%5c..%5cCargo.toml",
        "sw.js%00",
        "sw.js%2f..%2fchat.html",
        "%ff",
    ];
    for name in names {
        let mut refused = user.get(&format!("{FILES}{name}")).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{name}");
    }
    assert_eq!(user.request("DELETE", PAGE).send().await?.status, 405);
    Ok(())
}

#[tokio::test]
async fn a_browser_that_is_not_signed_in_is_told_how_to() -> Tested {
    let app = TestApp::start().await?;
    let nobody = app.nobody();
    let open = |path: &str| Request::new(nobody.address(), "GET", path).header("accept", BROWSER);
    let cases = [
        (PAGE, "de-DE,de;q=0.9,en;q=0.8", "de", "Öffne deinen Anmeldelink"),
        (PAGE, "en-GB,en;q=0.9,de;q=0.8", "en", "Open your sign-in link"),
        (PAGE, "", "en", "Open your sign-in link"),
        ("/paliadin/app/sw.js", "de", "de", "Öffne deinen Anmeldelink"),
        ("/paliadin/sign-in?token=wrong", "de", "de", "Dieser Anmeldelink gilt nicht mehr"),
        ("/paliadin/sign-in?token=wrong", "fr", "en", "This sign-in link no longer works"),
    ];
    for (path, languages, language, title) in cases {
        let mut page = open(path).header("accept-language", languages).send().await?;
        assert_eq!((page.status, page.header("content-type")), (401, Some("text/html; charset=utf-8")), "{path}");
        assert_eq!(page.header("content-language"), Some(language), "{path} {languages}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let challenge = if path.contains("sign-in") { None } else { Some("Bearer") };
        assert_eq!(page.header("www-authenticate"), challenge, "{path}");
        let policy = page.header("content-security-policy").unwrap_or_default().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        let text = page.text().await?;
        assert!(text.contains(title) && text.contains(&format!("lang=\"{language}\"")), "{text}");
        assert!(!text.contains("<script") && !text.contains("token=wrong"), "{text}");
    }
    // Who has a cookie that is no good (any more) is told the same.
    let page = open(PAGE).header("cookie", "paliadin_session=old").send().await?;
    assert_eq!((page.status, page.header("content-type")), (401, Some("text/html; charset=utf-8")));
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_not_signed_in_gets_a_problem() -> Tested {
    let app = TestApp::start().await?;
    let nobody = app.nobody();
    let request = |method: &str, path: &str| Request::new(nobody.address(), method, path);
    let programs = [
        request("GET", PAGE),
        request("GET", PAGE).header("accept", "*/*"),
        request("GET", PAGE).header("accept", "application/json"),
        request("GET", "/paliadin/app/sw.js").header("accept", "*/*"),
        request("POST", PAGE).header("accept", BROWSER),
        request("GET", "/api/paliadin/status").header("accept", BROWSER),
        request("GET", "/api/admin/paliadin/actors").header("accept", BROWSER),
    ];
    for program in programs {
        let mut refused = program.send().await?;
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(refused.problem().await?, "unauthenticated");
    }
    Ok(())
}

#[tokio::test]
async fn whom_the_product_is_not_for_sees_none_of_it() -> Tested {
    let app = TestApp::with(&[("PALIADIN_OWNERS", "owner@example.org")]).await?;
    let user = app.user("ann@example.org")?;
    for path in [PAGE, "/paliadin/app/sw.js", "/paliadin/app/theme.js"] {
        let mut refused = user.request("GET", path).header("accept", BROWSER).send().await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{path}");
    }
    Ok(())
}
