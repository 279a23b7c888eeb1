//! What an agent does not remember is told to it, once.

use super::{agent_is, agent_of};
use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn what_an_agent_does_not_remember_is_told_to_it_once() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo a blue **whale**").await?;
    let conversation = first.session_id.clone();
    user.ended(&first).await?;
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none", "it was there");
    let agent = agent_of(&app, &user, None).await?;
    agent.kill()?;
    agent_of(&app, &user, Some(agent.pid)).await?;
    agent_is(&user, "ready").await?;

    let primer = user.response_in(&conversation, "!primer").await?;
    for words in ["What was said before", "## The person, ", "!echo a blue **whale**", "## Your answer\n\na blue **whale**"] {
        assert!(primer.contains(words), "{words:?} is not in {primer:?}");
    }
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none", "it was told");
    assert_eq!(user.response("!primer").await?, "none", "nothing was said in another conversation");
    Ok(())
}

#[tokio::test]
async fn a_reset_makes_an_agent_forget_and_a_restart_of_the_server_does_not() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo whale").await?;
    let conversation = first.session_id.clone();
    user.ended(&first).await?;
    app.restart(rustix::process::Signal::KILL).await?;
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none", "it is the same process");
    user.reset().await?;
    assert!(user.response_in(&conversation, "!primer").await?.contains("whale"));
    Ok(())
}

#[tokio::test]
async fn without_primer_turns_nothing_is_told() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__PRIMER_TURNS", "0")]).await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!echo whale").await?;
    let conversation = first.session_id.clone();
    user.ended(&first).await?;
    user.reset().await?;
    assert_eq!(user.response_in(&conversation, "!primer").await?, "none");
    Ok(())
}
