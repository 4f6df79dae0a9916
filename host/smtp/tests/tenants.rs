//! Several tenants on one connection: each one's plugins judge its own mail, and nobody else's.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Native, bind, block_on, config, connection, local_domains, now};
use serde_json::json;
use wasmail_mail::{ForwardPath, Recipient};
use wasmail_policy::{
    Binding, BoxFuture, Chain, Held, Hook, Meter, Mutation, Outcome, Pass, Question, ReplyText, ResultList, Scope,
    Stages, Step, Tenancy, Tenant, Unmetered, Verdict,
};
use wasmail_smtp::Rehearsal;

/// What a tenant of this name has.
type ByName<T> = Box<dyn Fn(&str) -> T + Send + Sync>;

/// Tenants whose domains are their names under `.test`. What each one's plugins are is made anew at each entrance.
struct Town {
    chain: ByName<Vec<Binding>>,
    meter: ByName<Box<dyn Meter>>,
    user: Option<&'static str>,
}

const TENANTS: [&str; 3] = ["acme", "bravo", "closed"];

impl Tenancy for Town {
    fn owner(&self, domain: &str) -> Option<Arc<str>> {
        TENANTS.iter().find(|tenant| domain == format!("{tenant}.test")).map(|tenant| (*tenant).into())
    }

    fn owner_of_client(&self, _: &wasmail_mail::Connection) -> Option<Arc<str>> {
        self.user.map(Into::into)
    }

    fn enter<'a>(&'a self, name: &'a Arc<str>) -> BoxFuture<'a, Result<Arc<Tenant>, Held>> {
        let own: Arc<str> = Arc::clone(name);
        let is_own = move |mailbox: &wasmail_mail::Mailbox| mailbox.domain().as_str() == format!("{own}.test");
        let chain = Chain::new((self.chain)(name)).of_tenant(Arc::clone(name), is_own);
        let tenant = Tenant { name: Arc::clone(name), chain, meter: (self.meter)(name) };
        let entered = if &**name == "closed" { Err(Held::Suspended) } else { Ok(Arc::new(tenant)) };
        Box::pin(async { entered })
    }
}

fn town(chain: impl Fn(&str) -> Vec<Binding> + Send + Sync + 'static) -> Town {
    Town { chain: Box::new(chain), meter: Box::new(|_| Box::new(Unmetered)), user: None }
}

