//! A next hop that remembers what came, and from whom.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::maildir::Delivered;

/// A message that came, for one of its recipients.
#[derive(Debug, Clone)]
struct Arrival {
    recipient: String,
    mail: Delivered,
    /// What the sender called itself.
    sender: String,
    /// Its number among all transactions.
    transaction: usize,
}

#[derive(Default)]
struct Book {
    arrivals: Vec<Arrival>,
    transactions: usize,
}

/// An SMTP server that takes everything.
pub(crate) struct NextHop {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    stopping: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl NextHop {
    /// Listens on a port of its own.
    pub(crate) fn start() -> Self {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"))
    }

    /// Listens on a port that was free before.
    pub(crate) fn on(port: u16) -> Self {
        Self::listen(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is still free"))
    }

    fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (book, stopping) = (Arc::<Mutex<Book>>::default(), Arc::<AtomicBool>::default());
        let (shared, stop) = (Arc::clone(&book), Arc::clone(&stopping));
        let listener = std::thread::spawn(move || {
            for stream in listener.incoming().flatten().take_while(|_| !stop.load(Ordering::SeqCst)) {
                let book = Arc::clone(&shared);
                // It ends with its connection, and those end with the sender.
                std::thread::spawn(move || Visit { book, sender: String::new(), recipients: Vec::new() }.serve(stream));
            }
        });
        Self { address, book, stopping, listener: Some(listener) }
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
    sender: String,
    recipients: Vec<String>,
}

impl Visit {
    /// Serves until the end; an error is the sender's death.
    fn serve(mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"220 next-hop.example ESMTP\r\n")?;
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

    fn arrived(&mut self, raw: &[u8]) {
        let mut book = self.book.lock().expect("nobody panics with it");
        book.transactions += 1;
        let transaction = book.transactions;
        for recipient in self.recipients.drain(..) {
            let path = PathBuf::from(format!("transaction {transaction} of {} for {recipient}", self.sender));
            let mail = Delivered { path, raw: raw.to_vec() };
            book.arrivals.push(Arrival { recipient, mail, sender: self.sender.clone(), transaction });
        }
    }
}

fn take_data(visit: &mut Visit, stream: &mut BufReader<TcpStream>) -> io::Result<&'static [u8]> {
    stream.get_mut().write_all(b"354 go ahead\r\n")?;
    let mut raw = Vec::new();
    loop {
        let line = line(stream)?;
        match line.strip_prefix(b".") {
            Some(b"\r\n") => break,
            Some(rest) => raw.extend_from_slice(rest),
            None => raw.extend_from_slice(&line),
        }
    }
    visit.arrived(&raw);
    Ok(b"250 2.0.0 taken\r\n")
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    if line.ends_with(b"\r\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
