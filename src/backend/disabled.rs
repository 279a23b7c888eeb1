//! The backend of a host without agents: every turn fails with `disabled`; everything else works.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Adopted, Backend, BackendError, Fate, LeftAgent, Opened};
use crate::agent::profile::RestartPolicy;
use crate::turn::{ErrorCode, Memory, TurnId};

/// Refuses every turn.
pub struct DisabledBackend {
    /// For people: why there is no other backend.
    pub reason: String,
}

#[async_trait]
impl Backend for DisabledBackend {
    fn name(&self) -> &'static str {
        "disabled"
    }

    fn profile(&self) -> &str {
        ""
    }

    fn can_reply(&self) -> bool {
        false
    }

    fn restart(&self) -> RestartPolicy {
        RestartPolicy::Never
    }

    async fn probe(&self, _session: &str) -> Result<(), BackendError> {
        Err(BackendError::new(ErrorCode::Disabled, self.reason.clone()))
    }

    async fn open(
        &self,
        _session: &str,
        _memory: &Memory,
        _given_up: &CancellationToken,
    ) -> Result<Opened, BackendError> {
        Err(BackendError::new(ErrorCode::Disabled, self.reason.clone()))
    }

    async fn find(
        &self,
        _session: &str,
        _memory: &Memory,
        _given_up: &CancellationToken,
    ) -> Result<Option<LeftAgent>, BackendError> {
        Ok(None)
    }

    async fn adopt(
        &self,
        _session: &str,
        _memory: &Memory,
        _place: &str,
        _turn: TurnId,
    ) -> Result<Adopted, BackendError> {
        Ok(Adopted::Gone(Fate::Unknown))
    }

    async fn works_on(&self, _session: &str, _place: &str, _turn: TurnId) -> Result<bool, BackendError> {
        Ok(false)
    }

    async fn answer(&self, _session: &str, _turn: TurnId) -> Result<Option<String>, BackendError> {
        Ok(None)
    }

    fn is_coming(&self, _session: &str, _turn: TurnId) -> bool {
        false
    }

    fn changes(&self, _session: &str) -> Option<watch::Receiver<u64>> {
        None
    }

    fn revoke(&self, _session: &str, _turn: TurnId) {}

    fn forget(&self, _session: &str, _turn: TurnId) {}

    fn turns_with_files(&self) -> Vec<(String, TurnId, Duration)> {
        Vec::new()
    }

    async fn sessions(&self) -> Result<Vec<String>, BackendError> {
        Ok(Vec::new())
    }

    async fn end(&self, _session: &str) -> Result<(), BackendError> {
        Ok(())
    }

    async fn detach(&self) {}
}
