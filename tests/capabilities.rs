//! What plugins are granted, in the built binary: a blocklist is asked, a greylist outlasts the server, services are asked
//! over HTTP and TCP, and addresses have places.

mod peers;
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use peers::client::{Client, Reply};
use peers::{clamd, maildir, programs};
use serde_json::{Value, json};
use support::{Home, Server};

const DOMAINS: &str = "[[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\n\
                       grants = [\"accept-recipients\"]\nconfig = { domains = [\"example.test\"] }\n";

/// The code that the client hears for its recipient.
fn rcpt(server: &Server) -> u16 {
    let mut client = Client::greeted(server.address()).expect("the server greets");
    for line in ["MAIL FROM:<a@example.org>", "NOOP"] {
        assert_eq!(client.command(line).expect("the server replies").code, 250, "{line}");
    }
    client.command("RCPT TO:<b@example.test>").expect("the server replies").code
}

#[test]
fn who_was_greylisted_is_known_after_a_restart() {
    let greylist = "[[plugin]]\nname = \"greylist\"\nmodule = \"builtin:greylist\"\ngrants = [\"kv\"]\n\
                    config = { delay_s = 0, exempt = \"nobody\" }\n";
    let server = Home::new(&format!("[dns]\nreverse = \"off\"\n{DOMAINS}{greylist}")).start();
    assert_eq!(rcpt(&server), 451);
    let server = server.stop().start();
    assert!(server.data().join("kv.redb").exists());
    assert_eq!(rcpt(&server), 250);
}

