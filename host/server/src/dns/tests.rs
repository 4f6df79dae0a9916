//! Stories with a real DNS server on loopback.

use super::*;
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, PTR};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::UdpSocket;

/// A DNS server that knows a few addresses, and misbehaves for some.
struct NameServer {
    address: SocketAddr,
    queries: Arc<AtomicUsize>,
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, queries) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(Self::serve(socket, Arc::clone(&queries)));
        Self { address, queries }
    }

    async fn serve(socket: UdpSocket, queries: Arc<AtomicUsize>) {
        let mut octets = [0; 1500];
        while let Ok((len, from)) = socket.recv_from(&mut octets).await {
            queries.fetch_add(1, Ordering::Relaxed);
            if let Some(answer) = answer(&Message::from_vec(&octets[..len]).unwrap()) {
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        }
    }

    fn config(&self) -> DnsConfig {
        let timeout = Duration::from_millis(1500);
        DnsConfig { servers: vec![self.address], timeout, ..DnsConfig::default() }
    }
}

/// 192.0.2.1 is mx.example.org and back; .2 claims a name that is not its; .3 has no name; .4 makes the server fail;
/// .5 is never answered; .6 has an absurd name; .7 has two, and the second is its.
fn answer(query: &Message) -> Option<Message> {
    let asked = query.queries[0].clone();
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.recursion_available = true;
    reply.add_query(asked.clone());
    let name = asked.name().to_ascii().to_ascii_lowercase();
    let ptr = |to: &str| RData::PTR(PTR(Name::from_ascii(to).unwrap()));
    let a = |last| RData::A(A(Ipv4Addr::new(192, 0, 2, last)));
    let records = match name.as_str() {
        "1.2.0.192.in-addr.arpa." => vec![ptr("MX.example.org.")],
        "2.2.0.192.in-addr.arpa." => vec![ptr("mx.example.org.")],
        "4.2.0.192.in-addr.arpa." => {
            reply.metadata.response_code = ResponseCode::ServFail;
            vec![]
        }
        "5.2.0.192.in-addr.arpa." => return None,
        "6.2.0.192.in-addr.arpa." => vec![RData::PTR(PTR(absurd()))],
        "7.2.0.192.in-addr.arpa." => vec![ptr("mx.example.org."), ptr("seven.example.org.")],
        "mx.example.org." => vec![a(9), a(1)],
        name if name.starts_with("a\\") => vec![a(6)],
        "seven.example.org." => vec![a(7)],
        _ => {
            reply.metadata.response_code = ResponseCode::NXDomain;
            vec![]
        }
    };
    reply.add_answers(records.into_iter().map(|data| Record::from_rdata(asked.name().clone(), 60, data)));
    Some(reply)
}

fn absurd() -> Name {
    Name::from_labels([&b"a\r\nb"[..], b"example", b"org"]).unwrap()
}

async fn look_up(names: &Arc<Names>, ip: &str) -> (Iprev, Option<String>) {
    let named = match names.look_up(ip.parse().unwrap()) {
        Lookup::Known(named) => named,
        Lookup::Asked(asked) => asked.await.unwrap(),
        Lookup::Busy => panic!("busy"),
    };
    (named.iprev, named.host.as_deref().map(str::to_owned))
}

#[tokio::test]
async fn a_name_counts_when_it_leads_back() {
    let names = Names::new(&NameServer::start().await.config()).unwrap();
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(look_up(&names, "192.0.2.1").await, (Iprev::Pass, name("MX.example.org")));
    assert_eq!(look_up(&names, "192.0.2.2").await, (Iprev::Fail, None));
    assert_eq!(look_up(&names, "192.0.2.3").await, (Iprev::PermError, None));
    assert_eq!(look_up(&names, "192.0.2.7").await, (Iprev::Pass, name("seven.example.org")));
}

#[tokio::test]
async fn a_name_that_no_host_has_is_none() {
    let names = Names::new(&NameServer::start().await.config()).unwrap();
    assert_eq!(look_up(&names, "192.0.2.6").await, (Iprev::PermError, None));
}

#[tokio::test]
async fn trouble_is_told_from_namelessness() {
    let names = Names::new(&NameServer::start().await.config()).unwrap();
    assert_eq!(look_up(&names, "192.0.2.4").await, (Iprev::TempError, None));
    let began = Instant::now();
    assert_eq!(look_up(&names, "192.0.2.5").await, (Iprev::TempError, None));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_dead_name_server_is_not_waited_for_longer_than_the_timeout() {
    let unused = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = DnsConfig { servers: vec![unused], timeout: Duration::from_millis(300), ..DnsConfig::default() };
    let began = Instant::now();
    assert_eq!(look_up(&Names::new(&config).unwrap(), "192.0.2.1").await, (Iprev::TempError, None));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_is_remembered_good_or_bad() {
    let server = NameServer::start().await;
    let names = Names::new(&server.config()).unwrap();
    for ip in ["192.0.2.1", "192.0.2.3", "192.0.2.4"] {
        let first = look_up(&names, ip).await;
        let asked = server.queries.load(Ordering::Relaxed);
        assert_eq!(look_up(&names, ip).await, first);
        assert_eq!(server.queries.load(Ordering::Relaxed), asked, "{ip} was asked for again");
    }
}

#[tokio::test]
async fn no_more_are_asked_for_at_once_than_allowed() {
    let server = NameServer::start().await;
    let names = Names::new(&DnsConfig { concurrency: 1, cache: 0, ..server.config() }).unwrap();
    let slow = names.look_up("192.0.2.5".parse().unwrap());
    assert!(matches!(names.look_up("192.0.2.1".parse().unwrap()), Lookup::Busy));
    let Lookup::Asked(asked) = slow else { panic!("asked") };
    asked.await.unwrap();
    assert_eq!(look_up(&names, "192.0.2.1").await.0, Iprev::Pass);
}
