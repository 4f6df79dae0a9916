//! What a plugin asks for and what it is told, checked before anything is sent.

use ureq_proto::http;
use url::Url;

use super::origin::Origin;
use crate::Failure;

/// Longest URL, in octets, which many servers take as well (RFC 9110 §4.1 asks for 8000).
const URL_MAX: usize = 8_192;
/// Longest method, in octets.
const METHOD_MAX: usize = 32;
/// Most fields of a request.
const HEADERS_MAX: usize = 64;
/// Octets of the fields of a request.
const HEADERS_SIZE_MAX: usize = 16 << 10;
/// Fields that are the host's: where it goes, and how it is framed (RFC 9110 §7.6.1).
const OF_THE_HOST: [&str; 14] = [
    "host",
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A field of a request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// In lower case in responses.
    pub name: String,
    /// Without what surrounds it.
    pub value: String,
}

/// A request as a plugin writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Absolute, http or https.
    pub url: String,
    /// Without those that say where it goes and how it is framed.
    pub headers: Vec<Header>,
    /// What is sent with it.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// From 100 to 999.
    pub status: u16,
    /// In the order in which they came.
    pub headers: Vec<Header>,
    /// Without its framing.
    pub body: Vec<u8>,
}

/// A request that is good to send.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) origin: Origin,
    pub(super) head: http::Request<()>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn check(self) -> Result<Checked, Failure> {
        let size = self.body.len() as u64;
        self.check_with(size)
    }

    /// With content of so many octets.
    pub(super) fn check_with(self, size: u64) -> Result<Checked, Failure> {
        let url = url(&self.url).map_err(|why| Failure::Invalid(format!("the URL is none: {why}")))?;
        let origin = Origin::of(&url).map_err(|why| Failure::Invalid(format!("the URL is none: {why}")))?;
        let head = self.head(&url, size).map_err(Failure::Invalid)?;
        Ok(Checked { origin, head, body: self.body })
    }

    fn head(&self, url: &Url, size: u64) -> Result<http::Request<()>, String> {
        let method = self.method()?;
        let takes_body = !matches!(method, http::Method::GET | http::Method::HEAD);
        if size > 0 && !takes_body {
            return Err(format!("a request with {method} has no body"));
        }
        let mut head = http::Request::builder().method(method).uri(url.as_str());
        if takes_body {
            head = head.header("content-length", size);
        }
        let names = || self.headers.iter().map(|header| header.name.as_str());
        if !names().any(|name| name.eq_ignore_ascii_case("user-agent")) {
            head = head.header("user-agent", concat!("wasmail/", env!("CARGO_PKG_VERSION")));
        }
        self.check_headers()?;
        for Header { name, value } in &self.headers {
            head = head.header(name, value);
        }
        // Nothing is kept for another request, which would be another call's.
        head.header("connection", "close").body(()).map_err(|error| error.to_string())
    }

    fn method(&self) -> Result<http::Method, String> {
        let method = http::Method::from_bytes(self.method.as_bytes()).ok();
        let method = method.filter(|method| method.as_str().len() <= METHOD_MAX).ok_or("the method is none")?;
        // Both would speak of the connection, which is the host's.
        if matches!(method, http::Method::CONNECT | http::Method::TRACE) {
            return Err(format!("the method {method} is not for plugins"));
        }
        Ok(method)
    }

    fn check_headers(&self) -> Result<(), String> {
        let size = self.headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>();
        if self.headers.len() > HEADERS_MAX || size > HEADERS_SIZE_MAX {
            return Err(format!("there are more than {HEADERS_MAX} headers or {HEADERS_SIZE_MAX} octets of them"));
        }
        for (position, Header { name, value }) in self.headers.iter().enumerate() {
            let is_token = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            if !is_token {
                return Err(format!("the name of header {position} is none"));
            }
            if OF_THE_HOST.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return Err(format!("the header {name} is the host's to write"));
            }
            if !value.bytes().all(|octet| matches!(octet, b'\t' | b' '..=b'~')) {
                return Err(format!("the value of the header {name} is not printable ASCII"));
            }
        }
        Ok(())
    }
}

/// Whether requests can be sent to a URL; why not.
///
/// # Errors
/// When it is none of http or https, has a name or password in it, or is too long.
pub fn check_url(text: &str) -> Result<(), String> {
    Origin::of(&url(text)?).map(drop)
}

/// The parser drops line breaks and tabs, and encodes other octets; whoever writes them means something else.
fn url(text: &str) -> Result<Url, String> {
    if text.len() > URL_MAX {
        return Err(format!("it has more than {URL_MAX} octets"));
    }
    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err("it is not printable ASCII without spaces".to_owned());
    }
    let mut url = Url::parse(text).map_err(|why| why.to_string())?;
    url.set_fragment(None);
    Ok(url)
}

impl Response {
    pub(super) fn new(head: &http::Response<()>, body: Vec<u8>) -> Self {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
            name: name.as_str().to_owned(),
            value: text(value.as_bytes()),
        };
        Self { status: head.status().as_u16(), headers: head.headers().iter().map(header).collect(), body }
    }
}

/// UTF-8, or else ISO-8859-1, which was HTTP's once (RFC 9110 §5.5).
fn text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().copied().map(char::from).collect(),
    }
}
