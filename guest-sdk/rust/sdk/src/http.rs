//! Requests over HTTP. They need the grant `http`, and go where the operator lists; see `wit/http.wit`.
//!
//! ```no_run
//! use wasmail_guest::http;
//!
//! let response = http::post("https://api.example.com/check", "text").header("x-api-key", "k").fetch()?;
//! let is_spam = response.status == 200 && response.body.starts_with(b"spam");
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively there is no network: a test says with [`pretend`] what is answered.

use crate::Failure;
pub use crate::bindings::wasmail::policy::http::{Header, Request, Response};

/// A request with the method `GET`.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// A request with the method `POST`.
pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Request {
    Request { body: body.into(), ..Request::new("POST", url) }
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(Header { name: name.into(), value: value.into() });
        self
    }

    /// Sends it and waits for the response, whatever its status.
    ///
    /// # Errors
    /// When it is not granted, leads where it may not, a quota or the time is used up, or there is no response.
    pub fn fetch(&self) -> Result<Response, Failure> {
        host::fetch(self)
    }
}

impl Response {
    /// A response without headers, for tests.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The first header of a name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::http as host;

#[cfg(not(target_family = "wasm"))]
pub use host::pretend;

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;

    use super::{Failure, Request, Response};

    type Answers = Box<dyn Fn(&Request) -> Result<Response, Failure>>;

    thread_local! {
        static ANSWERS: RefCell<Answers> = RefCell::new(Box::new(|_| Err(Failure::NotGranted)));
    }

    /// Says what is answered from now on in this thread: for unit tests. Before, nothing is granted.
    pub fn pretend(answers: impl Fn(&Request) -> Result<Response, Failure> + 'static) {
        ANSWERS.with(|place| *place.borrow_mut() = Box::new(answers));
    }

    pub(super) fn fetch(request: &Request) -> Result<Response, Failure> {
        ANSWERS.with(|answers| answers.borrow()(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_says_what_is_answered() {
        let request = post("https://api.example.com/", "body").header("x-key", "k");
        assert_eq!(request.fetch(), Err(Failure::NotGranted));
        pretend(|request| Ok(Response::new(if request.body == b"body" { 200 } else { 400 }, "yes")));
        assert_eq!(request.fetch(), Ok(Response::new(200, "yes")));
        assert_eq!(get("https://api.example.com/").fetch().map(|response| response.status), Ok(400));
    }
}