/// A plugin that says this at these hooks.
fn says(name: &str, hooks: &'static [Hook], verdict: Verdict) -> Binding {
    bind(name, Native(hooks, move |_: &Question<'_>| Outcome { verdict: verdict.clone(), mutations: Vec::new() }))
}

/// A plugin that leaves these mutations.
fn does(name: &str, hooks: &'static [Hook], mutations: Vec<Mutation>) -> Binding {
    let outcome = move |_: &Question<'_>| Outcome { verdict: Verdict::Next, mutations: mutations.clone() };
    bind(name, Native(hooks, outcome))
}

fn text(line: &str) -> Option<ReplyText> {
    Some(ReplyText { lines: vec![line.to_owned()], ..ReplyText::default() })
}

/// A connection on which EHLO was said.
fn connected(stages: Stages) -> Rehearsal {
    let mut rehearsal = Rehearsal::staged(config(), Arc::new(stages), connection(), now());
    block_on(rehearsal.greeting());
    say(&mut rehearsal, "EHLO client.example");
    rehearsal
}

fn with(town: Town) -> Rehearsal {
    connected(Stages::new(Chain::new(vec![local_domains()]), Chain::default(), Some(Arc::new(town))))
}

fn say(rehearsal: &mut Rehearsal, line: &str) -> String {
    String::from_utf8(block_on(rehearsal.send(format!("{line}\r\n").as_bytes()))).unwrap()
}

/// Holds a dialogue: what the client says, and how the reply begins.
fn hold(rehearsal: &mut Rehearsal, dialogue: &[(&str, &str)]) {
    for (line, reply) in dialogue {
        let said = say(rehearsal, line);
        assert!(said.starts_with(reply), "{line}: {said}, expected {reply}");
    }
}

#[test]
fn a_transaction_is_one_tenants() {
    let mut rehearsal = with(town(|_| Vec::new()));
    hold(
        &mut rehearsal,
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@acme.test>", "250"),
            ("RCPT TO:<two@bravo.test>", "452 4.5.3"),
            ("RCPT TO:<operator@example.test>", "452 4.5.3"),
            ("RCPT TO:<three@acme.test>", "250"),
            ("RCPT TO:<stranger@elsewhere.test>", "452 4.5.3"),
            ("DATA", "354"),
            ("Subject: to acme\r\n\r\nhello\r\n.", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<two@bravo.test>", "250"),
            ("DATA", "354"),
            ("Subject: to bravo\r\n\r\nhello\r\n.", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<stranger@elsewhere.test>", "550 5.7.1"),
            ("RCPT TO:<operator@example.test>", "250"),
            ("RCPT TO:<two@bravo.test>", "452 4.5.3"),
            ("DATA", "354"),
            ("Subject: to the operator\r\n\r\nhello\r\n.", "250"),
        ],
    );
    let tenants: Vec<_> =
        rehearsal.messages().iter().map(|message| message.envelope.handling.tenant.as_deref()).collect();
    assert_eq!(tenants, [Some("acme"), Some("bravo"), None]);
}

#[test]
fn who_was_refused_leaves_the_transaction_to_others() {
    let refuses = |name: &str| match name {
        "acme" => vec![says("nobody", &[Hook::Rcpt], Verdict::Deny(None))],
        _ => Vec::new(),
    };
    hold(
        &mut with(town(refuses)),
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@acme.test>", "550"),
            ("RCPT TO:<two@bravo.test>", "250"),
        ],
    );
}

#[test]
fn a_tenants_objection_to_the_client_concerns_its_own_mail_alone() {
    for hook in [&[Hook::Connect][..], &[Hook::Ehlo], &[Hook::Mail]] {
        let hook: &'static [Hook] = Box::leak(hook.to_vec().into_boxed_slice());
        let objects = move |name: &str| match name {
            "acme" => vec![says("strict", hook, Verdict::DenyDisconnect(text("not to us")))],
            _ => Vec::new(),
        };
        hold(
            &mut with(town(objects)),
            &[
                ("MAIL FROM:<a@client.example>", "250"),
                ("RCPT TO:<one@acme.test>", "550 5.7.1 not to us"),
                ("RCPT TO:<again@acme.test>", "550 5.7.1 not to us"),
                ("RCPT TO:<two@bravo.test>", "250"),
                ("RSET", "250"),
                ("MAIL FROM:<a@client.example>", "250"),
                ("RCPT TO:<one@acme.test>", "550 5.7.1 not to us"),
            ],
        );
    }
}

#[test]
fn what_tenants_missed_they_are_asked_once_and_in_order() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let watches = move |name: &str| {
        let (notes, name) = (Arc::clone(&notes), name.to_owned());
        let hear = move |question: &Question<'_>| {
            notes.lock().unwrap().push(format!("{name} {}", question.hook));
            Outcome::next()
        };
        vec![bind("watch", Native(&Hook::ALL, hear))]
    };
    let mut rehearsal = with(town(watches));
    hold(
        &mut rehearsal,
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@acme.test>", "250"),
            ("RCPT TO:<two@acme.test>", "250"),
            ("RSET", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@acme.test>", "250"),
            ("QUIT", "221"),
        ],
    );
    let first = ["connect-init", "connect", "ehlo", "mail", "rcpt", "rcpt-ok", "rcpt", "rcpt-ok", "rset"];
    let second = ["reset-transaction", "mail", "rcpt", "rcpt-ok", "quit", "reset-transaction", "disconnect"];
    let expected: Vec<_> = first.iter().chain(&second).map(|hook| format!("acme {hook}")).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[test]
fn nobody_sees_what_others_left() {
    const LEAVES: &[Hook] = &[Hook::ConnectInit, Hook::Rcpt];
    let leave = |name: &str| {
        let note = |scope| Mutation::SetNote { scope, pointer: "/secret".into(), value: json!(name) };
        let result =
            Mutation::AddResult { scope: Scope::Connection, list: ResultList::Pass, text: format!("of {name}") };
        does("leaves", LEAVES, vec![note(Scope::Connection), result])
    };
    let checks = |name: &str| {
        let name = name.to_owned();
        let check = move |question: &Question<'_>| {
            let context = question.context;
            let transaction = context.transaction.as_ref();
            let notes = [Some(&context.notes), transaction.map(|transaction| &transaction.notes)];
            let strange = |value: &serde_json::Value| value != &json!(name);
            let seen = notes.into_iter().flatten().filter_map(|notes| notes.get("/secret")).any(strange);
            let results: String =
                context.results.iter().map(|(_, results)| format!("{results:?}")).collect::<Vec<_>>().join(" ");
            let seen = seen || (results.contains("of ") && !results.contains(&format!("of {name}")));
            let verdict = if seen { Verdict::Deny(text("saw what is another's")) } else { Verdict::Next };
            Outcome { verdict, mutations: Vec::new() }
        };
        bind("checks", Native(&[Hook::Mail, Hook::Rcpt, Hook::RcptOk, Hook::Data], check))
    };
    let town = town(move |name| vec![leave(name), checks(name)]);
    let operator = vec![local_domains(), leave("operator"), checks("operator")];
    let after = Chain::new(vec![checks("operator")]);
    let mut rehearsal = connected(Stages::new(Chain::new(operator), after, Some(Arc::new(town))));
    let mail = ("MAIL FROM:<a@client.example>", "250");
    for recipient in ["one@acme.test", "two@bravo.test", "one@acme.test", "operator@example.test"] {
        let to = format!("RCPT TO:<{recipient}>");
        hold(&mut rehearsal, &[mail, (&to, "250"), ("DATA", "354"), ("\r\n.", "250")]);
    }
}

