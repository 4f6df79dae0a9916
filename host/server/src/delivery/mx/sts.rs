//! MTA-STS (RFC 8461): domains that want their mail under TLS with a good certificate, or not at all.
//!
//! A policy is fetched when the domain's TXT record names one that is not known yet, and kept, on disk, too, for as long as it
//! says: whoever stands between us and the domain can suppress the record or the fetch, but not what is known.

mod policy;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;
use tokio::time::Instant;
use wasmail_services::Reach;
use wasmail_services::dns::{Data, Query, RecordType, Resolver};
use wasmail_services::http::{Client, Network, NetworkConfig, Quota, Request};

use crate::{StartError, StsConfig};

use policy::{Mode, Policy};

/// Octets of a policy (§3.2 gives 64 KB as an example).
const POLICY_MAX: usize = 64 << 10;
/// For one policy to be fetched (§3.3).
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Policies that are fetched at once.
const FETCHES: usize = 50;
/// After a fetch that failed, before the next one (§3.3).
const PAUSE: Duration = Duration::from_secs(300);
/// Domains that are remembered; what is forgotten is on disk still. Each takes some 500 octets.
const KNOWN_MAX: usize = 10_000;

/// The policies of all domains.
pub(super) struct Sts {
    config: StsConfig,
    resolver: Arc<Resolver>,
    client: Client,
    /// The inner lock is held while a policy is fetched, so that others wait for it rather than fetch it, too.
    known: parking_lot::Mutex<HashMap<String, Arc<Mutex<Known>>>>,
}

/// What is known of one domain.
#[derive(Default)]
struct Known {
    /// Whether it was looked for on disk.
    read: bool,
    kept: Option<Kept>,
    /// Before that nothing is fetched.
    pause: Option<Instant>,
}

/// A policy that is known.
#[derive(Debug, Clone)]
struct Kept {
    id: String,
    fetched: SystemTime,
    policy: Arc<Policy>,
}

impl Kept {
    fn counts(&self, now: SystemTime) -> bool {
        // A clock that was set back makes no policy void.
        now.duration_since(self.fetched).unwrap_or_default() < self.policy.max_age
    }
}

/// What a domain asks for.
#[derive(Clone)]
pub(super) struct Enforced(Arc<Policy>);

impl Enforced {
    /// Whether a server may have the domain's mail.
    pub(super) fn permits(&self, host: &str) -> bool {
        self.0.permits(host)
    }
}

impl Sts {
    pub(super) fn new(config: StsConfig, resolver: Arc<Resolver>, reach: Reach) -> Result<Self, StartError> {
        let network = NetworkConfig { roots: None, more_roots: config.ca.clone(), concurrency: FETCHES };
        let network = Network::new(Arc::clone(&resolver), &network).map_err(StartError::Roots)?;
        let quota = Quota { concurrency: FETCHES, response: POLICY_MAX, timeout: FETCH_TIMEOUT, ..Quota::default() };
        let client = Client::anywhere(network, reach, quota);
        Ok(Self { config, resolver, client, known: parking_lot::Mutex::default() })
    }

    /// The policy that a domain wants enforced, if there is one.
    pub(super) async fn enforced(&self, domain: &str) -> Option<Enforced> {
        let record = self.record(domain).await;
        let known = self.of(domain);
        let mut known = known.lock().await;
        self.read(domain, &mut known).await;
        let now = SystemTime::now();
        let kept = known.kept.as_ref().filter(|kept| kept.counts(now));
        // Without a record what is known goes on counting.
        let is_new = record.as_ref().is_some_and(|id| kept.is_none_or(|kept| kept.id != *id));
        if let Some(id) = record.filter(|_| is_new && known.pause.is_none_or(|pause| pause <= Instant::now())) {
            match self.fetch(domain).await {
                Ok((policy, text)) => {
                    let kept = Kept { id, fetched: SystemTime::now(), policy: Arc::new(policy) };
                    self.write(domain, &kept, &text).await;
                    *known = Known { read: true, kept: Some(kept), pause: None };
                }
                Err(why) => {
                    tracing::warn!(target: "wasmail::delivery", domain, why, "failed to fetch an MTA-STS policy");
                    known.pause = Some(Instant::now() + PAUSE);
                }
            }
        }
        let kept = known.kept.as_ref().filter(|kept| kept.counts(now))?;
        (kept.policy.mode == Mode::Enforce).then(|| Enforced(Arc::clone(&kept.policy)))
    }

