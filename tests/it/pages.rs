//! The chat page, its files, and what stands in for it. They hold whether or not `make web` was run before the build;
//! what needs the page is skipped without it, and says so.

use std::io::Write;
use std::path::Path;

use crate::harness::http::{Request, Response};
use crate::harness::{Client, TestApp, Tested};

const PAGE: &str = "/paliadin";
const FILES: &str = "/paliadin/app/";
/// What a browser accepts where it opens a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// Bytes below which a file is not compressed (`SMALL` in web/vite.plugins.ts).
const SMALL: usize = 1024;

/// The page's files, by their addresses in it; `None` where the program was built without the page.
async fn files(user: &Client) -> Tested<Option<Vec<String>>> {
    let mut page = user.get(PAGE).await?;
    let is_built = page.header("etag").is_some();
    let text = page.text().await?;
    if !is_built {
        assert!(text.contains("make web"), "{text}");
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist/chat.html");
        assert!(!built.exists(), "the page is built, and the program has none");
        return Ok(None);
    }
    let files: Vec<String> = text.split('"').filter(|part| part.starts_with(FILES)).map(str::to_owned).collect();
    assert!(!files.is_empty(), "a page without files: {text}");
    Ok(Some(files))
}

/// Tells it to people whatever the test runner keeps to itself.
fn skipped(test: &str) -> Tested {
    writeln!(std::io::stderr(), "SKIPPED {test}: the program was built without the chat page (`make web` builds it)")?;
    Ok(())
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
    if files(&user).await?.is_none() {
        skipped("the_page_is_never_stale, but for what stands in for the page")?;
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
    let Some(files) = files(&user).await? else { return skipped("every_file_that_the_page_names_is_there") };
    let mut hashed = Vec::new();
    for path in files {
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
        let is_code = matches!(extension, "js" | "css");
        if is_code && length >= SMALL {
            assert_eq!(file.header("vary"), Some("accept-encoding"), "{path} is not there compressed");
            let mut compressed = user.request("GET", &path).header("accept-encoding", "gzip, br").send().await?;
            assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{path}");
            assert_eq!(compressed.header("content-type"), Some(content_type), "{path}");
            let bytes = compressed.bytes().await?.unwrap_or_default();
            assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < length, "{path}");
            assert_ne!(compressed.header("etag"), file.header("etag"), "{path}");
        }
        hashed.extend(is_hashed.then(|| extension.to_owned()).filter(|_| length >= SMALL));
    }
    for extension in ["js", "css"] {
        assert!(hashed.iter().any(|known| known == extension), "no {extension} whose name has a hash: {hashed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_service_worker_may_serve_the_page() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    if files(&user).await?.is_none() {
        return skipped("the_service_worker_may_serve_the_page");
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
    let Some(files) = files(&user).await? else { return skipped("a file's only address") };
    for path in files.iter().filter(|path| path.contains("/assets/")) {
        let other = path.replace("/assets/", "/assets%5c");
        let mut refused = user.get(&other).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{other}");
    }
    Ok(())
}

#[tokio::test]
async fn the_page_has_one_address() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    for (asked, address) in [("/paliadin/", PAGE), ("/paliadin/?a=b%20c&d", "/paliadin?a=b%20c&d")] {
        for method in ["GET", "HEAD"] {
            let moved = user.request(method, asked).header("accept", BROWSER).send().await?;
            assert_eq!((moved.status, moved.header("location")), (308, Some(address)), "{method} {asked}");
        }
    }
    assert_eq!(user.request("POST", "/paliadin/").send().await?.status, 405);
    assert_eq!(user.get("/paliadin//").await?.status, 404);
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
        ("/paliadin/", "de", "de", "Öffne deinen Anmeldelink"),
        ("/paliadin/sign-in", "de", "de", "Dieser Anmeldelink gilt nicht mehr"),
        ("/paliadin/sign-in?token=wrong&token=wrong", "en", "en", "This sign-in link no longer works"),
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
        request("GET", PAGE).header("accept", "text/html;q=0, */*"),
        request("GET", PAGE).header("accept", "text/html;level=1;Q=0"),
        request("GET", "/paliadin/"),
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
    for path in [PAGE, "/paliadin/", "/paliadin/app/sw.js", "/paliadin/app/theme.js"] {
        let mut refused = user.request("GET", path).header("accept", BROWSER).send().await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"), "{path}");
    }
    Ok(())
}