#[test]
fn who_is_away_answers_once() {
    let vacation = "[[plugin]]\nname = \"vacation\"\nmodule = \"builtin:vacation\"\ngrants = [\"inject\", \"kv\"]\n\
                    config = { away = [{ addresses = [\"anna@example.test\"], text = \"I am away.\", subject = \"Grüße\" }] }\n";
    let server = Home::new(&format!("[dns]\nreverse = \"off\"\n{DOMAINS}{vacation}")).start();
    let mail = |server: &Server, subject: &str| {
        let mut client = Client::greeted(server.address()).expect("the server greets");
        let text = format!("From: bea@example.org\r\nTo: anna@example.test\r\nSubject: {subject}\r\n\r\nhello\r\n");
        let sent = client.send("bea@example.org", &["anna@example.test"], text.as_bytes());
        assert_eq!(sent.expect("the server replies").code, 250);
    };
    let limit = Duration::from_secs(20);
    mail(&server, "lunch?");
    let inbox = maildir::of(&server.maildirs(), "bea@example.org");
    let answer = maildir::wait_for(&inbox, 1, limit).remove(0);
    let text = String::from_utf8_lossy(&answer.raw).replace("\r\n", "\n");
    for part in [
        "Return-Path: <>\n",
        "Received: by ",
        "; plugin vacation) id",
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n",
        "To: <bea@example.org>\n",
        "Auto-Submitted: auto-replied\n",
        "Message-ID: <",
        "\n\nI am away.\n",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let server = server.stop().start();
    mail(&server, "dinner?");
    server.wait_for_log("skip: answered before", limit);
    maildir::wait_for(&maildir::of(&server.maildirs(), "anna@example.test"), 2, limit);
    assert_eq!(maildir::count(&inbox), 1);
}

#[test]
fn a_client_on_a_blocklist_is_refused() {
    let config = |name_server: SocketAddr| {
        format!(
            "[dns]\nreverse = \"off\"\nservers = [\"{name_server}\"]\n{DOMAINS}\
             [[plugin]]\nname = \"dnsbl\"\nmodule = \"builtin:dnsbl\"\ngrants = [\"dns\"]\n\
             config = {{ exempt = \"nobody\", zones = [{{ zone = \"bl.example\" }}] }}\n"
        )
    };
    let server = Home::new(&config(blocklist())).start();
    let (_, greeting) = Client::connect(server.address()).expect("the server says something");
    assert_eq!((greeting.code, greeting.text.trim()), (554, "5.7.1 127.0.0.1 is listed by bl.example"));
    // Nobody answers there: mail goes on.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let server = Home::new(&config(silent.local_addr().expect("it has an address"))).start();
    assert_eq!(rcpt(&server), 250);
}

#[test]
fn five_blocklists_are_asked_at_the_same_time() {
    const LISTS: usize = 5;
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let name_server = socket.local_addr().expect("it has an address");
    // It says nothing until all the questions are there: asked one after the other, the second would never come.
    std::thread::spawn(move || {
        let mut asked = BTreeMap::new();
        while asked.len() < LISTS {
            let (question, from) = question(&socket);
            asked.insert(question.name(), (question, from));
        }
        for (question, from) in asked.values() {
            socket.send_to(&question.no_such_name(), from).expect("the server listens");
        }
    });
    let lists: String = (0..LISTS)
        .map(|number| {
            format!(
                "[[plugin]]\nname = \"list-{number}\"\nmodule = \"builtin:dnsbl\"\ngrants = [\"dns\"]\ndns = {{ timeout = \"20s\" }}\n\
                 config = {{ exempt = \"nobody\", zones = [{{ zone = \"bl{number}.example\" }}] }}\n"
            )
        })
        .collect();
    let config = format!(
        "[dns]\nreverse = \"off\"\ntimeout = \"60s\"\nservers = [\"{name_server}\"]\n[engine]\nwall_clock = \"30s\"\n{DOMAINS}{lists}"
    );
    let server = Home::new(&config).start();
    let order = server.run(&["plugin", "order"]);
    let order = String::from_utf8_lossy(&order.stdout);
    assert!(order.contains("list-0 + list-1 + list-2 + list-3 + list-4"), "{order}");
    assert_eq!(rcpt(&server), 250);
    let log = server.wait_for_log("closed_by=", Duration::from_secs(20));
    assert!(log.contains("[list-4: pass: unlisted]") && !log.contains("err: "), "no question was in vain: {log}");
}

/// A question on the wire, RFC 1035 section 4.1: a header of 12 octets, then name, type and class.
struct Asked(Vec<u8>);

fn question(socket: &UdpSocket) -> (Asked, SocketAddr) {
    let mut octets = [0; 512];
    let (len, from) = socket.recv_from(&mut octets).expect("the server asks");
    let name_end = 12 + octets[12..len].iter().position(|octet| *octet == 0).expect("a name ends");
    (Asked(octets[..name_end + 5].to_vec()), from)
}

impl Asked {
    fn name(&self) -> Vec<u8> {
        self.0[12..].to_ascii_lowercase()
    }

    fn no_such_name(&self) -> Vec<u8> {
        let mut reply = self.0.clone();
        reply[2..12].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
        reply
    }

    /// A 127.0.0.2.
    fn listed(&self) -> Vec<u8> {
        let mut reply = self.0.clone();
        reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        // The name by reference, A, IN, a minute, four octets.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 2]);
        reply
    }
}

/// A name server where every name is listed.
fn blocklist() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let address = socket.local_addr().expect("it has an address");
    std::thread::spawn(move || {
        loop {
            let (question, from) = question(&socket);
            socket.send_to(&question.listed(), from).expect("the server listens");
        }
    });
    address
}

