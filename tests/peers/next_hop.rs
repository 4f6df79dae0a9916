//! A next hop that remembers what came, and from whom; a fickle one refuses, stalls and hangs up by chance.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::maildir::Delivered;
use super::random::Random;

/// How late an answer may come.
const LATE: Duration = Duration::from_millis(150);

/// A message that came, for one of its recipients.
#[derive(Debug, Clone)]
struct Arrival {
    recipient: String,
    mail: Delivered,
    /// What the sender called itself.
    sender: String,
    /// Its number among all transactions.
    transaction: usize,
    /// The sender was never told that it is here.
    doubtful: bool,
}

#[derive(Default)]
struct Book {
    arrivals: Vec<Arrival>,
    transactions: usize,
}

/// What a fickle server does at a step.
enum Act {
    Well,
    Say(&'static str),
    HangUp,
}

/// Chance, and how often it strikes: in how many of a thousand steps.
struct Mood {
    random: Mutex<Random>,
    often: AtomicU64,
}

impl Mood {
    fn strikes(&self, times: u64) -> bool {
        let often = self.often.load(Ordering::SeqCst);
        self.random.lock().expect("nobody panics with it").within(0..1_000) < often * times
    }

    /// What is done at a step where these may be said.
    fn act(&self, sayings: &[&'static str]) -> Act {
        if !self.strikes(1) {
            return Act::Well;
        }
        let mut random = self.random.lock().expect("nobody panics with it");
        match random.within(0..sayings.len() as u64 + 1) as usize {
            at if at < sayings.len() => Act::Say(sayings[at]),
            _ => Act::HangUp,
        }
    }
}

/// An SMTP server that takes everything, unless it is a fickle one.
pub(crate) struct NextHop {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    stopping: Arc<AtomicBool>,
    mood: Arc<Mood>,
    listener: Option<JoinHandle<()>>,
}

impl NextHop {
    /// Listens on a port of its own.
    pub(crate) fn start() -> Self {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"), Random::from(0), 0)
    }

    /// Likewise, and misbehaves in so many of a thousand steps.
    pub(crate) fn fickle(random: Random, often: u64) -> Self {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"), random, often)
    }

    /// From now on it takes everything.
    pub(crate) fn behave(&self) {
        self.mood.often.store(0, Ordering::SeqCst);
    }

    /// What came for a recipient, and whether the sender was told.
    pub(crate) fn arrivals_told(&self, recipient: &str) -> Vec<(Delivered, bool)> {
        let book = self.book.lock().expect("nobody panics with it");
        let wanted = book.arrivals.iter().filter(|arrival| arrival.recipient == recipient);
        wanted.map(|arrival| (arrival.mail.clone(), !arrival.doubtful)).collect()
    }

    /// Listens on a port that was free before.
    pub(crate) fn on(port: u16) -> Self {
        Self::listen(
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is still free"),
            Random::from(0),
            0,
        )
    }

    fn listen(listener: TcpListener, random: Random, often: u64) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (book, stopping) = (Arc::<Mutex<Book>>::default(), Arc::<AtomicBool>::default());
        let mood = Arc::new(Mood { random: Mutex::new(random), often: AtomicU64::new(often) });
        let (shared, stop, moods) = (Arc::clone(&book), Arc::clone(&stopping), Arc::clone(&mood));
        let listener = std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take_while(|_| !stop.load(Ordering::SeqCst)) {
                let (book, mood) = (Arc::clone(&shared), Arc::clone(&moods));
                // It ends with its connection, and those end with the sender.
                std::thread::spawn(move || {
                    Visit { book, mood, sender: String::new(), recipients: Vec::new() }.serve(stream)
                });
            }
        });
        Self { address, book, stopping, mood, listener: Some(listener) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many copies have come, each recipient's counted.
    pub(crate) fn count(&self) -> usize {
        self.book.lock().expect("nobody panics with it").arrivals.len()
    }

    /// What came for a recipient.
    pub(crate) fn arrivals(&self, recipient: &str) -> Vec<Delivered> {
        let book = self.book.lock().expect("nobody panics with it");
        let wanted = book.arrivals.iter().filter(|arrival| arrival.recipient == recipient);
        wanted.map(|arrival| arrival.mail.clone()).collect()
    }

    /// Who sent these copies.
    pub(crate) fn senders(&self, copies: &[&Delivered]) -> Vec<String> {
        let book = self.book.lock().expect("nobody panics with it");
        let of = |mail: &&Delivered| book.arrivals.iter().find(|other| other.mail.path == mail.path).expect("it came");
        copies.iter().map(|mail| of(mail).sender.clone()).collect()
    }

    /// Whether each of these copies came from a sender of another name.
    pub(crate) fn are_of_different_senders(&self, copies: &[&Delivered]) -> bool {
        let book = self.book.lock().expect("nobody panics with it");
        let of = |mail: &Delivered| book.arrivals.iter().find(|other| other.mail.path == mail.path).expect("it came");
        let senders: BTreeSet<_> = copies.iter().map(|mail| &of(mail).sender).collect();
        senders.len() == copies.len()
    }

    /// How many messages of each sender came again later, where `id` tells messages apart.
    pub(crate) fn repeated(&self, id: impl Fn(&Delivered) -> Option<String>) -> BTreeMap<String, usize> {
        let book = self.book.lock().expect("nobody panics with it");
        let mut last = BTreeMap::new();
        let mut repeated: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for arrival in &book.arrivals {
            if let Some(earlier) = last.insert((id(&arrival.mail), &arrival.recipient), arrival) {
                repeated.entry(earlier.sender.clone()).or_default().insert(earlier.transaction);
            }
        }
        repeated.into_iter().map(|(sender, transactions)| (sender, transactions.len())).collect()
    }
}

impl Drop for NextHop {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        let _ = self.listener.take().map(JoinHandle::join);
    }
}

