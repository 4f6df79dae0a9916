//! Stories of messages after their 250.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::fs;
use std::time::{Duration, SystemTime};

use peer::{Peer, Script};
use support::{Home, Wanted, delivered, to_next_hop, until};
use wasmail_mail::{BodyType, Envelope, ForwardPath, Handling, Recipient, ReversePath};
use wasmail_policy::{Hook, Mutation, Verdict};
use wasmail_server::{MaildirLayout, Order, Stopped};
use wasmail_spool::{Inspection, RecipientState, Spool, SpoolId};

const DONE: Stopped = Stopped { cut_off: 0, waiting: 0 };

/// Puts a message into the spool as if a server had been killed right after its 250.
async fn leave_in_spool(home: &Home, to: &[&str], body: &str) -> SpoolId {
    leave(home, to, body, Handling::default()).await
}

async fn leave(home: &Home, to: &[&str], body: &str, handling: Handling) -> SpoolId {
    let (spool, _) = Spool::open(&home.spool(), Wanted::default().options).unwrap();
    let mut draft = spool.draft();
    draft.append(body.as_bytes()).await.unwrap();
    let recipient = |to: &&str| Recipient { path: ForwardPath::parse(&format!("<{to}>")).unwrap(), parameters: vec![] };
    let envelope = Envelope {
        uuid: "0.1".into(),
        reverse_path: ReversePath::parse("<a@example.org>").unwrap(),
        parameters: vec![],
        body: BodyType::SevenBit,
        smtputf8: false,
        recipients: to.iter().map(recipient).collect(),
        handling,
    };
    let header = "Subject: kept\r\n\r\n".into();
    draft.seal().await.unwrap().commit(envelope, header).await.unwrap()
}

async fn send(home: &Home, wanted: Wanted, to: &[&str], content: &str) -> support::Running {
    let server = home.start(wanted);
    let mut client = server.connect().await;
    client.hello().await;
    client.send(to, content, "250").await;
    client.ask("QUIT", "221").await;
    server
}

fn to(peer: &Peer) -> Wanted {
    Wanted { destination: Some(to_next_hop(peer.address)), ..Wanted::default() }
}

fn states(home: &Home) -> Vec<Vec<RecipientState>> {
    let messages = Inspection::open(&home.spool()).unwrap().messages();
    messages.into_iter().map(|message| message.recipients).collect()
}

#[tokio::test]
async fn each_recipient_gets_a_copy_of_their_own() {
    let home = Home::new();
    let server = send(&home, Wanted::default(), &["b@example.org", "c@example.org"], "A: b\r\n\r\nhi\r\n").await;
    for name in ["b", "c"] {
        let copy = delivered(&home.maildir().join("example.org").join(name), 1).await.remove(0);
        let copy = String::from_utf8(copy).unwrap();
        assert!(
            copy.contains(&format!("\r\nDelivered-To: {name}@example.org\r\n")) && copy.ends_with("A: b\r\n\r\nhi\r\n")
        );
    }
    assert_eq!(server.stop().await, DONE);
    assert!(states(&home).is_empty());
}

#[tokio::test]
async fn one_maildir_can_take_everybodys_mail() {
    let home = Home::new();
    let destination = Some(home.to_maildir(MaildirLayout::Single));
    let wanted = Wanted { destination, ..Wanted::default() };
    let to = ["b@example.org", "\"../c\"@example.org"];
    let server = send(&home, wanted, &to, "A: b\r\n\r\n").await;
    assert_eq!(delivered(&home.maildir(), 2).await.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_delivered_after_a_restart() {
    let home = Home::new();
    leave_in_spool(&home, &["b@example.org"], "kept\r\n").await;
    let server = home.start(Wanted::default());
    let copy = delivered(&home.maildir().join("example.org/b"), 1).await.remove(0);
    assert!(copy.ends_with(b"Subject: kept\r\n\r\nkept\r\n"));
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn what_was_delivered_before_a_crash_is_not_delivered_again() {
    for seen in [false, true] {
        let home = Home::new();
        leave_in_spool(&home, &["b@example.org"], "once\r\n").await;
        let spool = home.path().join("spool.at-the-crash");
        copy_dir(&home.spool(), &spool);
        assert_eq!(home.start(Wanted::default()).stop().await, DONE);
        let maildir = home.maildir().join("example.org/b");
        delivered(&maildir, 1).await;
        if seen {
            let name = fs::read_dir(maildir.join("new")).unwrap().next().unwrap().unwrap().file_name();
            let read = format!("{}:2,S", name.to_str().unwrap());
            fs::rename(maildir.join("new").join(&name), maildir.join("cur").join(read)).unwrap();
        }
        fs::remove_dir_all(home.spool()).unwrap();
        fs::rename(spool, home.spool()).unwrap();
        assert_eq!(home.start(Wanted::default()).stop().await, DONE);
        let count = |sub| fs::read_dir(maildir.join(sub)).unwrap().count();
        assert_eq!((count("new") + count("cur"), count("tmp")), (1, 0));
        assert!(states(&home).is_empty());
    }
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to)
        } else {
            fs::copy(entry.path(), to).map(drop).unwrap()
        }
    }
}

