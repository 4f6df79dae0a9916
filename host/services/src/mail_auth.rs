//! SPF, DKIM, DMARC and ARC for plugins: each message is judged once, by one resolver and within one time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use wasmail_authentication as methods;
use wasmail_authentication::{Answer, BoxFuture, Client, Dns, Kind, Message, Record, Results, Unanswered};
use wasmail_mail::{HeaderSection, MethodResult};

use crate::{Failure, dns};

pub use wasmail_authentication::{Arc as Chain, Body, Disposition, Dkim, Dmarc, Spf, SpfResult, Verdict};

#[cfg(test)]
mod tests;

/// How messages are judged, all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Our own name, for explanations of SPF.
    pub hostname: String,
    /// For the DNS, all methods of one message together.
    pub timeout: Duration,
    /// Messages whose bodies are hashed at once; each holds a piece of 128 KiB. More wait.
    pub concurrency: usize,
}

/// Judges messages. Clones share the places.
#[derive(Debug, Clone)]
pub struct Judge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dns: dns::Client,
    config: Config,
    places: Semaphore,
}

/// One message as it came, or its envelope as far as it has come.
#[derive(Clone)]
pub struct Case {
    /// Name of the transaction: by it those are chosen that a policy's percentage leaves out.
    pub transaction: String,
    /// The client.
    pub ip: IpAddr,
    /// What it said in HELO or EHLO.
    pub helo: String,
    /// Local part and domain of the reverse-path; none for the null path.
    pub mailbox: Option<(String, String)>,
    /// The message, at the hooks where there is one.
    pub message: Option<(Arc<HeaderSection>, Arc<dyn Body>)>,
    /// What was found out so far.
    pub findings: Findings,
}

/// What was found out about the two identities that SPF knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfResults {
    /// Of HELO.
    pub helo: Spf,
    /// Of the reverse-path.
    pub mail_from: Spf,
}

/// What was found out about one message. Clones share it; a new message begins with a new one.
#[derive(Debug, Clone, Default)]
pub struct Findings(Arc<Found>);

#[derive(Debug, Default)]
struct Found {
    spf: OnceCell<SpfResults>,
    dkim: OnceCell<Vec<Dkim>>,
    dmarc: OnceCell<Dmarc>,
    arc: OnceCell<Chain>,
    /// Time for the DNS that is used up.
    spent: Mutex<Duration>,
}

impl Findings {
    /// What was found out, as `Authentication-Results` tells it. Nothing that nobody has asked for.
    #[must_use]
    pub fn told(&self, client: IpAddr) -> Vec<MethodResult> {
        let found = &self.0;
        let results = Results {
            spf: found.spf.get().map(|spf| (&spf.helo, &spf.mail_from)),
            dkim: found.dkim.get().map(Vec::as_slice),
            dmarc: found.dmarc.get(),
            arc: found.arc.get(),
            ip: Some(client),
        };
        results.told()
    }
}

impl Judge {
    /// A judge who asks by this resolver. Which questions a message asks is bounded by the methods.
    #[must_use]
    pub fn new(resolver: Arc<dns::Resolver>, config: Config) -> Self {
        let quota = dns::Quota {
            queries: u32::MAX,
            rate: u32::MAX,
            concurrency: Semaphore::MAX_PERMITS,
            timeout: config.timeout,
        };
        let places = Semaphore::new(config.concurrency.min(Semaphore::MAX_PERMITS));
        Self(Arc::new(Inner { dns: dns::Client::new(resolver, quota), config, places }))
    }

