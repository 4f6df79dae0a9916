//! Certificates from an ACME server (RFC 8555): asked for when there are none, renewed in time, used at once.
//!
//! One task looks after all certificates, so that there is one order at a time. Names are shown to be ours by answering
//! challenges of type http-01. Whatever fails, the certificates that there are stay in force.

mod answers;
mod held;
mod http;
mod issue;
mod schedule;
mod store;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::KeyPair;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};
use wasmail_services::dns::ResolverConfig;

use crate::log::Escaped;
use crate::tls::Tls;
use crate::{Secret, StartError, listener};

use answers::Answers;
use held::Held;
use http::Way;
use issue::{IssueError, Issuer};
use schedule::{Attempts, Standing, seconds};
use store::Store;

pub use schedule::AcmePace;

/// For one certificate, from the first question to the file. Two polls of three minutes, and the requests between them.
const ATTEMPT_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest sleep: a clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(3600);
/// When a server that could not tell when to renew is asked again (RFC 9773 §4.3.3).
const WINDOW_RETRY: Duration = Duration::from_secs(6 * 3600);

/// Certificates from an ACME server.
#[derive(Debug, Clone)]
pub struct AcmeConfig {
    /// The URL of the server's directory.
    pub directory: String,
    /// Whom the server may write to about the account: URLs such as `mailto:postmaster@example.org`.
    pub contact: Vec<String>,
    /// The account with the server's owner to which ours there is bound, if it wants one (RFC 8555 §7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// The names of each certificate, in ASCII; the first one names its file. None may be a wildcard, which http-01
    /// cannot show to be ours.
    pub names: Vec<Vec<String>>,
    /// Where challenges are answered: where port 80 of all these names leads.
    pub listen: SocketAddr,
    /// Authorities that the server's own certificate is checked by, PEM, in place of Mozilla's.
    pub roots: Option<PathBuf>,
    /// How the server is found.
    pub resolver: ResolverConfig,
    /// Where account and certificates are kept; made if it is missing.
    pub dir: PathBuf,
    /// Whether a renewed certificate has the key of the old one, for those who publish it (DANE, RFC 7671 §8.1).
    pub keep_key: bool,
    /// How often the server is asked.
    pub pace: AcmePace,
}

/// An account with whom an ACME server belongs to, such as a customer's.
#[derive(Debug, Clone)]
pub struct ExternalAccount {
    /// Its key's identifier.
    pub id: String,
    /// The key, for HMAC, in base64url.
    pub key: Secret,
}

impl AcmeConfig {
    /// The files of the certificates, as [`TlsConfig::awaited`](crate::TlsConfig::awaited) has them.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let store = Store::new(&self.dir, &self.directory);
        self.names.iter().filter_map(|names| names.first()).map(|name| store.certificate(name)).collect()
    }
}

/// Asks for certificates at once whose last attempts failed, rather than when their time has come.
#[derive(Debug, Clone)]
pub struct AcmeRetry(Arc<Notify>);

impl AcmeRetry {
    /// Asks.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Looks after the certificates.
pub(crate) struct Acme {
    socket: TcpListener,
    address: SocketAddr,
    answers: Answers,
    keeper: Keeper,
}

/// What is done with a certificate.
struct Keeper {
    issuer: Issuer,
    keep_key: bool,
    pace: AcmePace,
    all: Vec<Tended>,
    retry: Arc<Notify>,
    /// Who shows the certificates.
    shown_by: Vec<Arc<Tls>>,
}

/// A certificate that is looked after.
struct Tended {
    names: Vec<String>,
    held: Option<Held>,
    attempts: Attempts,
    /// What makes its moments its own; another one after each attempt.
    key: u64,
    /// What the server suggests for its renewal.
    suggested: Option<SystemTime>,
    /// When the server is asked for that.
    look: SystemTime,
}

impl Acme {
    /// Opens the socket for challenges, and looks at what there is.
    pub(crate) fn bind(config: AcmeConfig, shown_by: Vec<Arc<Tls>>, others: &[SocketAddr]) -> Result<Self, StartError> {
        let listen = || -> io::Result<(TcpListener, SocketAddr)> {
            let socket = listener::open(config.listen, others)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let error = |source| StartError::Listen { name: "acme".to_owned(), address: config.listen.into(), source };
        let (socket, address) = listen().map_err(error)?;
        let (store, answers) = (Store::new(&config.dir, &config.directory), Answers::default());
        let all =
            config.names.iter().filter(|names| !names.is_empty()).map(|names| Tended::load(names, &store)).collect();
        let issuer = Issuer::new(&config, Way::new(&config)?, store, answers.clone());
        let keeper =
            Keeper { issuer, keep_key: config.keep_key, pace: config.pace, all, retry: Arc::default(), shown_by };
        Ok(Self { socket, address, answers, keeper })
    }

    /// Where challenges are answered, with the port that was free.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn retry(&self) -> AcmeRetry {
        AcmeRetry(Arc::clone(&self.keeper.retry))
    }