#[test]
fn a_plugin_uses_a_key_and_never_sees_it() {
    let module = support::says();
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let key = dir.path().join("key");
    std::fs::write(&key, [0x0b; 20]).expect("the key can be written");
    let config = |says: &str, grants: &str, secret: &str| {
        format!(
            "[dns]\nreverse = \"off\"\n[[plugin]]\nname = \"keys\"\nmodule = {module:?}\n\
             grants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\"{grants}]\n\
             config = {{ noop = \"{says}\" }}\nsecrets = {{ code = \"{secret}\" }}\n"
        )
    };
    let place = format!("file:{}", key.display());
    let heard = |says: &str, grants: &str| {
        let server = Home::new(&config(says, grants, &place)).start();
        let mut client = Client::greeted(server.address()).expect("the server greets");
        let text = client.command("NOOP").expect("the server replies").text;
        assert!(!server.log().contains("0b0b0b"), "{}", server.log());
        text
    };
    // RFC 4231 section 4.2.
    let code = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    let text = heard("hmac code", ", \"secret\"");
    assert!(text.contains(&format!("{code} Ok(true)")), "{text}");
    let text = heard("hmac other", ", \"secret\"");
    assert!(text.contains("no secret of this name"), "{text}");
    let text = heard("hmac code", "");
    assert!(text.contains("NotGranted"), "{text}");
    let text = heard("suffix mx.example.co.uk", "");
    assert!(text.contains("Some(\"example.co.uk\")"), "{text}");
    // What is wrong is said by name, and without what it holds.
    std::fs::write(&key, "hunter2").expect("the key can be written");
    for (place, wrong) in [
        (place.as_str(), "has 7 octets"),
        ("file:/nowhere", "cannot be read"),
        ("env:WASMAIL_NO_SUCH", "the environment has no WASMAIL_NO_SUCH"),
        ("hunter2", "expected \\\"file:PATH\\\""),
    ] {
        let home = Home::new(&config("next", ", \"secret\"", place));
        let output = home.command(&["check"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let wrong = wrong.replace("\\\"", "\"");
        assert!(said.contains("plugin[0].secrets.code: ") && said.contains(&wrong), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_service_is_asked_over_http_where_the_operator_lets_it_be() {
    let module = support::says();
    let service = service();
    let heard = |grants: &str, http: &str| {
        let config = format!(
            "[dns]\nreverse = \"off\"\nservers = [\"127.0.0.1:53\"]\n[[plugin]]\nname = \"asks\"\n\
             module = {module:?}\ngrants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\"{grants}]\n\
             config = {{ noop = \"fetch http://{service}/verdict\" }}\n{http}"
        );
        let server = Home::new(&config).start();
        let mut client = Client::greeted(server.address()).expect("the server greets");
        client.command("NOOP").expect("the server replies").text
    };
    let listed = format!("[plugin.http]\norigins = [\"http://{service}\"]\n");
    let text = heard(", \"http\"", &format!("{listed}private = true\n"));
    assert!(text.contains("200 GET /verdict"), "{text}");
    let text = heard(", \"http\"", &listed);
    assert!(text.contains("no address that may be reached"), "{text}");
    let text = heard("", &listed);
    assert!(text.contains("NotGranted"), "{text}");
}

/// A web server that answers with the first line of the request.
fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client connects");
            let mut octets = [0; 4096];
            let len = stream.read(&mut octets).expect("it sends a request");
            let line: Vec<u8> = octets[..len].iter().copied().take_while(|octet| *octet != b'\r').collect();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
            stream.write_all(&[head.as_bytes(), &line].concat()).expect("it listens");
        }
    });
    address
}

/// Answers one client's line with the same line and what was heard of it.
fn answer(mut stream: impl Read + Write) {
    let mut line = String::new();
    // Whoever says nothing hears nothing.
    if BufReader::new(&mut stream).read_line(&mut line).is_ok_and(|len| len > 0) {
        stream.write_all(format!("heard {line}").as_bytes()).expect("the plugin listens");
    }
}

#[test]
fn a_service_is_spoken_with_where_the_operator_lists_it() {
    let module = support::says();
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let path = dir.path().join("socket");
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").expect("a port is free"), UnixListener::bind(&path));
    let (address, unix) = (tcp.local_addr().expect("it has an address"), unix.expect("a socket can be made"));
    std::thread::spawn(move || tcp.incoming().for_each(|stream| answer(stream.expect("a client connects"))));
    std::thread::spawn(move || unix.incoming().for_each(|stream| answer(stream.expect("a client connects"))));
    let socket = format!("unix:{}", path.display());
    let heard = |grants: &str, endpoint: &str, tcp: &str| {
        let config = format!(
            "[dns]\nreverse = \"off\"\nservers = [\"127.0.0.1:53\"]\n[[plugin]]\nname = \"speaks\"\n\
             module = {module:?}\ngrants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\"{grants}]\n\
             config = {{ noop = \"tcp {endpoint} hello\" }}\n[plugin.tcp]\n{tcp}\n"
        );
        let server = Home::new(&config).start();
        let mut client = Client::greeted(server.address()).expect("the server greets");
        client.command("NOOP").expect("the server replies").text
    };
    let both = format!("endpoints = [\"{address}\", \"{socket}\"]");
    for endpoint in [&address.to_string(), &socket] {
        let text = heard(", \"tcp\"", endpoint, &both);
        assert!(text.contains("heard hello"), "{endpoint}: {text}");
        let text = heard(", \"tcp\"", endpoint, "endpoints = [\"127.0.0.1:1\"]");
        assert!(text.contains("is not among tcp.endpoints"), "{endpoint}: {text}");
    }
    let text = heard(", \"tcp\"", "127.0.0.1:1", "endpoints = [\"127.0.0.1:1\"]");
    assert!(text.contains("connection refused"), "{text}");
    let text = heard("", &address.to_string(), &both);
    assert!(text.contains("NotGranted"), "{text}");
}

/// A service that keeps what each client says, to the end.
fn listens() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut heard = Vec::new();
            stream.expect("a client connects").read_to_end(&mut heard).expect("it ends well");
            if tell.send(heard).is_err() {
                return;
            }
        }
    });
    (address, told)
}

