//! Delivery to other servers by SMTP: connections that are kept for a moment, and recipients' fates.

pub(super) mod dane;
mod link;
mod outgoing;
pub(super) mod report;
mod stream;
mod tally;
mod tls;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpSocket, UnixStream};
use tokio::time::{Instant, timeout};
use wasmail_mail::ReversePath;
use wasmail_services::dns::Tlsa;
use wasmail_smtp::client::{Reason, StartTls, Wishes};
use wasmail_spool::Message;

use super::attempt::{Delivered, Taken};
use crate::{ClientConfig, Security, TlsError};

use link::{Broken, Link, Terms, Trouble};
use outgoing::{outgoing, requires_tls};
use report::{PolicyType, Report, SessionResult};
use stream::Stream;
use tally::Tally;
use tls::ClientTls;

/// Longest that one attempt may take, whatever the time limits of its steps add up to: a hop that answers each of a
/// thousand recipients at the last moment would hold a place for days.
const ATTEMPT_MAX: Duration = Duration::from_secs(4 * 3600);
/// Connections that are kept idle, of all places together. Each is a socket and some 5 KB.
const IDLE_MAX: usize = 200;

/// Where a socket is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Address {
    Tcp(SocketAddr),
    /// A socket of this machine.
    Unix(PathBuf),
}

/// A server at one of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Its name, or its address in text.
    pub(super) host: String,
    pub(super) address: Address,
    /// How safe a connection must be. One that was made for less is not used for more.
    pub(super) security: Security,
    /// What the DNS says of its certificate, proven by DNSSEC: then TLS is held, and nothing else counts. Without a record that
    /// can be used, it is as good as `security` wants it (RFC 7672 §2.2).
    pub(super) dane: Option<Arc<[Tlsa]>>,
}

/// What holds for one message, beside where it goes.
#[derive(Clone, Copy, Default)]
pub(super) struct Carriage<'a> {
    /// What becomes of TLS is counted there.
    pub(super) report: Option<Report<'a>>,
    /// In place of the message's own reverse-path.
    pub(super) reverse_path: Option<&'a ReversePath>,
}

