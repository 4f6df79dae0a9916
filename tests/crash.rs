//! The crash story: while clients push mail, the server is killed at random instants, over and over. What it had
//! acknowledged is delivered, once; what nobody had finished sending isn't.
//!
//! The seed is printed; `WASMAIL_TEST_SEED` repeats it, and `WASMAIL_CRASH_ROUNDS` kills more often.

mod peers;
mod support;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use peers::ledger::{Ledger, Sums};
use peers::load::{Load, smtp_source};
use peers::maildir::{self, Delivered, messages};
use peers::next_hop::NextHop;
use peers::programs::{Guard, here};
use peers::random::Random;
use support::{Home, Server};

/// For what is still in the spool to be delivered after the last start.
const PATIENCE: Duration = Duration::from_secs(180);

const MAILBOXES: &[&str] = &["alice@example.test", "bob@example.test", "carol@example.test"];

/// Where smtp-source sends to, which does not say what it was promised.
const LOAD: &str = "load@example.test";

/// Clients of our own at once; as many sessions come from smtp-source.
const CLIENTS: u64 = 4;

/// Our own name, as the environment sets it.
const NAME: &str = "WASMAIL__SERVER__HOSTNAME";

/// Messages on their way to the next hop at once.
const CONCURRENCY: usize = 4;

/// Small files, so that the journal is turned over many times a second and many bodies have a file of their own.
const SPOOL: &str = "[spool]\nsegment_size = \"256KiB\"\ninline_max = \"16KiB\"\n[dns]\nreverse = \"off\"\n";

fn rounds(usual: usize) -> usize {
    let given = std::env::var("WASMAIL_CRASH_ROUNDS").ok();
    given.map_or(usual, |text| text.parse().expect("WASMAIL_CRASH_ROUNDS is a number"))
}

/// Starts and kills the server so many times, and leaves it running. `prepare` is called before each start.
fn torment(
    mut home: Home,
    load: &Load,
    rounds: usize,
    random: &mut Random,
    mut prepare: impl FnMut(&mut Home),
) -> Server {
    for round in 0..rounds {
        if round % 5 == 4 {
            prepare(&mut home);
            kill_while_starting(&home, random);
        }
        prepare(&mut home);
        let server = home.start();
        load.is_at(Some(server.address()));
        let source = smtp_source(server.address(), 100, random.within(500..6_000) as usize, LOAD);
        std::thread::sleep(Duration::from_micros(random.within(0..300_000)));
        home = server.kill();
        load.is_at(None);
        drop(source);
    }
    prepare(&mut home);
    let server = home.start();
    load.is_at(Some(server.address()));
    server
}