#[test]
fn a_service_hears_the_message_that_the_plugin_reads() {
    let module = support::says();
    let (service, told) = listens();
    let plugin = |name: &str, grants: &str, says: &str| {
        format!(
            "[[plugin]]\nname = \"{name}\"\nmodule = {module:?}\n\
             grants = [\"take-messages\", \"overturn-denials\", \"accept-recipients\"{grants}]\n\
             config = {{ rcpt = \"accept\", data-post = \"{says}\" }}\n"
        )
    };
    // What the first one edits, the second one reads and sends; the reading of it takes a while in the sandbox.
    let edits = plugin("edits", "", "edit");
    let sends = plugin("sends", ", \"tcp\"", &format!("tcp {service}"));
    let config =
        format!("[dns]\nreverse = \"off\"\n{edits}{sends}cpu = \"5s\"\ntcp = {{ endpoints = [\"{service}\"] }}\n");
    let server = Home::new(&config).start();
    let mut client = Client::greeted(server.address()).expect("the server greets");
    let line = "a line of the message, and .dots\r\n.\r\n..\r\n";
    let text =
        format!("From: =?utf-8?q?J=C3=B6rg?= <a@example.org>\r\nSubject: two\r\n lines\r\n\r\n{}", line.repeat(5_000));
    let sent = client.send("a@example.org", &["b@example.test"], text.as_bytes()).expect("the server replies");
    assert_eq!(sent.code, 250, "{sent:?}");
    let limit = Duration::from_secs(20);
    let [by_host, by_guest] = [0, 1].map(|_| told.recv_timeout(limit).expect("it hears the message"));
    assert!(by_host == by_guest, "{} octets by the host, {} by the guest", by_host.len(), by_guest.len());
    let heard = String::from_utf8_lossy(&by_host);
    assert!(heard.contains("X-From: ") && heard.ends_with("-- \r\nseen\r\n"), "the edits are in it");
    let delivered = maildir::wait_for(&maildir::of(&server.maildirs(), "b@example.test"), 1, limit).remove(0);
    assert!(delivered.raw.ends_with(&by_host), "what is delivered has the host's fields on top, and nothing else");
}

#[test]
fn a_real_clamd_judges_the_mail() {
    const STREAM_MAX: usize = 200_000;
    if !programs::here(&["clamd"]) {
        return;
    }
    let daemon = clamd::Clamd::start(STREAM_MAX);
    let endpoint = daemon.endpoint();
    let plugin = format!(
        "[[plugin]]\nname = \"clamd\"\nmodule = \"builtin:clamd\"\ngrants = [\"tcp\"]\n\
         tcp = {{ endpoints = [\"{endpoint}\"] }}\nconfig = {{ endpoints = [\"{endpoint}\"] }}\n"
    );
    let server = Home::new(&format!("[dns]\nreverse = \"off\"\n{DOMAINS}{plugin}")).start();
    let (limit, virus) = (Duration::from_secs(20), clamd::VIRUS);
    let mail = |header: &str, body: &str| -> Reply {
        let mut client = Client::greeted(server.address()).expect("the server greets");
        let text = format!("{header}From: a@example.org\r\nSubject: hello\r\n\r\n{body}\r\n");
        client.send("a@example.org", &["b@example.test"], text.as_bytes()).expect("the server replies")
    };
    let taken = mail("", "wasmail-test-medicine");
    assert_eq!(taken.code, 250, "{taken:?}");
    server.wait_for_log("pass: clean", limit);
    // In the body; in a header; encoded, in mail that does not begin as mail mostly does.
    let encoded = "X-Odd: 1\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n";
    for (header, body) in [
        ("", &format!("this is a {virus}, dear")),
        (&format!("X-Comment: {virus}\r\n"), &"hello".to_owned()),
        (encoded, &"d2FzbWFpbC10ZXN0LXZpcnVzCg==".to_owned()),
    ] {
        let refused = mail(header, body);
        let told = format!("5.7.1 Message is infected with {}", clamd::NAME);
        assert_eq!((refused.code, refused.text.as_str()), (550, told.as_str()), "{header}{body}");
    }
    // It hangs up in the middle, and says why.
    let large = mail("", &"0123456789\r\n".repeat(STREAM_MAX / 4));
    assert_eq!(large.code, 250, "{large:?}");
    server.wait_for_log("skip: larger than StreamMaxLength", limit);
    drop(daemon);
    let put_off = mail("", "hello");
    assert_eq!((put_off.code, &put_off.text[..5]), (451, "4.7.1"), "{put_off:?}");
    server.wait_for_log("failed to connect", limit);
    maildir::wait_for(&maildir::of(&server.maildirs(), "b@example.test"), 2, limit);
}

