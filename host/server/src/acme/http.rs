//! HTTP for instant-acme, by the client that the server's other requests go through.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use wasmail_services::Reach;
use wasmail_services::dns::Resolver;
use wasmail_services::http::{Client, Header, Network, NetworkConfig, Quota, Request, Response};

use super::AcmeConfig;
use crate::StartError;

/// Octets of a response: a directory, an order, or a chain of certificates, which has some thousands.
const RESPONSE_MAX: usize = 256 << 10;
/// For one response. An order that is being finalized may be answered only when the certificate is there.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Requests at once: orders are made one after the other.
const CONCURRENCY: usize = 2;
/// What errors are described by (RFC 8555 §6.7).
const PROBLEM: &str = "application/problem+json";

/// The way to the ACME server.
#[derive(Debug, Clone)]
pub(super) struct Way {
    client: Client,
    /// Until when the server wants to hear nothing more, by the last refusal that said so.
    asked: Arc<Mutex<Option<SystemTime>>>,
}

impl Way {
    pub(super) fn new(config: &AcmeConfig) -> Result<Self, StartError> {
        let resolver = Resolver::new(&config.resolver).map_err(StartError::AcmeNameServer)?;
        let network = NetworkConfig { roots: config.roots.clone(), more_roots: None, concurrency: CONCURRENCY };
        let network = Network::new(resolver, &network).map_err(StartError::AcmeRoots)?;
        // The operator has named it, wherever it is.
        let reach = Reach { private: true, addresses: Vec::new() };
        let quota = Quota { concurrency: CONCURRENCY, response: RESPONSE_MAX, timeout: TIMEOUT, ..Quota::default() };
        Ok(Self { client: Client::anywhere(network, reach, quota), asked: Arc::default() })
    }

    /// Until when the server wants to hear nothing more; it is told once.
    pub(super) fn asked(&self) -> Option<SystemTime> {
        self.asked.lock().take()
    }

    async fn exchange(self, request: http::Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let body = body.to_bytes().to_vec();
        let (method, url) = (head.method.to_string(), head.uri.to_string());
        // Also where the server's own directory says something else (RFC 8555 §6.1).
        if head.uri.scheme_str() != Some("https") {
            return Err(other(format!("{url} is not https")));
        }
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            Some(Header { name: name.as_str().to_owned(), value: value.to_str().ok()?.to_owned() })
        };
        let headers = head.headers.iter().filter_map(field).collect();
        let response = self.client.fetch(&mut 0, Request { method, url: url.clone(), headers, body }).await;
        let response = response.map_err(|failure| other(format!("{url}: {failure}")))?;
        if response.status >= 400 {
            *self.asked.lock() = retry_after(&response);
            // Anything but a problem is from somebody in between, and would be shown as broken JSON.
            let kind = value(&response, "content-type").and_then(|kind| kind.split(';').next());
            if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(PROBLEM)) {
                return Err(other(format!("{url}: the status is {}", response.status)));
            }
        }
        taken(response)
    }
}

impl HttpClient for Way {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().exchange(request))
    }
}

/// A response as instant-acme takes it.
fn taken(response: Response) -> Result<BytesResponse, Error> {
    let mut head = http::Response::builder().status(response.status);
    for Header { name, value } in &response.headers {
        head = head.header(name, value);
    }
    let (parts, ()) = head.body(())?.into_parts();
    Ok(BytesResponse { parts, body: Box::new(Bytes::from(response.body)) })
}

fn value<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
}

/// When `Retry-After` ends (RFC 9110 §10.2.3).
fn retry_after(response: &Response) -> Option<SystemTime> {
    let value = value(response, "retry-after")?.trim();
    let now = SystemTime::now();
    match value.parse() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
        Err(_) => jiff::fmt::rfc2822::parse(value).ok().map(|zoned| zoned.timestamp().into()),
    }
}

fn other(why: String) -> Error {
    Error::Other(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(retry_after: &str) -> Response {
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        Response { status: 429, headers: vec![header("retry-after", retry_after)], body: Vec::new() }
    }

    #[test]
    fn a_server_says_in_seconds_or_by_a_date_how_long_it_wants_to_be_left_alone() {
        let wait = |text| retry_after(&refused(text)).map(|until| until.duration_since(SystemTime::now()));
        let hour = wait("3600").unwrap().unwrap().as_secs();
        assert!((3590..=3600).contains(&hour), "{hour}");
        let date = retry_after(&refused("Fri, 31 Dec 2100 23:59:59 GMT")).unwrap();
        assert_eq!(date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 4_133_980_799);
        assert!(wait("soon").is_none() && wait("99999999999999999999").is_none());
    }
}