    /// The id that the domain's record has.
    async fn record(&self, domain: &str) -> Option<String> {
        let query = Query { name: format!("_mta-sts.{domain}"), record_type: RecordType::Txt };
        let answer = self.resolver.lookup(&query).await.ok()?;
        let texts = answer.records.into_iter().filter_map(|record| match record.data {
            Data::Txt(text) => Some(text),
            _ => None,
        });
        policy::id(&texts.collect::<Vec<_>>())
    }

    fn of(&self, domain: &str) -> Arc<Mutex<Known>> {
        let mut known = self.known.lock();
        if known.len() >= KNOWN_MAX && !known.contains_key(domain) {
            known.retain(|_, known| Arc::strong_count(known) > 1);
        }
        Arc::clone(known.entry(domain.to_owned()).or_default())
    }

    async fn fetch(&self, domain: &str) -> Result<(Policy, String), String> {
        let port = if self.config.port == 443 { String::new() } else { format!(":{}", self.config.port) };
        let url = format!("https://mta-sts.{domain}{port}/.well-known/mta-sts.txt");
        let request = Request { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
        let response = self.client.fetch(&mut 0, request).await.map_err(|failure| failure.to_string())?;
        // Redirects are not followed (§3.3).
        if response.status != 200 {
            return Err(format!("the status is {}", response.status));
        }
        let kind = response.headers.iter().find(|header| header.name == "content-type").map(|header| &*header.value);
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("text/plain") {
            return Err("it is not text/plain".to_owned());
        }
        let text = String::from_utf8(response.body).map_err(|_| "it is not UTF-8")?;
        Ok((Policy::parse(&text)?, text))
    }

    /// Where a domain's policy is kept; none for what is no name of a file.
    fn file(&self, domain: &str) -> Option<PathBuf> {
        let is_good = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
        let is_name = domain.bytes().all(is_good) && !domain.starts_with('.') && !domain.is_empty();
        self.config.dir.as_ref().filter(|_| is_name).map(|dir| dir.join(domain))
    }

    async fn read(&self, domain: &str, known: &mut Known) {
        if std::mem::replace(&mut known.read, true) {
            return;
        }
        if let Some(file) = self.file(domain) {
            known.kept = tokio::task::spawn_blocking(move || kept(&file)).await.ok().flatten();
        }
    }

    /// A policy that cannot be written is fetched again after the next start.
    async fn write(&self, domain: &str, kept: &Kept, text: &str) {
        let Some(file) = self.file(domain) else { return };
        let seconds = kept.fetched.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let content = format!("{seconds} {}\n{text}", kept.id);
        let path = file.clone();
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            let new = path.with_file_name(format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
            std::fs::write(&new, content)?;
            std::fs::rename(&new, &path)
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(path = %file.display(), %error, "failed to keep an MTA-STS policy");
        }
    }
}

/// What a file holds: a line with the time of the fetch, in seconds, and the id; then the policy as it came.
fn kept(file: &Path) -> Option<Kept> {
    let content = std::fs::read_to_string(file).ok()?;
    let (line, text) = content.split_once('\n')?;
    let (seconds, id) = line.split_once(' ')?;
    let fetched = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?;
    Some(Kept { id: id.to_owned(), fetched, policy: Arc::new(Policy::parse(text).ok()?) })
}
