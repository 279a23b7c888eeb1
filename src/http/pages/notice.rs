//! Short pages that stand in for the chat. No script, and one style that is allowed by its hash.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::PERMISSIONS;
use super::language::Language;
use crate::config::{Auth, AuthMode};

const STYLE: &str = include_str!("notice.css");

/// Allows the style above and nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    let rest = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; {rest}");
    // Base64 is always a header's value; were it not, the page would be without a style.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The words of a notice.
struct Words<'a> {
    language: Language,
    title: &'static str,
    /// HTML.
    body: &'a str,
}

/// Nobody we know opens a page: how to sign in.
pub fn sign_in(asked: &HeaderMap, auth: &Auth) -> Response {
    let language = Language::preferred(asked);
    match auth.mode {
        AuthMode::Local => sign_in_by_link(language),
        AuthMode::Proxy | AuthMode::Jwt => sign_in_elsewhere(language, &auth.sign_in_url),
    }
}

fn sign_in_by_link(language: Language) -> Response {
    let words = match language {
        Language::English => Words {
            language: Language::English,
            title: "Open your sign-in link",
            body: "<p>This browser is not signed in. Paliadin prints a link when it starts, in the terminal where it \
                   runs:</p><pre><code>sign in:  http://…/paliadin/sign-in?token=…</code></pre>\
                   <p>Open that link in this browser. It works once; after that the browser stays signed in.</p>\
                   <h2>The link is gone, or was used already?</h2>\
                   <p>Stop Paliadin with <strong>Ctrl-C</strong> and start it again: it prints a new one.</p>",
        },
        Language::German => Words {
            language: Language::German,
            title: "Öffne deinen Anmeldelink",
            body: "<p>Dieser Browser ist nicht angemeldet. Paliadin gibt beim Start einen Link aus, in dem Terminal, in \
                   dem es läuft:</p><pre><code>sign in:  http://…/paliadin/sign-in?token=…</code></pre>\
                   <p>Öffne diesen Link in diesem Browser. Er gilt einmal; danach bleibt der Browser angemeldet.</p>\
                   <h2>Der Link ist weg oder schon benutzt?</h2>\
                   <p>Beende Paliadin mit <strong>Strg-C</strong> und starte es neu: Dann gibt es einen neuen aus.</p>",
        },
    };
    answer(StatusCode::UNAUTHORIZED, &words)
}

fn sign_in_elsewhere(language: Language, url: &str) -> Response {
    let (title, body, link) = match language {
        Language::English => (
            "You are not signed in",
            "<p>Sign in at the application that brought you here, then open this page again.</p>",
            "Go to the sign-in",
        ),
        Language::German => (
            "Du bist nicht angemeldet",
            "<p>Melde dich in der Anwendung an, von der du kommst, und öffne diese Seite dann noch einmal.</p>",
            "Zur Anmeldung",
        ),
    };
    let link = match url {
        "" => String::new(),
        url => format!("<p><a href=\"{}\">{link}</a></p>", escaped(url)),
    };
    answer(StatusCode::UNAUTHORIZED, &Words { language, title, body: &format!("{body}{link}") })
}

