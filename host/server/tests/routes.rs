//! Stories of mail that goes other ways, by its domain: to Maildirs, by LMTP, to a service by HTTP, nowhere.

#[path = "support/peer.rs"]
mod peer;
mod support;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use peer::{Peer, Script};
use support::{Home, Wanted, delivered, to_next_hop, until};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use wasmail_policy::{Hook, Mutation, Verdict};
use wasmail_server::{ClientConfig, Destination, MaildirConfig, MaildirLayout, NextHopConfig, Secret, WebhookConfig};
use wasmail_services::dns::{ResolverConfig, Validation};
use wasmail_spool::{Inspection, RecipientState};

fn lmtp(host: &str, port: u16) -> Destination {
    let mut hop = NextHopConfig::new(host, port, "mx.example");
    hop.client = ClientConfig { lmtp: true, ..hop.client };
    Destination::NextHop(Box::new(hop))
}

fn webhook(url: String) -> Destination {
    let servers = vec!["127.0.0.1:53".parse().unwrap()];
    let timeout = Duration::from_secs(20);
    Destination::Webhook(Box::new(WebhookConfig {
        url,
        authorization: Some(Secret::new("Bearer of news")),
        resolver: ResolverConfig {
            servers,
            timeout,
            concurrency: 1,
            cache: 0,
            trust_ad: false,
            validation: Validation::Off,
        },
        ca: None,
        timeout,
    }))
}

fn maildir(root: &Path) -> Destination {
    let root = root.to_owned();
    Destination::Maildir(MaildirConfig {
        root,
        layout: MaildirLayout::Single,
        hostname: "mx.example".into(),
        sync: true,
    })
}

/// These routes with their domains.
fn routes(all: Vec<(&str, Destination, &[&str])>) -> Wanted {
    let domains =
        all.iter().map(|(name, _, of)| ((*name).to_owned(), of.iter().map(|of| (*of).to_owned()).collect())).collect();
    let routes = all.into_iter().map(|(name, destination, _)| (name.to_owned(), destination)).collect();
    Wanted { routes, route_domains: domains, ..Wanted::default() }
}

async fn send(home: &Home, wanted: Wanted, to: &[&str]) -> support::Running {
    let server = home.start(wanted);
    let mut client = server.connect().await;
    client.hello().await;
    client.send(to, "Subject: hi\r\n\r\n..dot\r\n", "250").await;
    client.ask("QUIT", "221").await;
    server
}

fn states(home: &Home) -> Vec<RecipientState> {
    Inspection::open(&home.spool()).unwrap().messages().pop().map(|message| message.recipients).unwrap_or_default()
}

