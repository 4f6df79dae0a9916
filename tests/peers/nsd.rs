//! NSD, a real name server, with one zone on loopback.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::eventually;
use super::programs::{Guard, command, here};

const PATIENCE: Duration = Duration::from_secs(30);

/// A name server of this story's own. It is stopped when dropped.
pub(crate) struct Nsd {
    address: SocketAddr,
    _server: Guard,
    _home: TempDir,
}

impl Nsd {
    /// Whether a story with NSD may begin.
    pub(crate) fn here() -> bool {
        here(&["nsd"])
    }

    /// Starts it with these records of `example.test`.
    pub(crate) fn start(records: &str) -> Self {
        let home = tempfile::Builder::new().prefix("wasmail-nsd").tempdir().expect("a directory can be made");
        let zone = format!(
            "$ORIGIN example.test.\n@ 300 IN SOA ns root 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n{records}"
        );
        fs::write(home.path().join("example.test"), zone).expect("the directory is ours");
        // Between finding a free port and taking it somebody else may.
        let (address, server) = eventually("NSD starts", PATIENCE, || spawn(home.path(), free()));
        Self { address, _server: server, _home: home }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A port that is free for both UDP and TCP.
fn free() -> SocketAddr {
    eventually("a port is free", PATIENCE, || {
        let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
        let address = udp.local_addr().ok()?;
        TcpListener::bind(address).is_ok().then_some(address)
    })
}

/// A server that listens there, unless it has ended.
fn spawn(home: &Path, address: SocketAddr) -> Option<(SocketAddr, Guard)> {
    let place = home.display();
    let config = format!(
        "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  zonesdir: \"{place}\"\n  \
         database: \"\"\n  zonelistfile: \"{place}/zone.list\"\n  xfrdfile: \"\"\n  server-count: 1\n\
         remote-control:\n  control-enable: no\nzone:\n  name: example.test\n  zonefile: example.test\n",
        address.ip(),
        address.port()
    );
    let file = home.join("nsd.conf");
    fs::write(&file, config).expect("the directory is ours");
    let mut nsd = command("nsd");
    // In the foreground, so that it ends with the story.
    nsd.arg("-d").arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = Guard(nsd.spawn().expect("NSD runs"));
    let ended = eventually("NSD listens or ends", PATIENCE, || {
        let ended = server.0.try_wait().expect("it is our child").is_some();
        (ended || TcpStream::connect(address).is_ok()).then_some(ended)
    });
    (!ended).then_some((address, server))
}
