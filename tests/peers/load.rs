//! Clients that never stop sending, and write down what they were promised.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::Client;
use super::ledger::{Entry, Fate, Ledger};
use super::programs::{Guard, command};
use super::random::Random;

/// How long a client whose server is away waits before it looks again.
const BREATH: Duration = Duration::from_millis(3);

/// What the clients of a load share.
struct Shared {
    ledger: Ledger,
    /// Where the server is now; nowhere while it is dead.
    server: Mutex<Option<SocketAddr>>,
    done: AtomicBool,
    mailboxes: &'static [&'static str],
    /// Replies that were no 250 at the end of the data, with how often they came.
    refusals: Mutex<BTreeMap<String, usize>>,
}

/// A running load.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts this many clients, who send to these mailboxes as soon as there is a server.
    pub(crate) fn start(clients: u64, random: &Random, mailboxes: &'static [&'static str]) -> Self {
        let shared = Arc::new(Shared {
            ledger: Ledger::default(),
            server: Mutex::default(),
            done: AtomicBool::default(),
            mailboxes,
            refusals: Mutex::default(),
        });
        let clients = (0..clients).map(|number| {
            let (shared, random) = (Arc::clone(&shared), random.fork(number));
            std::thread::spawn(move || shared.send(&format!("m{number}"), random))
        });
        Self { clients: clients.collect(), shared }
    }

    /// Tells the clients where the server is.
    pub(crate) fn is_at(&self, server: Option<SocketAddr>) {
        *self.shared.server.lock().expect("nobody panics with it") = server;
    }

    /// Lets every client finish its message, and returns what they know.
    ///
    /// # Panics
    /// When a message was refused: the load is small enough for every server.
    pub(crate) fn finish(self) -> Settled {
        self.shared.done.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
        let refusals = self.shared.refusals.lock().expect("nobody panics with it").clone();
        assert!(refusals.is_empty(), "refused: {refusals:?}");
        Settled(self.shared)
    }

    /// Likewise, where the server may put messages off, and says how many it has.
    ///
    /// # Panics
    /// When a message was refused for good.
    pub(crate) fn finish_put_off(self) -> (Settled, usize) {
        self.shared.done.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
        let refusals = std::mem::take(&mut *self.shared.refusals.lock().expect("nobody panics with it"));
        assert!(refusals.keys().all(|reply| reply.starts_with('4')), "refused: {refusals:?}");
        (Settled(self.shared), refusals.values().sum())
    }
}

/// A load that is over.
pub(crate) struct Settled(Arc<Shared>);

impl Settled {
    /// Who was promised what.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }
}

impl Shared {
    fn send(&self, prefix: &str, mut random: Random) {
        while !self.done.load(Ordering::SeqCst) {
            let server = *self.server.lock().expect("nobody panics with it");
            match server.map(Client::greeted) {
                // The error is the server's death, or the client's own hanging up.
                Some(Ok(client)) => drop(self.session(client, prefix, &mut random)),
                _ => std::thread::sleep(BREATH),
            }
        }
    }

    /// A few messages over one connection.
    fn session(&self, mut client: Client, prefix: &str, random: &mut Random) -> io::Result<()> {
        for _ in 0..random.within(1..10) {
            if self.done.load(Ordering::SeqCst) {
                break;
            }
            let entry = self.ledger.draw(prefix, random, self.mailboxes);
            client.begin("a@example.org", &entry.recipients)?;
            match random.within(0..20) {
                0 => return hang_up(client, &entry, random),
                _ => self.content(&mut client, &entry)?,
            }
        }
        client.command("QUIT").map(drop)
    }

    fn content(&self, client: &mut Client, entry: &Entry) -> io::Result<()> {
        // From here on the server may have all of it, whatever we hear.
        self.ledger.note(&entry.id, Fate::Unknown);
        client.write(&entry.stuffed())?;
        let reply = client.reply()?;
        if reply.code == 250 {
            self.ledger.note(&entry.id, Fate::Acknowledged);
        } else {
            self.ledger.note(&entry.id, Fate::NotSent);
            let text = format!("{} {}", reply.code, reply.text);
            *self.refusals.lock().expect("nobody panics with it").entry(text).or_default() += 1;
        }
        Ok(())
    }
}

/// Leaves in the middle of the content: what came so far is no message.
fn hang_up(mut client: Client, entry: &Entry, random: &mut Random) -> io::Result<()> {
    let octets = entry.stuffed();
    // Short of the final `.CRLF`, which alone makes it one.
    client.write(&octets[..random.within(0..octets.len() as u64 - 3) as usize])
}

/// smtp-source beside it: so many messages over four sessions, or until the server dies.
pub(crate) fn smtp_source(server: SocketAddr, messages: usize, octets: usize, mailbox: &str) -> Guard {
    let mut source = command("smtp-source");
    source.args(["-s", "4", "-m", &messages.to_string(), "-l", &octets.to_string()]);
    source.args(["-f", "source@example.org", "-t", mailbox]).arg(format!("inet:{server}"));
    source.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child: Child = source.spawn().expect("smtp-source starts");
    Guard(child)
}
