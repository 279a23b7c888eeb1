//! The backend of a host without agents: every turn fails with `disabled`; everything else works.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Agent, Backend, BackendError};
use crate::turn::ErrorCode;

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

    async fn open(&self, _session: &str) -> Result<Arc<dyn Agent>, BackendError> {
        Err(BackendError::new(ErrorCode::Disabled, self.reason.clone()))
    }

    async fn end(&self, _session: &str) -> Result<(), BackendError> {
        Ok(())
    }

    async fn shutdown(&self) {}
}
