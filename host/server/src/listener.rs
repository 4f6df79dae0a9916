//! The sockets that we listen on, and those who knock.

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustix::net::{SendFlags, Shutdown};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockAddr, Type};
use tokio::net::{TcpListener, UnixListener};
use wasmail_policy::Stages;
use wasmail_smtp::SessionConfig;

use crate::connection;
use crate::limits::Crowded;
use crate::metrics::Metrics;
use crate::server::House;
use crate::stop::Phase;
use crate::wire::{Address, Wire};
use crate::{ListenerConfig, ListenerTls, ReverseDns, StartError, Users};

/// Connections that the kernel holds until we accept them.
const BACKLOG: i32 = 1024;
/// How long we wait when there is no file left for one more connection: until one ends.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// Files that are not connections: listeners, the spool, deliveries, name servers.
const FILES_RESERVED: u64 = 512;

/// Both ends of a connection by a file, as far as they have addresses.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What the clients of one address have in common.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) policy: Arc<Stages>,
    pub(crate) reverse_dns: ReverseDns,
    pub(crate) relaying: bool,
    pub(crate) tls: ListenerTls,
    pub(crate) users: Option<Arc<Users>>,
    proxies: Vec<IpNet>,
    xclient: Vec<IpNet>,
    address: Address,
}

impl Listener {
    /// Whether this peer is a proxy, which speaks for others.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = wasmail_mail::canonical(peer);
        self.proxies.iter().any(|net| net.contains(&peer))
    }

    /// Whether this peer may say who its client is.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = wasmail_mail::canonical(peer);
        self.xclient.iter().any(|net| net.contains(&peer))
    }

    /// Says 421 as far as that goes without waiting.
    pub(crate) fn turn_away(&self, stream: &impl AsFd, ip: IpAddr, crowded: Crowded, metrics: &Metrics) {
        metrics.turned_away(&self.name);
        tracing::info!(target: "wasmail::connection", listener = self.name, %ip, ?crowded, "turned away");
        let reply = match crowded {
            Crowded::Total => wasmail_smtp::TOO_MANY_CONNECTIONS,
            Crowded::Address => wasmail_smtp::TOO_MANY_FROM_ADDRESS,
        };
        // A client that hears nothing finds the connection closed, which says the same.
        let _ = rustix::net::send(stream, reply.as_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        let _ = rustix::net::shutdown(stream, Shutdown::Write);
    }

    /// Our end of a connection. Only behind a wildcard need the kernel be asked.
    pub(crate) fn local_address(&self, stream: &Wire) -> SocketAddr {
        match (&self.address, stream) {
            (Address::Tcp(address), Wire::Tcp(stream)) if address.ip().is_unspecified() => {
                stream.local_addr().unwrap_or(*address)
            }
            (Address::Tcp(address), _) => *address,
            (Address::Unix(_), _) => HERE,
        }
    }
}

/// A listener whose socket is open.
pub(crate) struct Bound {
    pub(crate) listener: Arc<Listener>,
    socket: Socket,
}

/// An open socket.
enum Socket {
    Tcp(TcpListener),
    Unix {
        socket: UnixListener,
        /// It goes when nobody is let in any more.
        _file: OwnFile,
    },
}

/// The file of a socket.
struct OwnFile(PathBuf);

impl Drop for OwnFile {
    fn drop(&mut self) {
        // A file that stays is found to be nobody's by the next start.
        let _ = fs::remove_file(&self.0);
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<(Wire, SocketAddr)> {
        match self {
            Self::Tcp(socket) => socket.accept().await.map(|(stream, peer)| (Wire::Tcp(stream), peer)),
            Self::Unix { socket, .. } => socket.accept().await.map(|(stream, _)| (Wire::Unix(stream), HERE)),
        }
    }
}

/// Opens all sockets, or says which one cannot be.
pub(crate) fn bind_all(configs: Vec<ListenerConfig>) -> Result<Vec<Bound>, StartError> {
    let addresses: Vec<SocketAddr> = configs.iter().filter_map(|config| config.address.tcp()).collect();
    configs.into_iter().map(|config| bind(config, &addresses)).collect()
}

fn bind(config: ListenerConfig, all: &[SocketAddr]) -> Result<Bound, StartError> {
    let listen = || -> io::Result<(Socket, Address)> {
        match &config.address {
            Address::Tcp(address) => {
                let socket = open(*address, all)?;
                let address = socket.local_addr()?;
                Ok((Socket::Tcp(socket), address.into()))
            }
            Address::Unix(path) => {
                let socket = open_file(path, config.socket_mode)?;
                let _file = OwnFile(path.clone());
                Ok((Socket::Unix { socket, _file }, config.address.clone()))
            }
        }
    };
    let failed = |source| {
        let (name, address) = (config.name.clone(), config.address.clone());
        StartError::Listen { name, address, source }
    };
    let (socket, address) = listen().map_err(failed)?;
    let ListenerConfig { name, session, policy, reverse_dns, tls, users, proxies, xclient, relaying, .. } = config;
    Ok(Bound {
        listener: Arc::new(Listener {
            name,
            session,
            policy,
            reverse_dns,
            relaying,
            tls,
            users,
            proxies,
            xclient,
            address,
        }),
        socket,
    })
}

/// Listens on an address; `all` are those of all listeners.
pub(crate) fn open(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too, unless another listener does.
        let other = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
        socket.set_only_v6(all.iter().any(other))?;
    }
    socket.set_reuse_address(true)?;
    // What is accepted inherits it, which spares a call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Opens a socket in the file system. What a server left there that was killed is taken away; one that is in use is not.
fn open_file(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket {
        match StdUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before we listen.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}

impl Bound {
    pub(crate) fn address(&self) -> &Address {
        &self.listener.address
    }

    /// Takes clients in until the server stops. Nothing that a client does, or doesn't, holds up the next one.
    pub(crate) async fn accept_all(self, house: Arc<House>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = house.stop.reached(Phase::Draining) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &house),
                Err(error) => self.recover(&error).await,
            }
        }
    }

    fn admit(&self, stream: Wire, peer: SocketAddr, house: &Arc<House>) {
        // Who comes by a file has no address to count by.
        let is_many = self.listener.is_proxy(peer.ip()) || matches!(stream, Wire::Unix(_));
        match if is_many { house.census.admit_proxy() } else { house.census.admit(peer.ip()) } {
            Ok(place) => {
                let (listener, house) = (Arc::clone(&self.listener), Arc::clone(house));
                tokio::spawn(connection::serve(stream, peer, listener, house, place));
            }
            Err(crowded) => self.listener.turn_away(&stream, peer.ip(), crowded, &house.metrics),
        }
    }

    async fn recover(&self, error: &io::Error) {
        let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
        // Anything else concerns a client that has gone already.
        if error.raw_os_error().is_some_and(|code| exhausted.contains(&code)) {
            tracing::error!(listener = self.listener.name, %error, "failed to accept a connection");
            tokio::time::sleep(EXHAUSTED).await;
        }
    }
}

/// Raises the limit on open files as far as we may, and says how many connections that allows.
pub(crate) fn files_allow(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Without it the old limit holds, and it is looked at next.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let allowed = usize::try_from(files.saturating_sub(FILES_RESERVED)).unwrap_or(usize::MAX).max(1);
    if allowed < wanted {
        tracing::warn!(files, wanted, allowed, "the limit on open files allows fewer connections than configured");
    }
    wanted.min(allowed)
}
