//! Event streams: any number of readers, resumed anywhere, without a gap and without a repetition.

mod lag;
mod resume;
mod thinking;

use serde_json::json;

use crate::harness::sse::{assert_same, held, kinds};
use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn three_subscribers_see_the_same_bytes() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 40 20").await?;
    let late = async {
        let mut first = user.stream(&turn, None).await?;
        first.until("content").await?;
        first.until("content").await?;
        // This one comes in the middle.
        user.collect(&turn).await
    };
    let (one, two, three) = tokio::join!(user.collect(&turn), user.collect(&turn), late);
    let (one, two, three) = (one?, two?, three?);
    assert_same(&one, &two);
    assert_same(&one, &three);
    let stored = user.collect(&turn).await?;
    assert_same(&one, &stored);
    assert_eq!(held(&one).lines().count(), 40);
    Ok(())
}

#[tokio::test]
async fn streams_have_the_headers_that_proxies_need() -> Tested {
    let app = TestApp::with(&[("PALIADIN_STREAM__RETRY", "1234ms")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!sleep 0.3").await?;
    for _ in ["live", "stored"] {
        let mut stream = user.stream(&turn, None).await?;
        let header = |name| stream.response.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-cache, no-transform");
        assert_eq!(header("x-accel-buffering"), "no");
        let events = stream.rest().await?;
        assert_eq!(stream.retry, Some(1234));
        assert_eq!(kinds(&events), ["queued", "meta", "content", "end"]);
        let ids: Vec<(u64, u64)> = events
            .iter()
            .filter_map(|event| event.id.as_deref()?.split_once('-'))
            .map(|(epoch, seq)| Ok((epoch.parse()?, seq.parse()?)))
            .collect::<Tested<_>>()?;
        assert!(ids.is_sorted() && ids.len() == 4, "{ids:?}");
        let content = events.iter().find(|event| event.kind == "content").map(|event| event.data.clone());
        assert_eq!(content, Some(json!({ "text": "slept 0.3" })), "an answer in one piece");
    }
    Ok(())
}

#[tokio::test]
async fn the_default_retry_is_two_seconds() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!echo x").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.rest().await?;
    assert_eq!(stream.retry, Some(2000));
    Ok(())
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_is_alive() -> Tested {
    let app = TestApp::with(&[("PALIADIN_STREAM__THINKING", "500ms"), ("PALIADIN_STREAM__PING", "200ms")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("meta").await?;
    let mut counts = [0, 0];
    while counts[0] < 2 || counts[1] < 2 {
        let event = stream.next().await?.ok_or("the stream ended")?;
        assert_eq!(event.id, None, "{}", event.raw);
        match event.kind.as_str() {
            "ping" => {
                assert_eq!(event.data, json!({}));
                counts[0] += 1;
            }
            "thinking" => {
                assert_eq!(event.data["upstream"], "working");
                assert!(event.data["elapsed_seconds"].is_u64() && event.data["since_first"].is_null(), "{}", event.raw);
                counts[1] += 1;
            }
            other => return Err(format!("unexpected {other}").into()),
        }
    }
    user.reset().await?;
    let last = stream.rest().await?.pop().ok_or("nothing")?;
    assert_eq!(last.data["code"], "session_reset");
    Ok(())
}
