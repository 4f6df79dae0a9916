//! Customers of one server: each brings plugins of its own, by the API, and they judge its own mail.

mod peers;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use peers::api::Api;
use peers::client::Client;
use peers::programs::{here, pass_over, run};
use peers::{eventually, maildir, random};
use serde_json::{Value, json};
use support::{Home, Server, guest};

const PATIENCE: Duration = Duration::from_secs(60);

const MESSAGE: &[u8] = b"From: a@client.example\r\nTo: one@acme.test\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n\
    Message-ID: <1@client.example>\r\nSubject: hello\r\n\r\nhello\r\n";

/// A server with an API, whose operator has a plugin before and after those of tenants.
fn home() -> Home {
    let config = "[dns]\nreverse = \"off\"\n[api]\nlisten = \"127.0.0.1:0\"\n[[listener]]\nname = \"smtp\"\n\
                  address = \"127.0.0.1:0\"\n[[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\n\
                  grants = [\"accept-recipients\"]\nconfig = { domains = [\"example.test\"] }\n[[plugin]]\nname = \"last\"\n\
                  module = \"builtin:headers\"\nafter_tenants = true\n";
    Home::new(config).with_shared_cache()
}

/// Such a server, running, with its operator's API; none where curl is not installed.
fn open() -> Option<(Server, Api)> {
    here(&["curl"]).then(|| home().start()).map(|server| {
        let operator = Api::of(&server);
        (server, operator)
    })
}

/// A tenant with a domain and the guest of `tests/opinion`; its own API.
fn tenant(operator: &Api, name: &str) -> (Api, String) {
    let at = format!("/tenants/{name}");
    let many = 1_000_000;
    let quotas = json!({ "messages-per-minute": many, "connections-per-minute": many, "cpu-ms-per-minute": many });
    operator.ask("PUT", &at, &json!({ "title": name, "grants": ["quarantine", "kv"], "quotas": quotas })).well();
    operator.ask("PUT", &format!("{at}/domains/{name}.test"), &Value::Null).well();
    let token = operator.ask("POST", &format!("{at}/tokens"), &json!({ "label": "its own" })).well();
    let own = operator.with(token["token"].as_str().expect("a token is shown once"));
    let module = upload(&own, name, &guest("opinion"));
    (own, module)
}

fn upload(api: &Api, tenant: &str, file: &PathBuf) -> String {
    let octets = std::fs::read(file).expect("the guest was built");
    let module = api.send("POST", &format!("/tenants/{tenant}/modules"), &octets).well();
    module["hash"].as_str().expect("a module has a hash").to_owned()
}

/// Has the guest say this at a hook.
fn bind(api: &Api, tenant: &str, binding: &str, module: &str, config: &Value) {
    let path = format!("/tenants/{tenant}/bindings/{binding}");
    api.ask("PUT", &path, &json!({ "module": module, "config": config })).well();
}

fn activate(api: &Api, tenant: &str, binding: &str, module: &str, config: &Value) -> peers::api::Answer {
    let path = format!("/tenants/{tenant}/bindings/{binding}/activate");
    api.ask("POST", &path, &json!({ "module": module, "config": config }))
}

/// What RCPT is answered, on a connection of its own.
fn rcpt(server: &Server, recipient: &str) -> (u16, String) {
    let mut client = Client::greeted(server.address()).expect("the server greets");
    client.command("MAIL FROM:<a@client.example>").expect("it replies");
    let reply = client.command(&format!("RCPT TO:<{recipient}>")).expect("it replies");
    (reply.code, reply.text)
}

fn send(server: &Server, recipient: &str) -> u16 {
    let mut client = Client::greeted(server.address()).expect("the server greets");
    client.send("a@client.example", &[recipient], MESSAGE).map_or_else(|error| panic!("{error}"), |reply| reply.code)
}

