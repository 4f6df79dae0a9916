//! Stories with real name servers on loopback: NSD with a zone, and one that misbehaves as no good server would.

use super::*;
use crate::Failure;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::{self, Name, RData, Record};
use tokio::net::UdpSocket;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

const ZONE: &str = "$ORIGIN example.test.
@ 300 IN SOA ns.example.test. root.example.test. 1 3600 600 86400 60
@ IN NS ns
ns IN A 127.0.0.1
host 120 IN A 192.0.2.1
host 120 IN A 192.0.2.2
host IN AAAA 2001:db8::1
alias IN CNAME host
mail IN MX 10 MX1
mail IN MX 20 mx2.example.test.
nomail IN MX 0 .
mx1 IN A 192.0.2.25
text IN TXT \"v=spf1 \" \"-all\"
octets IN TXT \"\\255\\000\\010\"
_25._tcp.mx1 IN TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
only-a IN A 192.0.2.3
";

const REVERSE: &str = "$ORIGIN 2.0.192.in-addr.arpa.
@ 300 IN SOA ns.example.test. root.example.test. 1 3600 600 86400 60
@ IN NS ns.example.test.
1 IN PTR host.example.test.
";

/// Whether a story may be told: these programs are installed. Where one is missing that is said loudly, and with
/// `WASMAIL_REQUIRE_PEERS` it is a failure.
fn here(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let is_missing = |name: &&&str| folders.iter().all(|folder| !folder.join(name).is_file());
    let Some(missing) = programs.iter().find(is_missing) else { return true };
    assert!(std::env::var_os("WASMAIL_REQUIRE_PEERS").is_none(), "a story cannot be told: {missing} is not installed");
    let story = std::thread::current().name().unwrap_or("a story").to_owned();
    // Not by `eprintln!`, which the test harness shows for failures only.
    let _ = writeln!(std::io::stderr(), "\n*** PASSED OVER: {story}: {missing} is not installed. ***\n");
    false
}

/// NSD on a free port, with the two zones.
pub(crate) struct Nsd {
    child: Child,
    pub(crate) address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Nsd {
    async fn start() -> Self {
        Self::with(ZONE).await
    }

    /// With another zone in place of `example.test`, which has an address for `ns`.
    pub(crate) async fn with(zone: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("example.test"), zone).unwrap();
        std::fs::write(dir.path().join("reverse"), REVERSE).unwrap();
        let began = Instant::now();
        // Between finding a free port and taking it somebody else may.
        while began.elapsed() < PATIENCE {
            let address = free();
            let mut nsd = Self { child: spawn(dir.path(), address), address, _dir: tempfile::tempdir().unwrap() };
            if nsd.answers().await {
                nsd._dir = dir;
                return nsd;
            }
        }
        panic!("NSD does not start: is the package `nsd` installed?");
    }

