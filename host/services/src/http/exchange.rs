//! One request and its response on a connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ureq_proto::client::state::{RecvBody, RecvResponse, SendRequest};
use ureq_proto::client::{Call, RecvResponseResult, SendRequestResult};
use ureq_proto::http;

use super::Response;
use super::content::Content;
use crate::Failure;
use crate::dial::Stream;

/// Octets of a response's header section; its machine takes 128 fields.
const HEAD_MAX: usize = 64 << 10;
/// Octets of a request's line and fields: what a request may have, and what the host adds.
const HEAD_SENT_MAX: usize = 40 << 10;
/// Octets that are read at once.
const READ: usize = 16 << 10;

/// Sends the request and reads the response, whose body has `max` octets at most.
pub(super) async fn exchange(
    stream: &mut dyn Stream,
    head: &http::Request<()>,
    content: &mut dyn Content,
    max: usize,
) -> Result<Response, Failure> {
    let mut call = Call::new(head.clone()).map_err(|error| Failure::Invalid(error.to_string()))?;
    call.allow_non_standard_methods(true);
    if head.headers().contains_key(http::header::CONTENT_LENGTH) {
        call.force_send_body();
    }
    let call = send(stream, call.proceed(), content).await?;
    let mut input = Input { stream, octets: Vec::new() };
    let (head, call) = receive_head(&mut input, call).await?;
    let body = match call {
        Some(call) => receive_body(&mut input, call, max).await?,
        None => Vec::new(),
    };
    Ok(Response::new(&head, body))
}

async fn send(
    stream: &mut dyn Stream,
    mut call: Call<SendRequest>,
    content: &mut dyn Content,
) -> Result<Call<RecvResponse>, Failure> {
    let mut head = vec![0; HEAD_SENT_MAX];
    let len = call.write(&mut head).map_err(|error| Failure::Invalid(error.to_string()))?;
    stream.write_all(&head[..len]).await.map_err(lost)?;
    let call = match call.proceed().map_err(broken)? {
        Some(SendRequestResult::RecvResponse(call)) => call,
        Some(SendRequestResult::SendBody(mut call)) => {
            while let Some(octets) = content.next().await.map_err(unread)? {
                stream.write_all(&octets).await.map_err(lost)?;
                call.consume_direct_write(octets.len()).map_err(broken)?;
            }
            call.proceed().ok_or_else(|| broken("the body is not at its end"))?
        }
        Some(SendRequestResult::Await100(_)) | None => return Err(broken("the request is not at its end")),
    };
    stream.flush().await.map_err(lost)?;
    Ok(call)
}

/// What has come and was not yet taken.
struct Input<'a> {
    stream: &'a mut dyn Stream,
    octets: Vec<u8>,
}

impl Input<'_> {
    /// Reads on; false at the end.
    async fn more(&mut self) -> Result<bool, Failure> {
        let len = self.octets.len();
        self.octets.resize(len + READ, 0);
        let read = self.stream.read(&mut self.octets[len..]).await.map_err(lost);
        self.octets.truncate(len + read.as_ref().copied().unwrap_or(0));
        Ok(read? > 0)
    }
}

/// The head, and where it goes on, if there is a body.
async fn receive_head(
    input: &mut Input<'_>,
    mut call: Call<RecvResponse>,
) -> Result<(http::Response<()>, Option<Call<RecvBody>>), Failure> {
    // Informational responses count, too, or there could be any number of them.
    let mut taken = 0;
    loop {
        let (used, head) = call.try_response(&input.octets, false).map_err(broken)?;
        input.octets.drain(..used);
        taken += used;
        if let Some(head) = head {
            return match call.proceed() {
                Some(RecvResponseResult::RecvBody(call)) => Ok((head, Some(call))),
                Some(_) => Ok((head, None)),
                None => Err(broken("the head is not at its end")),
            };
        }
        if taken + input.octets.len() > HEAD_MAX {
            return Err(broken("its header section is too large"));
        }
        if used == 0 && !input.more().await? {
            return Err(broken("the connection ended before it"));
        }
    }
}

async fn receive_body(input: &mut Input<'_>, mut call: Call<RecvBody>, max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let mut part = vec![0; READ];
    let mut has_ended = false;
    loop {
        let (used, made) = call.read(&input.octets, &mut part).map_err(broken)?;
        input.octets.drain(..used);
        if body.len() + made > max {
            return Err(Failure::QuotaExceeded("http.response"));
        }
        body.extend_from_slice(&part[..made]);
        let ends_with_connection = has_ended && input.octets.is_empty();
        if call.can_proceed() && (ends_with_connection || !is_close_delimited(&call)) {
            return Ok(body);
        }
        if used > 0 || made > 0 {
            continue;
        }
        // What the machine did not take is the beginning of a chunk's line: it may not grow for ever.
        if input.octets.len() > HEAD_MAX {
            return Err(broken("a chunk has no end"));
        }
        if has_ended {
            return Err(broken("the connection ended within it"));
        }
        has_ended = !input.more().await?;
    }
}

fn is_close_delimited(call: &Call<RecvBody>) -> bool {
    matches!(call.body_mode(), ureq_proto::BodyMode::CloseDelimited)
}

fn unread(error: std::io::Error) -> Failure {
    Failure::Unavailable(format!("failed to read what is to be sent: {error}"))
}

fn lost(error: std::io::Error) -> Failure {
    Failure::Unavailable(format!("the connection was lost: {}", error.kind()))
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::Unavailable(format!("the response is none: {why}"))
}