#[test]
fn two_customers_disagree_about_one_message() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    let (bravo, _) = tenant(&operator, "bravo");
    // A domain that was given to a tenant takes mail before there is any plugin.
    assert_eq!(rcpt(&server, "one@acme.test").0, 250);
    bind(&acme, "acme", "filter", &module, &json!({ "rcpt": "deny not at Acme" }));
    bind(&bravo, "bravo", "filter", &module, &json!({ "connect": "next" }));
    assert_eq!(rcpt(&server, "one@acme.test"), (550, "5.7.1 not at Acme".to_owned()));
    assert_eq!(send(&server, "two@bravo.test"), 250);
    maildir::wait_for(&maildir::of(&server.maildirs(), "two@bravo.test"), 1, PATIENCE);
    // One transaction is one customer's; the others come back at once.
    activate(&acme, "acme", "filter", &module, &json!({})).well();
    let mut client = Client::greeted(server.address()).expect("the server greets");
    let mut say = |line: &str| client.command(line).expect("it replies").code;
    let said = ["MAIL FROM:<a@client.example>", "RCPT TO:<one@acme.test>", "RCPT TO:<two@bravo.test>"].map(&mut say);
    assert_eq!(said, [250, 250, 452]);
    let line = server.wait_for_log("tenant=\"bravo\"", PATIENCE);
    assert!(line.contains("bravo/filter@connect=next"), "{line}");
    let usage = bravo.ask("GET", "/tenants/bravo/usage", &Value::Null).well();
    assert_eq!(usage["used"]["messages"], 1, "{usage}");
    assert_eq!(acme.ask("GET", "/tenants/bravo/usage", &Value::Null).status, 404);
}

#[test]
fn a_customer_watches_its_own_mail_being_judged() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    tenant(&operator, "bravo");
    bind(&acme, "acme", "filter", &module, &json!({ "data-post": "deny read and refused" }));
    let mut watching = acme.watch("/tenants/acme/decisions");
    assert_eq!(send(&server, "two@bravo.test"), 250);
    assert_eq!(send(&server, "one@acme.test"), 550);
    let told = watching.next_event();
    assert_eq!((&told["tenant"], &told["verdict"]), (&json!("acme"), &json!("rejected")), "{told}");
    assert!(told["reply"].as_str().is_some_and(|reply| reply.contains("read and refused")), "{told}");
    assert!(told["plugins"].as_str().is_some_and(|plugins| plugins.starts_with("acme/filter@connect=next")), "{told}");
}

/// Debian's, which has Debian's modules.
const PYTHON: &str = "/usr/bin/python3";
/// Reads metrics as a monitoring system does, with a parser that nobody here wrote: `name{labels} value` for each sample.
const READ_METRICS: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = ','.join(f'{key}={sample.labels[key]}' for key in sorted(sample.labels))
        print(sample.name + '{' + labels + '}', float(sample.value))
";

fn metrics(api: &Api, path: &str) -> Vec<String> {
    let answer = api.ask("GET", path, &Value::Null);
    assert_eq!(answer.status, 200, "{answer:?}");
    let read = run(Command::new(PYTHON).args(["-c", READ_METRICS]), answer.body.as_bytes(), PATIENCE).well();
    read.text().lines().map(str::to_owned).collect()
}

