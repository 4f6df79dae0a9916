//! Clients, servers and mailboxes that the stories put around the built binary.
#![allow(dead_code, reason = "each story is a crate of its own and uses a part")]

pub(crate) mod apart;
pub(crate) mod api;
pub(crate) mod authority;
pub(crate) mod clamd;
pub(crate) mod client;
pub(crate) mod haproxy;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod loopback;
pub(crate) mod maildir;
pub(crate) mod neighbour;
pub(crate) mod next_hop;
pub(crate) mod nsd;
pub(crate) mod pebble;
pub(crate) mod postfix;
pub(crate) mod programs;
pub(crate) mod random;
pub(crate) mod small_disk;
pub(crate) mod tls;

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// How often something that takes its time is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// Looks again and again until there is something to return.
///
/// # Panics
/// When there still is nothing after `limit`.
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: still waiting after {limit:?}");
        std::thread::sleep(GLANCE);
    }
}

/// A port that is free now, for a peer that cannot choose one itself and say which.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}