impl Address {
    fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, self.host.parse::<IpAddr>()) {
            (Address::Tcp(address), Ok(_)) => address.fmt(f),
            (Address::Tcp(address), Err(_)) => write!(f, "{}[{}]:{}", self.host, address.ip(), address.port()),
            (Address::Unix(path), _) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Speaks with servers, and keeps connections to them for the next message.
pub(super) struct Smtp {
    config: ClientConfig,
    tls: ClientTls,
    idle: Arc<Mutex<Idle>>,
}

impl Smtp {
    /// # Errors
    /// When the file of authorities cannot be used.
    pub(super) fn new(config: ClientConfig) -> Result<Self, TlsError> {
        let tls = ClientTls::new(config.ca.as_deref(), config.patience.handshake)?;
        Ok(Self { config, tls, idle: Arc::default() })
    }

    /// Delivers to these recipients, by position, at the first of these places that will talk to us.
    ///
    /// Another place is tried where a connection does not come about, or ends before the final dot was sent: then nobody
    /// can have the message yet. Whatever else a server says stands.
    pub(super) async fn carry(
        &self,
        places: &[Place],
        message: &Message,
        recipients: &[usize],
        terms: Carriage<'_>,
    ) -> Vec<Delivered> {
        // Whose certificate is not good cannot be trusted with a message that wants TLS all the way (RFC 8689 §4.2.1).
        let verified = |place: &Place| Place { security: Security::Verified, ..place.clone() };
        let verified: Vec<_> = if requires_tls(message) { places.iter().map(verified).collect() } else { Vec::new() };
        let places = if verified.is_empty() { places } else { &verified };
        let mut tally = Tally::new(recipients);
        // What was settled before the time was up stays so.
        let in_time = timeout(ATTEMPT_MAX, self.attempt(places, message, &mut tally, terms)).await;
        tally.end(in_time.err().map(|_| "4.4.2 the attempt takes too long"))
    }

    async fn attempt(&self, places: &[Place], message: &Message, tally: &mut Tally, terms: Carriage<'_>) {
        if let Some((place, link)) = self.take_idle(places) {
            // The server may have closed an idle connection just now: that says nothing about it.
            self.converse(&place, link, (message, terms.reverse_path), tally).await;
        }
        for place in places {
            if tally.is_settled() {
                return;
            }
            match self.connect(place, terms.report).await {
                Ok(link) => self.converse(place, link, (message, terms.reverse_path), tally).await,
                Err(why) => tally.note(why),
            }
        }
    }

    /// An open connection to the best of these places that has one: where it was made, better ones did not answer.
    fn take_idle(&self, places: &[Place]) -> Option<(Place, Link)> {
        let mut idle = self.idle.lock();
        places.iter().find_map(|place| Some((place.clone(), idle.take(place, self.config.idle_timeout)?)))
    }

    async fn connect(&self, place: &Place, report: Option<Report<'_>>) -> Result<Link, String> {
        let starttls = match place.security {
            _ if place.dane.is_some() => StartTls::Required,
            Security::Off => StartTls::Never,
            Security::Opportunistic => StartTls::IfOffered,
            Security::Verified => StartTls::Required,
        };
        let opened = self.open(place, starttls).await?;
        if let (Some(report), Some(result)) = (report, result(&opened, starttls)) {
            let policy = if place.dane.is_some() { PolicyType::Tlsa } else { report.policy };
            report.count(policy, result, &place.host, place.address.ip());
        }
        let link = match opened {
            // Without TLS the mail is as safe as with a server that has none (RFC 7435).
            Err(Trouble::Handshake(error)) if starttls == StartTls::IfOffered && !self.config.implicit_tls => {
                tracing::info!(target: "wasmail::delivery", %place, %error, "TLS failed; going on in the clear");
                self.open(place, StartTls::Never).await?
            }
            other => other,
        };
        let link = link.map_err(|trouble| format!("{place}: {trouble}"))?;
        match link.tls() {
            Some(tls) => {
                let (verified, why_not) = (tls.verified.is_ok(), tls.verified.as_ref().err().map(|bad| &bad.why));
                tracing::info!(
                    target: "wasmail::delivery", %place, tls = tls.version, cipher = tls.cipher, verified, why_not, "connected"
                );
            }
            None => tracing::info!(target: "wasmail::delivery", %place, "connected, without TLS"),
        }
        Ok(link)
    }

    /// Connects and greets. The outer error is that nobody answers.
    async fn open(&self, place: &Place, tls: StartTls) -> Result<Result<Link, Trouble>, String> {
        let connected = timeout(self.config.connect_timeout, self.socket(&place.address)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|error| format!("4.4.1 failed to connect to {place}: {error}"))?;
        let ClientConfig { hostname, lmtp, chunking, credentials, implicit_tls, patience, .. } = &self.config;
        let (hostname, credentials) = (hostname.clone(), credentials.clone());
        let wishes = Wishes { hostname, lmtp: *lmtp, chunking: *chunking, tls, credentials, patience: *patience };
        let dane = place.dane.as_deref().filter(|records| !records.is_empty());
        let verified = dane.is_some() || place.security == Security::Verified;
        let terms = Terms { tls: &self.tls, host: &place.host, verified, dane };
        Ok(Link::open(stream, wishes, *implicit_tls, terms).await)
    }

    /// A connection, from the address that the operator chose.
    async fn socket(&self, address: &Address) -> io::Result<Stream> {
        let (address, socket, source) = match address {
            Address::Unix(path) => return UnixStream::connect(path).await.map(Stream::Unix),
            Address::Tcp(to @ SocketAddr::V4(_)) => {
                (*to, TcpSocket::new_v4()?, self.config.source_ipv4.map(IpAddr::V4))
            }
            Address::Tcp(to @ SocketAddr::V6(_)) => {
                (*to, TcpSocket::new_v6()?, self.config.source_ipv6.map(IpAddr::V6))
            }
        };
        if let Some(source) = source {
            socket.bind((source, 0).into())?;
        }
        let stream = socket.connect(address).await?;
        // Small groups of commands are to go at once; without it they only go later.
        let _ = stream.set_nodelay(true);
        Ok(Stream::Clear(stream))
    }

    /// Sends the message to those who are open, in as many transactions as the server wants for them.
    async fn converse(
        &self,
        place: &Place,
        mut link: Link,
        (message, reverse_path): (&Message, Option<&ReversePath>),
        tally: &mut Tally,
    ) {
        loop {
            let recipients = tally.open().to_vec();
            let sent = match outgoing(message, reverse_path, &recipients, link.extensions()).await {
                Ok(outgoing) => link.send(outgoing, message).await,
                Err(error) => Err(Broken::Message(error)),
            };
            let go_on = match sent {
                Ok(fates) => {
                    let taken = if link.extensions().dsn { Taken::ByTeller } else { Taken::Relayed };
                    tally.settle(place, &recipients, &fates, taken)
                }
                Err(Broken::Message(error)) => {
                    tracing::error!(queue_id = %message.id(), %error, "failed to read a message's body");
                    return tally.give_up(&format!("4.3.0 failed to read the message: {error}"));
                }
            };
            if !link.is_ready() {
                return;
            }
            if !go_on || tally.is_settled() {
                return self.keep(place, link);
            }
        }
    }

    /// Keeps an open connection for the next message, for a moment.
    fn keep(&self, place: &Place, link: Link) {
        let surplus = self.idle.lock().put(place, link);
        let (idle, patience) = (Arc::clone(&self.idle), self.config.idle_timeout);
        tokio::spawn(async move {
            if let Some(link) = surplus {
                return link.quit().await;
            }
            tokio::time::sleep(patience).await;
            let old = idle.lock().take_old(patience);
            for link in old {
                link.quit().await;
            }
        });
    }
}

/// What became of TLS, if it came to that.
fn result(opened: &Result<Link, Trouble>, tried: StartTls) -> Option<SessionResult> {
    match opened {
        _ if tried == StartTls::Never => None,
        Ok(link) if link.tls().is_some() => Some(SessionResult::Success),
        Ok(_) | Err(Trouble::Server(Reason::NoStartTls)) => Some(SessionResult::StartTlsNotSupported),
        Err(Trouble::Certificate(bad)) => Some(bad.result),
        Err(Trouble::Handshake(_)) => Some(SessionResult::ValidationFailure),
        Err(Trouble::Server(_)) => None,
    }
}

/// Connections on which nothing is said.
#[derive(Default)]
struct Idle {
    by_place: HashMap<Place, Vec<(Instant, Link)>>,
    count: usize,
}

impl Idle {
    /// Takes one in; gives it back when there are too many.
    fn put(&mut self, place: &Place, link: Link) -> Option<Link> {
        if self.count >= IDLE_MAX {
            return Some(link);
        }
        self.count += 1;
        self.by_place.entry(place.clone()).or_default().push((Instant::now(), link));
        None
    }

    /// One that is open still, the youngest first.
    fn take(&mut self, place: &Place, patience: Duration) -> Option<Link> {
        let links = self.by_place.get_mut(place)?;
        let mut found = None;
        while let Some((since, link)) = links.pop() {
            self.count -= 1;
            if since.elapsed() < patience && link.is_quiet() {
                found = Some(link);
                break;
            }
        }
        if links.is_empty() {
            self.by_place.remove(place);
        }
        found
    }

    /// Those that nobody wanted for so long.
    fn take_old(&mut self, patience: Duration) -> Vec<Link> {
        let mut old = Vec::new();
        for links in self.by_place.values_mut() {
            let is_old = |(since, _): &mut (Instant, Link)| since.elapsed() >= patience;
            old.extend(links.extract_if(.., is_old).map(|(_, link)| link));
        }
        self.by_place.retain(|_, links| !links.is_empty());
        self.count -= old.len();
        old
    }
}