#[test]
fn the_operator_sees_what_is_counted_and_a_customer_what_is_its_own() {
    let found = Path::new(PYTHON).is_file()
        && run(Command::new(PYTHON).args(["-c", "import prometheus_client"]), b"", PATIENCE).status.success();
    if !found {
        pass_over("python3-prometheus-client not installed");
        return;
    }
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    bind(&acme, "acme", "filter", &module, &json!({ "rcpt": "deny not at Acme" }));
    tenant(&operator, "bravo");
    assert_eq!(rcpt(&server, "one@acme.test").0, 550);
    assert_eq!(send(&server, "two@bravo.test"), 250);
    maildir::wait_for(&maildir::of(&server.maildirs(), "two@bravo.test"), 1, PATIENCE);
    // What is counted at the end of a connection or of a delivery may be a moment late. These are not the API's own path.
    let all = eventually("all is counted", PATIENCE, || {
        let all = metrics(&operator, "/../metrics");
        let counted = |sample: &str| all.iter().any(|line| line == sample);
        (counted("wasmail_connections_open{listener=smtp} 0.0")
            && counted("wasmail_delivery_attempts_total{outcome=delivered} 1.0")
            && counted("wasmail_queue_messages{route=} 0.0"))
        .then_some(all)
    });
    for sample in [
        "wasmail_connections_total{listener=smtp} 2.0",
        "wasmail_messages_total{tenant=bravo,verdict=queued} 1.0",
        "wasmail_verdicts_total{hook=rcpt,plugin=filter,tenant=acme,verdict=deny} 1.0",
        "wasmail_verdicts_total{hook=rcpt,plugin=local-domains,tenant=,verdict=next} 2.0",
        "wasmail_hook_duration_seconds_count{hook=rcpt,plugin=filter,tenant=acme} 1.0",
        "wasmail_message_size_bytes_count{} 1.0",
        "wasmail_delivery_age_seconds_count{} 1.0",
    ] {
        assert!(all.iter().any(|line| line == sample), "no {sample} in\n{}", all.join("\n"));
    }
    let own = metrics(&acme, "/tenants/acme/metrics");
    assert!(own.contains(&"wasmail_hook_duration_seconds_count{hook=rcpt,plugin=filter,tenant=acme} 1.0".to_owned()));
    assert!(own.iter().all(|line| line.contains("tenant=acme")), "{own:?}");
    assert_eq!(acme.ask("GET", "/../metrics", &Value::Null).status, 403);
    assert_eq!(acme.ask("GET", "/tenants/bravo/metrics", &Value::Null).status, 404);
}

#[test]
fn a_module_is_kept_with_what_it_says_of_its_makers() {
    let Some((_server, operator)) = open() else { return };
    let (acme, _) = tenant(&operator, "acme");
    // A custom section, as `wasm-tools metadata add` leaves it.
    let section = b"\0\x0c\x08licensesMIT";
    let mut octets = std::fs::read(guest("opinion")).expect("the guest was built");
    octets.extend(section);
    let module = acme.send("POST", "/tenants/acme/modules", &octets).well();
    assert_eq!(module["metadata"]["licence"], "MIT", "{module}");
    assert_eq!(module["metadata"]["name"], "opinion", "{module}");
}

/// A customer chooses the names of its bindings: one of them is the name of a plugin of the operator's that has a key.
#[test]
fn what_the_operators_plugins_have_no_customers_has() {
    if !here(&["curl"]) {
        return;
    }
    let mut home = home();
    let config = "[[plugin]]\nname = \"filter\"\nmodule = \"builtin:helo-checks\"\ngrants = [\"secret\"]\n\
                  secrets = { key = \"env:KEY_OF_THE_OPERATOR\" }\n";
    let all = std::fs::read_to_string(home.config()).expect("it was written") + config;
    std::fs::write(home.config(), all).expect("it is ours");
    home.set("KEY_OF_THE_OPERATOR", "0123456789abcdef0123456789abcdef");
    let server = home.start();
    let operator = Api::of(&server);
    let (acme, module) = tenant(&operator, "acme");
    bind(&acme, "acme", "filter", &module, &json!({ "rcpt": "key key" }));
    assert_eq!(rcpt(&server, "one@acme.test"), (550, "5.7.1 Failure::NotGranted".to_owned()));
    // Its own it uses, when it may.
    operator.ask("PATCH", "/tenants/acme", &json!({ "grants": ["secret"] })).well();
    let granted = json!({ "module": module, "config": { "rcpt": "key own" }, "grants": ["secret"] });
    acme.ask("POST", "/tenants/acme/bindings/filter/activate", &granted).well();
    acme.send("PUT", "/tenants/acme/secrets/own", b"fedcba9876543210").well();
    assert_eq!(rcpt(&server, "one@acme.test"), (550, "5.7.1 has the key".to_owned()));
    let granted = json!({ "module": module, "config": { "rcpt": "key key" }, "grants": ["secret"] });
    acme.ask("POST", "/tenants/acme/bindings/filter/activate", &granted).well();
    assert!(!rcpt(&server, "one@acme.test").1.contains("has the key"));
}

