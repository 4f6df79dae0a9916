//! Tries what its configuration names, as a program would that knows nothing of its sandbox: through Rust's standard
//! library. What came of it is in its results, one line an attempt.
//!
//! At DATA it tells the lie of that name, if there is one: mutations of which one is bad.
//!
//! `panic`, `exit`, `sleep` and the floods are attempts, too: those don't return, or say nothing.

mod lies;
mod services;

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, process, thread};

use serde::Deserialize;
use wasmail_guest::{Connection, Message, Mutation, Outcome, Plugin, Scope, Transaction, plugin};

/// What is to be tried.
#[derive(Debug, Deserialize)]
pub struct Probe {
    attempt: String,
}

#[plugin(name = "probe")]
impl Plugin for Probe {
    type Config = Self;

    fn ehlo(&self, _: &Connection) -> Outcome {
        attempt(&self.attempt).into_iter().fold(Outcome::next(), |outcome, line| outcome.msg(Scope::Connection, line))
    }

    fn data_post(&self, _: &Connection, _: &Transaction, _: &Message) -> Outcome {
        let lie = lies::told(&self.attempt);
        lie.into_iter().flatten().fold(Outcome::next(), |outcome, mutation: Mutation| outcome.change(mutation))
    }
}

fn attempt(name: &str) -> Vec<String> {
    match name {
        "files" => files(),
        "sockets" => sockets(),
        "environment" => environment(),
        "processes" => processes(),
        "clocks" => clocks(),
        "randomness" => vec![format!("random: {}", RandomState::new().hash_one(0))],
        "panic" => panic!("the list of \u{1b}[2J customers is empty"),
        "overflow" => vec![format!("index: {}", [0, 1, 2][name.len()])],
        "exit" => process::exit(7),
        "sleep" => sleep(),
        "spin" => spin(),
        "output" => output(),
        "leak" => leak(),
        other if other.starts_with("tcp ") => services::attempt(other),
        other => vec![format!("unknown: {other}")],
    }
}

/// One line of the results: what was tried, and the error, or that there was none.
fn line<T>(what: &str, done: io::Result<T>) -> String {
    match done {
        Ok(_) => format!("{what}: SUCCESS"),
        Err(error) => format!("{what}: {}", error.kind()),
    }
}

fn files() -> Vec<String> {
    vec![
        line("read /etc/passwd", fs::read("/etc/passwd")),
        line("read ../wasmail.toml", fs::read("../wasmail.toml")),
        line("list /", fs::read_dir("/")),
        line("list .", fs::read_dir(".")),
        line("create x", File::create("x")),
        line("create /tmp/x", File::create("/tmp/x")),
        line("remove /etc/hosts", fs::remove_file("/etc/hosts")),
        line("make a directory", fs::create_dir("d")),
        line(
            "stdin",
            io::stdin().read(&mut [0; 8]).and_then(|octets| match octets {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            }),
        ),
    ]
}

fn sockets() -> Vec<String> {
    let soon = Duration::from_millis(100);
    let connect = |address: &str| {
        let address = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        address.and_then(|address| TcpStream::connect_timeout(&address, soon))
    };
    vec![
        line("connect to loopback", connect("127.0.0.1:25")),
        line("connect to the metadata address", connect("169.254.169.254:80")),
        line("connect", TcpStream::connect("192.0.2.1:80")),
        line("listen", TcpListener::bind("127.0.0.1:0")),
        line("bind", UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", "127.0.0.1:53"))),
        line("resolve localhost", ("localhost", 25).to_socket_addrs()),
        line("resolve a name", ("example.org", 25).to_socket_addrs()),
    ]
}

fn environment() -> Vec<String> {
    vec![
        format!("variables: {}", env::vars_os().count()),
        format!("arguments: {}", env::args_os().count()),
        line("directory", env::current_dir().and_then(fs::read_dir)),
        line("executable", env::current_exe()),
    ]
}

fn processes() -> Vec<String> {
    vec![
        line("sh", Command::new("/bin/sh").arg("-c").arg("id").output()),
        line("thread", thread::Builder::new().spawn(|| ())),
    ]
}

/// How fine the clocks are: the smallest step between two readings, in nanoseconds.
fn clocks() -> Vec<String> {
    let began = Instant::now();
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let (monotonic, wall) = (smallest_step(|| began.elapsed().as_nanos()), smallest_step(wall));
    vec![format!("monotonic step: {monotonic}"), format!("wall step: {wall}")]
}

fn smallest_step(now: impl Fn() -> u128) -> u128 {
    let (mut last, mut smallest, mut steps) = (now(), u128::MAX, 0);
    while steps < 5 {
        let time = now();
        if time != last {
            smallest = smallest.min(time - last);
            last = time;
            steps += 1;
        }
    }
    smallest
}

fn sleep() -> Vec<String> {
    thread::sleep(Duration::from_secs(3_600));
    vec!["slept".to_owned()]
}

/// Sleeps of no time, which hand the thread back and never end.
fn spin() -> Vec<String> {
    loop {
        thread::sleep(Duration::from_nanos(1));
    }
}

fn output() -> Vec<String> {
    for number in 0..20_000 {
        // A closed stream is no reason to stop trying.
        let _ = writeln!(io::stdout(), "out {number} \u{1b}]0;title\u{7}");
        let _ = write!(io::stderr(), "err {number}");
    }
    Vec::new()
}

/// A megabyte a call that nobody gives back.
fn leak() -> Vec<String> {
    vec![1_u8; 1 << 20].leak();
    Vec::new()
}
