//! What one binding may ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Answer, Query, Resolver};
use crate::Failure;
use crate::rate::Rate;

/// What one binding may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Questions in one hook call.
    pub queries: u32,
    /// Questions in a second.
    pub rate: u32,
    /// Questions under way at once; more wait, and their time runs.
    pub concurrency: usize,
    /// For one answer, waiting for a place included.
    pub timeout: Duration,
}

impl Default for Quota {
    fn default() -> Self {
        // A dozen blocklists for client, greeting and sender are about forty questions, in one call.
        Self { queries: 50, rate: 1_000, concurrency: 100, timeout: Duration::from_secs(3) }
    }
}

/// A binding's way to the resolver. Clones share the quotas.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    resolver: Arc<Resolver>,
    quota: Quota,
    rate: Rate,
    slots: Semaphore,
}

impl Client {
    /// A way with quotas of its own.
    #[must_use]
    pub fn new(resolver: Arc<Resolver>, quota: Quota) -> Self {
        let rate = Rate::new(quota.rate, Instant::now());
        let slots = Semaphore::new(quota.concurrency.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Inner { resolver, quota, rate, slots }))
    }

    /// Asks one question; `used` counts those of the hook call.
    ///
    /// # Errors
    /// When the quotas or the time are used up, the name servers fail, or the name is none.
    pub async fn lookup(&self, used: &mut u32, query: Query) -> Result<Answer, Failure> {
        self.count(used)?;
        self.0.ask(&query).await
    }

    /// Asks all of them at once. The answers are in the order of the questions.
    pub async fn lookup_all(&self, used: &mut u32, queries: Vec<Query>) -> Vec<Result<Answer, Failure>> {
        let mut asked = JoinSet::new();
        let mut answers = Vec::with_capacity(queries.len());
        for (at, query) in queries.into_iter().enumerate() {
            let counted = self.count(used);
            if counted.is_ok() {
                let inner = Arc::clone(&self.0);
                asked.spawn(async move { (at, inner.ask(&query).await) });
            }
            // Stands until the answer is there.
            answers.push(counted.and(Err(Failure::TimedOut)));
        }
        while let Some(done) = asked.join_next().await {
            match done {
                Ok((at, answer)) => answers[at] = answer,
                Err(error) => tracing::error!(%error, "a question to the DNS ended without an answer"),
            }
        }
        answers
    }

    fn count(&self, used: &mut u32) -> Result<(), Failure> {
        if *used >= self.0.quota.queries {
            return Err(Failure::QuotaExceeded("dns.queries"));
        }
        *used += 1;
        if self.0.rate.take(Instant::now()) { Ok(()) } else { Err(Failure::QuotaExceeded("dns.rate")) }
    }
}

impl Inner {
    async fn ask(&self, query: &Query) -> Result<Answer, Failure> {
        let asking = async {
            let closed = |_| Failure::Unavailable("the server is stopping".to_owned());
            let _own = self.slots.acquire().await.map_err(closed)?;
            let _of_all = self.resolver.slots.acquire().await.map_err(closed)?;
            self.resolver.ask(query).await
        };
        timeout(self.quota.timeout, asking).await.unwrap_or(Err(Failure::TimedOut))
    }
}
