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
    config.push_str(&listener("good", ""));
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
