//! What the person at the terminal sees: the banner, every mistake at once, and what to do about it.

mod peers;
mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use peers::client::Client;
use peers::eventually;
use peers::programs::{command, here, run};
use support::{Home, Server, root, wasmail};

/// What a command said on both streams.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a command that must fail, and returns what it said.
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

/// Runs a command that must succeed, and returns what it said on standard output.
fn done(command: &mut Command) -> String {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("we write UTF-8")
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn check_finds_every_mistake_with_its_line() {
    let home = Home::new(
        "[server]\n\
         hostnme = \"mx.example.test\"\n\
         drain_timeout = 30\n\
         [limits]\n\
         message_size = \"50 parsecs\"\n\
         [[listener]]\n\
         name = \"a\"\n\
         address = \"localhost:25\"\n\
         [[listener]]\n\
         name = \"b\"\n\
         address = \"127.0.0.1:0\"\n\
         line_endings = \"lax\"\n",
    );
    let text = refused(home.command(&["check"]).env_remove("WASMAIL__LISTENER__0__ADDRESS"));
    let file = home.config();
    let at = |line: usize, rest: &str| format!("error: {}:{line}: {rest}", file.display());
    says(
        &text,
        &[
            &at(2, "server.hostnme: unknown key\n  help: did you mean `hostname`?"),
            &at(3, "server.drain_timeout: expected a duration such as \"30s\" or \"5m\", found the number 30"),
            &at(5, "limits.message_size: expected a size in octets"),
            &at(8, "listener[0].address: expected an IP address and port"),
            &at(12, "listener[1].line_endings: expected one of `strict` `normalise`, found the text \"lax\""),
            "5 mistakes in the configuration",
        ],
    );
}

#[test]
fn check_finds_what_types_cannot_say() {
    let home = Home::new(
        "[server]\n\
         hostname = \"not a name\"\n\
         [[listener]]\n\
         name = \"a\"\n\
         address = \"127.0.0.1:2525\"\n\
         plugins = [\"relya\"]\n\
         [[listener]]\n\
         name = \"a\"\n\
         address = \"127.0.0.1:2525\"\n\
         limits = { idle = \"0s\", mesage_size = 1 }\n\
         [delivery]\n\
         kind = \"smtp\"\n\
         [[plugin]]\n\
         name = \"relay\"\n\
         module = \"builtin:rely\"\n\
         [[plugin]]\n\
         name = \"relay\"\n\
         module = \"no/such.wasm\"\n\
         grants = [\"everything\"]\n",
    );
    let text = refused(home.command(&["check"]).env_remove("WASMAIL__LISTENER__0__ADDRESS"));
    says(
        &text,
        &[
            ":2: server.hostname: `not a name` is no host name",
            ":6: listener[0].plugins[0]: no plugin `relya`\n  help: did you mean `relay`?",
            ":8: listener[1].name: the name `a` is taken",
            ":9: listener[1].address: another listener has 127.0.0.1:2525 already",
            ":10: listener[1].limits.mesage_size: unknown key\n  help: did you mean `message_size`?",
            ":11: delivery.next_hop: missing; delivery.kind = \"smtp\" needs it",
            ":15: plugin[0].module: there is no bundled plugin `rely`\n  help: did you mean `relay`?",
            ":17: plugin[1].name: the name `relay` is taken",
            ":18: plugin[1].module: ",
            ":19: plugin[1].grants[0]: unknown grant `everything`",
        ],
    );
}

#[test]
fn a_mistake_of_the_environment_is_named_by_its_variable() {
    let mut home = Home::new("");
    home.set("WASMAIL__LIMITS__IDLE", "soon");
    home.set("WASMAIL__SERVR__HOSTNAME", "a.example");
    let text = refused(&mut home.command(&["check"]));
    says(&text, &["error: WASMAIL__LIMITS__IDLE: limits.idle: expected a duration"]);
    says(&text, &["error: WASMAIL__SERVR__HOSTNAME: servr: unknown key\n  help: did you mean `server`?"]);
}

#[test]
fn a_grant_that_the_plugin_needs_is_asked_for() {
    let home =
        Home::new("[[plugin]]\nname = \"local\"\nmodule = \"builtin:local-domains\"\n[plugin.config]\ndomains = []\n");
    let text = refused(&mut home.command(&["check"]));
    says(&text, &["plugin[0].grants: ", "accept-recipients", "grants = [\"accept-recipients\"]"]);
}

#[test]
fn a_configuration_that_a_plugin_refuses_is_shown_with_its_words() {
    let home = Home::new(
        "[[plugin]]\n\
         name = \"local\"\n\
         module = \"builtin:local-domains\"\n\
         grants = [\"accept-recipients\"]\n\
         [plugin.config]\n\
         domains = [\"user@example.test\"]\n",
    );
    let text = refused(&mut home.command(&["check"]));
    says(&text, &["plugin[0].config: ", "domains[0]: `user@example.test` is an address, expected a domain"]);
}

#[test]
fn a_relay_for_everybody_is_warned_of() {
    let home = Home::new(
        "[[plugin]]\n\
         name = \"relay\"\n\
         module = \"builtin:relay\"\n\
         grants = [\"relaying\"]\n\
         [plugin.config]\n\
         networks = [\"192.0.2.0/24\", \"0.0.0.0/0\"]\n",
    );
    let output = home.command(&["check"]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", said(&output));
    says(
        &said(&output),
        &["warning: ", ":6: plugin[0].config.networks[1]: 0.0.0.0/0 may relay", "good, with 1 warning."],
    );
}

#[test]
fn a_limit_below_the_standard_is_warned_of() {
    let home = Home::new("[limits]\nrecipients = 99\n[[listener]]\nname = \"a\"\nlimits = { path = 255 }\n");
    let output = home.command(&["check"]).output().expect("the binary runs");
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    says(&text, &[":2: limits.recipients: 99 is less than every server must take", "§4.5.3.1.8 asks for 100"]);
    says(&text, &[":5: listener[0].limits.path: 255 is less", "good, with 2 warnings."]);
}

#[test]
fn the_embedded_configuration_is_good() {
    let text = done(wasmail().args(["check"]));
    assert_eq!(text, "the embedded configuration is good.\n");
    let output = wasmail().arg("check").output().expect("the binary runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_printed_reference_is_good() {
    let reference = done(wasmail().args(["config", "reference"]));
    let home = Home::new(&reference);
    says(&done(&mut home.command(&["check"])), &["is good."]);
}

#[test]
fn the_example_of_a_real_domain_is_good_once_its_files_are_there() {
    if !here(&["openssl"]) {
        return;
    }
    let home = Home::new(&fs::read_to_string(root().join("host/daemon/real-domain.toml")).expect("it is there"));
    let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).expect("a certificate can be made");
    let beside = |name: &str| home.config().with_file_name(name);
    fs::write(beside("fullchain.pem"), made.cert.pem()).expect("it can be written");
    fs::write(beside("privkey.pem"), made.signing_key.serialize_pem()).expect("it can be written");
    says(&refused(&mut home.command(&["check"])), &["dkim.pem: No such file"]);
    done(command("openssl").args(["genrsa", "-out"]).arg(beside("dkim.pem")).arg("2048"));
    let mut add = home.command(&["user", "add", "tim"]);
    run(&mut add, b"tanstaaftanstaaf\n", Duration::from_secs(60)).well();
    says(&done(&mut home.command(&["check"])), &["is good."]);
    says(&done(&mut home.command(&["dkim"])), &["2026._domainkey.example.org. IN TXT \"v=DKIM1; k=rsa; p="]);
}

#[test]
fn the_banner_says_what_a_newcomer_wants_to_know() {
    let server = Server::start("");
    let banner = server.banner().to_owned();
    says(&banner, &[&format!("listening on {} (smtp)", server.address()), "relay", "local-domains", "sha256:"]);
    says(&banner, &[&server.maildirs().display().to_string(), &server.data().display().to_string()]);
    says(&banner, &[&format!("swaks --server {}", server.address())]);
    let bundled = ["access", "early-talker", "headers", "helo-checks", "karma", "record-envelope"];
    says(&banner, &bundled);
    server.stop();
}

#[test]
fn a_busy_port_is_named_and_how_to_choose_another() {
    let other = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = other.local_addr().expect("it is bound").to_string();
    let mut home = Home::new("");
    home.set("WASMAIL__LISTENER__0__ADDRESS", &address);
    let text = refused(&mut home.command(&["serve"]));
    says(&text, &["listener `smtp`", &address, "help:", "address"]);
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let server = Server::start("");
    let text = refused(&mut server.home().command(&["serve"]));
    says(&text, &["another wasmail", &format!("(process {})", server.pid()), "server.data_dir"]);
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let mut home = Home::new("");
    let file = home.config().display().to_string();
    home.set("WASMAIL__SERVER__DATA_DIR", &file);
    let text = refused(&mut home.command(&["serve"]));
    says(&text, &["the data directory", &file, "cannot be written", "server.data_dir"]);
}

#[test]
fn a_component_that_does_not_load_is_named_with_its_reason() {
    for (octets, reason) in [
        (&b"hello"[..], "this is not WebAssembly"),
        (&b"\0asm\x01\0\0\0"[..], "core module"),
        (&b"\0asm\x0d\0\x01\0"[..], "describe"),
    ] {
        let home = Home::new("[[plugin]]\nname = \"broken\"\nmodule = \"broken.wasm\"\n");
        let file = home.config().with_file_name("broken.wasm");
        fs::write(&file, octets).expect("it can be written");
        says(&refused(&mut home.command(&["serve"])), &["plugin[0].module: ", "broken.wasm", reason]);
        says(&refused(wasmail().args(["plugin", "inspect"]).arg(&file)), &[reason]);
    }
}

#[test]
fn sigterm_ends_it_well_and_says_so() {
    let server = Server::start("");
    let home = server.stop();
    says(&home.log(), &["drain"]);
}

#[test]
fn logs_are_json_on_request() {
    let home = Server::start("[log]\nformat = \"json\"\n").stop();
    let log = home.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(parsed["level"].is_string(), "{line}");
    }
}

#[test]
fn inspect_shows_what_a_component_is() {
    let text = done(wasmail().args(["plugin", "inspect", "builtin:relay"]));
    says(&text, &["relay", "hooks", "connect", "relaying", "sha256", "octets"]);
    let json = done(wasmail().args(["plugin", "inspect", "builtin:relay", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect(&json);
    assert_eq!(json["name"], "relay");
    assert_eq!(json["needs"], serde_json::json!(["relaying"]));
}

#[test]
fn inspect_shows_who_made_a_component() {
    // As `wasm-tools metadata add` leaves them: a section's number, its length, its name's length, its name.
    let section = |name: &str, text: &str| {
        let body = [&[u8::try_from(name.len()).expect("it is short")], name.as_bytes(), text.as_bytes()].concat();
        [&[0, u8::try_from(body.len()).expect("it is short")][..], &body].concat()
    };
    let component = wasmail_shelf::get("relay").expect("it comes with the server").component;
    let sections = [section("authors", "Ann <ann@example.org>"), section("licenses", "MIT"), section("source", "")];
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join("signed.wasm");
    fs::write(&file, [component, &sections.concat()].concat()).expect("the directory is ours");
    let text = done(wasmail().args(["plugin", "inspect"]).arg(&file));
    says(&text, &["authors           Ann <ann@example.org>", "licences          MIT", "source            not said"]);
}

/// A bundled plugin in which a text was replaced by another of the same length.
fn altered(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let component = wasmail_shelf::get("early-talker").expect("it comes with the server").component;
    let mut altered = component.to_vec();
    let places: Vec<_> =
        component.windows(from.len()).enumerate().filter(|(_, part)| *part == from.as_bytes()).collect();
    assert!(!places.is_empty(), "{from:?} is not in it");
    for (at, _) in places {
        altered[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    altered
}

#[test]
fn inspect_says_why_a_component_is_not_acceptable() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let file = dir.path().join("altered.wasm");
    for (octets, reason) in [
        (altered("@0.1.0", "@0.9.0"), "and this host speaks wasmail:policy@0.1.0"),
        (altered("wasmail:policy/log@", "wasmail:policy/fax@"), "which this host does not offer and no grant gives"),
        (altered("wasmail:policy/hook-ehlo@", "wasmail:policy/hook-elho@"), "a hook that this host does not know"),
        (altered("wasmail:policy/describe@", "wasmail:policy/descrybe@"), "is it made for something else?"),
    ] {
        fs::write(&file, octets).expect("it can be written");
        says(&refused(wasmail().args(["plugin", "inspect"]).arg(&file)), &["altered.wasm is not acceptable: ", reason]);
    }
    says(&refused(wasmail().args(["plugin", "inspect", "no/such.wasm"])), &["no/such.wasm cannot be read", "help:"]);
}

#[test]
fn an_empty_queue_is_said_to_be_empty() {
    let server = Server::start("");
    assert!(server.queue_is_empty());
    says(&String::from_utf8_lossy(&server.run(&["queue", "list"]).stdout), &["Nothing waits."]);
    let text = refused(&mut server.home().command(&["queue", "show", "0000000000000000"]));
    says(&text, &["no message 0000000000000000", "queue list"]);
}

#[test]
fn what_waits_is_listed_and_shown() {
    // Nobody listens there: the port is ours, and it is closed before the server is told of it.
    let next_hop = format!("127.0.0.1:{}", peers::free_port());
    let server = Server::start(&format!("[delivery]\nkind = \"smtp\"\nnext_hop = \"{next_hop}\"\n"));
    let mut client = Client::greeted(server.address()).expect("it greets");
    let content = b"From: a@example.org\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nSubject: waits\r\n\r\nhello\r\n";
    let reply = client.send("a@example.org", &["b@example.test"], content).expect("it replies");
    assert_eq!(reply.code, 250, "{reply:?}");
    let listed = eventually("the message is put off", Duration::from_secs(60), || {
        let json = server.run(&["queue", "list", "--json"]).stdout;
        let listed: serde_json::Value = serde_json::from_slice(&json).expect("one message waits");
        (listed["recipients"][0]["state"] == "deferred").then_some(listed)
    });
    assert_eq!(listed["from"], "<a@example.org>");
    assert_eq!(listed["recipients"][0]["to"], "<b@example.test>");
    assert_eq!(listed["recipients"][0]["attempts"], 1);
    let id = listed["id"].as_str().expect("it has an id");
    let text = String::from_utf8(server.run(&["queue", "list"]).stdout).expect("we write UTF-8");
    says(&text, &[id, "from <a@example.org>", "to <b@example.test>: tried once, next in ", "1 waiting."]);
    let text = String::from_utf8(server.run(&["queue", "show", id]).stdout).expect("we write UTF-8");
    says(&text, &[id, "\nReceived: ", "\nSubject: waits"]);
    let home = server.stop();
    let output = home.command(&["queue", "list"]).output().expect("the binary runs");
    says(&said(&output), &[id, "1 waiting."]);
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut server = Server::start("");
    let mut client = Client::greeted(server.address()).expect("it greets");
    client.begin("a@example.org", &["b@example.test"]).expect("a transaction is running");
    server.signal("TERM");
    server.wait_for_log("a second signal stops at once", Duration::from_secs(60));
    server.signal("TERM");
    assert_eq!(server.wait_for_end().code(), Some(1));
}

#[test]
fn a_new_plugin_builds_and_passes_its_test() {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let project = dir.path().join("not-from");
    let mut new = wasmail();
    new.args(["plugin", "new", "not-from", "--sdk"]).arg(root()).arg("--dir").arg(&project);
    says(&done(&mut new), &["cargo test", "wasmail plugin build", "build/not-from.wasm"]);
    says(&refused(&mut new), &["is there already and not empty", "--dir"]);
    // A directory that stays, so that the sandbox is compiled for it once and not in every run.
    let binary = Path::new(env!("CARGO_BIN_EXE_wasmail"));
    let target = binary.ancestors().nth(2).expect("the binary is <target>/<profile>/wasmail").join("plugin-new");
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(args).arg("--target-dir").arg(&target).current_dir(&project);
        let output = cargo.output().expect("cargo runs");
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    says(&cargo(&["test"]), &["test dialogues ... ok", "test tests::a_listed_sender_is_refused_in_any_case ... ok"]);
    cargo(&["build", "--profile", "guest", "--target", "wasm32-wasip2"]);
    let component = target.join("wasm32-wasip2/guest/not_from.wasm");
    says(&done(wasmail().args(["plugin", "inspect"]).arg(component)), &["not-from 0.1.0: A wasmail plugin.", "mail"]);
}

#[test]
fn plugin_order_shows_who_is_asked_where() {
    let home = Home::new(
        "[[listener]]\n\
         name = \"mx\"\n\
         address = \"127.0.0.1:0\"\n\
         [[listener]]\n\
         name = \"inside\"\n\
         address = \"127.0.0.1:0\"\n\
         plugins = [\"late\", \"ours\"]\n\
         [[plugin]]\n\
         name = \"late\"\n\
         module = \"builtin:access\"\n\
         priority = 10\n\
         [[plugin]]\n\
         name = \"ours\"\n\
         module = \"builtin:local-domains\"\n\
         grants = [\"accept-recipients\"]\n\
         config = { domains = [\"example.test\"] }\n\
         [[plugin]]\n\
         name = \"early\"\n\
         module = \"builtin:access\"\n\
         priority = -100\n",
    );
    let text = done(home.command(&["plugin", "order"]).env_remove("WASMAIL__LISTENER__0__ADDRESS"));
    let (mx, inside) = text.split_once("inside: ").expect("both listeners are shown");
    says(
        mx,
        &[
            "mx: by priority, then as the configuration lists them",
            "rcpt                  early (-100), ours, late (+10)\n",
        ],
    );
    says(inside, &["by priority, then as the listener lists them", "rcpt                  ours, late (+10)\n"]);
    assert!(!text.contains("unrecognized-command"), "hooks that nobody exports are left out: {text}");
    let home = Home::new("[[plugin]]\nname = \"a\"\nmodule = \"builtin:access\"\npriority = 101\n");
    let text = refused(&mut home.command(&["check"]));
    says(&text, &["plugin[0].priority: expected a whole number from -100 to 100, found the number 101"]);
}
