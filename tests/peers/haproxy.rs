//! HAProxy in front of a server.

use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::programs::{self, Guard};
use super::{eventually, free_port};

/// A running HAProxy; dropped, it is dead.
pub(crate) struct Haproxy {
    _process: Guard,
    _dir: TempDir,
    addresses: Vec<SocketAddr>,
}

impl Haproxy {
    /// Starts one with a door for each server, behind which it says who the client is by `how`: `send-proxy` or
    /// `send-proxy-v2`.
    ///
    /// # Panics
    /// When it does not.
    pub(crate) fn start(servers: &[(SocketAddr, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let mut config = "defaults\nmode tcp\ntimeout connect 60s\ntimeout client 60s\ntimeout server 60s\n".to_owned();
        let doors = servers.iter().enumerate().map(|(number, (server, how))| {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            config += &format!("listen door{number}\nbind {address}\nserver wasmail {server} {how}\n");
            address
        });
        let addresses = doors.collect();
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).expect("it can be written");
        let mut command = programs::command("haproxy");
        command.arg("-db").arg("-f").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let haproxy = Self { _process: Guard(command.spawn().expect("haproxy starts")), _dir: dir, addresses };
        for address in &haproxy.addresses {
            eventually("haproxy listens", Duration::from_secs(60), || TcpStream::connect(address).ok());
        }
        haproxy
    }

    /// Its doors, in the order of the servers behind them.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}
