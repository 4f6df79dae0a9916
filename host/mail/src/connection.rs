//! The facts of one client connection, under the names that Haraka gave them.

use std::net::IpAddr;
use std::time::SystemTime;

/// Everything that is known of a connection. Notes and results stand beside it, in `policy`.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Unique name, a UUID of version 7 in lower case; a transaction's is `<uuid>.<n>`.
    pub uuid: String,
    /// The client's end.
    pub remote: Remote,
    /// Our end.
    pub local: Local,
    /// The proxy in front, if the peer may speak the PROXY protocol.
    pub proxy: Proxy,
    /// The client's greeting; none before it, and none after one that was refused.
    pub hello: Option<Hello>,
    /// The TLS session, once there is one.
    pub tls: Option<Tls>,
    /// The authenticated identity, once there is one.
    pub auth: Option<Auth>,
    /// Whether this client may send mail to anywhere. A transaction starts with this value and has its own.
    pub relaying: bool,
    /// The command line being answered, octet for octet, without its CRLF.
    pub current_line: Vec<u8>,
    /// The last reply, whole, with codes and CRLFs; empty before the first.
    pub last_response: String,
    /// What was counted so far.
    pub counters: Counters,
    /// When the connection was accepted.
    pub started: SystemTime,
}

/// The client's end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Address; an IPv4 address mapped into IPv6 is shown as IPv4.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// Name by reverse DNS, when it was looked up and found, or what a policy set.
    pub host: Option<String>,
    /// What else to say of the client in `Received`; `host` when nothing better is known.
    pub info: Option<String>,
    /// Not routed on the public Internet, see [`crate::is_private`].
    pub is_private: bool,
    /// Loopback or link local, see [`crate::is_local`].
    pub is_local: bool,
    /// The client has gone.
    pub closed: bool,
}

impl Remote {
    /// The client at this address, of whom nothing else is known yet.
    #[must_use]
    pub fn new(ip: IpAddr, port: u16) -> Self {
        let ip = crate::canonical(ip);
        Self {
            ip,
            port,
            host: None,
            info: None,
            is_private: crate::is_private(ip),
            is_local: crate::is_local(ip),
            closed: false,
        }
    }
}

/// Our end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Address as the operating system reports it.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// Our name: the configured host name.
    pub host: String,
    /// Program and version, for trace fields.
    pub info: String,
}

/// What speaks for the client in front of us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxy {
    /// Whether the peer is listed as one that may speak the PROXY protocol.
    pub allowed: bool,
    /// The proxy's address, when it has spoken.
    pub ip: Option<IpAddr>,
    /// Which protocol it spoke.
    pub kind: Option<ProxyKind>,
}

/// How a peer speaks for its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HAProxy's PROXY protocol, version 1 or 2.
    Haproxy,
    /// Postfix's XCLIENT.
    Xclient,
    /// Postfix's XFORWARD.
    Xforward,
}

/// Which greeting the client used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloVerb {
    /// `HELO`.
    Helo,
    /// `EHLO`.
    Ehlo,
    /// `LHLO`, which is LMTP's (RFC 2033).
    Lhlo,
}

impl HelloVerb {
    /// Whether extensions are listed in the reply, so that they may be used.
    #[must_use]
    pub fn is_extended(self) -> bool {
        self != Self::Helo
    }

    /// The verb in capitals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Lhlo => "LHLO",
        }
    }
}

/// The client's greeting (RFC 5321 §4.1.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// `HELO` or `EHLO`.
    pub verb: HelloVerb,
    /// The argument as it was sent: a domain, an address literal, or what passes for one.
    pub host: String,
}

/// The TLS session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Protocol version, such as `TLSv1.3`.
    pub version: String,
    /// Cipher suite by its IANA name.
    pub cipher: String,
    /// Server name that the client asked for.
    pub sni: Option<String>,
    /// The client's certificate, DER.
    pub peer_certificate: Option<Vec<u8>>,
    /// Whom that names: its addresses, else its common name.
    pub names: Vec<String>,
    /// What is known at both ends of this connection and nowhere else (RFC 9266); none before TLS 1.3. Policy does not see it.
    pub exporter: Option<[u8; 32]>,
}

/// Who the client has proven to be (RFC 4954).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Authorization identity.
    pub identity: String,
    /// SASL mechanism.
    pub mechanism: String,
}

/// How many of something ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dispositions {
    /// Answered 2yz.
    pub accepted: u32,
    /// Answered 4yz.
    pub deferred: u32,
    /// Answered 5yz.
    pub rejected: u32,
}

/// What was counted on a connection so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// The client spoke before it was greeted.
    pub early_talker: bool,
    /// The client has sent a group of commands without waiting for replies (RFC 2920).
    pub pipelining: bool,
    /// The client has said EHLO.
    pub esmtp: bool,
    /// Transactions started.
    pub transactions: u32,
    /// Recipients by the answer to RCPT.
    pub recipients: Dispositions,
    /// Messages by the answer to the end of their data.
    pub messages: Dispositions,
    /// Commands refused with 5yz for what they are: unknown, malformed, out of order.
    pub errors: u32,
    /// Octets of message content received.
    pub octets: u64,
}
