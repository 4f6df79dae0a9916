//! Stories of plugins that are asked about delivery.

#[path = "support/nsd.rs"]
mod nsd;
#[path = "support/peer.rs"]
mod peer;
mod support;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use nsd::{Nsd, mx};
use parking_lot::Mutex;
use peer::{Peer, Script};
use support::{Home, Running, Wanted, delivered, silent, to_next_hop, until};
use wasmail_mail::EnhancedStatus;
use wasmail_policy::outbound::{self, Exchange, Hook, Said, Verdict};
use wasmail_policy::{Binding, BoxFuture, Fault, FaultRule, Grant, HookSet, Plugin, Question};
use wasmail_server::{Destination, MaildirLayout, ReportsConfig, Stopped};
use wasmail_spool::{Inspection, RecipientState};

const DONE: Stopped = Stopped { cut_off: 0, waiting: 0 };

type Judge = Box<dyn Fn(&outbound::Question<'_>) -> Result<Verdict, Fault> + Send + Sync>;

/// A plugin of delivery that remembers what it was asked.
struct Judges {
    hooks: outbound::HookSet,
    judge: Judge,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Plugin for Judges {
    fn hooks(&self) -> HookSet {
        HookSet::default()
    }

    fn ask<'a>(&'a self, _: &'a Question<'a>) -> BoxFuture<'a, wasmail_policy::Answer> {
        unreachable!("it has hooks of delivery alone")
    }

    fn outbound_hooks(&self) -> outbound::HookSet {
        self.hooks
    }

    fn ask_outbound<'a>(&'a self, question: &'a outbound::Question<'a>) -> BoxFuture<'a, outbound::Answer> {
        Box::pin(async move {
            let line = told(question).await;
            self.heard.lock().push(line);
            outbound::Answer { verdict: (self.judge)(question), elapsed: Duration::ZERO }
        })
    }
}

/// A question in one line.
async fn told(question: &outbound::Question<'_>) -> String {
    let consignment = question.consignment;
    let body = consignment.body.read_at(0, 100).await.unwrap();
    let targets: Vec<_> =
        consignment.targets.iter().map(|target| format!("{}#{}", target.recipient.path, target.attempts)).collect();
    let said: Vec<_> =
        question.said.iter().map(|said| format!("{}: {:?} {}", said.target, said.code, said.lines.join("|"))).collect();
    format!(
        "{} {} {} {:?} {} {:?}",
        question.hook,
        consignment.destination,
        targets.join(" "),
        said,
        consignment.header.fields().len(),
        String::from_utf8_lossy(&body)
    )
}