#[test]
fn what_a_tenant_did_to_a_transaction_goes_with_it() {
    let leaves = |name: &str| match name {
        "acme" => {
            let field = Mutation::AddHeader { name: "X-Acme".into(), value: "was here".into() };
            let held = Mutation::Quarantine("Acme looks at it".into());
            let leaves = does("leaves", &[Hook::Mail, Hook::Rcpt], vec![field, held]);
            vec![leaves, says("refuses", &[Hook::Rcpt], Verdict::Deny(None))]
        }
        _ => Vec::new(),
    };
    let mut rehearsal = with(town(leaves));
    hold(
        &mut rehearsal,
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@acme.test>", "550"),
            ("RCPT TO:<two@bravo.test>", "250"),
            ("DATA", "354"),
            ("Subject: to bravo\r\n\r\nhello\r\n.", "250"),
        ],
    );
    let message = &rehearsal.messages()[0];
    assert_eq!(message.envelope.handling.quarantine, None);
    assert!(!String::from_utf8_lossy(&message.header).contains("X-Acme"));
}

#[test]
fn a_refusal_of_the_operators_is_nobody_elses_to_overturn() {
    let overturns = || says("lenient", &[Hook::Deny], Verdict::Accept(None));
    let refuses = || says("strict", &[Hook::Data], Verdict::Deny(None));
    let to_data = [("MAIL FROM:<a@client.example>", "250"), ("RCPT TO:<one@acme.test>", "250"), ("DATA", "the answer")];
    let data = |operator: Vec<Binding>, tenant: fn() -> Vec<Binding>, answer| {
        let town = Arc::new(town(move |_| tenant()));
        let mut rehearsal = connected(Stages::new(Chain::new(operator), Chain::default(), Some(town)));
        let mut dialogue = to_data;
        dialogue[2].1 = answer;
        hold(&mut rehearsal, &dialogue);
    };
    data(vec![refuses()], || vec![says("lenient", &[Hook::Deny], Verdict::Accept(None))], "554");
    data(vec![overturns()], || vec![says("strict", &[Hook::Data], Verdict::Deny(None))], "554");
    data(vec![refuses(), overturns()], Vec::new, "354");
    let both = || {
        vec![says("strict", &[Hook::Data], Verdict::Deny(None)), says("lenient", &[Hook::Deny], Verdict::Accept(None))]
    };
    data(Vec::new(), both, "354");
}