#[tokio::test]
async fn a_maildir_that_cannot_be_written_is_tried_again() {
    let home = Home::new();
    fs::create_dir_all(home.maildir()).unwrap();
    fs::write(home.maildir().join("example.org"), "in the way").unwrap();
    let server = send(&home, Wanted::default(), &["b@example.org"], "A: b\r\n\r\n").await;
    until(|| matches!(states(&home)[..], [ref one] if matches!(one[..], [RecipientState::Deferred(_)]))).await;
    fs::remove_file(home.maildir().join("example.org")).unwrap();
    delivered(&home.maildir().join("example.org/b"), 1).await;
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_next_hop_gets_the_message_as_it_came() {
    let home = Home::new();
    let peer = Peer::start([Script::default()]).await;
    let server = send(&home, to(&peer), &["b@x.example", "c@x.example"], "A: b\r\n\r\n..dot\r\nhi\r\n").await;
    until(|| peer.messages() == 1).await;
    assert_eq!(server.stop().await, DONE);
    let heard = peer.heard.lock();
    assert!(heard.messages[0].ends_with("\r\nA: b\r\n\r\n.dot\r\nhi\r\n"), "{}", heard.messages[0]);
    let size = heard.messages[0].len();
    let mail = format!("MAIL FROM:<a@example.org> SIZE={size}");
    assert_eq!(heard.commands[..4], ["EHLO mx.example", &mail, "RCPT TO:<b@x.example>", "RCPT TO:<c@x.example>"]);
}

#[tokio::test]
async fn a_next_hop_that_says_later_is_tried_again() {
    let home = Home::new();
    let later = Script { final_dot: "451 4.3.0 later", messages: 1, ..Script::default() };
    let greylists = Script { rcpt: &["450 4.2.0 greylisted", "250 ok"], ..Script::default() };
    let peer = Peer::start([later, greylists]).await;
    let server = send(&home, to(&peer), &["b@x.example"], "A: b\r\n\r\nhi\r\n").await;
    until(|| states(&home).is_empty()).await;
    // Once it was read and answered 451; once DATA, sent in one group with the RCPT that was refused, was ended at
    // once; once it went through.
    let heard: Vec<_> = peer.heard.lock().messages.iter().map(String::is_empty).collect();
    assert_eq!(heard, [false, true, false]);
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_251_means_that_the_mail_is_theirs() {
    let home = Home::new();
    let forwards = Script { rcpt: &["251 2.1.5 will forward to <c@y.example>"], ..Script::default() };
    let peer = Peer::start([forwards]).await;
    let server = send(&home, to(&peer), &["b@x.example"], "A: b\r\n\r\nhi\r\n").await;
    until(|| states(&home).is_empty()).await;
    assert_eq!((peer.messages(), server.stop().await), (1, DONE));
}

#[tokio::test]
async fn a_connection_reset_midway_loses_nothing() {
    let home = Home::new();
    let resets = Script { reset_after: Some(5), ..Script::default() };
    let peer = Peer::start([resets, Script::default()]).await;
    let content = format!("A: b\r\n\r\n{}", "line\r\n".repeat(20_000));
    let server = send(&home, to(&peer), &["b@x.example"], &content).await;
    until(|| states(&home).is_empty()).await;
    assert_eq!((peer.messages(), server.stop().await), (1, DONE));
    assert!(peer.heard.lock().messages[0].ends_with(&content));
}

#[tokio::test]
async fn a_slow_final_dot_is_waited_for() {
    let home = Home::new();
    let slow = Script { pause: Duration::from_millis(700), ..Script::default() };
    let peer = Peer::start([slow]).await;
    let server = send(&home, to(&peer), &["b@x.example"], "A: b\r\n\r\nhi\r\n").await;
    until(|| states(&home).is_empty()).await;
    assert_eq!((peer.messages(), peer.heard.lock().connections), (1, 1));
    server.stop().await;
}

#[tokio::test]
async fn each_recipient_of_a_next_hop_has_their_own_fate() {
    let home = Home::new();
    let mixed = Script { rcpt: &["250 ok", "550 5.1.1 nobody", "450 4.2.1 later"], ..Script::default() };
    let peer = Peer::start([mixed, Script::default()]).await;
    let server = send(&home, to(&peer), &["b@x.example", "c@x.example", "d@x.example"], "A: b\r\n\r\nhi\r\n").await;
    until(|| matches!(states(&home)[..], [ref all] if all.iter().all(RecipientState::is_final))).await;
    let kept = states(&home).remove(0);
    let RecipientState::Failed { reply } = &kept[1] else { panic!("{kept:?}") };
    assert!(reply.ends_with("550 5.1.1 nobody (to RCPT)"), "{reply}");
    assert_eq!([&kept[0], &kept[2]], [&RecipientState::Delivered; 2]);
    // The deferred one went out again, over the same connection or another, and alone.
    until(|| peer.messages() == 2).await;
    assert_eq!(server.stop().await, DONE);
    // A failure stays visible over a restart.
    assert_eq!(home.start(to(&peer)).stop().await, DONE);
    assert_eq!(states(&home), [kept]);
}

#[tokio::test]
async fn one_connection_carries_message_after_message() {
    let home = Home::new();
    let peer = Peer::start([Script::default()]).await;
    let server = home.start(to(&peer));
    let mut client = server.connect().await;
    client.hello().await;
    for count in 1..=5 {
        client.send(&["b@x.example"], "A: b\r\n\r\nhi\r\n", "250").await;
        until(|| peer.messages() == count && states(&home).is_empty()).await;
    }
    assert_eq!(peer.heard.lock().connections, 1);
    drop(client);
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_delay() {
    let home = Home::new();
    let closes = Script { messages: 1, ..Script::default() };
    let peer = Peer::start([closes]).await;
    let patient = wasmail_queue::Policy::default();
    let server = home.start(Wanted { retry: patient, ..to(&peer) });
    let mut client = server.connect().await;
    client.hello().await;
    for count in 1..=3 {
        client.send(&["b@x.example"], "A: b\r\n\r\nhi\r\n", "250").await;
        until(|| peer.messages() == count && states(&home).is_empty()).await;
    }
    assert_eq!(peer.heard.lock().connections, 3);
    drop(client);
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn eight_bit_content_is_not_sent_where_it_is_not_taken() {
    let home = Home::new();
    let seven_bit = Script { ehlo: "250 peer.example\r\n", ..Script::default() };
    let peer = Peer::start([seven_bit]).await;
    let server = send(&home, to(&peer), &["b@x.example"], "A: b\r\n\r\nf\u{fc}r dich\r\n").await;
    until(|| matches!(states(&home)[..], [ref one] if matches!(one[..], [RecipientState::Failed { .. }]))).await;
    assert_eq!(peer.messages(), 0);
    server.stop().await;
}

#[tokio::test]
async fn without_a_next_hop_a_message_waits() {
    let home = Home::new();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let wanted = Wanted { destination: Some(to_next_hop(gone)), retry: Default::default(), ..Wanted::default() };
    let server = send(&home, wanted, &["b@x.example"], "A: b\r\n\r\nhi\r\n").await;
    let deferral = || match states(&home).first().map(Vec::as_slice) {
        Some([RecipientState::Deferred(deferral)]) => Some(deferral.clone()),
        _ => None,
    };
    until(|| deferral().is_some()).await;
    let deferral = deferral().unwrap();
    assert!(deferral.reply.starts_with("4.4.1 failed to connect to 127.0.0.1:"), "{}", deferral.reply);
    assert!(deferral.attempts == 1 && deferral.next_attempt > SystemTime::now() + Duration::from_secs(100));
    assert_eq!(server.stop().await, Stopped { cut_off: 0, waiting: 1 });
}

/// A plugin that sends the message by a route, or holds it.
fn handles(mutation: Mutation) -> Wanted {
    let plugin = support::says("handler", Hook::DataPost, Verdict::Next, vec![mutation]);
    Wanted { plugins: vec![plugin], ..Wanted::default() }
}

fn the_only_message(home: &Home) -> SpoolId {
    let messages = Inspection::open(&home.spool()).unwrap().messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0].id
}

#[tokio::test]
async fn policy_sends_a_message_by_another_route() {
    let (home, gateway) = (Home::new(), Peer::start([Script::default()]).await);
    let route = |peer: &Peer| vec![("gateway".to_owned(), to_next_hop(peer.address))];
    let wanted = Wanted { routes: route(&gateway), ..handles(Mutation::SetRoute(Some("gateway".into()))) };
    let server = send(&home, wanted, &["b@example.org"], "A: b\r\n\r\nby the gateway\r\n").await;
    until(|| gateway.messages() == 1).await;
    assert_eq!(server.stop().await, DONE);
    assert!(!home.maildir().join("example.org/b/new").exists());
    // What waits for a route that is configured no more waits until it is there again.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let wanted = Wanted {
        routes: vec![("gateway".into(), to_next_hop(gone))],
        ..handles(Mutation::SetRoute(Some("gateway".into())))
    };
    let server = send(&home, wanted, &["b@example.org"], "A: b\r\n\r\nlater\r\n").await;
    server.stop().await;
    let server = home.start(Wanted::default());
    assert_eq!(server.stop().await.waiting, 0, "no lane has it");
    let server = home.start(Wanted { routes: route(&gateway), ..Wanted::default() });
    until(|| gateway.messages() == 2).await;
    assert_eq!(server.stop().await, DONE);
    assert!(states(&home).is_empty());
}

#[tokio::test]
async fn a_held_message_waits_for_the_operator_even_over_a_restart() {
    let home = Home::new();
    let server =
        send(&home, handles(Mutation::Quarantine("looks odd".into())), &["b@example.org"], "A: b\r\n\r\nodd\r\n").await;
    assert_eq!(server.stop().await, DONE);
    let held = RecipientState::Held { reason: "looks odd".into() };
    assert_eq!(states(&home), [[held]]);
    let server = home.start(Wanted::default());
    wasmail_server::order(&home.orders(), &Order::Release, the_only_message(&home)).unwrap();
    let copy = delivered(&home.maildir().join("example.org/b"), 1).await.remove(0);
    assert!(copy.ends_with(b"odd\r\n"));
    until(|| fs::read_dir(home.orders()).unwrap().next().is_none()).await;
    assert_eq!(server.stop().await, DONE);
    assert!(states(&home).is_empty());
}

#[tokio::test]
async fn the_operator_removes_a_message_or_has_it_tried_again() {
    let home = Home::new();
    let refusing = Peer::start([Script { rcpt: &["550 5.1.1 no"], ..Script::default() }]).await;
    let server = send(&home, to(&refusing), &["b@example.org"], "A: b\r\n\r\nagain\r\n").await;
    until(|| matches!(states(&home)[..], [ref one] if matches!(one[..], [RecipientState::Failed { .. }]))).await;
    server.stop().await;
    // Given while no server runs, an order is carried out by the next one.
    wasmail_server::order(&home.orders(), &Order::Retry, the_only_message(&home)).unwrap();
    let server = home.start(Wanted::default());
    delivered(&home.maildir().join("example.org/b"), 1).await;
    assert_eq!(server.stop().await, DONE);
    let server =
        send(&home, handles(Mutation::Quarantine("spam".into())), &["c@example.org"], "A: b\r\n\r\nspam\r\n").await;
    wasmail_server::order(&home.orders(), &Order::Remove, the_only_message(&home)).unwrap();
    fs::write(home.orders().join("what-is-this"), "").unwrap();
    until(|| states(&home).is_empty()).await;
    until(|| fs::read_dir(home.orders()).unwrap().count() == 1).await;
    assert_eq!(server.stop().await, DONE);
    assert!(!home.maildir().join("example.org/c/new").exists());
}

#[tokio::test]
async fn a_message_waits_for_the_time_that_its_sender_wants_even_over_a_restart() {
    let home = Home::new();
    let later = SystemTime::now() + Duration::from_secs(3600);
    let handling = Handling { not_before: Some(later), ..Handling::default() };
    let held = leave(&home, &["later@example.org"], "later\r\n", handling).await;
    leave_in_spool(&home, &["now@example.org"], "now\r\n").await;
    let inbox = |name: &str| home.maildir().join("example.org").join(name);
    let server = home.start(Wanted::default());
    delivered(&inbox("now"), 1).await;
    assert!(!inbox("later").exists());
    assert_eq!(server.stop().await, Stopped { cut_off: 0, waiting: 1 });
    let [state] = &states(&home).concat()[..] else { panic!("one recipient waits") };
    let RecipientState::Deferred(deferral) = state else { panic!("{state:?}") };
    let early = later.duration_since(deferral.next_attempt).unwrap_or_default();
    assert!(deferral.attempts == 0 && early < Duration::from_millis(1), "times are kept in milliseconds: {deferral:?}");
    // The operator may let it go.
    let server = home.start(Wanted::default());
    wasmail_server::order(&home.orders(), &Order::Retry, held).unwrap();
    delivered(&inbox("later"), 1).await;
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn content_goes_in_one_chunk_where_chunks_are_taken() {
    let (home, script) = (Home::new(), Script { ehlo: "250-peer.example\r\n250 CHUNKING\r\n", ..Script::default() });
    let peer = Peer::start([script]).await;
    let lines = "..dot\r\nx\r\n".repeat(50_000);
    let server = send(&home, to(&peer), &["b@example.org"], &format!("A: b\r\n\r\n{lines}")).await;
    until(|| states(&home).is_empty()).await;
    assert!(peer.heard.lock().messages[0].ends_with(&lines.replace("..", ".")), "as it was");
    let commands = peer.heard.lock().commands.clone();
    assert!(commands[3].starts_with("BDAT ") && commands[3].ends_with(" LAST"), "{commands:?}");
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn one_of_us_takes_chunks_of_another() {
    let (home, next) = (Home::new(), Home::new());
    let hop = next.start(Wanted::default());
    let wanted = Wanted { destination: Some(to_next_hop(hop.address)), ..Wanted::default() };
    let lines = "..dot\r\n\u{fc}\r\n".repeat(50_000);
    let server = send(&home, wanted, &["b@example.org"], &format!("A: b\r\n\r\n{lines}")).await;
    let copy = delivered(&next.maildir().join("example.org/b"), 1).await.remove(0);
    assert!(String::from_utf8(copy).unwrap().ends_with(&lines.replace("..", ".")));
    assert_eq!((server.stop().await, hop.stop().await), (DONE, DONE));
}

#[tokio::test]
async fn the_operator_sends_a_message_by_another_route_and_back() {
    let home = Home::new();
    let busy = || Script { rcpt: &["450 4.2.1 busy"], ..Script::default() };
    let (usual, other) = (Peer::start([busy()]).await, Peer::start([busy()]).await);
    let wanted = || Wanted {
        destination: Some(to_next_hop(usual.address)),
        routes: vec![("other".to_owned(), to_next_hop(other.address))],
        ..Wanted::default()
    };
    let server = send(&home, wanted(), &["b@example.org"], "A: b\r\n\r\nround\r\n").await;
    let (id, rcpts) = (the_only_message(&home), |peer: &Peer| {
        peer.heard.lock().commands.iter().filter(|line| line.starts_with("RCPT")).count()
    });
    until(|| rcpts(&usual) > 0).await;
    assert_eq!(rcpts(&other), 0);
    let order = |route: Option<&str>| {
        wasmail_server::order(&home.orders(), &Order::Route(route.map(str::to_owned)), id).unwrap();
    };
    order(Some("other"));
    until(|| rcpts(&other) > 0).await;
    until(|| fs::read_dir(home.orders()).unwrap().next().is_none()).await;
    // It stays so over a restart.
    assert_eq!(server.stop().await, Stopped { cut_off: 0, waiting: 1 });
    let (before, after) = (rcpts(&usual), rcpts(&other));
    let server = home.start(wanted());
    until(|| rcpts(&other) > after).await;
    assert_eq!(rcpts(&usual), before);
    order(Some("nowhere"));
    until(|| fs::read_dir(home.orders()).unwrap().next().is_none()).await;
    order(None);
    until(|| rcpts(&usual) > before).await;
    server.stop().await;
    // A route that is gone lets go of its messages.
    order(Some("other"));
    let server = home.start(wanted());
    until(|| fs::read_dir(home.orders()).unwrap().next().is_none()).await;
    server.stop().await;
    let without = || Wanted { destination: Some(home.to_maildir(MaildirLayout::PerRecipient)), ..Wanted::default() };
    let server = home.start(without());
    order(None);
    delivered(&home.maildir().join("example.org/b"), 1).await;
    assert_eq!(server.stop().await, DONE);
}