fn judges(hooks: &[Hook], judge: impl Fn(&outbound::Question<'_>) -> Verdict + Send + Sync + 'static) -> Asked {
    failing(hooks, FaultRule::Defer, move |question| Ok(judge(question)))
}

fn failing(
    hooks: &[Hook],
    on_fault: FaultRule,
    judge: impl Fn(&outbound::Question<'_>) -> Result<Verdict, Fault> + Send + Sync + 'static,
) -> Asked {
    let heard = Arc::default();
    let plugin = Judges { hooks: hooks.iter().copied().collect(), judge: Box::new(judge), heard: Arc::clone(&heard) };
    let grants = [Grant::Route, Grant::TakeMessages].into_iter().collect();
    Asked { binding: Binding { name: "judge".into(), plugin: Arc::new(plugin), grants, on_fault }, heard }
}

struct Asked {
    binding: Binding,
    heard: Arc<Mutex<Vec<String>>>,
}

async fn send(server: &Running, from: &str, to: &[&str], content: &str) {
    let mut client = server.connect().await;
    client.hello().await;
    client.ask(&format!("MAIL FROM:<{from}>"), "250").await;
    for to in to {
        client.ask(&format!("RCPT TO:<{to}>"), "250").await;
    }
    client.ask("DATA", "354").await;
    client.ask(&format!("{content}."), "250").await;
    client.ask("QUIT", "221").await;
}

fn is_empty(home: &Home) -> bool {
    Inspection::open(&home.spool()).unwrap().messages().is_empty()
}

fn states(home: &Home) -> Vec<RecipientState> {
    Inspection::open(&home.spool()).unwrap().messages().pop().map(|message| message.recipients).unwrap_or_default()
}

fn nobody_has_mail(home: &Home) -> bool {
    fs::read_dir(home.maildir()).unwrap().next().is_none()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[tokio::test]
async fn before_an_attempt_each_domain_is_asked_about_and_news_follow() {
    let home = Home::new();
    let asked = judges(&[Hook::PreSend, Hook::Delivered, Hook::Bounce], |question| match question.hook {
        Hook::PreSend if question.consignment.destination == "b.test" => {
            Verdict::Bounce(Some("5.7.9 not there".into()))
        }
        Hook::PreSend
            if question.consignment.destination == "c.test" && question.consignment.targets[0].attempts == 0 =>
        {
            Verdict::Delay(Some(Duration::ZERO))
        }
        _ => Verdict::Next,
    });
    let server = home.start(Wanted {
        judges: vec![asked.binding],
        reports: ReportsConfig { failures: true, ..silent() },
        ..Wanted::default()
    });
    send(&server, "a@here.test", &["x@a.test", "y@B.test", "z@a.test", "w@c.test"], "A: b\r\n\r\nhello\r\n").await;
    let report = text(&delivered(&home.maildir().join("here.test/a"), 1).await[0]);
    assert!(
        report.contains("Status: 5.7.9") && report.contains("Diagnostic-Code: x-wasmail; 5.7.9 not there"),
        "{report}"
    );
    delivered(&home.maildir().join("a.test/x"), 1).await;
    delivered(&home.maildir().join("c.test/w"), 1).await;
    until(|| is_empty(&home)).await;
    // The report to a@here.test is a message of its own, about which plugins are asked, too.
    let is_ours = |line: &&String| !line.contains("here.test ");
    until(|| asked.heard.lock().iter().filter(is_ours).count() == 7).await;
    let mut heard: Vec<_> = asked.heard.lock().iter().filter(is_ours).cloned().collect();
    heard.sort();
    let rest = "3 \"hello\\r\\n\"";
    assert_eq!(
        heard,
        [
            format!("bounce b.test <y@B.test>#0 [\"0: None not there\"] {rest}"),
            format!("delivered a.test <x@a.test>#0 <z@a.test>#0 [\"0: None \", \"1: None \"] {rest}"),
            format!("delivered c.test <w@c.test>#1 [\"0: None \"] {rest}"),
            format!("pre-send a.test <x@a.test>#0 <z@a.test>#0 [] {rest}"),
            format!("pre-send b.test <y@B.test>#0 [] {rest}"),
            format!("pre-send c.test <w@c.test>#0 [] {rest}"),
            format!("pre-send c.test <w@c.test>#1 [] {rest}"),
        ]
    );
    assert!(!home.maildir().join("b.test").exists());
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_plugin_delivers_in_place_of_the_host() {
    let home = Home::new();
    let asked = judges(&[Hook::Send], |question| {
        let said = |target, code, class| Said {
            target,
            code: Some(code),
            enhanced: EnhancedStatus::new(class, 0, 0),
            lines: vec!["from the plugin".to_owned()],
            ..Said::default()
        };
        match question.consignment.targets.len() {
            3 => Verdict::Done(vec![said(0, 250, 2), said(2, 550, 5)]),
            _ => Verdict::Done(vec![said(0, 250, 2)]),
        }
    });
    let server = home.start(Wanted { judges: vec![asked.binding], ..Wanted::default() });
    send(&server, "a@here.test", &["x@a.test", "y@a.test", "z@a.test"], "A: b\r\n\r\nhello\r\n").await;
    until(|| states(&home).iter().filter(|state| **state == RecipientState::Delivered).count() == 2).await;
    let failed = RecipientState::Failed { reply: "plugin judge: 550 5.0.0 from the plugin".to_owned() };
    assert_eq!(states(&home), [RecipientState::Delivered, RecipientState::Delivered, failed]);
    let heard: Vec<_> = asked.heard.lock().iter().map(|line| line[..line.find('[').unwrap()].to_owned()).collect();
    // Of the second nothing was said: it is asked about again, alone.
    assert_eq!(heard, ["send a.test <x@a.test>#0 <y@a.test>#0 <z@a.test>#0 ", "send a.test <y@a.test>#1 "]);
    assert!(nobody_has_mail(&home));
    server.stop().await;
}

#[tokio::test]
async fn a_plugin_sends_by_another_route_and_only_for_this_time() {
    let home = Home::new();
    let peer = Peer::start([Script { rcpt: &["450 4.2.0 later", "250 ok"], ..Script::default() }]).await;
    let asked = judges(&[Hook::PreSend, Hook::Deferred], |question| match question.hook {
        Hook::PreSend if question.consignment.targets[0].attempts == 0 => Verdict::Route("there".to_owned()),
        _ => Verdict::Next,
    });
    let server = home.start(Wanted {
        judges: vec![asked.binding],
        destination: Some(home.to_maildir(MaildirLayout::PerRecipient)),
        routes: vec![("there".to_owned(), to_next_hop(peer.address))],
        ..Wanted::default()
    });
    send(&server, "a@here.test", &["x@a.test"], "A: b\r\n\r\nhello\r\n").await;
    delivered(&home.maildir().join("a.test/x"), 1).await;
    until(|| is_empty(&home)).await;
    assert!(peer.heard.lock().commands.contains(&"RCPT TO:<x@a.test>".to_owned()));
    let heard = asked.heard.lock().clone();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(heard[1].starts_with("deferred a.test <x@a.test>#0 [\"0: Some(450) later\"]"), "{heard:?}");
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_plugin_gives_up_what_was_put_off_and_keeps_its_sender_from_hearing() {
    let home = Home::new();
    let peer = Peer::start([Script { rcpt: &["450 4.2.0 later"], ..Script::default() }]).await;
    let asked = judges(&[Hook::Deferred, Hook::Bounce], |question| match question.hook {
        Hook::Deferred if question.consignment.targets[0].attempts == 1 => Verdict::Bounce(None),
        Hook::Bounce => Verdict::Silence,
        _ => Verdict::Delay(Some(Duration::from_secs(1))),
    });
    let server = home.start(Wanted {
        judges: vec![asked.binding],
        destination: Some(to_next_hop(peer.address)),
        reports: ReportsConfig { failures: true, ..silent() },
        ..Wanted::default()
    });
    send(&server, "a@here.test", &["x@a.test"], "A: b\r\n\r\nhello\r\n").await;
    until(|| asked.heard.lock().len() == 3).await;
    until(|| is_empty(&home)).await;
    let hooks: Vec<_> = asked.heard.lock().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(hooks, ["deferred", "deferred", "bounce"]);
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_plugin_that_fails_holds_mail_up_and_the_sender_is_told_all_the_same() {
    let home = Home::new();
    let broken = failing(&[Hook::PreSend, Hook::Bounce], FaultRule::Defer, |question| match question.hook {
        Hook::PreSend if question.consignment.targets[0].attempts > 0 => Ok(Verdict::Bounce(None)),
        _ => Err(Fault::Trap("unreachable".into())),
    });
    let server = home.start(Wanted {
        judges: vec![broken.binding],
        reports: ReportsConfig { failures: true, ..silent() },
        ..Wanted::default()
    });
    send(&server, "a@here.test", &["x@a.test"], "A: b\r\n\r\nhello\r\n").await;
    until(|| broken.heard.lock().iter().any(|line| line.starts_with("bounce a.test <x@a.test>#1"))).await;
    // The report itself is held up by the broken plugin, and given up at its second attempt; nobody hears of that.
    until(|| is_empty(&home)).await;
    assert!(nobody_has_mail(&home));
    assert_eq!(server.stop().await, DONE);
}

#[tokio::test]
async fn a_plugin_names_the_servers_of_a_domain() {
    if !nsd::here(&["nsd"]) {
        return;
    }
    let (home, nsd) = (Home::new(), Nsd::start("one A 127.0.0.2\ntwo A 127.0.0.3\na MX 10 one\n").await);
    let one = Peer::start_on("127.0.0.2", 0, [Script::default()]).await;
    let two = Peer::start_on("127.0.0.3", 0, [Script::default()]).await;
    let other = Peer::start_on("127.0.0.4", one.address.port(), [Script::default()]).await;
    let (of_two, exchange) =
        (two.address.port(), |host: &str, port| Exchange { preference: 1, host: host.to_owned(), port });
    let asked = judges(&[Hook::GetMx], move |question| match question.consignment.destination.as_str() {
        "b.example.test" => Verdict::Exchanges(vec![exchange("Two.example.test", Some(of_two))]),
        "c.example.test" => Verdict::Exchanges(vec![exchange("127.0.0.4", None)]),
        "none.example.test" => Verdict::Exchanges(Vec::new()),
        "inside.example.test" => Verdict::Exchanges(vec![exchange("10.0.0.1", None)]),
        "ours.example.test" => Verdict::Exchanges(vec![exchange("127.0.0.9", None)]),
        _ => Verdict::Next,
    });
    let server = home.start(Wanted {
        judges: vec![asked.binding],
        destination: Some(Destination::Mx(Box::new(mx(&home, &nsd, one.address.port())))),
        ..Wanted::default()
    });
    let domains = ["a", "b", "c", "none", "inside", "ours"];
    let to: Vec<_> = domains.iter().map(|domain| format!("x@{domain}.example.test")).collect();
    send(&server, "s@here.test", &to.iter().map(String::as_str).collect::<Vec<_>>(), "A: b\r\n\r\n").await;
    let is_final = |state: &RecipientState| matches!(state, RecipientState::Delivered | RecipientState::Failed { .. });
    until(|| !states(&home).is_empty() && states(&home).iter().all(is_final)).await;
    assert_eq!((one.messages(), two.messages(), other.messages()), (1, 1, 1));
    let replies: Vec<_> = states(&home)
        .into_iter()
        .filter_map(|state| if let RecipientState::Failed { reply } = state { Some(reply) } else { None })
        .collect();
    for (reply, wanted) in
        replies.iter().zip(["none.example.test: 5.1.10 ", "inside.example.test: 5.4.4 ", "ours.example.test: 5.4.6 "])
    {
        assert!(reply.starts_with(wanted), "{replies:?}");
    }
    assert_eq!(replies.len(), 3);
    server.stop().await;
}
