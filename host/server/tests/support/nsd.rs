//! NSD, a real name server, on loopback with one zone.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(unreachable_pub, reason = "a module of each test program")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use wasmail_server::{
    ClientConfig, DestinationConfig, ExchangersConfig, Families, LocalConfig, MaildirConfig, MaildirLayout, MxConfig,
};
use wasmail_services::Reach;
use wasmail_services::dns::{Query, RecordType, Resolver, ResolverConfig, Validation};

use crate::support::Home;

/// Whether a story may be told: these programs are installed. Where one is missing that is said loudly, and with
/// `WASMAIL_REQUIRE_PEERS` it is a failure.
pub fn here(programs: &[&str]) -> bool {
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

/// Longest that it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// NSD with the zone `example.test`; it ends with the test.
pub struct Nsd {
    child: Child,
    pub address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Nsd {
    /// Starts it with these records of `example.test`.
    pub async fn start(records: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("example.test"), zone(records)).unwrap();
        Self::start_in(dir).await
    }

    /// Likewise, with the zone signed; what of it is then changed has no good signature.
    pub async fn start_signed(records: &str, change: impl Fn(String) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), zone(records)).unwrap();
        let key = run(dir.path(), &["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "example.test"]);
        std::fs::copy(dir.path().join(format!("{key}.key")), dir.path().join("anchors")).unwrap();
        run(dir.path(), &["ldns-signzone", "-o", "example.test", "-f", "signed", "plain", &key]);
        let signed = std::fs::read_to_string(dir.path().join("signed")).unwrap();
        let changed = change(signed.clone());
        assert!(changed != signed || change("same".into()) == "same", "there was nothing to change: {signed}");
        std::fs::write(dir.path().join("example.test"), changed).unwrap();
        Self::start_in(dir).await
    }

    async fn start_in(dir: tempfile::TempDir) -> Self {
        let began = Instant::now();
        // Between finding a free port and taking it somebody else may.
        loop {
            assert!(began.elapsed() < PATIENCE, "NSD does not start: is the package `nsd` installed?");
            let address = free();
            let mut child = spawn(dir.path(), address);
            if answers(&mut child, address).await {
                return Self { child, address, dir };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A resolver that asks it and validates what it says of its signed zone.
    pub fn validating_resolver(&self) -> ResolverConfig {
        ResolverConfig { validation: Validation::From(self.dir.path().join("anchors")), ..self.resolver() }
    }

    /// A resolver that asks it.
    pub fn resolver(&self) -> ResolverConfig {
        config(self.address, Duration::from_secs(1))
    }
}

fn zone(records: &str) -> String {
    format!("$ORIGIN example.test.\n@ 300 IN SOA ns root 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n{records}")
}

/// Runs a program in this directory, and returns what it prints.
fn run(dir: &Path, command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).current_dir(dir).output();
    let output = output.expect("the package `ldnsutils` is installed");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Drop for Nsd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(server: SocketAddr, timeout: Duration) -> ResolverConfig {
    ResolverConfig {
        servers: vec![server],
        timeout,
        concurrency: 100,
        cache: 100,
        trust_ad: true,
        validation: Validation::Off,
    }
}

async fn answers(child: &mut Child, address: SocketAddr) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
        let resolver = Resolver::new(&config(address, Duration::from_millis(200))).unwrap();
        let query = Query { name: "ns.example.test".into(), record_type: RecordType::A };
        if resolver.lookup(&query).await.is_ok() {
            return true;
        }
    }
    false
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
         remote-control:\n  control-enable: no\nzone:\n  name: example.test\n  zonefile: example.test\n",
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

/// Delivery to where this name server says, on loopback.
pub fn mx(home: &Home, nsd: &Nsd, port: u16) -> MxConfig {
    let maildir = MaildirConfig {
        root: home.maildir(),
        layout: MaildirLayout::PerRecipient,
        hostname: "mx.example".into(),
        sync: false,
    };
    MxConfig {
        local: Some(LocalConfig { domains: vec!["Local.test".into()], maildir }),
        exchangers: ExchangersConfig {
            resolver: nsd.resolver(),
            families: Families::Ipv4First,
            reach: Reach { private: false, addresses: vec!["127.0.0.0/8".parse().unwrap()] },
            literals: false,
        },
        own: vec!["127.0.0.9".into()],
        port,
        concurrency: 4,
        default: DestinationConfig::default(),
        destinations: BTreeMap::new(),
        srs: None,
        suspend_longest: Duration::ZERO,
        tls_reports: None,
        dane: true,
        sts: None,
        client: ClientConfig::new("mx.example"),
    }
}
