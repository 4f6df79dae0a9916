//! A client's end of a connection on this machine, in the clear or under TLS.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use wasmail_dialog::Peer;

use super::tls;

/// A server at the other end of a TCP connection.
pub(crate) enum Loopback {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Loopback {
    /// Connects from one address of this machine to another; each answer may take `patience`.
    pub(crate) fn connect(from: Ipv4Addr, to: SocketAddr, patience: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        socket.connect_timeout(&to.into(), patience)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self::Plain(socket.into()))
    }
}

impl Loopback {
    /// Says that nothing more will be sent, while what comes can still be read.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
        }
    }
}

impl Peer for Loopback {
    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(octets),
            Self::Tls(stream) => stream.write_all(octets),
        }
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; 4096];
        let read = match self {
            Self::Plain(stream) => stream.read(&mut octets),
            Self::Tls(stream) => stream.read(&mut octets),
        };
        let read = match read {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        octets.truncate(read);
        Ok(octets)
    }

    fn secure(&mut self) -> io::Result<()> {
        let Self::Plain(stream) = self else { return Err(io::ErrorKind::AlreadyExists.into()) };
        let config = tls::client_that_believes_anybody();
        let name = ServerName::try_from("mail.example.test").expect("it is a name");
        let client = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut secured = StreamOwned::new(client, stream.try_clone()?);
        while secured.conn.is_handshaking() {
            secured.conn.complete_io(&mut secured.sock)?;
        }
        *self = Self::Tls(Box::new(secured));
        Ok(())
    }
}
