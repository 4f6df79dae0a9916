//! A full disk costs the mail that comes then, and only for then.

mod peers;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use peers::client::{Client, Reply};
use peers::maildir::{self, Delivered, assert_same};
use peers::next_hop::NextHop;
use peers::small_disk::SmallDisk;
use peers::{eventually, free_port};
use support::{Home, Server};

const PATIENCE: Duration = Duration::from_secs(60);

/// Octets of the spool's disk.
const DISK: usize = 8 << 20;

/// The spool in proportion to its disk.
const SPOOL: &str = "[spool]\nsegment_size = \"256KiB\"\ninline_max = \"16KiB\"\n";

fn message(number: usize, octets: usize) -> Vec<u8> {
    let line = "seventy octets and some more, which is what a line of mail usually has\r\n";
    let body = line.repeat(octets / line.len() + 1);
    format!("From: a@example.org\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nX-Story: {number}\r\n\r\n{body}")
        .into_bytes()
}

fn send(server: &Server, content: &[u8]) -> Reply {
    let mut client = Client::greeted(server.address()).expect("the server greets");
    client.send("a@example.org", &["alice@example.test"], content).expect("the server replies")
}

/// Sends until the server says that its disk is full; returns what it took.
fn send_until_full(server: &Server) -> Vec<Vec<u8>> {
    let mut taken = Vec::new();
    // Some in the journal, some with a file of their own: all of it is more than the disk holds.
    for number in 0..2 * DISK / 10_000 {
        let content = message(number, if number % 3 == 0 { 30_000 } else { 10_000 });
        let reply = send(server, &content);
        if reply.code != 250 {
            assert_eq!((reply.code, &reply.text[..5]), (452, "4.3.1"));
            return taken;
        }
        taken.push(content);
    }
    panic!("{} messages went onto a disk that is too small for them", taken.len());
}

#[test]
fn a_spool_that_fills_up_defers_new_mail_and_keeps_the_old() {
    let away = free_port();
    let delivery = format!(
        "[delivery]\nkind = \"smtp\"\nnext_hop = \"127.0.0.1:{away}\"\n\
         [delivery.retry]\nfirst = \"100ms\"\nlongest = \"300ms\"\n"
    );
    let home = Home::new(&format!("{SPOOL}min_free = \"1MiB\"\n{delivery}")).with_shared_cache();
    let Some(disk) = SmallDisk::mount(&home.data().join("spool"), DISK) else { return };
    let server = home.start();
    let taken = send_until_full(&server);
    assert!(taken.len() > 100, "only {} messages fitted", taken.len());
    // Once the next hop takes them, there is room again.
    let next_hop = NextHop::on(away);
    eventually("all are delivered", PATIENCE, || (next_hop.count() >= taken.len()).then_some(()));
    let accepted = || send(&server, &message(taken.len(), 10_000)).code == 250;
    eventually("there is room again", PATIENCE, || accepted().then_some(()));
    eventually("it is delivered", PATIENCE, || (next_hop.count() > taken.len()).then_some(()));
    let arrived = next_hop.arrivals("alice@example.test");
    assert_eq!(arrived.len(), taken.len() + 1);
    let mut copies: BTreeMap<String, Vec<&Delivered>> = BTreeMap::new();
    arrived.iter().for_each(|mail| copies.entry(mail.field("X-Story").unwrap_or_default()).or_default().push(mail));
    for (number, content) in taken.iter().enumerate() {
        let copies = &copies[&number.to_string()];
        assert_eq!(copies.len(), 1, "message {number}");
        assert_same(copies[0], content);
    }
    drop(disk);
}

#[test]
fn a_disk_that_others_fill_to_the_last_octet_loses_nothing() {
    let home = Home::new(&format!("{SPOOL}min_free = 0\n")).with_shared_cache();
    let Some(disk) = SmallDisk::mount(&home.data().join("spool"), DISK) else { return };
    let server = home.start();
    let (small, large) = (message(1, 4_000), message(2, 1_000_000));
    assert_eq!(send(&server, &small).code, 250);
    let first = maildir::wait_for(&server.maildirs(), 1, PATIENCE);
    disk.fill();
    for content in [&small, &large, &small] {
        let reply = send(&server, content);
        assert_eq!((reply.code, &reply.text[..5]), (452, "4.3.1"), "{reply:?}");
    }
    disk.clear();
    assert_eq!(send(&server, &large).code, 250);
    assert_eq!(send(&server, &small).code, 250);
    let all = maildir::wait_for(&server.maildirs(), 3, PATIENCE);
    assert!(all.iter().any(|mail| mail.path == first[0].path), "the first message has gone");
    let count = |content: &[u8]| all.iter().filter(|mail| mail.content() == content).count();
    assert_eq!((count(&small), count(&large)), (2, 1));
    // What was written while there was no room must not confuse the next start.
    let home = server.stop();
    let server = home.start();
    assert_eq!(send(&server, &small).code, 250);
    let all = maildir::wait_for(&server.maildirs(), 4, PATIENCE);
    all.iter().filter(|mail| mail.raw.len() < 10_000).for_each(|mail| assert_same(mail, &small));
    drop(disk);
}

#[test]
fn what_becomes_of_mail_while_the_disk_is_full_is_written_down_when_there_is_room() {
    let away = free_port();
    let home = Home::new(&format!(
        "[spool]\nsegment_size = \"64KiB\"\nmin_free = 0\n\
         [delivery]\nkind = \"smtp\"\nnext_hop = \"127.0.0.1:{away}\"\n\
         [delivery.retry]\nfirst = \"100ms\"\nlongest = \"300ms\"\n"
    ))
    .with_shared_cache();
    let Some(disk) = SmallDisk::mount(&home.data().join("spool"), DISK) else { return };
    let server = home.start();
    let content = message(1, 4_000);
    for _ in 0..50 {
        assert_eq!(send(&server, &content).code, 250);
    }
    // Each attempt in vain is written down, until there is no room for that.
    disk.fill();
    server.wait_for_log("failed to write down what became of a message", PATIENCE);
    let next_hop = NextHop::on(away);
    disk.clear();
    eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    let count = || next_hop.count();
    assert_eq!(count(), 50);
    let server = server.kill().start();
    assert_eq!(send(&server, &content).code, 250);
    eventually("it is delivered", PATIENCE, || (count() > 50).then_some(()));
    eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    assert_eq!(count(), 51);
    drop(disk);
}