    /// Answers challenges and renews certificates, for ever.
    pub(crate) async fn run(self) {
        // Ended when it is dropped.
        let mut answering = JoinSet::new();
        answering.spawn(self.answers.serve(self.socket));
        self.keeper.run().await;
    }
}

impl Keeper {
    async fn run(mut self) {
        (0..self.all.len()).for_each(|index| self.tell_at_start(index));
        loop {
            for index in 0..self.all.len() {
                let now = SystemTime::now();
                if self.all[index].held.is_some() && self.all[index].look <= now {
                    self.look(index).await;
                }
                if self.due(&self.all[index], now) <= now {
                    self.attempt(index).await;
                }
            }
            let now = SystemTime::now();
            let next = self.all.iter().map(|tended| self.due(tended, now).min(tended.next_look())).min();
            let pause = next.map_or(LOOK, |next| next.duration_since(now).unwrap_or_default().min(LOOK));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.retry.notified() => self.all.iter_mut().for_each(|tended| tended.attempts.forgive()),
            }
        }
    }

    fn due(&self, tended: &Tended, now: SystemTime) -> SystemTime {
        tended.standing().due(&self.pace, now)
    }

    /// Asks for a certificate, and writes down what came of it.
    async fn attempt(&mut self, index: usize) {
        let tended = &mut self.all[index];
        tended.attempts.begin(SystemTime::now());
        tended.key = random();
        tracing::info!(target: "wasmail::acme", names = tended.names.join(" "), "asking for a certificate");
        // What was refused before does not count any more.
        let _ = self.issuer.way.asked();
        match self.get(index).await {
            Ok(held) => self.came(index, held),
            Err(error) => self.failed(index, &error),
        }
        if let Err(error) = self.keep_attempts(index).await {
            tracing::error!(target: "wasmail::acme", %error, "failed to keep what became of an attempt");
        }
    }

    fn came(&mut self, index: usize, held: Held) {
        let tended = &mut self.all[index];
        tended.held = Some(held);
        (tended.suggested, tended.look) = (None, UNIX_EPOCH);
        // One that is to be renewed as soon as it has come would be asked for again and again.
        if tended.standing().wanted() > SystemTime::now() {
            tended.attempts.failures = 0;
        } else {
            let what = "a certificate has come whose time to be renewed has passed already; is the clock right?";
            tracing::error!(target: "wasmail::acme", names = tended.names.join(" "), "{what}");
        }
        self.shown_by.iter().for_each(|tls| tls.reload_and_tell());
        self.tell(index, "a certificate has come");
    }

    fn failed(&mut self, index: usize, error: &IssueError) {
        self.all[index].attempts.wanted_after = self.issuer.way.asked().map(seconds);
        let tended = &self.all[index];
        let what = match tended.held {
            Some(_) => "failed to get a certificate; the old one stays in force",
            None => "failed to get a certificate; the server goes on without it",
        };
        let (names, failures, why) = (tended.names.join(" "), tended.attempts.failures, error.to_string());
        let next = date(self.due(tended, SystemTime::now()));
        tracing::error!(target: "wasmail::acme", names, failures, %next, error = %Escaped(&why), "{what}");
    }

    async fn get(&self, index: usize) -> Result<Held, IssueError> {
        let tended = &self.all[index];
        // Where this cannot be kept, the certificate could not be, either, and would be asked for again and again.
        self.keep_attempts(index).await?;
        // A server that refuses the replacement may not refuse a new order.
        let is_first = tended.attempts.failures == 1;
        let replaces = tended.held.as_ref().filter(|_| is_first && tended.suggested.is_some());
        let old = replaces.and_then(|held| held.id.clone());
        let issued = self.issuer.issue(&tended.names, old, self.key(index).await);
        let issued = tokio::time::timeout(ATTEMPT_MAX, issued).await;
        let pem = issued.map_err(|_| IssueError::TimedOut(ATTEMPT_MAX))??;
        let (store, names) = (self.issuer.store.clone(), tended.names.clone());
        let kept = spawn_blocking(move || {
            let name = names[0].clone();
            store.keep_certificate(&name, &pem, |file| Held::read(file, &names).map(drop).map_err(io::Error::other))?;
            Held::read(&store.certificate(&name), &names).map_err(io::Error::other)
        });
        let kept = kept.await.map_err(io::Error::other)?;
        kept.map_err(|error| IssueError::Unusable(error.to_string()))
    }

