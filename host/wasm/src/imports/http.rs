//! The interface `http`.

use wasmail_services::Failure;
use wasmail_services::http::{Header, Request, Response};

use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::http as wit;
use crate::state::State;

impl wit::Host for State {
    async fn fetch(&mut self, request: wit::Request) -> wasmtime::Result<Result<wit::Response, WitFailure>> {
        self.count_host_call()?;
        let Self { capabilities, used, .. } = self;
        let response = match &capabilities.http {
            Some(http) => http.fetch(&mut used.http, request.into()).await,
            None => Err(Failure::NotGranted),
        };
        Ok(response.map(Into::into).map_err(Into::into))
    }
}

impl From<wit::Request> for Request {
    fn from(request: wit::Request) -> Self {
        let wit::Request { method, url, headers, body } = request;
        let header = |wit::Header { name, value }| Header { name, value };
        Self { method, url, headers: headers.into_iter().map(header).collect(), body }
    }
}

impl From<Response> for wit::Response {
    fn from(response: Response) -> Self {
        let Response { status, headers, body } = response;
        let header = |Header { name, value }| wit::Header { name, value };
        Self { status, headers: headers.into_iter().map(header).collect(), body }
    }
}
