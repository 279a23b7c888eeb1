//! Errors as RFC 9457 problem details, each with a stable code.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::actors::address::Gone;
use crate::actors::sessions::{NoReply, ReplyError, SubmitError};
use crate::backend::BackendError;
use crate::config::{Auth, AuthMode};
use crate::store::{Refusal, StoreError};
use crate::turn::ErrorCode;

/// Codes of requests that are refused, beside those of turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// There is no such thing, or it is not the asker's.
    NotFound,
    /// The path does not take this method.
    MethodNotAllowed,
    /// Nobody, or nobody we know any more, asks.
    Unauthenticated,
    /// The request cannot be read.
    InvalidRequest,
    /// The request was addressed to a name that is not ours.
    HostNotAllowed,
    /// Another site's page sent the request.
    OriginNotAllowed,
    /// The token is not for this.
    InsufficientScope,
    /// The user sends too many requests.
    RateLimited,
    /// Too many attempts to get in come from this address.
    TooManyAttempts,
    /// The user has too many event streams open.
    TooManyStreams,
    /// The request did not come in whole in time, or its answer took too long.
    RequestTimeout,
    /// Whoever has the keys for tokens does not answer.
    AuthUnavailable,
    /// Nothing is being asked that could be replied to.
    NoAttention,
    /// The agent takes no replies but in its terminal.
    ReplyUnsupported,
    /// A fault of ours.
    Internal,
    /// A code of turns.
    Turn(ErrorCode),
}

impl Code {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidRequest => "invalid_request",
            Self::HostNotAllowed => "host_not_allowed",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::InsufficientScope => "insufficient_scope",
            Self::RateLimited => "rate_limited",
            Self::TooManyAttempts => "too_many_attempts",
            Self::TooManyStreams => "too_many_streams",
            Self::RequestTimeout => "request_timeout",
            Self::AuthUnavailable => "auth_unavailable",
            Self::NoAttention => "no_attention",
            Self::ReplyUnsupported => "reply_unsupported",
            Self::Internal => "internal",
            Self::Turn(code) => code.as_str(),
        }
    }
}

/// A refused request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: Code,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Characters of a problem's detail.
const MAX_DETAIL: usize = 300;
/// Seconds after which a full queue is worth another try.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

impl Problem {
    /// A refusal with this status and code; `detail` is for people.
    pub fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        // What is wrong with a request may quote it; nobody wants all of it back.
        let detail = detail.into().chars().take(MAX_DETAIL).collect();
        Self { status, code, detail, header: None }
    }

    /// There is no such thing; said also of what is someone else's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, "there is nothing here")
    }

    /// The request cannot be read.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidRequest, detail)
    }

    /// Nobody we know asks.
    pub fn unauthenticated(auth: &Auth) -> Self {
        let detail = match auth.mode {
            AuthMode::Local => "sign in by the link that the server printed, or send `Authorization: Bearer <token>`",
            AuthMode::Proxy => "sign in at the proxy, or send `Authorization: Bearer <token>`",
            AuthMode::Jwt => "send `Authorization: Bearer <token>` with a token of the sign-in service, or one of ours",
        };
        let problem = Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, detail);
        Self { header: Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))), ..problem }
    }

    /// Whether it is that nobody we know asks.
    pub fn is_unauthenticated(&self) -> bool {
        self.code == Code::Unauthenticated
    }

    /// Whether it is known that the asker is not let in.
    pub fn is_refusal(&self) -> bool {
        matches!(self.code, Code::Unauthenticated | Code::NotFound)
    }

    /// A refusal that passes: after `wait`, or after some seconds.
    pub fn later(status: StatusCode, code: Code, detail: impl Into<String>, wait: Option<Duration>) -> Self {
        let seconds = wait.map(|wait| HeaderValue::from(wait.as_secs() + 1));
        let header = Some((header::RETRY_AFTER, seconds.unwrap_or(RETRY_AFTER)));
        Self { header, ..Self::new(status, code, detail) }
    }

    /// The message is over the limit.
    pub fn message_too_large(limit: usize) -> Self {
        let detail = format!("a message may have at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::Turn(ErrorCode::MessageTooLarge), detail)
    }

    /// A part of us, or what we need, cannot do its work now.
    pub fn unavailable(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::later(StatusCode::SERVICE_UNAVAILABLE, Code::Turn(code), detail, None)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.code.as_str();
        let mut body = json!({
            "type": format!("urn:paliadin:problem:{code}"),
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": code,
        });
        if let Code::Turn(code) = self.code {
            body["retryable"] = json!(code.is_retryable());
        }
        let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (self.status, [content_type], Json(body).into_response().into_body()).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => {
                tracing::error!(reason, "store unavailable");
                Self::unavailable(ErrorCode::StoreUnavailable, "the database does not answer; nothing was sent")
            }
            StoreError::TooSlow(reason) => {
                tracing::warn!(reason, "read given up");
                let detail =
                    "this takes too long and was given up; a busy moment may be the reason, so try again later";
                Self::unavailable(ErrorCode::StoreUnavailable, detail)
            }
            error => {
                tracing::error!(%error, "store error");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "a fault of ours; the log tells more")
            }
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(Refusal::ForeignConversation | Refusal::HiddenConversation) => Self::not_found(),
            SubmitError::Refused(Refusal::QueueFull) => {
                let detail = "too many of your questions are waiting already";
                Self::later(StatusCode::TOO_MANY_REQUESTS, Code::Turn(ErrorCode::QueueFull), detail, None)
            }
            SubmitError::Store(error) => error.into(),
            SubmitError::Failed => Self::unavailable(ErrorCode::AgentCrashLoop, error.to_string()),
        }
    }
}

impl From<ReplyError> for Problem {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::Refused(NoReply::NothingAsked) => {
                Self::new(StatusCode::CONFLICT, Code::NoAttention, error.to_string())
            }
            ReplyError::Refused(NoReply::InTerminal) => {
                Self::new(StatusCode::CONFLICT, Code::ReplyUnsupported, error.to_string())
            }
            ReplyError::Refused(NoReply::NotAnOption) => Self::invalid(error.to_string()),
            ReplyError::Backend(error) => error.into(),
        }
    }
}

impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        Self::unavailable(error.code, error.message)
    }
}

impl From<Gone> for Problem {
    /// The actor is being restarted.
    fn from(_: Gone) -> Self {
        Self::unavailable(ErrorCode::StoreUnavailable, "the server is just restarting this part of itself; try again")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), Code::InvalidRequest, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    /// A path that cannot be read names nothing that exists.
    fn from(_: PathRejection) -> Self {
        Self::not_found()
    }
}
