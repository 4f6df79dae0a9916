//! Pebble, a real ACME server, on loopback. It forgets everything when it ends.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(unreachable_pub, reason = "a module of each test program")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wasmail_services::Reach;
use wasmail_services::dns::Resolver;
use wasmail_services::http::{Client, Network, NetworkConfig, Quota, Request};

use crate::authority::Authority;
use crate::nsd::Nsd;

/// Longest that it may take to start: it makes keys first.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where challenges are asked for: the name `mx.example.test` and its like lead there.
pub const CHALLENGES: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 80);

/// What Pebble is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// For how many seconds certificates are good.
    pub validity: u64,
    /// How many good nonces of a hundred are refused.
    pub bad_nonces: u32,
    /// Whether accounts must be bound to that of [`CUSTOMER`].
    pub for_customers: bool,
}

/// Whom Pebble knows, by the identifier of their key and the key.
pub const CUSTOMER: (&str, &str) = ("customer-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

impl Default for Manner {
    fn default() -> Self {
        Self { validity: 90 * 24 * 3600, bad_nonces: 0, for_customers: false }
    }
}

/// A running Pebble; it ends with the test.
pub struct Pebble {
    child: Child,
    pub address: SocketAddr,
    management: SocketAddr,
    /// Where it asks for challenges.
    pub challenges: SocketAddr,
    dir: tempfile::TempDir,
    authority: Authority,
    dns: SocketAddr,
    manner: Manner,
}

impl Pebble {
    /// Starts it; names are resolved by this name server.
    pub fn start(nsd: &Nsd, manner: Manner) -> Self {
        let (authority, challenges) = (Authority::new(), free(CHALLENGES));
        let dir = tempfile::tempdir().unwrap();
        let began = Instant::now();
        // Between finding a free port and taking it somebody else may.
        loop {
            assert!(began.elapsed() < PATIENCE, "Pebble does not start");
            let (address, management) = (free(Ipv4Addr::LOCALHOST), free(Ipv4Addr::LOCALHOST));
            configure(&dir, &authority, address, management, challenges, manner);
            if let Some(child) = spawn(&dir, nsd.address, manner, address, management) {
                return Self { child, address, management, challenges, dir, authority, dns: nsd.address, manner };
            }
        }
    }

    /// Its directory, the beginning of all that is asked of it.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The authority by which its own certificate is.
    pub fn roots(&self) -> PathBuf {
        self.authority.pem().join("ca.pem")
    }

    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it, and starts another one in its place, which knows nothing of it.
    pub fn replace(&mut self) {
        self.end();
        let child = spawn(&self.dir, self.dns, self.manner, self.address, self.management);
        self.child = child.expect("its ports are free");
    }

    /// What another server in its place would show.
    pub fn tls(&self) -> Arc<rustls::ServerConfig> {
        self.authority.server("127.0.0.1")
    }

    /// The root of the certificates that it gives.
    pub async fn issued_root(&self, nsd: &Nsd) -> Arc<RootCertStore> {
        let resolver = Resolver::new(&nsd.resolver()).unwrap();
        let config = NetworkConfig { roots: Some(self.roots()), more_roots: None, concurrency: 1 };
        let network = Network::new(resolver, &config).unwrap();
        let client = Client::anywhere(network, Reach { private: true, addresses: Vec::new() }, Quota::default());
        let url = format!("https://{}/roots/0", self.management);
        let request = Request { method: "GET".into(), url, headers: Vec::new(), body: Vec::new() };
        let pem = client.fetch(&mut 0, request).await.unwrap().body;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        Arc::new(roots)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}

fn configure(
    dir: &tempfile::TempDir,
    authority: &Authority,
    address: SocketAddr,
    management: SocketAddr,
    challenges: SocketAddr,
    manner: Manner,
) {
    let (certificate, key) = authority.files("127.0.0.1");
    let config = serde_json::json!({ "pebble": {
        "listenAddress": address.to_string(),
        "managementListenAddress": management.to_string(),
        "certificate": certificate,
        "privateKey": key,
        "httpPort": challenges.port(),
        "tlsPort": 1,
        "certificateValidityPeriod": manner.validity,
        "externalAccountBindingRequired": manner.for_customers,
        "externalAccountMACKeys": { CUSTOMER.0: CUSTOMER.1 },
        "domainBlocklist": ["blocked.example.test"],
    }});
    std::fs::write(dir.path().join("pebble.json"), config.to_string()).unwrap();
}

/// Starts it; none if it ends rather than listen.
fn spawn(
    dir: &tempfile::TempDir,
    dns: SocketAddr,
    manner: Manner,
    address: SocketAddr,
    management: SocketAddr,
) -> Option<Child> {
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let mut pebble = Command::new("pebble");
    pebble.arg("-config").arg(dir.path().join("pebble.json")).args(["-dnsserver", &dns.to_string(), "-strict"]);
    // It would sleep for some seconds before it validates, and half the time use what it knows already.
    pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", manner.bad_nonces.to_string());
    pebble.env("PEBBLE_AUTHZREUSE", "0");
    pebble.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = pebble.spawn().expect("Pebble runs");
    let began = Instant::now();
    while began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
        if [address, management].iter().all(|address| TcpStream::connect(address).is_ok()) {
            return Some(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// An address whose port is free now.
fn free(ip: Ipv4Addr) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}