#[test]
fn versions_change_while_mail_comes_and_no_message_fails() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    bind(&acme, "acme", "filter", &module, &json!({}));
    let (stop, sent, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    match send(&server, "one@acme.test") {
                        250 => sent.fetch_add(1, Ordering::Relaxed),
                        _ => refused.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        for round in 0..20 {
            // Each version leaves a mark of its own.
            activate(&acme, "acme", "filter", &module, &json!({ "round": format!("number {round}") })).well();
            let before = sent.load(Ordering::Relaxed);
            eventually("mail goes on", PATIENCE, || (sent.load(Ordering::Relaxed) > before).then_some(()));
        }
        acme.ask("POST", "/tenants/acme/bindings/filter/rollback", &Value::Null).well();
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(refused.into_inner(), 0, "of {}", sent.into_inner());
    let binding = acme.ask("GET", "/tenants/acme/bindings/filter", &Value::Null).well();
    assert_eq!(
        (&binding["active"]["config"]["round"], &binding["previous"].as_array().map(Vec::len)),
        (&json!("number 18"), &Some(9))
    );
}

#[test]
fn a_version_is_tried_before_it_counts() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    bind(&acme, "acme", "filter", &module, &json!({}));
    let path = "/tenants/acme/bindings/filter";
    let rollout = |body: Value| acme.ask("PUT", &format!("{path}/rollout"), &body).well();
    let strict = json!({ "rcpt": "deny strict" });
    rollout(json!({ "module": module, "config": strict }));
    assert_eq!(rcpt(&server, "one@acme.test").0, 250);
    let found = acme.ask("GET", &format!("{path}/comparison"), &Value::Null).well();
    assert_eq!((&found["verdicts"], &found["differences"][0]["hook"]), (&json!(1), &json!("rcpt")), "{found}");
    // For half of the senders. Both refuse, or the new one would be taken back.
    activate(&acme, "acme", "filter", &module, &json!({ "rcpt": "deny as usual" })).well();
    rollout(json!({ "module": module, "config": strict, "percent": 50 }));
    let answer = |number: u32| {
        let mut client = Client::greeted(server.address()).expect("the server greets");
        client.command(&format!("MAIL FROM:<sender{number}@client.example>")).expect("it replies");
        client.command("RCPT TO:<one@acme.test>").expect("it replies").text.contains("strict")
    };
    let first: Vec<bool> = (0..40).map(answer).collect();
    let strict = first.iter().filter(|strict| **strict).count();
    assert!((5..=35).contains(&strict), "{first:?}");
    assert_eq!(first, (0..40).map(answer).collect::<Vec<_>>(), "senders change sides");
    acme.ask("DELETE", &format!("{path}/rollout"), &Value::Null).well();
    assert!(!(0..40).any(answer));
}

#[test]
fn what_does_not_work_does_not_get_in() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    bind(&acme, "acme", "filter", &module, &json!({}));
    // What acts on the whole server no customer can have, whatever the operator writes.
    for grant in ["relaying", "take-messages", "tcp", "inject"] {
        let refused = operator.ask("PATCH", "/tenants/acme", &json!({ "grants": [grant] }));
        assert_eq!(refused.status, 422, "{refused:?}");
    }
    let upload = |octets: &[u8]| acme.send("POST", "/tenants/acme/modules", octets);
    let refused = upload(b"no component at all");
    assert_eq!((refused.status, &refused.json()["type"]), (422, &json!("urn:wasmail:problem:not-acceptable")));
    // It fails with the sample connections, where nobody is hurt.
    let refused = activate(&acme, "acme", "filter", &module, &json!({ "data-post": "trap here" }));
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.body.contains("it failed at `data-post` of a sample connection"), "{refused:?}");
    for guest in ["loop", "unreachable", "memory-bomb"] {
        let hash = upload(wasmail_hostile::component(guest)).well()["hash"].as_str().expect("it has one").to_owned();
        let refused = activate(&acme, "acme", "filter", &hash, &json!({}));
        assert_eq!(refused.status, 422, "{guest}: {refused:?}");
    }
    assert_eq!(send(&server, "one@acme.test"), 250);
}

