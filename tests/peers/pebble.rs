//! Pebble, a real ACME server, on loopback. It forgets everything when it ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::eventually;
use super::nsd::Nsd;
use super::programs::{Guard, command, here};

/// It makes keys first.
const PATIENCE: Duration = Duration::from_secs(60);

/// An ACME server of this story's own. It is stopped when dropped.
pub(crate) struct Pebble {
    address: SocketAddr,
    challenges: SocketAddr,
    dns: SocketAddr,
    home: TempDir,
    server: Option<Guard>,
}

impl Pebble {
    /// Whether a story with Pebble may begin.
    pub(crate) fn here() -> bool {
        here(&["pebble"]) && Nsd::here()
    }

    /// Starts it; names are found by this name server, and challenges asked for at this address. Certificates are good for so
    /// many seconds.
    pub(crate) fn start(nsd: &Nsd, challenges: Ipv4Addr, validity: u64) -> Self {
        let home = tempfile::Builder::new().prefix("wasmail-pebble").tempdir().expect("a directory can be made");
        authority(home.path());
        let (challenges, dns) = (free(challenges), nsd.address());
        // Between finding a free port and taking it somebody else may.
        let (address, server) = eventually("Pebble starts", PATIENCE, || {
            let address = free(Ipv4Addr::LOCALHOST);
            configure(home.path(), address, challenges, validity);
            Some((address, spawn(home.path(), address, dns)?))
        });
        Self { address, challenges, dns, home, server: Some(server) }
    }

    /// Its directory, the beginning of all that is asked of it.
    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The authority by which its own certificate is.
    pub(crate) fn roots(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    /// Where it asks for challenges.
    pub(crate) fn challenges(&self) -> SocketAddr {
        self.challenges
    }

    /// Ends it.
    pub(crate) fn end(&mut self) {
        self.server = None;
    }

    /// Starts one in its place, which knows nothing of it.
    pub(crate) fn begin_again(&mut self) {
        self.server = None;
        let home = self.home.path();
        self.server = Some(eventually("Pebble starts again", PATIENCE, || spawn(home, self.address, self.dns)));
    }
}

/// An authority, and a certificate for Pebble by it.
fn authority(home: &Path) {
    let write = |name: &str, text: String| fs::write(home.join(name), text).expect("the directory is ours");
    let key = || KeyPair::generate().expect("a key can be made");
    let (ca_key, own_key) = (key(), key());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", ca.self_signed(&ca_key).expect("it signs itself").pem());
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a name");
    let own = own.signed_by(&own_key, &Issuer::new(ca, ca_key)).expect("it signs others");
    write("own.pem", own.pem());
    write("own.key", own_key.serialize_pem());
}

fn configure(home: &Path, address: SocketAddr, challenges: SocketAddr, validity: u64) {
    let config = format!(
        "{{\"pebble\": {{\"listenAddress\": \"{address}\", \"certificate\": {:?}, \"privateKey\": {:?}, \
         \"httpPort\": {}, \"tlsPort\": 1, \"certificateValidityPeriod\": {validity}}}}}",
        home.join("own.pem"),
        home.join("own.key"),
        challenges.port()
    );
    fs::write(home.join("pebble.json"), config).expect("the directory is ours");
}

/// A server that listens there, unless it has ended.
fn spawn(home: &Path, address: SocketAddr, dns: SocketAddr) -> Option<Guard> {
    let log = File::create(home.join("log")).expect("the directory is ours");
    let mut pebble = command("pebble");
    pebble.arg("-config").arg(home.join("pebble.json")).args(["-dnsserver", &dns.to_string(), "-strict"]);
    // It would sleep for some seconds before it validates, and refuse good nonces now and then: that is for the stories of
    // `host/server`, which may try again at once.
    pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
    pebble.stdin(Stdio::null()).stdout(log.try_clone().expect("it is open")).stderr(log);
    let mut server = Guard(pebble.spawn().expect("Pebble runs"));
    let ended = eventually("Pebble listens or ends", PATIENCE, || {
        let ended = server.0.try_wait().expect("it is our child").is_some();
        (ended || TcpStream::connect(address).is_ok()).then_some(ended)
    });
    (!ended).then_some(server)
}

/// An address whose port is free now.
fn free(ip: Ipv4Addr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}