/// One connection.
struct Visit {
    book: Arc<Mutex<Book>>,
    mood: Arc<Mood>,
    sender: String,
    recipients: Vec<String>,
}

impl Visit {
    /// Serves until the end; an error is the sender's death.
    fn serve(mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        match self.mood.act(&["421 4.3.2 not today\r\n", "554 5.3.2 never\r\n"]) {
            Act::Well => stream.get_mut().write_all(b"220 next-hop.example ESMTP\r\n")?,
            Act::Say(refusal) => return stream.get_mut().write_all(refusal.as_bytes()),
            Act::HangUp => return Ok(()),
        }
        loop {
            let line = line(&mut stream)?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let reply: &[u8] = match verb.as_str() {
                "EHLO" => {
                    self.sender = line[4..].trim().to_owned();
                    b"250-next-hop.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE\r\n"
                }
                "QUIT" => return stream.get_mut().write_all(b"221 2.0.0 bye\r\n"),
                "RCPT" => {
                    match self.mood.act(&["450 4.2.1 busy\r\n", "550 5.1.1 no such user\r\n", "452 4.5.3 later\r\n"]) {
                        Act::Well => {
                            self.envelope(&verb, &line);
                            b"250 2.1.5 ok\r\n"
                        }
                        Act::Say(refusal) => refusal.as_bytes(),
                        Act::HangUp => return Ok(()),
                    }
                }
                "DATA" if self.recipients.is_empty() => b"554 5.5.1 nobody is there\r\n",
                "DATA" => take_data(&mut self, &mut stream)?,
                _ => {
                    self.envelope(&verb, &line);
                    b"250 2.0.0 ok\r\n"
                }
            };
            stream.get_mut().write_all(reply)?;
        }
    }

    fn envelope(&mut self, verb: &str, line: &str) {
        let path = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_owned());
        match (verb, path) {
            ("RCPT", Some(path)) => self.recipients.push(path),
            _ => self.recipients.clear(),
        }
    }

    fn arrived(&mut self, raw: &[u8], doubtful: bool) {
        let mut book = self.book.lock().expect("nobody panics with it");
        book.transactions += 1;
        let transaction = book.transactions;
        for recipient in self.recipients.drain(..) {
            let path = PathBuf::from(format!("transaction {transaction} of {} for {recipient}", self.sender));
            let mail = Delivered { path, raw: raw.to_vec() };
            book.arrivals.push(Arrival { recipient, mail, sender: self.sender.clone(), transaction, doubtful });
        }
    }
}

fn take_data(visit: &mut Visit, stream: &mut BufReader<TcpStream>) -> io::Result<&'static [u8]> {
    match visit.mood.act(&["451 4.3.0 later\r\n", "554 5.6.0 not this\r\n"]) {
        Act::Well => stream.get_mut().write_all(b"354 go ahead\r\n")?,
        Act::Say(refusal) => return Ok(refusal.as_bytes()),
        Act::HangUp => return Err(io::ErrorKind::ConnectionReset.into()),
    }
    let mut raw = Vec::new();
    loop {
        let line = line(stream)?;
        match line.strip_prefix(b".") {
            Some(b"\r\n") => break,
            Some(rest) => raw.extend_from_slice(rest),
            None => raw.extend_from_slice(&line),
        }
    }
    if visit.mood.strikes(2) {
        std::thread::sleep(LATE);
    }
    match visit.mood.act(&["451 4.3.0 try again\r\n", "554 5.7.1 spam\r\n"]) {
        Act::Well => {
            // Who does not hear it any more has died.
            visit.arrived(&raw, false);
            Ok(b"250 2.0.0 taken\r\n")
        }
        Act::Say(refusal) => {
            visit.recipients.clear();
            Ok(refusal.as_bytes())
        }
        Act::HangUp => {
            visit.arrived(&raw, true);
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.ends_with(b"\r\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
