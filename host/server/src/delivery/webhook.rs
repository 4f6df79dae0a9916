//! Delivery to a service by HTTP: the message is the request, and the status says what becomes of it.

use wasmail_mail::ForwardPath;
use wasmail_queue::Outcome;
use wasmail_services::dns::Resolver;
use wasmail_services::http::{Client, Content, Header, Network, NetworkConfig, Piece, Quota, Request, Response};
use wasmail_services::{Failure, Reach};
use wasmail_spool::{Chunks, Message};

use super::attempt::Delivered;
use crate::{StartError, WebhookConfig};

/// Recipients of one request, so that its header section stays below the 16 KiB that servers take: each is 256 octets at most,
/// which may become three times as many.
const RECIPIENTS_MAX: usize = 15;
/// What a service may say in its answer, in octets; nobody reads more of it than its first line.
const RESPONSE_MAX: usize = 64 << 10;
/// Of the answer's first line, in characters, for log and spool.
const SHOWN_MAX: usize = 200;

/// A service that takes mail.
pub(crate) struct Webhook {
    config: WebhookConfig,
    client: Client,
}

impl Webhook {
    pub(crate) fn new(config: WebhookConfig) -> Result<Self, StartError> {
        let resolver = Resolver::new(&config.resolver).map_err(StartError::NameServer)?;
        let network = NetworkConfig { roots: None, more_roots: config.ca.clone(), concurrency: usize::MAX };
        let network = Network::new(resolver, &network).map_err(StartError::Roots)?;
        // The operator has named it, wherever it is.
        let reach = Reach { private: true, addresses: Vec::new() };
        let quota =
            Quota { concurrency: usize::MAX, response: RESPONSE_MAX, timeout: config.timeout, ..Quota::default() };
        Ok(Self { client: Client::anywhere(network, reach, quota), config })
    }

    /// Delivers to these recipients, by position; some of them share a request.
    pub(crate) async fn carry(&self, message: &Message, recipients: &[usize]) -> Vec<Delivered> {
        let mut delivered = Vec::with_capacity(recipients.len());
        for group in recipients.chunks(RECIPIENTS_MAX) {
            let sent = self.client.send(self.request(message, group), &mut Octets::of(message)).await;
            let (outcome, reply) = judge(sent);
            delivered.extend(Delivered::all(group, outcome, &format!("{}: {reply}", self.config.url)));
        }
        delivered
    }

    fn request(&self, message: &Message, recipients: &[usize]) -> Request {
        let envelope = message.envelope();
        let mut headers = vec![
            header("Content-Type", "message/rfc822"),
            header("Wasmail-Queue-Id", message.id().to_string()),
            header("Wasmail-Mail-From", encoded(&envelope.reverse_path.to_string())),
        ];
        if let Some(authorization) = &self.config.authorization {
            headers.push(header("Authorization", authorization.as_str()));
        }
        let paths = recipients.iter().filter_map(|at| envelope.recipients.get(*at)).map(|to| &to.path);
        headers.extend(paths.map(|path: &ForwardPath| header("Wasmail-Rcpt-To", encoded(&path.to_string()))));
        Request { method: "POST".to_owned(), url: self.config.url.clone(), headers, body: Vec::new() }
    }
}

fn header(name: &str, value: impl Into<String>) -> Header {
    Header { name: name.to_owned(), value: value.into() }
}

/// A path without its angle brackets, where what is not printable ASCII, and `%`, is written as in URLs.
fn encoded(path: &str) -> String {
    let inner = path.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(path);
    let octet = |octet: u8| match octet {
        b'!'..=b'~' if octet != b'%' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    inner.bytes().map(octet).collect()
}

/// What an answer means: 408 and 429 ask for patience, other 4yz say that it will never do; whatever else is no answer to the
/// question may pass.
fn judge(sent: Result<Response, Failure>) -> (Outcome, String) {
    let response = match sent {
        Ok(response) => response,
        Err(failure) => return (Outcome::Deferred, format!("4.4.1 {failure}")),
    };
    let (outcome, status) = match response.status {
        200..=299 => (Outcome::Delivered, "2.0.0"),
        408 | 429 => (Outcome::Deferred, "4.3.2"),
        400..=499 => (Outcome::Failed, "5.3.0"),
        _ => (Outcome::Deferred, "4.3.0"),
    };
    let said = String::from_utf8_lossy(&response.body);
    let said: String = said.lines().next().unwrap_or_default().chars().take(SHOWN_MAX).collect();
    (outcome, format!("{status} HTTP {} {said}", response.status).trim_end().to_owned())
}

/// A message's octets, header first.
struct Octets {
    size: u64,
    header: Vec<u8>,
    body: Chunks,
}

impl Octets {
    fn of(message: &Message) -> Self {
        let header = message.header().to_vec();
        Self { size: header.len() as u64 + message.body().len(), header, body: message.body().chunks() }
    }
}

impl Content for Octets {
    fn size(&self) -> u64 {
        self.size
    }

    fn next(&mut self) -> Piece<'_> {
        Box::pin(async {
            if !self.header.is_empty() {
                return Ok(Some(std::mem::take(&mut self.header)));
            }
            Ok(self.body.next().await?.map(|chunk| chunk.to_vec()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16) -> (Outcome, String) {
        judge(Ok(Response { status, headers: Vec::new(), body: b"because\r\nof that".to_vec() }))
    }

    #[test]
    fn a_status_says_what_becomes_of_the_mail() {
        assert_eq!(judged(204), (Outcome::Delivered, "2.0.0 HTTP 204 because".to_owned()));
        assert_eq!(judged(404), (Outcome::Failed, "5.3.0 HTTP 404 because".to_owned()));
        for status in [302, 408, 429, 500, 503] {
            assert_eq!(judged(status).0, Outcome::Deferred, "{status}");
        }
        assert_eq!(judge(Err(Failure::TimedOut)).0, Outcome::Deferred);
    }

    #[test]
    fn an_address_is_a_good_field_value() {
        assert_eq!(encoded("<b%c@example.org>"), "b%25c@example.org");
        assert_eq!(encoded("<\u{fc}@example.org>"), "%C3%BC@example.org");
        assert_eq!(encoded("<>"), "");
    }
}