/// Writes a database that knows one network; a file that is replaced is never half there.
fn database(path: &Path, network: &str, record: &Value) {
    let mut writer = mmdb_writer::Writer::new("Test");
    writer.insert(network.parse::<ipnet::IpNet>().expect("it is one"), record).expect("it is a record");
    let new = path.with_extension("new");
    std::fs::write(&new, writer.to_bytes().expect("it is small")).expect("it can be written");
    std::fs::rename(&new, path).expect("it can be renamed");
}

fn country(code: &str) -> Value {
    json!({ "country": { "iso_code": code }, "city": { "names": { "en": "Berlin" } } })
}

#[test]
fn a_plugin_knows_where_addresses_are_and_hears_of_new_databases() {
    let module = support::says();
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let (city, asn) = (dir.path().join("city.mmdb"), dir.path().join("asn.mmdb"));
    database(&city, "192.0.2.0/24", &country("DE"));
    database(&asn, "192.0.2.0/25", &json!({ "autonomous_system_organization": "Example Net" }));
    let config = |grants: &str, databases: &str| {
        format!(
            "[dns]\nreverse = \"off\"\n[geo]\ndatabases = [{databases}]\ncheck_interval = \"1ms\"\n[[plugin]]\nname = \"places\"\n\
             module = {module:?}\ngrants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\"{grants}]\n\
             config = {{ noop = \"geo 192.0.2.1\" }}\n"
        )
    };
    let heard = |server: &Server| {
        let mut client = Client::greeted(server.address()).expect("the server greets");
        client.command("NOOP").expect("the server replies").text
    };
    let both = format!("{city:?}, {asn:?}");
    let server = Home::new(&config(", \"geo\"", &both)).start();
    let place = |code: &str| format!("Some(\"{code}\") Some(\"Berlin\") Some(\"Example Net\")");
    assert!(heard(&server).ends_with(&place("DE")), "{}", heard(&server));
    let limit = Duration::from_secs(20);
    let eventually_in = |code: &str| {
        peers::eventually(code, limit, || heard(&server).ends_with(&place(code)).then_some(()));
    };
    database(&city, "192.0.2.0/24", &country("AT"));
    eventually_in("AT");
    // What is no database does not take the place of one.
    std::fs::write(&city, "not found").expect("it can be written");
    peers::eventually("a word", limit, || {
        assert!(heard(&server).ends_with(&place("AT")));
        server.log().contains("the old one stays").then_some(())
    });
    database(&city, "192.0.2.0/24", &country("CH"));
    eventually_in("CH");

    assert!(heard(&Home::new(&config("", &both)).start()).contains("NotGranted"));
    let text = heard(&Home::new(&config(", \"geo\"", "")).start());
    assert!(text.contains("Unavailable") && text.contains("geo.databases"), "{text}");
    let home = Home::new(&config(", \"geo\"", "\"nowhere.mmdb\""));
    let output = home.command(&["check"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("geo.databases[0]: ") && said.contains("nowhere.mmdb"), "{said}");
}