#[test]
fn what_the_operator_lets_pass_a_tenant_may_refuse_and_the_other_way_round() {
    let accepts = || says("pass", &[Hook::Rcpt, Hook::DataPost], Verdict::Accept(None));
    let town = Arc::new(town(|name| match name {
        "acme" => vec![says("strict", &[Hook::DataPost], Verdict::Deny(None))],
        _ => Vec::new(),
    }));
    let mut rehearsal = connected(Stages::new(Chain::new(vec![accepts()]), Chain::default(), Some(town)));
    let mail = ("MAIL FROM:<a@client.example>", "250");
    hold(&mut rehearsal, &[mail, ("RCPT TO:<one@acme.test>", "250"), ("DATA", "354"), ("\r\n.", "550")]);
    let last = Chain::new(vec![says("last", &[Hook::Rcpt], Verdict::DenySoft(None))]);
    let easy = Town {
        chain: Box::new(|_| vec![says("easy", &[Hook::Rcpt], Verdict::Accept(None))]),
        meter: Box::new(|_| Box::new(Unmetered)),
        user: None,
    };
    let mut rehearsal = connected(Stages::new(Chain::default(), last, Some(Arc::new(easy))));
    hold(&mut rehearsal, &[mail, ("RCPT TO:<one@acme.test>", "450")]);
}

#[test]
fn a_tenant_relays_for_nobody() {
    let generous = |_: &str| {
        vec![
            says("yes", &[Hook::Rcpt], Verdict::Accept(None)),
            does("open", &[Hook::Connect], vec![Mutation::SetRemoteHost(Some("friend.example".into()))]),
        ]
    };
    let mut rehearsal = with(town(generous));
    hold(
        &mut rehearsal,
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<stranger@elsewhere.test>", "550 5.7.1"),
            // What it did to the connection is a fault: others share that.
            ("RCPT TO:<one@acme.test>", "451 4.3.0"),
        ],
    );
    assert_eq!(rehearsal.session_mut().context().connection.remote.host, None);
}

#[test]
fn a_tenant_adds_none_but_its_own_recipients() {
    for (added, reply) in [("more@acme.test", "250"), ("victim@bravo.test", "451"), ("stranger@elsewhere.test", "451")]
    {
        let path = ForwardPath::parse(&format!("<{added}>")).unwrap();
        let town = town(move |_| {
            let recipient = Recipient { path: path.clone(), parameters: Vec::new() };
            vec![does("adds", &[Hook::DataPost], vec![Mutation::AddRecipient(recipient)])]
        });
        hold(
            &mut with(town),
            &[
                ("MAIL FROM:<a@client.example>", "250"),
                ("RCPT TO:<one@acme.test>", "250"),
                ("DATA", "354"),
                ("\r\n.", reply),
            ],
        );
    }
}

#[test]
fn whose_mail_cannot_be_taken_is_deferred_alone() {
    hold(
        &mut with(town(|_| Vec::new())),
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@closed.test>", "450 4.2.1"),
            ("RCPT TO:<two@bravo.test>", "250"),
        ],
    );
}

/// One message and one transaction at a time.
struct Little(Arc<AtomicU32>, AtomicU32);

impl Meter for Little {
    fn begin(&self, _: bool) -> Result<Pass, Held> {
        let (pass, running) = (Arc::new(Gone(Arc::clone(&self.0))), self.0.fetch_add(1, Ordering::Relaxed));
        if running > 0 { Err(Held::OverQuota) } else { Ok(pass) }
    }

    fn message(&self) -> Result<(), Held> {
        if self.1.fetch_add(1, Ordering::Relaxed) > 0 { Err(Held::OverQuota) } else { Ok(()) }
    }

    fn asked(&self, step: &Step) {
        assert_eq!(step.tenant.as_deref(), Some("acme"));
    }
}

