//! Guests that misbehave, in the chain of the built binary: their question is answered 451, and everything else goes on.

mod peers;
mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use peers::client::{Client, Reply};
use peers::maildir::wait_for;
use support::{Home, Server};

const PATIENCE: Duration = Duration::from_secs(60);

const MESSAGE: &[u8] = b"From: a@example.org\r\nTo: b@example.test\r\nSubject: hello\r\n\r\nhello\r\n";

/// Guests that fail at EHLO, each in its own way.
const AT_EHLO: [&str; 8] =
    ["unreachable", "recursion", "loop", "memory-bomb", "huge-list", "wild-list", "deny-crlf", "call-flood"];

/// A guest that wants to smuggle a header field in, when the message is there.
const AT_DATA_POST: &str = "header-injection";

/// A server with a listener for each of these rules: a name, a guest, and what its faults become. The first listener
/// has none of them.
fn start(rules: &[(&str, &str, &str)]) -> Server {
    let mut config = "[dns]\nreverse = \"off\"\n".to_owned();
    config.push_str(&listener("ordinary", ""));
    rules.iter().for_each(|(name, ..)| config.push_str(&listener(name, &format!("\"{name}\", "))));
    config.push_str(
        "[[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
         config = { domains = [\"example.test\"] }\n",
    );
    for (name, guest, on_fault) in rules {
        config.push_str(&format!(
            "[[plugin]]\nname = \"{name}\"\nmodule = \"{guest}.wasm\"\non_fault = \"{on_fault}\"\n"
        ));
    }
    let home = Home::new(&config);
    let place = home.config().parent().expect("a file has a directory").to_owned();
    for (_, guest, _) in rules {
        std::fs::write(place.join(format!("{guest}.wasm")), wasmail_hostile::component(guest))
            .expect("it can be written");
    }
    home.start()
}

fn listener(name: &str, plugins: &str) -> String {
    format!("[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\nplugins = [{plugins}\"local-domains\"]\n")
}

fn connect(address: SocketAddr) -> Client {
    let (client, greeting) = Client::connect(address).expect("the server greets");
    assert_eq!(greeting.code, 220, "{greeting:?}");
    client
}

fn ehlo(client: &mut Client) -> Reply {
    client.command("EHLO client.example").expect("the server replies")
}

/// Greets twice, is put off twice, and then gets its message through with HELO, at which nobody misbehaves.
fn put_off_and_served(address: SocketAddr) {
    let mut client = connect(address);
    for _ in 0..2 {
        let reply = ehlo(&mut client);
        assert_eq!((reply.code, &reply.text[..5]), (451, "4.3.0"), "{reply:?}");
    }
    assert_eq!(client.command("HELO client.example").expect("the server replies").code, 250);
    let reply = client.send("a@example.org", &["b@example.test"], MESSAGE).expect("the transaction goes on");
    assert_eq!(reply.code, 250, "{reply:?}");
}

/// Sends good mail until it is told to stop; counts it.
fn undisturbed(address: SocketAddr, done: &AtomicBool, sent: &AtomicUsize) {
    while !done.load(Ordering::SeqCst) {
        let mut client = connect(address);
        assert_eq!(ehlo(&mut client).code, 250);
        let reply = client.send("a@example.org", &["good@example.test"], MESSAGE).expect("the server serves");
        assert_eq!(reply.code, 250, "{reply:?}");
        sent.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_guest_that_fails_puts_its_own_question_off_and_nothing_else() {
    let rules: Vec<_> = AT_EHLO.iter().map(|guest| (*guest, *guest, "defer")).collect();
    let server = start(&rules);
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let good = scope.spawn(|| undisturbed(server.addresses()[0], &done, &sent));
        let clients = server.addresses()[1..].iter().flat_map(|address| [address; 4]);
        let hostile: Vec<_> = clients.map(|address| scope.spawn(|| put_off_and_served(*address))).collect();
        let ended: Vec<_> = hostile.into_iter().map(|client| client.join()).collect();
        done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "a client was not served");
        good.join().expect("good mail goes on");
    });
    let sent = sent.into_inner();
    assert!(sent > 0, "no good mail came through beside the hostile guests");
    wait_for(&server.maildirs().join("example.test/good"), sent, PATIENCE);
    wait_for(&server.maildirs().join("example.test/b"), 4 * AT_EHLO.len(), PATIENCE);
    for guest in AT_EHLO {
        server.wait_for_log(&format!("plugin={guest}"), PATIENCE);
    }
}

#[test]
fn an_answer_that_means_harm_leaves_no_trace_in_the_message() {
    let server = start(&[("late", AT_DATA_POST, "defer")]);
    let mut client = connect(server.addresses()[1]);
    assert_eq!(ehlo(&mut client).code, 250);
    let reply = client.send("a@example.org", &["b@example.test"], MESSAGE).expect("the server replies");
    assert_eq!((reply.code, &reply.text[..5]), (451, "4.3.0"), "{reply:?}");
    undisturbed_once(&server);
    wait_for(&server.maildirs(), 1, PATIENCE);
}

fn undisturbed_once(server: &Server) {
    let mut client = connect(server.addresses()[0]);
    assert_eq!(ehlo(&mut client).code, 250);
    let reply = client.send("a@example.org", &["good@example.test"], MESSAGE).expect("the server replies");
    assert_eq!(reply.code, 250, "{reply:?}");
}

#[test]
fn what_a_fault_becomes_is_the_bindings_choice() {
    let server =
        start(&[("put-off", "unreachable", "defer"), ("refused", "loop", "reject"), ("passed", "memory-bomb", "skip")]);
    let replies = server.addresses()[1..].iter().map(|address| ehlo(&mut connect(*address)));
    let replies: Vec<_> = replies.map(|reply| (reply.code, reply.text[..5].to_owned())).collect();
    assert_eq!(replies[0], (451, "4.3.0".to_owned()));
    assert_eq!(replies[1], (550, "5.3.0".to_owned()));
    assert_eq!(replies[2].0, 250);
}

/// Guests that no server starts with: they fail before they are asked.
const AT_START: [&str; 12] = [
    "bad-name",
    "configure-loops",
    "describe-bomb",
    "describe-loops",
    "describe-traps",
    "huge-table",
    "memory-at-start",
    "refuses",
    "start-loops",
    "start-traps",
    "two-memories",
    "unknown-grant",
];

/// Clients of hostile guests at once.
const HOSTILE_AT_ONCE: usize = 8;

/// Says what a client says, twice, and takes every answer for good; but there must be one.
fn go_through(address: SocketAddr) {
    let mut client = connect(address);
    for _ in 0..2 {
        ehlo(&mut client);
        // At whatever it was refused, the client may start over.
        let _ = client.send("a@example.org", &["hostile@example.test"], MESSAGE);
        if client.command("RSET").is_err() {
            client = connect(address);
        }
    }
}

/// What the process holds in memory, in octets.
fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn ordinary_mail_goes_on_while_every_hostile_guest_runs() {
    let guests: Vec<_> = wasmail_hostile::all().map(|(name, _)| name).filter(|name| !AT_START.contains(name)).collect();
    assert!(guests.len() >= 30, "{guests:?}");
    let rules: Vec<_> = guests.iter().map(|guest| (*guest, *guest, "defer")).collect();
    let server = start(&rules);
    undisturbed_once(&server);
    let before = resident(&server);
    let (done, sent, next) = (AtomicBool::new(false), AtomicUsize::new(1), AtomicUsize::new(1));
    let hostile = || {
        while let Some(address) = server.addresses().get(next.fetch_add(1, Ordering::SeqCst)) {
            go_through(*address);
        }
    };
    std::thread::scope(|scope| {
        let good: Vec<_> = (0..2).map(|_| scope.spawn(|| undisturbed(server.addresses()[0], &done, &sent))).collect();
        let hostile: Vec<_> = (0..HOSTILE_AT_ONCE).map(|_| scope.spawn(hostile)).collect();
        let ended: Vec<_> = hostile.into_iter().map(|client| client.join()).collect();
        done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok), "a client was not answered");
        good.into_iter().for_each(|client| client.join().expect("good mail goes on"));
    });
    // Nothing of what was acknowledged is lost, and what the guests took is given back.
    wait_for(&server.maildirs().join("example.test/good"), sent.into_inner(), PATIENCE);
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 200_000_000, "{grown} octets more than before");
    assert!(!server.log().contains('\u{1b}'), "a guest commands the operator's terminal");
    server.stop();
}

#[test]
fn a_server_does_not_start_with_a_guest_that_fails_at_its_start() {
    let mut config = String::new();
    for name in AT_START {
        config.push_str(&format!("[[plugin]]\nname = \"{name}\"\nmodule = \"{name}.wasm\"\n"));
    }
    let home = Home::new(&config);
    for name in AT_START {
        let path = home.config().with_file_name(name).with_extension("wasm");
        std::fs::write(path, wasmail_hostile::component(name)).expect("it can be written");
    }
    let output = home.command(&["check"]).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    // Each is named, with what is wrong with it.
    for (number, name) in AT_START.iter().enumerate() {
        assert!(said.contains(&format!("plugin[{number}].")), "{name} is not complained of in {said}");
    }
    assert!(said.contains("12 mistakes in the configuration"), "{said}");
}