    async fn answers(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE && self.child.try_wait().unwrap().is_none() {
            let resolver =
                Resolver::new(&ResolverConfig { timeout: Duration::from_millis(200), ..config(self.address) });
            let soa = Query { name: "ns.example.test".into(), record_type: RecordType::A };
            if resolver.unwrap().ask(&soa).await.is_ok() {
                return true;
            }
        }
        false
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free for both UDP and TCP.
fn free() -> SocketAddr {
    loop {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn spawn(dir: &Path, address: SocketAddr) -> Child {
    let place = dir.display();
    let config = format!(
        "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  zonesdir: \"{place}\"\n  \
         database: \"\"\n  zonelistfile: \"{place}/zone.list\"\n  xfrdfile: \"\"\n  server-count: 1\n\
         remote-control:\n  control-enable: no\n\
         zone:\n  name: example.test\n  zonefile: example.test\n\
         zone:\n  name: 2.0.192.in-addr.arpa\n  zonefile: reverse\n",
        address.ip(),
        address.port()
    );
    let file = dir.join("nsd.conf");
    std::fs::write(&file, config).unwrap();
    let mut nsd = Command::new("nsd");
    // In the foreground, so that it ends with the test.
    nsd.arg("-d").arg("-c").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    nsd.spawn().expect("the package `nsd` is installed")
}

pub(crate) fn config(address: SocketAddr) -> ResolverConfig {
    let timeout = Duration::from_secs(1);
    ResolverConfig {
        servers: vec![address],
        timeout,
        concurrency: 100,
        cache: 100,
        trust_ad: true,
        validation: Validation::Off,
    }
}

fn client(address: SocketAddr, quota: Quota) -> Client {
    Client::new(Resolver::new(&config(address)).unwrap(), quota)
}

fn query(name: &str, record_type: RecordType) -> Query {
    Query { name: name.into(), record_type }
}

async fn ask(client: &Client, name: &str, record_type: RecordType) -> Result<Answer, Failure> {
    client.lookup(&mut 0, query(name, record_type)).await
}

async fn data(client: &Client, name: &str, record_type: RecordType) -> Vec<Data> {
    let answer = ask(client, name, record_type).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    assert_eq!(answer.outcome, Outcome::Found, "{name}");
    answer.records.into_iter().map(|record| record.data).collect()
}

#[tokio::test]
async fn every_type_of_record_comes_as_it_stands_in_the_zone() {
    if !here(&["nsd"]) {
        return;
    }
    let nsd = Nsd::start().await;
    let client = client(nsd.address, Quota::default());
    let mut addresses = data(&client, "host.example.test", RecordType::A).await;
    addresses.sort_by_key(|data| format!("{data:?}"));
    assert_eq!(addresses, [Data::A([192, 0, 2, 1].into()), Data::A([192, 0, 2, 2].into())]);
    assert_eq!(
        data(&client, "alias.example.test.", RecordType::Aaaa).await,
        [Data::Aaaa("2001:db8::1".parse().unwrap())]
    );
    let mx = |preference, exchange: &str| Data::Mx(Mx { preference, exchange: exchange.into() });
    let mut exchanges = data(&client, "mail.example.test", RecordType::Mx).await;
    exchanges.sort_by_key(|data| format!("{data:?}"));
    assert_eq!(exchanges.len(), 2);
    assert!(matches!(&exchanges[0], Data::Mx(mx) if mx.exchange.eq_ignore_ascii_case("mx1.example.test")));
    assert_eq!(exchanges[1], mx(20, "mx2.example.test"));
    assert_eq!(data(&client, "nomail.example.test", RecordType::Mx).await, [mx(0, "")]);
    assert_eq!(data(&client, "text.example.test", RecordType::Txt).await, [Data::Txt(b"v=spf1 -all".into())]);
    assert_eq!(data(&client, "octets.example.test", RecordType::Txt).await, [Data::Txt(vec![255, 0, 10])]);
    let ptr = [Data::Ptr("host.example.test".into())];
    assert_eq!(data(&client, "192.0.2.1", RecordType::Ptr).await, ptr);
    assert_eq!(data(&client, "1.2.0.192.in-addr.arpa", RecordType::Ptr).await, ptr);
    let tlsa = &data(&client, "_25._tcp.mx1.example.test", RecordType::Tlsa).await[0];
    let Data::Tlsa(Tlsa { certificate_usage: 3, selector: 1, matching_type: 1, data }) = tlsa else {
        panic!("{tlsa:?}");
    };
    assert_eq!((data.len(), data[0]), (32, 1));
}

#[tokio::test]
async fn what_is_not_there_differs_from_what_cannot_be_known() {
    if !here(&["nsd"]) {
        return;
    }
    let nsd = Nsd::start().await;
    let client = client(nsd.address, Quota::default());
    let outcome = async |name, kind| ask(&client, name, kind).await.unwrap().outcome;
    assert_eq!(outcome("only-a.example.test", RecordType::Mx).await, Outcome::NoData);
    assert_eq!(outcome("nobody.example.test", RecordType::A).await, Outcome::NoSuchName);
    // NSD refuses questions about zones that it does not have.
    let refused = ask(&client, "example.org", RecordType::A).await;
    assert!(matches!(&refused, Err(Failure::Unavailable(why)) if why.contains("efused")), "{refused:?}");
    for name in ["", "a..b", "caf\u{e9}.example", "two words.example", &"a".repeat(64), &"a.".repeat(128)] {
        assert!(matches!(ask(&client, name, RecordType::A).await, Err(Failure::Invalid(_))), "{name}");
    }
}

#[tokio::test]
async fn answers_keep_the_time_to_live_of_their_zone() {
    if !here(&["nsd"]) {
        return;
    }
    let nsd = Nsd::start().await;
    let client = client(nsd.address, Quota::default());
    let answer = ask(&client, "host.example.test", RecordType::A).await.unwrap();
    assert!(answer.records.iter().all(|record| (100..=120).contains(&record.ttl)), "{answer:?}");
    // NSD validates nothing, and does not say that it did.
    assert!(!answer.validated);
}

/// A server that says of all it knows that it was validated, if asked whether it was; that fails for some names, and is
/// silent about others.
struct Odd {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Odd {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let odd = Self { address: socket.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&odd.asked);
        tokio::spawn(async move {
            let mut octets = [0; 1500];
            while let Ok((len, from)) = socket.recv_from(&mut octets).await {
                asked.fetch_add(1, Ordering::SeqCst);
                if let Some(reply) = odd_reply(&Message::from_vec(&octets[..len]).unwrap()) {
                    socket.send_to(&reply.to_vec().unwrap(), from).await.unwrap();
                }
            }
        });
        odd
    }
}

fn odd_reply(question: &Message) -> Option<Message> {
    let asked = question.queries[0].clone();
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.metadata.recursion_available = true;
    reply.metadata.authentic_data = question.metadata.authentic_data;
    reply.add_query(asked.clone());
    let name = asked.name().to_ascii().to_ascii_lowercase();
    if name.starts_with("silent") {
        return None;
    }
    if name.starts_with("fails") {
        reply.metadata.response_code = ResponseCode::ServFail;
    } else {
        let address = RData::A(rr::rdata::A([192, 0, 2, 7].into()));
        reply.add_answer(Record::from_rdata(Name::from_ascii(&name).unwrap(), 60, address));
    }
    Some(reply)
}

#[tokio::test]
async fn the_name_server_is_asked_whether_it_has_validated_and_believed_only_where_it_is_trusted() {
    let odd = Odd::start().await;
    let trusting = client(odd.address, Quota::default());
    assert!(ask(&trusting, "a.example", RecordType::A).await.unwrap().validated);
    // From the cache as well.
    assert!(ask(&trusting, "a.example", RecordType::A).await.unwrap().validated);
    assert_eq!(odd.asked.load(Ordering::SeqCst), 1);
    let wary = Resolver::new(&ResolverConfig { trust_ad: false, ..config(odd.address) }).unwrap();
    assert!(!ask(&Client::new(wary, Quota::default()), "a.example", RecordType::A).await.unwrap().validated);
}

#[tokio::test]
async fn a_failing_server_and_a_silent_one_differ() {
    let odd = Odd::start().await;
    let client = client(odd.address, Quota { timeout: Duration::from_millis(300), ..Quota::default() });
    let failed = ask(&client, "fails.example", RecordType::A).await;
    assert!(matches!(&failed, Err(Failure::Unavailable(_))), "{failed:?}");
    let began = Instant::now();
    assert_eq!(ask(&client, "silent.example", RecordType::A).await, Err(Failure::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn many_questions_take_as_long_as_the_slowest() {
    let odd = Odd::start().await;
    let client = client(odd.address, Quota { timeout: Duration::from_millis(500), ..Quota::default() });
    let names = (0..20).map(|n| if n % 2 == 0 { format!("a{n}.example") } else { format!("silent{n}.example") });
    let queries = names.map(|name| query(&name, RecordType::A)).collect();
    let began = Instant::now();
    let answers = client.lookup_all(&mut 0, queries).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), n % 2 == 0, "{n}: {answer:?}");
    }
}

#[tokio::test]
async fn a_hook_call_may_ask_so_much_and_a_binding_so_often() {
    let odd = Odd::start().await;
    let client = client(odd.address, Quota { queries: 3, rate: 4, ..Quota::default() });
    let five = || (0..5).map(|n| query(&format!("{n}.example"), RecordType::A)).collect::<Vec<_>>();
    let (mut first, mut second) = (0, 0);
    let answers = client.lookup_all(&mut first, five()).await;
    let of_call = Err(Failure::QuotaExceeded("dns.queries"));
    assert!(answers[..3].iter().all(Result::is_ok) && answers[3] == of_call && answers[4] == of_call, "{answers:?}");
    assert_eq!(client.lookup(&mut first, query("x.example", RecordType::A)).await, of_call);
    // One was left of this second, and by now perhaps a second one.
    let answers = client.lookup_all(&mut second, five()).await;
    assert!(answers[0].is_ok() && answers[2] == Err(Failure::QuotaExceeded("dns.rate")), "{answers:?}");
}

#[tokio::test]
async fn questions_under_way_have_a_limit_and_the_rest_wait() {
    let odd = Odd::start().await;
    let client = client(odd.address, Quota { concurrency: 1, timeout: Duration::from_millis(300), ..Quota::default() });
    let queries = ["silent.example", "a.example"].map(|name| query(name, RecordType::A)).to_vec();
    // The first has the only place until all time is up.
    assert_eq!(client.lookup_all(&mut 0, queries).await, [Err(Failure::TimedOut), Err(Failure::TimedOut)]);
    assert!(ask(&client, "a.example", RecordType::A).await.is_ok());
}
