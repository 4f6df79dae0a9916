//! Refusals, as problem documents (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use wasmail_tenants::{BadName, Failure, Refusal};

/// A refusal: what is wrong, and what to change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, String)>,
}

/// What a handler returns.
pub(crate) type Answer = Result<Response, Problem>;

impl Problem {
    /// A problem of a kind: the last part of its `type`.
    pub(crate) fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), more: Map::new(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "This can't be", detail)
    }

    pub(crate) fn broken(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "broken", "The server can't do that now", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = json!({
            "type": format!("urn:wasmail:problem:{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(document) = document.as_object_mut() {
            document.extend(self.more);
        }
        let mut response = Response::new(Body::from(document.to_string()));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Broken(why) => {
                tracing::error!(%why, "the registry fails");
                Self::broken("the registry fails; the server's log says more, and nothing was changed")
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotThere(..) => Self::not_found(detail),
            Refusal::Taken(..) => Self::new(StatusCode::CONFLICT, "taken", "It is there already", detail),
            Refusal::InUse(..) => Self::new(StatusCode::CONFLICT, "in-use", "Something needs it", detail),
            Refusal::OverQuota { most, .. } => {
                Self::new(StatusCode::FORBIDDEN, "over-quota", "The tenant may have no more", detail).with("most", most)
            }
            Refusal::Invalid(_) => Self::invalid(detail),
        }
    }
}

impl From<BadName> for Problem {
    fn from(error: BadName) -> Self {
        Self::invalid(error.to_string())
    }
}
