//! From a write to its statements.

use super::session::Session;
use super::{accounts, conversations, endings, events, sessions, turns};
use crate::store::{StoreError, Write, Written};

/// Leaves everything as it is, and has a page written: a commit that has nothing to write goes well on a full disk, too.
const PROBE: &str = "UPDATE _sqlx_migrations SET execution_time = execution_time WHERE version = 1";

/// Makes one write, in whole or in part: where it fails, the caller has to take back what was done.
pub(super) async fn apply<S: Session>(session: &mut S, write: &Write) -> Result<Written, StoreError> {
    match write {
        Write::Nothing => session.execute(PROBE, &[]).await.map(|_| Written::Done),
        Write::AcceptTurn(new) => turns::accept(session, new).await,
        Write::ClaimTurn { turn_id, epoch, pane, at } => turns::claim(session, *turn_id, *epoch, pane, *at).await,
        Write::StartTurn { turn_id, epoch, at } => turns::start(session, *turn_id, *epoch, *at).await,
        Write::ReattachTurn { turn_id, epoch, pane } => turns::reattach(session, *turn_id, *epoch, pane).await,
        Write::FinishTurn(finish) => endings::finish(session, finish).await,
        Write::RecordLate(finish) => endings::record_late(session, finish).await,
        Write::PruneEvents { ended_before, limit } => events::prune(session, *ended_before, *limit).await,
        Write::AppendEvents { turn_id, events, at } => events::append(session, *turn_id, events, *at).await,
        Write::RenameConversation { session_id, user_id, title, audit } => {
            conversations::rename(session, *session_id, *user_id, title, audit).await
        }
        Write::HideConversation { session_id, user_id, audit } => {
            conversations::hide(session, *session_id, *user_id, audit).await
        }
        Write::OpenAgentSession { prefix, user_id, persona, conversation, backend } => {
            sessions::open(session, prefix, *user_id, persona, *conversation, backend).await
        }
        Write::TakeAgentSession { name, node, lease_until } => sessions::take(session, name, node, *lease_until).await,
        Write::PatchAgentSession { name, patch } => sessions::patch(session, name, patch).await,
        Write::SaveUser(user) => accounts::save_user(session, user).await,
        Write::CreateUser { user, audit } => accounts::create_user(session, user, audit).await,
        Write::PatchUser { user_id, patch, audit } => accounts::patch_user(session, *user_id, patch, audit).await,
        Write::RevokeTokensNamed { name, except, at } => {
            accounts::revoke_tokens_named(session, name, except, *at).await
        }
        Write::CreateToken(token) => accounts::create_token(session, token).await,
        Write::RevokeToken { token_id, at } => accounts::revoke_token(session, *token_id, *at).await,
        Write::NoteTokenUse { token_id, at } => accounts::note_token_use(session, *token_id, *at).await,
        Write::NoteWebSession { hash, at } => accounts::note_web_session(session, hash, *at).await,
        Write::CreateWebSession(browser) => accounts::create_web_session(session, browser).await,
        Write::DeleteWebSession { hash } => accounts::delete_web_session(session, hash).await,
        Write::Audit(entry) => accounts::audit(session, entry).await.map(|()| Written::Done),
    }
}
