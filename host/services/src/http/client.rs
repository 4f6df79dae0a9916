//! What one binding may ask for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;
use ureq_proto::http;

use super::connection::connect;
use super::content::{Content, InMemory};
use super::exchange::exchange;
use super::network::{Network, Source, listed};
use super::origin::Origin;
use super::request::{Checked, Request, Response};
use crate::Failure;
use crate::rate::Rate;
use crate::reach::Reach;

/// How much one binding may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Requests in one hook call.
    pub requests: u32,
    /// Requests in a second.
    pub rate: u32,
    /// Requests under way at once; more wait, and their time runs.
    pub concurrency: usize,
    /// Octets of a request's body.
    pub request: usize,
    /// Octets of a response's body.
    pub response: usize,
    /// For one response, from waiting for a place to its last octet.
    pub timeout: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        // Policy asks one service or two about a message, and hears a verdict.
        Self {
            requests: 10,
            rate: 100,
            concurrency: 20,
            request: 1 << 20,
            response: 1 << 20,
            timeout: Duration::from_secs(3),
        }
    }
}

/// A binding's way out. Clones share the quotas.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    network: Arc<Network>,
    /// None of the server's own: it knows whom to ask.
    origins: Option<Vec<Origin>>,
    reach: Reach,
    quota: Quota,
    rate: Rate,
    slots: Semaphore,
}

impl Client {
    /// A way to these origins, with quotas of its own.
    #[must_use]
    pub fn new(network: Arc<Network>, origins: Vec<Origin>, reach: Reach, quota: Quota) -> Self {
        Self::with(network, Some(origins), reach, quota)
    }

    /// A way to anywhere, for the server's own requests.
    #[must_use]
    pub fn anywhere(network: Arc<Network>, reach: Reach, quota: Quota) -> Self {
        Self::with(network, None, reach, quota)
    }

    fn with(network: Arc<Network>, origins: Option<Vec<Origin>>, reach: Reach, quota: Quota) -> Self {
        let rate = Rate::new(quota.rate, Instant::now());
        let slots = Semaphore::new(quota.concurrency.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Inner { network, origins, reach, quota, rate, slots }))
    }

    /// Sends a request and waits for its response, whatever its status; `used` counts the requests of the hook call.
    ///
    /// # Errors
    /// When the request is none or leads where it may not, a quota or the time is used up, or there is no response.
    pub async fn fetch(&self, used: &mut u32, request: Request) -> Result<Response, Failure> {
        let own = &*self.0;
        own.count(used)?;
        if request.body.len() > own.quota.request {
            return Err(Failure::QuotaExceeded("http.request"));
        }
        match &own.network.source {
            Source::Sockets { .. } => {
                let request = request.check()?;
                own.permit(&request)?;
                let mut content = InMemory(request.body);
                own.in_time(&request.origin, &request.head, &mut content).await
            }
            Source::List(list) => {
                let response = listed(list, &request);
                request.check()?;
                response
            }
        }
    }

    /// Sends a request of the server's own with this content; its own body is to be empty. Of the quotas those on
    /// requests of a hook call and their rate don't hold.
    ///
    /// # Errors
    /// As [`Client::fetch`], and when the content cannot be read.
    pub async fn send(&self, request: Request, content: &mut dyn Content) -> Result<Response, Failure> {
        let own = &*self.0;
        let request = request.check_with(content.size())?;
        own.permit(&request)?;
        own.in_time(&request.origin, &request.head, content).await
    }
}

impl Inner {
    fn count(&self, used: &mut u32) -> Result<(), Failure> {
        if *used >= self.quota.requests {
            return Err(Failure::QuotaExceeded("http.requests"));
        }
        *used += 1;
        if self.rate.take(Instant::now()) { Ok(()) } else { Err(Failure::QuotaExceeded("http.rate")) }
    }

    fn permit(&self, request: &Checked) -> Result<(), Failure> {
        if self.origins.as_ref().is_none_or(|origins| origins.contains(&request.origin)) {
            return Ok(());
        }
        Err(Failure::Invalid(format!("{} is not among http.origins", request.origin)))
    }

    async fn in_time(
        &self,
        origin: &Origin,
        head: &http::Request<()>,
        content: &mut dyn Content,
    ) -> Result<Response, Failure> {
        timeout(self.quota.timeout, self.fetch(origin, head, content)).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn fetch(
        &self,
        origin: &Origin,
        head: &http::Request<()>,
        content: &mut dyn Content,
    ) -> Result<Response, Failure> {
        let Source::Sockets { resolver, tls } = &self.network.source else {
            return Err(Failure::Unavailable("there is no network".to_owned()));
        };
        let closed = |_| Failure::Unavailable("the server is stopping".to_owned());
        let _own = self.slots.acquire().await.map_err(closed)?;
        let _of_all = self.network.slots.acquire().await.map_err(closed)?;
        let mut stream = connect(origin, &self.reach, resolver, tls, self.quota.timeout).await?;
        exchange(&mut *stream, head, content, self.quota.response).await
    }
}