/// A server that speaks LMTP, and what it heard.
async fn box_of(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    final_dots: &'static [&'static str],
    heard: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 box.example\r\n").await?;
    let (mut line, mut recipients, mut content) = (String::new(), 0, false);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        heard.lock().push(line.trim_end().to_owned());
        let reply = match line.get(..4).unwrap_or(&line) {
            ".\r\n" => {
                content = false;
                final_dots[..recipients].join("")
            }
            _ if content => continue,
            "LHLO" => "250-box.example\r\n250 PIPELINING\r\n".to_owned(),
            "RCPT" => {
                recipients += 1;
                "250 2.1.5 ok\r\n".to_owned()
            }
            "DATA" => {
                content = true;
                "354 go\r\n".to_owned()
            }
            "MAIL" => {
                recipients = 0;
                "250 2.1.0 ok\r\n".to_owned()
            }
            _ => "250 2.0.0 ok\r\n".to_owned(),
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

#[tokio::test]
async fn each_domain_goes_its_way_and_the_rest_the_usual_one() {
    let (home, gateway) = (Home::new(), Peer::start([Script::default()]).await);
    let archive = home.path().join("archive");
    let wanted = routes(vec![
        ("gateway", to_next_hop(gateway.address), &["example.org", ".example.net"]),
        ("archive", maildir(&archive), &["archive.example.net"]),
        ("nowhere", Destination::Discard, &["noreply.example"]),
    ]);
    let to = [
        "a@Example.org",
        "b@sub.example.net",
        "c@archive.example.net",
        "d@example.net",
        "e@noreply.example",
        "f@usual.example",
    ];
    let server = send(&home, wanted, &to).await;
    until(|| states(&home).is_empty()).await;
    delivered(&archive, 1).await;
    for (domain, name) in [("example.net", "d"), ("usual.example", "f")] {
        delivered(&home.maildir().join(domain).join(name), 1).await;
    }
    let rcpts: Vec<_> = gateway.heard.lock().taken.clone();
    assert_eq!(rcpts, ["RCPT TO:<a@Example.org>", "RCPT TO:<b@sub.example.net>"]);
    assert_eq!(gateway.messages(), 1);
    server.stop().await;
}

#[tokio::test]
async fn what_policy_chooses_comes_before_the_domain() {
    let (home, gateway) = (Home::new(), Peer::start([Script::default()]).await);
    let (one, other) = (home.path().join("one"), home.path().join("other"));
    let mut wanted = routes(vec![
        ("gateway", to_next_hop(gateway.address), &["example.org"]),
        ("one", maildir(&one), &[]),
        ("other", maildir(&other), &[]),
    ]);
    let chooses = vec![Mutation::SetRoute(Some("other".into()))];
    wanted.plugins = vec![support::says("chooses", Hook::DataPost, Verdict::Next, chooses)];
    let server = send(&home, wanted, &["a@example.org"]).await;
    delivered(&other, 1).await;
    until(|| states(&home).is_empty()).await;
    assert_eq!(gateway.messages(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_way_that_is_blocked_holds_nobody_else_up() {
    let home = Home::new();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let wanted = routes(vec![("gateway", to_next_hop(gone), &["example.org"])]);
    let server = send(&home, wanted, &["a@example.org", "b@usual.example"]).await;
    delivered(&home.maildir().join("usual.example").join("b"), 1).await;
    until(|| matches!(&states(&home)[..], [RecipientState::Deferred(_), RecipientState::Delivered])).await;
    server.stop().await;
}

#[tokio::test]
async fn in_lmtp_each_recipient_has_an_outcome_of_their_own() {
    let (home, heard) = (Home::new(), Arc::<Mutex<Vec<String>>>::default());
    let socket = home.path().join("lmtp");
    let listener = UnixListener::bind(&socket).unwrap();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut scripts = VecDeque::from([
            &["250 2.0.0 has it\r\n", "550 5.2.0 is gone\r\n", "452 4.2.2 is full\r\n"][..],
            &["250 2.0.0 has it now\r\n"],
        ]);
        while let (Ok((stream, _)), Some(script)) = (listener.accept().await, scripts.pop_front()) {
            tokio::spawn(box_of(stream, script, Arc::clone(&hears)));
        }
    });
    let mut wanted = routes(vec![("box", lmtp(&socket.display().to_string(), 0), &["example.org"])]);
    // The second attempt comes by another connection, which has the second script.
    wanted.retry.backoff.first = Duration::from_millis(100);
    if let Destination::NextHop(hop) = &mut wanted.routes[0].1 {
        hop.client.idle_timeout = Duration::ZERO;
    }
    let server = send(&home, wanted, &["a@example.org", "b@example.org", "c@example.org"]).await;
    until(|| {
        matches!(
            &states(&home)[..],
            [RecipientState::Delivered, RecipientState::Failed { reply }, RecipientState::Delivered] if reply.contains("550 5.2.0")
        )
    })
    .await;
    let heard = heard.lock().clone();
    assert_eq!(heard[0], "LHLO mx.example");
    let rcpts: Vec<_> = heard.iter().filter(|line| line.starts_with("RCPT")).map(String::as_str).collect();
    assert_eq!(rcpts[3..], ["RCPT TO:<c@example.org>"], "{heard:?}");
    assert!(heard.contains(&"..dot".to_owned()), "{heard:?}");
    server.stop().await;
}

/// A service that answers so, one request after the other; what it was sent.
async fn service(answers: &'static [&'static str]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, heard) =
        (format!("http://{}/mail", listener.local_addr().unwrap()), Arc::<Mutex<Vec<String>>>::default());
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let begin = head.len();
                stream.read_line(&mut head).await.unwrap();
                let line = head[begin..].to_ascii_lowercase();
                length = line.strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            hears.lock().push(head + std::str::from_utf8(&body).unwrap());
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 4\r\n\r\nwhy\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heard)
}

#[tokio::test]
async fn a_service_gets_the_message_and_its_status_says_what_becomes_of_it() {
    let home = Home::new();
    let (url, heard) = service(&["503 Busy", "429 Slow down", "202 Accepted"]).await;
    let wanted = routes(vec![("hook", webhook(url), &["example.org"])]);
    let server = send(&home, wanted, &["a%b@example.org", "c@example.org"]).await;
    until(|| heard.lock().len() == 3 && states(&home).is_empty()).await;
    let heard = heard.lock().pop().unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("post /mail http/1.1\r\n"), "{head}");
    for line in [
        "content-type: message/rfc822",
        "authorization: bearer of news",
        "wasmail-mail-from: a@example.org",
        "wasmail-rcpt-to: a%25b@example.org",
        "wasmail-rcpt-to: c@example.org",
    ] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert!(body.contains("\r\nReceived: ") && body.ends_with("Subject: hi\r\n\r\n.dot\r\n"), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn a_service_that_says_never_is_believed() {
    let home = Home::new();
    let (url, heard) = service(&["404 Not Found"]).await;
    let server = send(&home, routes(vec![("hook", webhook(url), &["example.org"])]), &["a@example.org"]).await;
    until(|| matches!(&states(&home)[..], [RecipientState::Failed { reply }] if reply.contains("5.3.0 HTTP 404 why")))
        .await;
    assert_eq!(heard.lock().len(), 1);
    server.stop().await;
}