struct Gone(Arc<AtomicU32>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn who_is_over_quota_is_deferred_and_others_are_not() {
    let running = Arc::new(AtomicU32::new(0));
    let shared = Arc::clone(&running);
    let mut town = town(|_| vec![says("next", &[Hook::Rcpt], Verdict::Next)]);
    town.meter = Box::new(move |name| match name {
        "acme" => Box::new(Little(Arc::clone(&shared), AtomicU32::new(0))),
        _ => Box::new(Unmetered),
    });
    let (mut first, town) = {
        let town: Arc<dyn Tenancy> = Arc::new(town);
        let stages = |town: &Arc<dyn Tenancy>| Stages::new(Chain::default(), Chain::default(), Some(Arc::clone(town)));
        (connected(stages(&town)), stages(&town))
    };
    let mut second = connected(town);
    let mail = ("MAIL FROM:<a@client.example>", "250");
    hold(&mut first, &[mail, ("RCPT TO:<one@acme.test>", "250"), ("RCPT TO:<two@acme.test>", "250")]);
    hold(&mut second, &[mail, ("RCPT TO:<one@acme.test>", "450 4.7.0"), ("RCPT TO:<two@bravo.test>", "250")]);
    hold(&mut first, &[("DATA", "354"), ("\r\n.", "250")]);
    assert_eq!(running.load(Ordering::Relaxed), 0);
    // The second message of this minute.
    hold(&mut first, &[mail, ("RCPT TO:<one@acme.test>", "250"), ("DATA", "354"), ("\r\n.", "450 4.7.0")]);
    drop(first);
    assert_eq!(running.load(Ordering::Relaxed), 0);
}

#[test]
fn a_tenants_client_sends_in_its_name_to_anywhere() {
    let mut town = town(|name| match name {
        "acme" => vec![says("strict", &[Hook::DataPost], Verdict::Deny(text("not in our name")))],
        _ => vec![says("never", &[Hook::Rcpt], Verdict::Deny(None))],
    });
    town.user = Some("acme");
    let mut client = connection();
    client.relaying = true;
    let stages = Stages::new(Chain::default(), Chain::default(), Some(Arc::new(town)));
    let mut rehearsal = Rehearsal::staged(config(), Arc::new(stages), client, now());
    block_on(rehearsal.greeting());
    hold(
        &mut rehearsal,
        &[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<user@acme.test>", "250"),
            ("RCPT TO:<two@bravo.test>", "250"),
            ("RCPT TO:<stranger@elsewhere.test>", "250"),
            ("DATA", "354"),
            ("\r\n.", "550 5.7.1 not in our name"),
        ],
    );
}

#[test]
fn all_that_comes_to_a_tenants_listener_is_that_tenants() {
    let town = town(|name| vec![says("own", &[Hook::Mail], Verdict::Deny(text(&format!("asked {name}"))))]);
    let stages = Stages::new(Chain::default(), Chain::default(), Some(Arc::new(town)));
    hold(
        &mut connected(stages.for_tenant(Some("acme".into()))),
        &[("MAIL FROM:<a@client.example>", "550 5.7.1 asked acme")],
    );
    let quiet = Stages::new(Chain::default(), Chain::default(), Some(Arc::new(self::town(|_| Vec::new()))));
    hold(
        &mut connected(quiet.for_tenant(Some("acme".into()))),
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@acme.test>", "250"),
            // It is nobody's door to others.
            ("RCPT TO:<two@bravo.test>", "550 5.7.1"),
            ("RCPT TO:<three@acme.test>", "250"),
        ],
    );
}

#[test]
fn every_part_is_shown_to_all_stages() {
    const MESSAGE: &str = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: image/png\r\n\r\ntwo\r\n--b--\r\n.";
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let watch = |who: &'static str, refused: &'static str| {
        let seen = Arc::clone(&seen);
        let watch = move |question: &Question<'_>| {
            let wasmail_policy::Subject::Part { number, tree } = &question.context.subject else { panic!("no part") };
            let media_type = tree.parts[*number].media_type.clone();
            seen.lock().unwrap().push(format!("{who} {media_type}"));
            let verdict = if media_type == refused { Verdict::Deny(None) } else { Verdict::Next };
            Outcome { verdict, mutations: Vec::new() }
        };
        bind(who, Native(&[Hook::Part], watch))
    };
    let (before, own, after) = (watch("before", "text/plain"), watch("tenant", ""), watch("after", ""));
    let own = std::sync::Mutex::new(Some(own));
    let town = town(move |_| own.lock().unwrap().take().into_iter().collect());
    let lenient = says("lenient", &[Hook::Deny], Verdict::Accept(None));
    let stages = Stages::new(Chain::new(vec![before, lenient]), Chain::new(vec![after]), Some(Arc::new(town)));
    hold(
        &mut connected(stages),
        &[
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<one@acme.test>", "250"),
            ("DATA", "354"),
            (MESSAGE, "250"),
        ],
    );
    let expected: Vec<_> = ["before", "tenant", "after"]
        .iter()
        .flat_map(|who| ["text/plain", "image/png"].map(|part| format!("{who} {part}")))
        .collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}
