//! Stories of servers that break off, stall, are late, or change their mind, at each step of a delivery: nothing is lost,
//! nothing is delivered twice, and each recipient has the outcome that the server's words mean.

#[path = "support/authority.rs"]
mod authority;
#[path = "support/peer.rs"]
mod peer;
mod support;

use std::sync::Arc;
use std::time::Duration;

use authority::Authority;
use peer::{At, Does, Peer, Script};
use support::{Home, Wanted, until};
use tokio::task::JoinSet;
use wasmail_server::{ClientConfig, Destination, NextHopConfig, Patience, Security};
use wasmail_spool::{Inspection, RecipientState};

const STEPS: [At; 10] = [
    At::Greeting,
    At::Ehlo,
    At::StartTls,
    At::Handshake,
    At::Mail,
    At::Rcpt,
    At::Data,
    At::Body,
    At::FinalDot,
    At::Quit,
];
const OFFERS: &str = "250-peer.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME\r\n";
const TO: [&str; 2] = ["b@example.org", "c@example.org"];
/// More than lies in the buffers of sockets, so that it is noticed when nobody reads.
const MUCH: usize = 200_000;
/// A step may take so long where it is to be too long; elsewhere there is time enough for any machine.
const SHORT: Duration = Duration::from_secs(1);

/// What became of a message for [`TO`].
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// How often each recipient's mail was taken.
    taken: [usize; 2],
    /// What is written of those who failed.
    failed: [Option<String>; 2],
    connections: usize,
}

impl End {
    fn delivered_to(&self) -> [bool; 2] {
        self.taken.map(|times| times == 1)
    }
}

/// Sends a message to a server that plays these faults, one a connection, and then is well.
async fn deliver(faults: Vec<(At, Does)>, patience: Patience, tls: Arc<rustls::ServerConfig>) -> End {
    deliver_to(Script { ehlo: OFFERS, tls: Some(tls), ..Script::default() }, faults, patience).await
}

async fn deliver_to(well: Script, faults: Vec<(At, Does)>, patience: Patience) -> End {
    let is_body = faults.iter().any(|(at, _)| *at == At::Body);
    let scripts = faults.into_iter().map(|fault| Script { fault: Some(fault), ..well.clone() });
    let peer = Peer::start(scripts.chain([well.clone()]).collect::<Vec<_>>()).await;
    let (home, mut client) = (Home::new(), ClientConfig::new("mx.example"));
    (client.patience, client.idle_timeout) = (patience, Duration::from_millis(10));
    let (host, port) = (peer.address.ip().to_string(), peer.address.port());
    let next_hop = NextHopConfig { host, port, security: Security::Opportunistic, client };
    let wanted = Wanted { destination: Some(Destination::NextHop(Box::new(next_hop))), ..Wanted::default() };
    let server = home.start(wanted);
    let mut client = server.connect().await;
    client.hello().await;
    let lines = if is_body { MUCH } else { 3 };
    client.send(&TO, &format!("A: b\r\n\r\n{}", format!("{}\r\n", "x".repeat(76)).repeat(lines)), "250").await;
    client.ask("QUIT", "221").await;
    let states = || Inspection::open(&home.spool()).unwrap().messages().pop().map(|message| message.recipients);
    until(|| states().is_none_or(|states| states.iter().all(RecipientState::is_final))).await;
    // Whoever was delivered to has been told goodbye: nothing more is under way.
    let is_taken = || !peer.heard.lock().taken.is_empty();
    until(|| !is_taken() || peer.heard.lock().commands.iter().any(|line| line == "QUIT")).await;
    let left = states().unwrap_or_default();
    server.stop().await;
    let heard = peer.heard.lock();
    let times = |to: &str| heard.taken.iter().filter(|line| **line == format!("RCPT TO:<{to}>")).count();
    let failed = |at: usize| match left.get(at) {
        Some(RecipientState::Failed { reply }) => Some(reply.clone()),
        _ => None,
    };
    End { taken: TO.map(times), failed: [failed(0), failed(1)], connections: heard.connections }
}

/// The same story for each step, at once.
async fn at_each_step(does: Does, patience: Patience) -> Vec<(At, End)> {
    at_each_step_all(&[does], patience).await
}

/// Likewise, with one fault after the other.
async fn at_each_step_all(does: &[Does], patience: Patience) -> Vec<(At, End)> {
    let tls = Authority::new().server("127.0.0.1");
    let mut stories = JoinSet::new();
    for at in STEPS {
        let (faults, tls) = (does.iter().map(|does| (at, *does)).collect(), Arc::clone(&tls));
        stories.spawn(async move { (at, deliver(faults, patience, tls).await) });
    }
    stories.join_all().await
}

fn assert_all_delivered_once(ends: &[(At, End)]) {
    for (at, end) in ends {
        assert_eq!((end.taken, &end.failed), ([1, 1], &[None, None]), "{at:?}: {end:?}");
    }
}