#[test]
fn a_version_that_fails_is_taken_back_by_itself() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    bind(&acme, "acme", "filter", &module, &json!({}));
    let bad = json!({ "mail": "deny nobody is welcome" });
    for _ in 0..30 {
        assert_eq!(rcpt(&server, "one@acme.test").0, 250);
    }
    activate(&acme, "acme", "filter", &module, &bad).well();
    eventually("the old version is back", PATIENCE, || (rcpt(&server, "one@acme.test").0 == 250).then_some(()));
    let line = server.wait_for_log("a version misbehaves and is taken back", PATIENCE);
    assert!(line.contains("jumped=\"refusals\"") && line.contains("acme"), "{line}");
    let audit = acme.ask("GET", "/tenants/acme/audit?limit=1", &Value::Null).well();
    assert_eq!(
        (&audit["items"][0]["who"], &audit["items"][0]["what"]),
        (&json!("server"), &json!("binding.roll-back"))
    );
}

#[test]
fn a_plugin_that_fails_again_and_again_is_not_asked_for_a_while() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    let failing = json!({ "data-post": "trap-at hello" });
    let place = json!({ "module": module, "config": failing, "on-fault": "skip" });
    acme.ask("PUT", "/tenants/acme/bindings/filter", &place).well();
    for _ in 0..21 {
        assert_eq!(send(&server, "one@acme.test"), 250);
    }
    let line = server.wait_for_log("a plugin fails too often and is not asked for a while", PATIENCE);
    assert!(line.contains("tenant=acme") && line.contains("hook=data-post") && line.contains("seconds=5"), "{line}");
    // The other hooks are asked on, and what becomes of its faults is what its owner wants.
    let line = server.wait_for_log("acme/filter@data-post=circuit-open!", PATIENCE);
    assert!(line.contains("acme/filter@rcpt=next") && line.contains("verdict=\"queued\""), "{line}");
    // Another version begins with a clean slate.
    activate(&acme, "acme", "filter", &module, &json!({ "data-post": "deny mended" })).well();
    assert_eq!(send(&server, "one@acme.test"), 550);
}

#[test]
fn who_is_over_quota_is_deferred_alone() {
    let Some((server, operator)) = open() else { return };
    let (_, _) = tenant(&operator, "acme");
    let (_, _) = tenant(&operator, "bravo");
    operator.ask("PATCH", "/tenants/acme", &json!({ "quotas": { "messages-per-minute": 3 } })).well();
    let codes: Vec<u16> = (0..3).map(|_| send(&server, "one@acme.test")).collect();
    assert_eq!(codes, [250; 3]);
    let (code, text) = rcpt(&server, "one@acme.test");
    assert_eq!((code, text.starts_with("4.7.0")), (450, true), "{text}");
    assert_eq!(send(&server, "two@bravo.test"), 250);
    operator.ask("PATCH", "/tenants/bravo", &json!({ "suspended": true })).well();
    assert_eq!(rcpt(&server, "two@bravo.test").0, 450);
}