/// Recovery, too, can be interrupted.
fn kill_while_starting(home: &Home, random: &mut Random) {
    let mut command = home.command(&["serve"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Guard(command.spawn().expect("the binary runs"));
    std::thread::sleep(Duration::from_micros(random.within(0..100_000)));
    drop(server);
}

/// Waits until nothing is left to deliver, then lets the server drain.
#[allow(clippy::print_stderr, reason = "where the time goes is worth a line")]
fn settle(server: Server) -> Home {
    let began = Instant::now();
    peers::eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    eprintln!("the last server had {:?} of deliveries to make up for", began.elapsed());
    server.stop()
}

#[allow(clippy::print_stderr, reason = "what a story of chance came to is worth a line")]
fn tell(title: &str, kills: usize, began: Instant, sums: Sums, load: usize) {
    let Sums { acknowledged, unknown, unknown_delivered, duplicates } = sums;
    eprintln!(
        "{title}: {kills} kills in {:?}: {acknowledged} copies acknowledged and there, {unknown} unanswered of which \
         {unknown_delivered} there, {duplicates} that came again, {load} of smtp-source",
        began.elapsed()
    );
}

/// smtp-source numbers its messages; none may be there twice, nor in pieces.
fn no_message_of_smtp_source_came_twice(found: &[Delivered], excused: impl Fn(&[&Delivered]) -> bool) {
    let mut copies: BTreeMap<String, Vec<&Delivered>> = BTreeMap::new();
    for mail in found {
        let id = mail.field("Message-Id").unwrap_or_else(|| panic!("{} is no message", mail.path.display()));
        copies.entry(id).or_default().push(mail);
    }
    for (id, copies) in copies {
        assert!(copies.len() < 2 || excused(&copies), "{id} came {} times", copies.len());
        assert!(copies[0].raw.ends_with(b"\n"), "{id} is cut short");
    }
}

fn settle_all(
    ledger: &Ledger,
    found: impl Fn(&str) -> Vec<Delivered>,
    excused: impl Fn(&[&Delivered]) -> bool,
) -> Sums {
    let sums = MAILBOXES.iter().map(|mailbox| ledger.settle(mailbox, &found(mailbox), &excused));
    sums.fold(Sums::default(), Sums::and)
}

#[test]
fn what_was_acknowledged_is_in_the_maildir_once_however_often_the_server_is_killed() {
    if !here(&["smtp-source"]) {
        return;
    }
    let (mut random, began, rounds) = (Random::seeded(), Instant::now(), rounds(60));
    let load = Load::start(CLIENTS, &random, MAILBOXES);
    let server = torment(Home::new(SPOOL), &load, rounds, &mut random, |_| ());
    let settled = load.finish();
    let home = settle(server);
    let found = |mailbox: &str| messages(&maildir::of(&home.maildirs(), mailbox));
    let sums = settle_all(settled.ledger(), found, |_| false);
    let load = found(LOAD);
    no_message_of_smtp_source_came_twice(&load, |_| false);
    let elsewhere = messages(&home.maildirs()).len() - load.len() - sums.acknowledged - sums.unknown_delivered;
    assert_eq!(elsewhere, 0, "messages in mailboxes that nobody wrote to");
    tell("Maildir", rounds, began, sums, load.len());
    assert!(sums.acknowledged > rounds, "hardly anything was acknowledged: the story told nothing");
}

/// A message that the next hop has taken comes again only when the server was killed before it had written that down.
#[test]
fn a_next_hop_gets_what_was_acknowledged_and_twice_only_what_a_kill_explains() {
    if !here(&["smtp-source"]) {
        return;
    }
    let (mut random, began, rounds) = (Random::seeded(), Instant::now(), rounds(60) / 3);
    let next_hop = NextHop::start();
    let delivery = format!(
        "[delivery]\nkind = \"smtp\"\nnext_hop = \"{}\"\nconcurrency = {CONCURRENCY}\n\
         [delivery.retry]\nfirst = \"200ms\"\nlongest = \"1s\"\n",
        next_hop.address()
    );
    let load = Load::start(CLIENTS, &random, MAILBOXES);
    let mut starts = 0;
    let another_name = |home: &mut Home| {
        starts += 1;
        home.set(NAME, &format!("start-{starts}.example.test"));
    };
    let server = torment(Home::new(&format!("{SPOOL}{delivery}")), &load, rounds, &mut random, another_name);
    let settled = load.finish();
    settle(server);
    // No server sends a message twice by itself,
    let excused = |copies: &[&Delivered]| next_hop.are_of_different_senders(copies);
    let sums = settle_all(settled.ledger(), |mailbox| next_hop.arrivals(mailbox), excused);
    let load = next_hop.arrivals(LOAD);
    no_message_of_smtp_source_came_twice(&load, excused);
    // and a killed one leaves no more in doubt than it had on their way.
    let repeated = next_hop.repeated(|mail| mail.field("Message-Id"));
    assert!(repeated.values().all(|messages| *messages <= CONCURRENCY), "{repeated:?}");
    tell("next hop", rounds, began, sums, load.len());
    assert!(sums.acknowledged > rounds, "hardly anything was acknowledged: the story told nothing");
}
