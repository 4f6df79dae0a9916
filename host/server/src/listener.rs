//! The sockets that we listen on, and those who knock.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustix::net::{SendFlags, Shutdown};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use wasmail_policy::Chain;
use wasmail_smtp::SessionConfig;

use crate::connection;
use crate::limits::Crowded;
use crate::server::House;
use crate::stop::Phase;
use crate::{ListenerConfig, ListenerTls, ReverseDns, StartError, Users};

/// Connections that the kernel holds until we accept them.
const BACKLOG: i32 = 1024;
/// How long we wait when there is no file left for one more connection: until one ends.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// Files that are not connections: listeners, the spool, deliveries, name servers.
const FILES_RESERVED: u64 = 512;

/// What the clients of one address have in common.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) session: Arc<SessionConfig>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) reverse_dns: ReverseDns,
    pub(crate) relaying: bool,
    pub(crate) tls: ListenerTls,
    pub(crate) users: Option<Arc<Users>>,
    proxies: Vec<IpNet>,
    xclient: Vec<IpNet>,
    address: SocketAddr,
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
    pub(crate) fn turn_away(&self, stream: &TcpStream, ip: IpAddr, crowded: Crowded) {
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
    pub(crate) fn local_address(&self, stream: &TcpStream) -> SocketAddr {
        if !self.address.ip().is_unspecified() {
            return self.address;
        }
        stream.local_addr().unwrap_or(self.address)
    }
}

/// A listener whose socket is open.
pub(crate) struct Bound {
    pub(crate) listener: Arc<Listener>,
    socket: TcpListener,
}

/// Opens all sockets, or says which one cannot be.
pub(crate) fn bind_all(configs: Vec<ListenerConfig>) -> Result<Vec<Bound>, StartError> {
    let addresses: Vec<SocketAddr> = configs.iter().map(|config| config.address).collect();
    configs.into_iter().map(|config| bind(config, &addresses)).collect()
}

fn bind(config: ListenerConfig, all: &[SocketAddr]) -> Result<Bound, StartError> {
    let listen = || -> io::Result<(TcpListener, SocketAddr)> {
        let socket = open(config.address, all)?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    };
    let (socket, address) =
        listen().map_err(|source| StartError::Listen { name: config.name.clone(), address: config.address, source })?;
    let ListenerConfig { name, session, chain, reverse_dns, tls, users, proxies, xclient, relaying, .. } = config;
    Ok(Bound {
        listener: Arc::new(Listener {
            name,
            session,
            chain,
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

fn open(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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

impl Bound {
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.address
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

    fn admit(&self, stream: TcpStream, peer: SocketAddr, house: &Arc<House>) {
        let is_proxy = self.listener.is_proxy(peer.ip());
        match if is_proxy { house.census.admit_proxy() } else { house.census.admit(peer.ip()) } {
            Ok(place) => {
                let (listener, house) = (Arc::clone(&self.listener), Arc::clone(house));
                tokio::spawn(connection::serve(stream, peer, listener, house, place));
            }
            Err(crowded) => self.listener.turn_away(&stream, peer.ip(), crowded),
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
