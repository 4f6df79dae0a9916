//! Holds the dialogues of `tests/dialogs` with the built binary over loopback.
//!
//! Dialogues that want the same settings share a listener. Each one comes from an address of its own, so that the
//! messages that it got accepted can be told from all others: by the `Received` field that they are delivered with.

mod peers;
mod support;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use peers::loopback::Loopback;
use peers::maildir::{self, Delivered};
use support::Server;
use wasmail_dialog::{Dialog, Setting};

/// For one reply, and for all that was accepted to be delivered.
const PATIENCE: Duration = Duration::from_secs(30);

/// The listener that a dialogue wants, as a table of the configuration without its name.
fn listener(dialog: &Dialog) -> String {
    let mut listener = vec!["address = \"127.0.0.1:0\"".to_owned()];
    let mut limits = BTreeSet::new();
    let mut relay = "";
    let (mut says, mut tls, mut chunking) = (Vec::new(), false, "off");
    let mut auth = false;
    for Setting { key, value, line } in dialog.settings() {
        match (key.as_str(), key.strip_prefix("limits.")) {
            (_, Some(limit)) => _ = limits.insert(format!("{limit} = {value}")),
            ("line-endings", _) => listener.push(format!("line_endings = \"{value}\"")),
            ("relaying", _) if value == "true" => relay = "\"relay\", ",
            ("chunking", _) => chunking = value,
            ("xclient", _) => listener.push("xclient = [\"127.0.0.0/8\"]".to_owned()),
            ("kind", _) => listener.push(format!("kind = \"{value}\"")),
            ("starttls", _) => tls = value == "true",
            ("auth", _) => auth = true,
            ("says", _) => says.push(value.as_str()),
            ("messages", _) => {}
            _ => panic!("{}:{line}: {key} {value} cannot be had over loopback", dialog.file().display()),
        }
    }
    listener.push(format!("auth = {auth}"));
    listener.push(format!("chunking = \"{chunking}\""));
    listener.push(format!("tls = \"{}\"", if tls { "starttls" } else { "off" }));
    let says = if says.is_empty() { String::new() } else { format!("\"{}\", ", binding(&says)) };
    listener.push(format!("plugins = [{relay}{says}\"local-domains\"]"));
    listener.push(format!("limits = {{ {} }}", limits.into_iter().collect::<Vec<_>>().join(", ")));
    listener.join("\n")
}

/// What the guest `tests/says` is told in a dialogue.
fn sayings(dialog: &Dialog) -> Vec<&str> {
    let settings = dialog.settings().iter().filter(|setting| setting.key == "says");
    settings.map(|setting| setting.value.as_str()).collect()
}

/// The name of the binding that says so.
fn binding(sayings: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    sayings.hash(&mut hasher);
    format!("says-{:x}", hasher.finish())
}

/// A binding of the guest for each thing that it is told.
fn bindings(dialogs: &[Dialog]) -> String {
    let module = support::says();
    let all: BTreeSet<_> = dialogs.iter().map(sayings).filter(|sayings| !sayings.is_empty()).collect();
    let one = |sayings: Vec<&str>| {
        let pairs = sayings.iter().filter_map(|saying| saying.split_once(' '));
        let config: Vec<_> = pairs.map(|(hook, saying)| format!("{hook} = {saying:?}")).collect();
        format!(
            "[[plugin]]\nname = {:?}\nmodule = {module:?}\nconfig = {{ {} }}\n\
             grants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\", \"credentials\"]\n",
            binding(&sayings),
            config.join(", ")
        )
    };
    all.into_iter().map(one).collect()
}

/// A server with all these listeners, where `relay` lets loopback send to anywhere.
fn start(listeners: &[String], says: &str) -> Server {
    let mut config = "[dns]\nreverse = \"off\"\n[auth]\nwithout_tls = true\nfailure_delay = \"10ms\"\n".to_owned();
    for (number, listener) in listeners.iter().enumerate() {
        config.push_str(&format!("[[listener]]\nname = \"number-{number}\"\n{listener}\n"));
    }
    config.push_str(
        "[[plugin]]\nname = \"relay\"\nmodule = \"builtin:relay\"\ngrants = [\"relaying\"]\n\
         config = { networks = [\"127.0.0.0/8\"] }\n\
         [[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
         config = { domains = [\"example.test\"] }\n",
    );
    config.push_str(says);
    Server::start(&config)
}

/// The address that the `n`th dialogue comes from.
fn address(n: usize) -> Ipv4Addr {
    let n = u16::try_from(n).expect("there are fewer dialogues than addresses");
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// How many messages came from an address, counted once for all recipients.
fn messages_from(address: Ipv4Addr, found: &[Delivered]) -> usize {
    let from = format!("[{address}]");
    let ours = found.iter().map(Delivered::trace).filter(|trace| trace.contains(&from));
    let ids = ours.map(|trace| {
        let words: Vec<_> = trace.split_whitespace().collect();
        let id = words.windows(2).find(|pair| pair[0] == "id").map(|pair| pair[1]);
        id.unwrap_or_else(|| panic!("no id in {trace}")).to_owned()
    });
    ids.collect::<BTreeSet<_>>().len()
}

fn hold(dialog: &Dialog, from: Ipv4Addr, to: SocketAddr) -> Result<(), String> {
    let mut peer = Loopback::connect(from, to, PATIENCE).map_err(|error| format!("{dialog}: {error}"))?;
    dialog.hold(&mut peer).map_err(|failure| failure.to_string())
}

fn count(dialog: &Dialog, from: Ipv4Addr, found: &[Delivered]) -> Result<(), String> {
    let messages = messages_from(from, found).to_string();
    match dialog.setting("messages") {
        Some(expected) if expected != messages => {
            Err(format!("{dialog}: {messages} messages were delivered, expected {expected}"))
        }
        _ => Ok(()),
    }
}

#[test]
fn every_dialogue_goes_as_it_is_written() {
    let mut dialogs = Dialog::read_all(&support::root().join("tests/dialogs")).expect("they can be read");
    // A client's address cannot be had over loopback, nor TLS: those are held in memory only.
    dialogs.retain(|dialog| {
        dialog.setting("remote").is_none()
            && dialog.setting("auth") != Some("with-tls")
            && dialog.setting("mechanisms").is_none()
    });
    assert!(dialogs.len() > 100, "only {} dialogues were found", dialogs.len());
    let listeners: Vec<_> = dialogs.iter().map(listener).collect::<BTreeSet<_>>().into_iter().collect();
    let server = start(&listeners, &bindings(&dialogs));
    let mut failures = Vec::new();
    for (n, dialog) in dialogs.iter().enumerate() {
        let at = listeners.binary_search(&listener(dialog)).expect("it is one of them");
        failures.extend(hold(dialog, address(n), server.addresses()[at]).err());
    }
    peers::eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    let found = maildir::messages(&server.maildirs());
    failures.extend(dialogs.iter().enumerate().filter_map(|(n, dialog)| count(dialog, address(n), &found).err()));
    assert!(failures.is_empty(), "{} of {} failed\n{}", failures.len(), dialogs.len(), failures.join("\n"));
}