#[test]
fn hostile_guests_of_one_customer_leave_the_others_alone() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    tenant(&operator, "bravo");
    // It passes the samples, and fails at real mail.
    bind(&acme, "acme", "filter", &module, &json!({ "data-post": "trap-at hello" }));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(send(&server, "one@acme.test"), 451);
            }
        });
        for _ in 0..50 {
            assert_eq!(send(&server, "two@bravo.test"), 250);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_customer_looks_after_its_own_quarantine() {
    let Some((server, operator)) = open() else { return };
    let (acme, module) = tenant(&operator, "acme");
    let (bravo, _) = tenant(&operator, "bravo");
    let path = "/tenants/acme/bindings/filter";
    let held = json!({ "module": module, "config": { "data-post": "quarantine looks odd" }, "grants": ["quarantine"] });
    acme.ask("PUT", path, &held).well();
    assert_eq!(send(&server, "one@acme.test"), 250);
    let list =
        |api: &Api, path: &str| api.ask("GET", path, &Value::Null).well()["items"].as_array().cloned().expect("a list");
    let waiting = list(&acme, "/tenants/acme/quarantine");
    assert_eq!((waiting.len(), &waiting[0]["recipients"][0]["reason"]), (1, &json!("looks odd")), "{waiting:?}");
    let id = waiting[0]["id"].as_str().expect("it has a name");
    let release = |api: &Api, tenant: &str| {
        api.ask("POST", &format!("/tenants/{tenant}/queue/{id}?order=release"), &Value::Null).status
    };
    assert_eq!(
        (list(&bravo, "/tenants/bravo/queue").len(), release(&bravo, "bravo"), release(&bravo, "acme")),
        (0, 404, 404)
    );
    assert_eq!(release(&acme, "acme"), 204);
    maildir::wait_for(&maildir::of(&server.maildirs(), "one@acme.test"), 1, PATIENCE);
}

#[test]
fn the_command_line_does_what_the_api_does() {
    let server = home().start();
    let api = server.banner().lines().find_map(|line| line.strip_prefix("the API answers on ")).expect("it says so");
    let api = api.split("/v1").next().expect("it has a beginning");
    let run = |args: &[&str]| {
        let output = server.run(&[args, &["--api", api]].concat());
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let well = |args: &[&str]| {
        let (well, said) = run(args);
        assert!(well, "{args:?}: {said}");
        said
    };
    well(&["tenant", "add", "acme", "--title", "Acme & Sons", "--domain", "acme.test", "--grant", "kv"]);
    let module = guest("opinion");
    let (file, strict) = (module.to_str().expect("it is text"), "{\"rcpt\": \"deny by order\"}");
    well(&["binding", "add", "acme", "filter", "--module", file, "--priority", "-5"]);
    assert_eq!(rcpt(&server, "one@acme.test").0, 250);
    well(&["binding", "activate", "acme", "filter", "--module", file, "--set", strict]);
    assert_eq!(rcpt(&server, "one@acme.test"), (550, "5.7.1 by order".to_owned()));
    well(&["binding", "rollback", "acme", "filter"]);
    assert_eq!(rcpt(&server, "one@acme.test").0, 250);
    let token = well(&["token", "new", "for CI", "--tenant", "acme", "--read-only"]);
    let (refused, said) = run(&["tenant", "suspend", "acme", "--token", token.trim()]);
    assert!(!refused && said.contains("403: this is the operator's"), "{said}");
    well(&["tenant", "suspend", "acme"]);
    assert_eq!(rcpt(&server, "one@acme.test").0, 450);
    let audit = well(&["tenant", "audit", "acme"]);
    assert_eq!(audit.lines().count(), 9, "{audit}");
    let (there, said) = run(&["tenant", "show", "nobody"]);
    assert!(!there && said.contains("there is no tenant `nobody`"), "{said}");
}

/// Changes that were answered are there after a kill at any moment, and the server starts.
#[test]
fn no_answered_change_is_lost_by_a_kill() {
    if !here(&["curl"]) {
        return;
    }
    let mut random = random::Random::seeded();
    let mut home = home();
    let mut answered = Vec::new();
    for round in 0..6 {
        let server = home.start();
        let operator = Api::of(&server);
        let there = operator.ask("GET", "/tenants?limit=200", &Value::Null).well();
        let names: Vec<_> =
            there["items"].as_array().expect("it is a list").iter().map(|tenant| tenant["name"].clone()).collect();
        for name in &answered {
            assert!(names.contains(&json!(name)), "{name} is lost");
        }
        let count = random.within(3..15);
        let writing = std::thread::spawn(move || {
            let mut done = Vec::new();
            for number in 0.. {
                let name = format!("t{round}-{number}");
                let answer = operator.ask("PUT", &format!("/tenants/{name}"), &json!({ "title": name }));
                if answer.status != 201 {
                    return done;
                }
                done.push(name);
            }
            done
        });
        eventually("some changes are made", PATIENCE, || {
            let log = Api::of(&server).ask("GET", "/audit?limit=1", &Value::Null);
            let number = log.json()["items"][0]["number"].as_u64().unwrap_or_default();
            (number as usize > answered.len() + usize::try_from(count).unwrap_or(3)).then_some(())
        });
        home = server.kill();
        answered.extend(writing.join().expect("the writer ends when nobody answers"));
    }
    assert!(answered.len() > 12, "{answered:?}");
}