    /// The key of the old certificate, if it is to be that of the new one.
    async fn key(&self, index: usize) -> Option<KeyPair> {
        let (store, name) = (self.issuer.store.clone(), self.all[index].names[0].clone());
        if !self.keep_key {
            return None;
        }
        let text = spawn_blocking(move || store.read_certificate(&name)).await.ok().flatten()?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok()?;
        KeyPair::try_from(&key).ok()
    }

    async fn keep_attempts(&self, index: usize) -> io::Result<()> {
        let (store, name, attempts) =
            (self.issuer.store.clone(), self.all[index].names[0].clone(), self.all[index].attempts);
        spawn_blocking(move || store.keep_attempts(&name, &attempts)).await.map_err(io::Error::other)?
    }

    /// Asks the server when it wants the certificate renewed. A server that doesn't say leaves us to our own rule.
    async fn look(&mut self, index: usize) {
        let id = self.all[index].held.as_ref().and_then(|held| held.id.clone());
        let Some(id) = id else {
            self.all[index].look = schedule::next_look(SystemTime::now(), Duration::MAX);
            return;
        };
        let said = self.issuer.window(&id).await;
        // A refusal here is not one of orders.
        let _ = self.issuer.way.asked();
        let tended = &mut self.all[index];
        match said {
            Ok((info, again)) => {
                let window = (info.suggested_window.start.into(), info.suggested_window.end.into());
                let moment = schedule::chosen(window, tended.key);
                if tended.suggested != Some(moment) {
                    let why = info.explanation_url.unwrap_or_default();
                    tracing::info!(
                        target: "wasmail::acme", names = tended.names.join(" "), renewal = %date(moment),
                        explanation = %Escaped(&why), "the server suggests when to renew"
                    );
                }
                (tended.suggested, tended.look) = (Some(moment), schedule::next_look(SystemTime::now(), again));
            }
            Err(error) => {
                let (names, why) = (tended.names.join(" "), error.to_string());
                tracing::debug!(target: "wasmail::acme", names, error = %Escaped(&why), "no word of when to renew");
                tended.look = schedule::next_look(SystemTime::now(), WINDOW_RETRY);
            }
        }
    }

    fn tell_at_start(&self, index: usize) {
        let (tended, now) = (&self.all[index], SystemTime::now());
        let (names, failures, next) = (tended.names.join(" "), tended.attempts.failures, self.due(tended, now));
        if tended.held.is_some() {
            self.tell(index, "a certificate is there");
        } else if next > now {
            let next = date(next);
            tracing::warn!(target: "wasmail::acme", names, failures, %next, "no certificate is there, and the last attempts failed");
        }
    }

    fn tell(&self, index: usize, what: &str) {
        let tended = &self.all[index];
        let Some(held) = &tended.held else { return };
        let (names, renewal) = (tended.names.join(" "), date(tended.standing().wanted()));
        tracing::info!(target: "wasmail::acme", names, until = %date(held.validity.until), %renewal, "{what}");
    }
}

impl Tended {
    fn load(names: &[String], store: &Store) -> Self {
        let file = store.certificate(&names[0]);
        let held = file.exists().then(|| Held::read(&file, names));
        let held = held.and_then(|held| {
            let told = |why: &String| {
                tracing::warn!(target: "wasmail::acme", names = names.join(" "), why, "another certificate is needed");
            };
            held.inspect_err(told).ok()
        });
        let attempts = store.attempts(&names[0]);
        Self { names: names.to_vec(), held, attempts, key: random(), suggested: None, look: UNIX_EPOCH }
    }

    fn standing(&self) -> Standing {
        let held = self.held.as_ref().map(|held| held.validity);
        Standing { held, suggested: self.suggested, attempts: self.attempts, key: self.key }
    }

    /// When the server is to be asked for its suggestion.
    fn next_look(&self) -> SystemTime {
        match self.held {
            Some(_) => self.look,
            None => SystemTime::now() + LOOK,
        }
    }
}

/// Another number each time; on a machine without randomness nothing is spread, and nothing fails.
fn random() -> u64 {
    let mut octets = [0; 8];
    let _ = SystemRandom::new().fill(&mut octets);
    u64::from_ne_bytes(octets)
}

/// A moment as logs show it.
fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "never".to_owned(), |time| format!("{time:.0}"))
}