/// For an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// A sign-in link that does not work (any more), or was not copied whole.
pub fn link_of_no_use(asked: &HeaderMap) -> Response {
    let words = match Language::preferred(asked) {
        Language::English => Words {
            language: Language::English,
            title: "This sign-in link no longer works",
            body: "<p>A sign-in link works once and for a limited time, and only until Paliadin is started again. \
                   This one was used already, is too old, or was not copied whole.</p>\
                   <p>If you used it in this browser, you are signed in: <a href=\"/paliadin\">open the chat</a>.</p>\
                   <h2>You need a new one?</h2>\
                   <p>Stop Paliadin with <strong>Ctrl-C</strong> and start it again: it prints a new one in its \
                   terminal.</p>",
        },
        Language::German => Words {
            language: Language::German,
            title: "Dieser Anmeldelink gilt nicht mehr",
            body: "<p>Ein Anmeldelink gilt einmal und für begrenzte Zeit, und nur bis Paliadin neu gestartet wird. \
                   Dieser wurde schon benutzt, ist zu alt oder wurde nicht ganz kopiert.</p>\
                   <p>Wenn du ihn in diesem Browser benutzt hast, bist du angemeldet: \
                   <a href=\"/paliadin\">zum Chat</a>.</p>\
                   <h2>Du brauchst einen neuen?</h2>\
                   <p>Beende Paliadin mit <strong>Strg-C</strong> und starte es neu: Dann gibt es in seinem Terminal \
                   einen neuen aus.</p>",
        },
    };
    answer(StatusCode::UNAUTHORIZED, &words)
}

/// The program was built without the chat page.
pub fn no_bundle() -> Response {
    let words = Words {
        language: Language::English,
        title: "The chat page is not built yet",
        body: "<p>This program was built without it. Build the page and then the program again:</p>\
               <pre><code>make web\ncargo run -- serve</code></pre>\
               <p><code>make run</code> does both. It needs Node 20.19 or later.</p>\
               <h2>Meanwhile</h2><p>Everything else works. Ask from a terminal:</p>\
               <pre><code>paliadin ask \"your question\"</code></pre>",
    };
    answer(StatusCode::OK, &words)
}

fn answer(status: StatusCode, words: &Words) -> Response {
    let Words { language, title, body } = words;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
        (header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag())),
        (header::VARY, HeaderValue::from_static("accept, accept-language, cookie")),
        (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
    ];
    let page = format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · Paliadin</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header>{MARK}<span>Paliadin</span></header>\n\
         <h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n",
        lang = language.tag(),
    );
    (status, headers, Html(page)).into_response()
}

/// The mark of web/public/icon.svg, in the colour of the text around it.
const MARK: &str = "<svg viewBox=\"0 0 64 64\" aria-hidden=\"true\" fill=\"none\" stroke=\"currentColor\" \
    stroke-width=\"5\" stroke-linecap=\"round\" stroke-linejoin=\"round\">\
    <path d=\"M32 5 55 13v17c0 14-9 24-23 29C18 54 9 44 9 30V13z\"/><path d=\"m21 23 10 9-10 9M36 42h9\"/></svg>";

#[cfg(test)]
mod tests {
    use super::*;

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers()[name].to_str().unwrap()
    }

    #[tokio::test]
    async fn notices_run_nothing_and_allow_their_style_alone() {
        let german = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static("de"))]);
        let english = HeaderMap::new();
        let notices = [
            (sign_in_by_link(Language::German), 401, "de"),
            (sign_in_by_link(Language::English), 401, "en"),
            (sign_in_elsewhere(Language::German, ""), 401, "de"),
            (sign_in_elsewhere(Language::English, "/a\"><script>"), 401, "en"),
            (link_of_no_use(&german), 401, "de"),
            (link_of_no_use(&english), 401, "en"),
            (no_bundle(), 200, "en"),
        ];
        for (notice, status, language) in notices {
            assert_eq!(notice.status(), status);
            assert_eq!(header(&notice, header::CONTENT_LANGUAGE), language);
            assert_eq!(header(&notice, header::CONTENT_TYPE), "text/html; charset=utf-8");
            let policy = header(&notice, header::CONTENT_SECURITY_POLICY).to_owned();
            assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
            let body = axum::body::to_bytes(notice.into_body(), usize::MAX).await.unwrap();
            let page = String::from_utf8(body.to_vec()).unwrap();
            let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).unwrap().0;
            assert!(policy.contains(&STANDARD.encode(Sha256::digest(style))), "{policy}");
            assert!(page.contains(&format!("<html lang=\"{language}\">")));
            assert!(!page.contains("<script") && !page.contains("style=\""), "{page}");
        }
    }
}