    /// SPF of both identities.
    pub async fn spf<'a>(&self, case: &'a Case) -> &'a SpfResults {
        case.findings.0.spf.get_or_init(|| self.find_spf(case)).await
    }

    /// DKIM of all signatures.
    ///
    /// # Errors
    /// When there is no message here, too many are judged at once, or it cannot be read back; so it is below, too.
    pub async fn dkim<'a>(&self, case: &'a Case) -> Result<&'a [Dkim], Failure> {
        let dkim = case.findings.0.dkim.get_or_try_init(|| self.find_dkim(case)).await;
        dkim.map(Vec::as_slice)
    }

    /// DMARC, and what it needs.
    ///
    /// # Errors
    /// As [`Self::dkim`].
    pub async fn dmarc<'a>(&self, case: &'a Case) -> Result<&'a Dmarc, Failure> {
        case.findings.0.dmarc.get_or_try_init(|| self.find_dmarc(case)).await
    }

    /// ARC.
    ///
    /// # Errors
    /// As [`Self::dkim`].
    pub async fn arc<'a>(&self, case: &'a Case) -> Result<&'a Chain, Failure> {
        case.findings.0.arc.get_or_try_init(|| self.find_arc(case)).await
    }

    async fn find_spf(&self, case: &Case) -> SpfResults {
        let asks = self.asks(case);
        let client = Client { ip: case.ip, helo: &case.helo, receiver: &self.0.config.hostname, now: now() };
        let helo = methods::spf(&asks, client, None).await;
        let mail_from = match &case.mailbox {
            Some((local, domain)) => methods::spf(&asks, client, Some((local, domain))).await,
            None => helo.clone(),
        };
        SpfResults { helo, mail_from }
    }

    async fn find_dkim(&self, case: &Case) -> Result<Vec<Dkim>, Failure> {
        let message = message(case)?;
        let asks = self.asks(case);
        let _place = self.place(&asks).await?;
        methods::dkim(&asks, message, now()).await.map_err(|why| unreadable(&why))
    }

    async fn find_dmarc(&self, case: &Case) -> Result<Dmarc, Failure> {
        let message = message(case)?;
        let spf = self.spf(case).await;
        let dkim = self.dkim(case).await?;
        Ok(methods::dmarc(&self.asks(case), message.header, &spf.mail_from, dkim, lot(&case.transaction)).await)
    }

    async fn find_arc(&self, case: &Case) -> Result<Chain, Failure> {
        let message = message(case)?;
        let asks = self.asks(case);
        let _place = self.place(&asks).await?;
        methods::arc(&asks, message).await.map_err(|why| unreadable(&why))
    }

    fn asks<'a>(&'a self, case: &'a Case) -> Asks<'a> {
        let left = self.0.config.timeout.saturating_sub(*case.findings.0.spent.lock());
        let begun = Instant::now();
        Asks { dns: &self.0.dns, begun, deadline: begun + left, spent: &case.findings.0.spent }
    }

    /// A place among those whose bodies are hashed.
    async fn place(&self, asks: &Asks<'_>) -> Result<SemaphorePermit<'_>, Failure> {
        let left = asks.deadline.saturating_duration_since(Instant::now()).max(PLACE_WAIT_MIN);
        match timeout(left, self.0.places.acquire()).await {
            Ok(place) => place.map_err(|_| Failure::Unavailable("the server is stopping".to_owned())),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}

/// A place is waited for even when the time for the DNS is used up.
const PLACE_WAIT_MIN: Duration = Duration::from_secs(1);

fn message(case: &Case) -> Result<Message<'_>, Failure> {
    let (header, body) =
        case.message.as_ref().ok_or_else(|| Failure::Invalid("there is no message here".to_owned()))?;
    Ok(Message { header, body: &**body })
}

fn unreadable(why: &io::Error) -> Failure {
    // The guest need not know our paths.
    tracing::warn!(%why, "failed to read a message back to judge it");
    Failure::Unavailable("the message cannot be read back".to_owned())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// From 0 to 99, always the same for one transaction: whoever is asked again says the same.
fn lot(transaction: &str) -> u8 {
    let mut hasher = DefaultHasher::new();
    transaction.hash(&mut hasher);
    u8::try_from(hasher.finish() % 100).unwrap_or_default()
}

/// Questions of one method for one message.
struct Asks<'a> {
    dns: &'a dns::Client,
    begun: Instant,
    deadline: Instant,
    spent: &'a Mutex<Duration>,
}

impl Drop for Asks<'_> {
    fn drop(&mut self) {
        *self.spent.lock() += self.begun.elapsed();
    }
}

impl Dns for Asks<'_> {
    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let record_type = match kind {
                Kind::A => dns::RecordType::A,
                Kind::Aaaa => dns::RecordType::Aaaa,
                Kind::Mx => dns::RecordType::Mx,
                Kind::Txt => dns::RecordType::Txt,
                Kind::Ptr => dns::RecordType::Ptr,
            };
            let query = dns::Query { name: name.to_owned(), record_type };
            let mut used = 0;
            match timeout_at(self.deadline, self.dns.lookup(&mut used, query)).await {
                Ok(Ok(answer)) => Ok(records(answer)),
                // A name that cannot be asked for is nowhere.
                Ok(Err(Failure::Invalid(_))) => Ok(Vec::new()),
                Ok(Err(_)) | Err(_) => Err(Unanswered),
            }
        })
    }
}

fn records(answer: dns::Answer) -> Vec<Record> {
    let mut records: Vec<(u16, Record)> = answer.records.into_iter().filter_map(|record| told(record.data)).collect();
    records.sort_by_key(|(preference, _)| *preference);
    records.into_iter().map(|(_, record)| record).collect()
}

fn told(data: dns::Data) -> Option<(u16, Record)> {
    Some(match data {
        dns::Data::A(ip) => (0, Record::Ip(ip.into())),
        dns::Data::Aaaa(ip) => (0, Record::Ip(ip.into())),
        dns::Data::Mx(mx) => (mx.preference, Record::Exchange(mx.exchange)),
        dns::Data::Txt(text) => (0, Record::Txt(text)),
        dns::Data::Ptr(name) => (0, Record::Name(name)),
        dns::Data::Tlsa(_) => return None,
    })
}
