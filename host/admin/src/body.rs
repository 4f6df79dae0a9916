//! JSON that comes, and JSON that goes.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Shared;
use crate::problem::Problem;

/// Octets of a JSON body: a configuration of 1 MiB, and what is around it.
const JSON_MAX: usize = 2 << 20;

/// A JSON body, read with its errors told by place.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        let octets = octets(request.into_body()).await?;
        let mut reader = serde_json::Deserializer::from_slice(&octets);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| wrong(&error))?;
        reader.end().map_err(|error| not_json(&error))?;
        Ok(Self(value))
    }
}

/// What stands behind the question mark.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        let wrong = |error: axum::extract::rejection::QueryRejection| {
            Problem::new(StatusCode::BAD_REQUEST, "bad-query", "The query can't be understood", error.body_text())
        };
        read.map(|Query(value)| Self(value)).map_err(wrong)
    }
}

/// A body as it is.
pub(crate) struct Octets(pub(crate) Bytes);

impl FromRequest<Shared> for Octets {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Problem> {
        octets(request.into_body()).await.map(Self)
    }
}

async fn octets(body: Body) -> Result<Bytes, Problem> {
    let collected = Limited::new(body, JSON_MAX).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            return too_large(JSON_MAX as u64);
        }
        Problem::new(StatusCode::BAD_REQUEST, "cut-off", "The body ended too early", error.to_string())
    })
}

pub(crate) fn too_large(most: u64) -> Problem {
    let detail = format!("the body has more than {most} octets");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail).with("most", most)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "not-json", "The body is no JSON", error.to_string())
}

/// Where the body is not what it should be, by a JSON Pointer (RFC 6901).
fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if error.inner().is_syntax() || error.inner().is_eof() {
        return not_json(error.inner());
    }
    let path = error.path().to_string();
    let pointer = match path.as_str() {
        "." => String::new(),
        path => format!("/{}", path.replace(['.', '['], "/").replace(']', "")),
    };
    let detail = format!("{}: {}", if pointer.is_empty() { "the body" } else { &pointer }, error.inner());
    Problem::invalid(detail).with("errors", json!([{ "pointer": pointer, "detail": error.inner().to_string() }]))
}

/// Answers with JSON.
pub(crate) fn json_of(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 200 with JSON.
pub(crate) fn ok(value: &impl Serialize) -> Response {
    json_of(StatusCode::OK, value)
}

/// A part of a list.
pub(crate) fn page<T: Serialize>(items: &[T], next: Option<String>) -> Response {
    ok(&json!({ "items": items, "next": next.map_or(Value::Null, Value::String) }))
}

/// 204.
pub(crate) fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