/// Whether a fault there leaves no message behind on its connection.
fn is_early(at: At) -> bool {
    at != At::Quit
}

#[tokio::test]
async fn a_server_that_resets_or_closes_the_connection_gets_the_mail_once_it_stays() {
    for does in [Does::Reset, Does::Close] {
        let ends = at_each_step(does, Patience::default()).await;
        assert_all_delivered_once(&ends);
        for (at, end) in ends {
            assert_eq!(end.connections, if is_early(at) { 2 } else { 1 }, "{at:?} {does:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_more_is_left_after_its_time() {
    let ends = at_each_step(Does::Stall, Patience::uniform(SHORT)).await;
    assert_all_delivered_once(&ends);
    for (at, end) in ends {
        assert!(end.connections >= if is_early(at) { 2 } else { 1 }, "{at:?}: {end:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_late_gets_the_mail_on_the_same_connection() {
    let ends = at_each_step(Does::Late, Patience::default()).await;
    assert_all_delivered_once(&ends);
    assert!(ends.iter().all(|(_, end)| end.connections == 1), "{ends:?}");
}

#[tokio::test]
async fn a_server_that_talks_nonsense_gets_the_mail_once_it_makes_sense() {
    for nonsense in ["what?", "550-half\r\n250 of each", "\u{fc}50 ok"] {
        let ends = at_each_step(Does::Says(nonsense), Patience::default()).await;
        assert_all_delivered_once(&ends);
    }
}

#[tokio::test]
async fn who_is_refused_for_now_is_tried_again() {
    let ends = at_each_step(Does::Says("451 4.3.0 not now"), Patience::default()).await;
    assert_all_delivered_once(&ends);
}

#[tokio::test]
async fn who_is_refused_for_good_is_not_tried_again() {
    let ends = at_each_step(Does::Says("550 5.7.1 never"), Patience::default()).await;
    for (at, end) in ends {
        let delivered = match at {
            // Said of the connection, which is not the recipients' fault.
            At::Greeting | At::Ehlo | At::StartTls | At::Handshake | At::Quit => [true, true],
            At::Rcpt => [false, true],
            At::Mail | At::Data | At::Body | At::FinalDot | At::LastReply => [false, false],
        };
        assert_eq!(end.delivered_to(), delivered, "{at:?}: {end:?}");
        for (failed, delivered) in end.failed.iter().zip(delivered) {
            assert_eq!(failed.is_some(), !delivered, "{at:?}: {end:?}");
            assert!(failed.iter().all(|reply| reply.contains("550 5.7.1 never")), "{at:?}: {end:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_changes_its_mind_is_believed_when_it_says_no_for_good() {
    let [soft, hard] = ["451 4.3.0 not now", "550 5.7.1 never"].map(Does::Says);
    let ends = at_each_step_all(&[soft, soft, hard, soft], Patience::default()).await;
    for (at, end) in ends {
        let ends_at_the_third = !matches!(at, At::Greeting | At::Ehlo | At::StartTls | At::Handshake | At::Quit);
        let first = if ends_at_the_third { 0 } else { 1 };
        // The second recipient was never refused alone.
        let second = if ends_at_the_third && at != At::Rcpt { 0 } else { 1 };
        assert_eq!(end.taken, [first, second], "{at:?}: {end:?}");
        assert_eq!(end.failed.iter().filter(|failed| failed.is_some()).count(), 2 - first - second, "{at:?}: {end:?}");
    }
}

#[tokio::test]
async fn where_the_last_reply_is_lost_mail_comes_twice_rather_than_never() {
    let tls = Authority::new().server("127.0.0.1");
    let end = deliver(vec![(At::LastReply, Does::Reset)], Patience::default(), tls).await;
    // RFC 5321 §4.2.5 and RFC 1047: nobody can tell; a message too many is better than one too few.
    assert_eq!((end.taken, end.failed), ([2, 2], [None, None]));
}

#[tokio::test]
async fn with_chunks_it_is_the_same() {
    let script = Script { ehlo: "250-peer.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n", ..Script::default() };
    let [soft, hard] = ["451 4.3.0 not now", "550 5.7.1 never"].map(Does::Says);
    for at in [At::Body, At::FinalDot] {
        for does in [Does::Reset, Does::Close, Does::Late, soft, hard] {
            let end = deliver_to(script.clone(), vec![(at, does)], Patience::default()).await;
            let times = usize::from(does != hard);
            assert_eq!(end.taken, [times; 2], "{at:?} {does:?}: {end:?}");
        }
        let end = deliver_to(script.clone(), vec![(at, Does::Stall)], Patience::uniform(SHORT)).await;
        assert_eq!(end.taken, [1, 1], "{at:?}: {end:?}");
    }
    let end = deliver_to(script, vec![(At::LastReply, Does::Reset)], Patience::default()).await;
    assert_eq!(end.taken, [2, 2]);
}
