//! Delivery to another server by SMTP.

mod link;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use wasmail_mail::BodyType;
use wasmail_queue::Outcome;
use wasmail_smtp::client::{Fate, Outgoing, Phase, Reason};
use wasmail_spool::Message;

use super::attempt::Delivered;
use crate::NextHopConfig;

use link::{Broken, Link};

/// Longest that one attempt may take, whatever the time limits of its steps add up to: a hop that answers each of a
/// thousand recipients at the last moment would hold a place for days.
const ATTEMPT_MAX: Duration = Duration::from_secs(4 * 3600);

/// A server that takes our mail, with the connections to it that are open and idle.
pub(crate) struct NextHop {
    config: NextHopConfig,
    idle: Arc<Mutex<Vec<(Instant, Link)>>>,
}

impl NextHop {
    pub(crate) fn new(config: NextHopConfig) -> Self {
        Self { config, idle: Arc::default() }
    }

    /// Delivers to these recipients, by position.
    pub(crate) async fn carry(&self, message: &Message, recipients: &[usize]) -> Vec<Delivered> {
        match timeout(ATTEMPT_MAX, self.attempt(message, recipients)).await {
            Ok(delivered) => delivered,
            Err(_) => Delivered::all(recipients, Outcome::Deferred, "4.4.2 the next hop takes too long"),
        }
    }

    async fn attempt(&self, message: &Message, recipients: &[usize]) -> Vec<Delivered> {
        if let Some(link) = self.take_idle() {
            let delivered = self.send(link, message, recipients).await;
            // The server may have closed an idle connection just now: that says nothing about the message.
            if !delivered.iter().all(|(_, lost)| *lost) {
                return delivered.into_iter().map(|(delivered, _)| delivered).collect();
            }
        }
        match self.connect().await {
            Ok(link) => self.send(link, message, recipients).await.into_iter().map(|(done, _)| done).collect(),
            Err(why) => Delivered::all(recipients, Outcome::Deferred, &why),
        }
    }

    fn take_idle(&self) -> Option<Link> {
        let mut idle = self.idle.lock();
        while let Some((since, link)) = idle.pop() {
            if since.elapsed() < self.config.idle_timeout && link.is_quiet() {
                return Some(link);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Link, String> {
        let NextHopConfig { host, port, .. } = &self.config;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let connected = timeout(self.config.connect_timeout, TcpStream::connect((name, *port))).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|error| format!("4.4.1 failed to connect to {host}:{port}: {error}"))?;
        let mut link = Link::new(stream, &self.config.hostname);
        link.greet().await.map_err(|reason| format!("{host}:{port}: {reason}"))?;
        Ok(link)
    }

    /// Sends the message; says of each recipient whether the connection was gone before anything was said.
    async fn send(&self, mut link: Link, message: &Message, recipients: &[usize]) -> Vec<(Delivered, bool)> {
        let sent = match outgoing(message, recipients, &link).await {
            Ok(outgoing) => link.send(outgoing, message).await,
            Err(error) => Err(Broken::Message(error)),
        };
        match sent {
            Ok(fates) => {
                self.keep(link);
                let done = |(to, fate): (&usize, Fate)| (self.delivered(*to, &fate), is_lost(&fate));
                recipients.iter().zip(fates).map(done).collect()
            }
            Err(Broken::Message(error)) => {
                tracing::error!(queue_id = %message.id(), %error, "failed to read a message's body");
                let reply = format!("4.3.0 failed to read the message: {error}");
                let all = Delivered::all(recipients, Outcome::Deferred, &reply);
                all.into_iter().map(|delivered| (delivered, false)).collect()
            }
        }
    }

    fn delivered(&self, recipient: usize, fate: &Fate) -> Delivered {
        let outcome = match fate {
            Fate::Delivered(_) => Outcome::Delivered,
            Fate::Deferred(_) => Outcome::Deferred,
            Fate::Failed(_) => Outcome::Failed,
        };
        let NextHopConfig { host, port, .. } = &self.config;
        Delivered::new(recipient, outcome, format!("{host}:{port}: {}", fate.reason()))
    }

    /// Keeps an open connection for the next message, for a moment.
    fn keep(&self, link: Link) {
        if !link.is_ready() {
            return;
        }
        self.idle.lock().push((Instant::now(), link));
        let (idle, patience) = (Arc::clone(&self.idle), self.config.idle_timeout);
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            let old = |(since, _): &mut (Instant, Link)| since.elapsed() >= patience;
            let done: Vec<_> = idle.lock().extract_if(.., old).collect();
            for (_, link) in done {
                link.quit().await;
            }
        });
    }
}

fn is_lost(fate: &Fate) -> bool {
    matches!(fate.reason(), Reason::Lost(Phase::Rset | Phase::Mail))
}

/// The message as the client machine wants to know it.
async fn outgoing(message: &Message, recipients: &[usize], link: &Link) -> io::Result<Outgoing> {
    let envelope = message.envelope();
    let to = recipients.iter().filter_map(|at| envelope.recipients.get(*at)).map(|to| to.path.clone());
    let outgoing = Outgoing {
        reverse_path: envelope.reverse_path.clone(),
        recipients: to.collect(),
        size: message.header().len() as u64 + message.body().len(),
        body: envelope.body,
        smtputf8: false,
    };
    let smtputf8 = envelope.smtputf8 && (!is_ascii(&outgoing) || !message.header().is_ascii());
    // A server that does not offer 8BITMIME gets what is 7-bit in fact, whatever the client called it.
    let body = match link.offers_eight_bit_mime() {
        true => outgoing.body,
        false if is_seven_bit(message).await? => BodyType::SevenBit,
        false => BodyType::EightBitMime,
    };
    Ok(Outgoing { smtputf8, body, ..outgoing })
}

fn is_ascii(outgoing: &Outgoing) -> bool {
    let mailboxes = outgoing.recipients.iter().map(|to| to.mailbox()).chain([outgoing.reverse_path.mailbox()]);
    mailboxes.flatten().all(wasmail_mail::Mailbox::is_ascii)
}

async fn is_seven_bit(message: &Message) -> io::Result<bool> {
    let mut chunks = message.body().chunks();
    while let Some(chunk) = chunks.next().await? {
        if !chunk.is_ascii() {
            return Ok(false);
        }
    }
    Ok(message.header().is_ascii())
}
