//! The settings as the operator writes them. `reference.toml` says what each is for.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use wasmail_server::{Address, LaneConfig};

use super::decode::{Decode, Mode, Size, Table, choice, section, wrong_type};
use super::limits::Limits;
use super::outbound::{Mx, OutboundTls, Patience};
use super::quotas::{PluginDns, PluginGeo, PluginHttp, PluginInject, PluginKv, PluginTcp};
use super::{KeyPath, Mistakes};

section! {
    /// The whole configuration.
    Settings {
        /// The server as a whole.
        server: Server,
        /// What is logged, and how.
        log: Log,
        /// Where to listen.
        listener: Vec<Listener>,
        /// Limits of a session, for all listeners.
        limits: Limits,
        /// Certificates.
        tls: Tls,
        /// Certificates from an ACME server.
        acme: Acme,
        /// How clients authenticate.
        auth: Auth,
        /// How many clients at once.
        connections: Connections,
        /// Reverse DNS.
        dns: Dns,
        /// Accepted messages until they are delivered.
        spool: Spool,
        /// Where accepted messages go.
        delivery: Delivery,
        /// Keys that sign what our users send.
        dkim: Vec<Dkim> = Vec::new(),
        /// Reverse-paths of forwarded mail.
        srs: SrsSettings,
        /// The HTTP API, by which tenants come.
        api: Api,
        /// What plugins keep.
        kv: Kv,
        /// Plugins' requests over HTTP.
        http: Http,
        /// Plugins' conversations over TCP.
        tcp: Tcp,
        /// Where addresses are.
        geo: Geo,
        /// Where messages come from.
        mail_auth: MailAuth,
        /// Other ways that policy may choose.
        route: Vec<Route> = Vec::new(),
        /// The sandbox.
        engine: Engine,
        /// Policy, in the order in which it is asked.
        plugin: Vec<Plugin>,
    }
}

section! {
    /// The server as a whole.
    Server {
        /// Our name.
        hostname: String,
        /// Where everything is kept.
        data_dir: PathBuf,
        /// How long running transactions may go on at the end.
        drain_timeout: Duration,
        /// Threads that serve; one for each core when left out.
        worker_threads: Option<usize>,
    }
}

section! {
    /// What is logged, and how.
    Log {
        /// For people or for programs.
        format: LogFormat,
        /// Directives of tracing's filter.
        level: String,
    }
}

choice! {
    /// How log lines are written.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// An address to listen on.
    Listener {
        /// Its name in logs and messages.
        name: String,
        /// Where.
        address: Address,
        /// Who may connect to a socket in the file system.
        socket_mode: Mode = Mode(0o660),
        /// Whom it is for.
        kind: ListenerKind = ListenerKind::Smtp,
        /// What to do about a bare CR or LF.
        line_endings: LineEndings = LineEndings::Strict,
        /// Whether messages may come by BDAT.
        chunking: Chunking = Chunking::Text,
        /// Whether its clients may send to anywhere.
        relaying: bool = false,
        /// Whether it speaks TLS; as the kind has it when left out.
        tls: Option<ListenerTls>,
        /// Whether clients may authenticate; as the kind has it when left out.
        auth: Option<bool>,
        /// Peers that speak for others by the PROXY protocol.
        proxies: Vec<IpNet> = Vec::new(),
        /// Peers that speak for others by XCLIENT and XFORWARD.
        xclient: Vec<IpNet> = Vec::new(),
        /// In place of `dns.reverse`.
        reverse_dns: Option<ReverseDns>,
        /// In place of single keys of the section `limits`.
        limits: Option<Table>,
        /// The tenant whose listener it is.
        tenant: Option<String>,
        /// The plugins that judge here, by name and in this order; all of them when left out.
        plugins: Option<Vec<String>>,
    }
}

impl Auth {
    /// Whether clients may prove that they know a password without showing it.
    pub(crate) fn offers_scram(&self) -> bool {
        self.mechanisms.iter().any(|mechanism| mechanism.is_scram())
    }
}

impl Listener {
    /// Whether it speaks TLS.
    pub(crate) fn tls(&self) -> ListenerTls {
        let usual = if self.kind == ListenerKind::Submissions { ListenerTls::Implicit } else { ListenerTls::Starttls };
        self.tls.unwrap_or(usual)
    }

    /// Whether clients may authenticate.
    pub(crate) fn auth(&self) -> bool {
        self.auth.unwrap_or(self.kind.is_for_users())
    }
}

choice! {
    /// Whom a listener is for.
    ListenerKind {
        /// Other servers.
        Smtp = "smtp",
        /// Users.
        Submission = "submission",
        /// Users, with TLS from the first octet on.
        Submissions = "submissions",
        /// A server that hands over mail for delivery.
        Lmtp = "lmtp",
    }
}

impl ListenerKind {
    /// Whether it is users who hand in their mail there.
    pub(crate) fn is_for_users(self) -> bool {
        matches!(self, Self::Submission | Self::Submissions)
    }
}

choice! {
    /// Whether messages may come by BDAT.
    Chunking {
        /// No.
        Off = "off",
        /// CHUNKING.
        Text = "text",
        /// CHUNKING and BINARYMIME.
        Binary = "binary",
    }
}

choice! {
    /// What to do about a bare CR or LF.
    LineEndings {
        /// Refuse it.
        Strict = "strict",
        /// Take a bare LF for CRLF.
        Normalise = "normalise",
    }
}

choice! {
    /// Whether a listener speaks TLS.
    ListenerTls {
        /// Never.
        Off = "off",
        /// When the client says STARTTLS.
        Starttls = "starttls",
        /// From the first octet on.
        Implicit = "implicit",
    }
}

section! {
    /// Certificates.
    Tls {
        /// Those that are shown; one of our own making when there is none.
        certificates: Vec<Certificate> = Vec::new(),
        /// The oldest version that is spoken.
        minimum: TlsVersion,
        /// Whose certificates of clients are believed.
        client_ca: Option<PathBuf>,
        /// Whether a client must have one.
        client_certificate_required: bool,
        /// How long a handshake may take.
        handshake_timeout: Duration,
    }
}

section! {
    /// The files of a certificate.
    Certificate {
        /// The certificate and those between it and the root.
        chain: PathBuf,
        /// Its private key.
        key: PathBuf,
    }
}

section! {
    /// Certificates from an ACME server (RFC 8555).
    Acme {
        /// Whether the operator agrees to its terms; without that nothing is asked for.
        agreed: bool = false,
        /// Whom it may write to.
        contact: Vec<String> = Vec::new(),
        /// A file with the account that the server's owner has given us.
        external_account: Option<PathBuf>,
        /// The names of each certificate; one for `server.hostname` when left out.
        names: Option<Vec<Vec<String>>>,
        /// The URL of its directory.
        directory: String,
        /// Authorities that its own certificate is checked by; Mozilla's when left out.
        roots: Option<PathBuf>,
        /// Where challenges are answered.
        listen: SocketAddr,
        /// Whether a renewed certificate has the key of the old one.
        keep_key: bool,
    }
}

choice! {
    /// Versions of TLS.
    TlsVersion {
        /// RFC 5246.
        V1_2 = "1.2",
        /// RFC 8446.
        V1_3 = "1.3",
    }
}

section! {
    /// A key that signs (RFC 6376).
    Dkim {
        /// The domain that takes responsibility.
        domain: String,
        /// Where the DNS has the public key.
        selector: String,
        /// The file with the private key, counted from the configuration's directory.
        key: PathBuf,
    }
}

section! {
    /// Reverse-paths of forwarded mail.
    SrsSettings {
        /// The domain that the addresses have.
        domain: Option<String>,
        /// The file with the secrets, counted from the configuration's directory.
        secrets: Option<PathBuf>,
        /// How many days an address is good.
        max_age: u64,
    }
}

section! {
    /// How clients authenticate.
    Auth {
        /// The mechanisms that are offered.
        mechanisms: Vec<Mechanism>,
        /// The file of users.
        users: Option<PathBuf>,
        /// Whether passwords may come in the clear.
        without_tls: bool,
        /// Failures in one session.
        attempts: u32,
        /// How long the answer to a failure waits.
        failure_delay: Duration,
        /// Whether who is authenticated may send to anywhere.
        relaying: bool,
    }
}

choice! {
    /// A SASL mechanism.
    Mechanism {
        /// RFC 7677, bound to the connection.
        ScramSha256Plus = "SCRAM-SHA-256-PLUS",
        /// RFC 7677.
        ScramSha256 = "SCRAM-SHA-256",
        /// RFC 4616.
        Plain = "PLAIN",
        /// As some clients insist on.
        Login = "LOGIN",
        /// RFC 7628.
        OauthBearer = "OAUTHBEARER",
        /// As it was before the standard.
        Xoauth2 = "XOAUTH2",
        /// RFC 4422 appendix A.
        External = "EXTERNAL",
    }
}

impl Mechanism {
    /// Whether it needs a verifier of the user's password.
    pub(crate) fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha256Plus | Self::ScramSha256)
    }

    /// Whether a token is shown, which plugins judge.
    pub(crate) fn is_token(self) -> bool {
        matches!(self, Self::OauthBearer | Self::Xoauth2)
    }
}

section! {
    /// How many clients at once.
    Connections {
        /// In all.
        total: usize,
        /// From one address.
        per_address: usize,
    }
}

section! {
    /// Reverse DNS.
    Dns {
        /// Whether clients' names are looked up.
        reverse: ReverseDns,
        /// Name servers; those of the system when empty.
        servers: Vec<SocketAddr>,
        /// For one client's name in all.
        timeout: Duration,
        /// Names looked up at once.
        concurrency: usize,
        /// Names remembered.
        cache: usize,
        /// Plugins' questions under way at once.
        plugin_concurrency: usize,
        /// Answers to plugins' questions that are remembered.
        plugin_cache: u64,
        /// Whether the name servers are believed that they have validated an answer.
        trust_ad: bool,
    }
}

section! {
    /// What plugins keep.
    Kv {
        /// How often it is synced to disk.
        sync_interval: Duration,
        /// Octets of the file that are kept in memory.
        cache: Size,
    }
}

section! {
    /// Plugins' requests over HTTP.
    Http {
        /// A file of trusted certificates; Mozilla's when left out.
        roots: Option<PathBuf>,
        /// Requests under way at once.
        concurrency: usize,
    }
}

section! {
    /// Where addresses are.
    Geo {
        /// The databases, counted from the configuration's directory.
        databases: Vec<PathBuf>,
        /// How often it is looked whether they have changed, at most.
        check_interval: Duration,
    }
}

section! {
    /// Plugins' conversations over TCP.
    Tcp {
        /// Connections at once.
        concurrency: usize,
    }
}

choice! {
    /// Whether a client's name is looked up.
    ReverseDns {
        /// Never.
        Off = "off",
        /// Beside the session.
        Lazy = "lazy",
        /// Before the session begins.
        Wait = "wait",
    }
}

section! {
    /// Accepted messages until they are delivered.
    Spool {
        /// Whether 250 waits for the disk.
        sync: bool,
        /// Octets of a journal file.
        segment_size: Size,
        /// Longest body that lies in the journal.
        inline_max: Size,
        /// Most messages at once.
        messages_max: usize,
        /// Room that new mail must leave.
        min_free: Size,
    }
}

section! {
    /// Where accepted messages go.
    Delivery {
        /// The way.
        kind: DeliveryKind,
        /// The Maildirs' root.
        path: PathBuf,
        /// One Maildir for each recipient or one for all.
        layout: MaildirLayout,
        /// Whether a delivered message is synced.
        sync: bool,
        /// The next hop, `host:port`.
        next_hop: Option<String>,
        /// For the connection to be made.
        connect_timeout: Duration,
        /// For the next message on the same connection.
        idle_timeout: Duration,
        /// Messages on their way at once.
        concurrency: usize,
        /// Whether content goes in chunks where it may.
        chunking: bool,
        /// How safe connections to other servers must be.
        tls: OutboundTls,
        /// Authorities that are believed beside those of the web.
        tls_ca: Option<PathBuf>,
        /// Name and password for the next hop.
        credentials: Option<PathBuf>,
        /// Where connections over IPv4 come from.
        source_ipv4: Option<IpAddr>,
        /// Where connections over IPv6 come from.
        source_ipv6: Option<IpAddr>,
        /// To where the DNS says.
        mx: Mx,
        /// How long other servers may take.
        patience: Patience,
        /// When a failed delivery is tried again.
        retry: Retry,
        /// What senders are told.
        reports: Reports,
        /// The plugins that judge messages on their way out, by name and in this order; all of them when left out.
        plugins: Option<Vec<String>>,
    }
}

section! {
    /// What senders are told of their mail's fate.
    Reports {
        /// Whether they hear of failures.
        failures: bool,
        /// When they hear of a delay.
        warn_after: Duration,
        /// The longest body that is sent back.
        return_max: Size,
    }
}

section! {
    /// Another way for messages.
    Route {
        /// The name with which policy chooses it.
        name: String,
        /// The way.
        kind: DeliveryKind,
        /// The Maildirs' root.
        path: Option<PathBuf> = None,
        /// One Maildir for each recipient or one for all.
        layout: MaildirLayout = MaildirLayout::PerRecipient,
        /// The next hop, `host:port`.
        next_hop: Option<String> = None,
        /// Domains whose mail goes this way.
        domains: Vec<String> = Vec::new(),
        /// Where messages are posted to.
        url: Option<String> = None,
        /// The file with what the field Authorization says.
        authorization: Option<PathBuf> = None,
        /// In place of `delivery.tls`.
        tls: Option<OutboundTls> = None,
        /// Name and password for the next hop.
        credentials: Option<PathBuf> = None,
        /// Messages on their way at once.
        concurrency: usize = LaneConfig::CONCURRENCY,
    }
}

choice! {
    /// Where accepted messages go.
    DeliveryKind {
        /// Into Maildirs.
        Maildir = "maildir",
        /// To another server.
        Smtp = "smtp",
        /// To where the DNS says.
        Mx = "mx",
        /// To a server that speaks LMTP.
        Lmtp = "lmtp",
        /// To a service by HTTP.
        Http = "http",
        /// Nowhere.
        Discard = "discard",
    }
}

choice! {
    /// Which Maildir a message goes to.
    MaildirLayout {
        /// `<path>/<domain>/<local-part>`.
        PerRecipient = "per-recipient",
        /// `<path>`.
        Single = "single",
    }
}

section! {
    /// When a failed delivery is tried again.
    Retry {
        /// Before the second attempt.
        first: Duration,
        /// By what the wait grows.
        factor: f64,
        /// Longest wait.
        longest: Duration,
        /// By which part a wait varies.
        jitter: f64,
        /// From acceptance until it is given up.
        lifetime: Duration,
    }
}

section! {
    /// The HTTP API, by which tenants come.
    Api {
        /// Where it listens; without it there is none, and there are no tenants.
        listen: Option<SocketAddr> = None,
        /// The certificate that it shows: chain and key in PEM. Without one it speaks HTTP in the clear.
        certificate: Option<PathBuf> = None,
        /// The key of that certificate.
        key: Option<PathBuf> = None,
    }
}

section! {
    /// The sandbox.
    Engine {
        /// Octets of memory for one instance.
        memory: Size,
        /// CPU time for one hook call.
        cpu: Duration,
        /// Time for one hook call in all.
        wall_clock: Duration,
        /// Instances at once.
        instances: u32,
        /// Whether compiled code is kept on disk.
        cache: bool,
        /// CPU time for compiling one component.
        compile_cpu: Duration,
        /// Time for compiling one component in all.
        compile_wall_clock: Duration,
        /// Octets of address space for compiling one component.
        compile_memory: Size,
    }
}

section! {
    /// A plugin in its place in the chain.
    Plugin {
        /// Its name here.
        name: String,
        /// `builtin:NAME` or a file.
        module: String,
        /// Whether it is asked at all.
        enabled: bool = true,
        /// What it may do beyond judging.
        grants: Vec<String> = Vec::new(),
        /// Where it stands among the others, before their order in the list counts.
        priority: Priority = Priority(0),
        /// What its faults become.
        on_fault: OnFault = OnFault::Defer,
        /// Whether it is asked after the plugins of tenants.
        after_tenants: bool = false,
        /// How long an instance lives.
        instance: Instance = Instance::Pooled,
        /// In place of `engine.memory`.
        memory: Option<Size>,
        /// In place of `engine.cpu`.
        cpu: Option<Duration>,
        /// In place of `engine.wall_clock`.
        wall_clock: Option<Duration>,
        /// What it may ask of the DNS, when that is granted.
        dns: PluginDns = PluginDns::default(),
        /// Whose it is: bindings of one name and different tenants keep different things.
        tenant: String = "default".to_owned(),
        /// What it may keep, when that is granted.
        kv: PluginKv = PluginKv::default(),
        /// What it may send of its own, when that is granted.
        inject: PluginInject = PluginInject::default(),
        /// Whom it may ask over HTTP, when that is granted.
        http: PluginHttp = PluginHttp::default(),
        /// Whom it may speak with over TCP, when that is granted.
        tcp: PluginTcp = PluginTcp::default(),
        /// How many addresses it may look up, when that is granted.
        geo: PluginGeo = PluginGeo::default(),
        /// Keys that it may use, when that is granted.
        secrets: Table = Table::new(),
        /// What the plugin itself is told.
        config: Table = Table::new(),
    }
}

section! {
    /// Where messages come from.
    MailAuth {
        /// For the DNS, all methods of one message together.
        timeout: Duration,
        /// Messages that are judged at once.
        concurrency: usize,
    }
}

choice! {
    /// What a plugin's fault becomes.
    OnFault {
        /// 451.
        Defer = "defer",
        /// As if it had said nothing.
        Skip = "skip",
        /// 550.
        Reject = "reject",
    }
}

choice! {
    /// How long an instance lives.
    Instance {
        /// Reused for many calls.
        Pooled = "pooled",
        /// Made anew for each call.
        Call = "call",
    }
}

/// A plugin's place among the others: from -100, asked first, to 100. The range is Haraka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority(pub(crate) i8);

impl Decode for Priority {
    const EXPECTED: &'static str = "a whole number from -100 to 100";

    fn decode(value: &Value, at: &KeyPath, mistakes: &mut Mistakes) -> Option<Self> {
        let number = value.as_i64().filter(|number| (-100..=100).contains(number));
        if number.is_none() {
            wrong_type(value, at, Self::EXPECTED, mistakes);
        }
        number.and_then(|number| i8::try_from(number).ok()).map(Self)
    }
}

impl Plugin {
    /// A plugin that is in no file: with no grant, and with what each has where nothing is said.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            module: String::new(),
            enabled: true,
            grants: Vec::new(),
            priority: Priority(0),
            on_fault: OnFault::Defer,
            after_tenants: false,
            instance: Instance::Pooled,
            memory: None,
            cpu: None,
            wall_clock: None,
            dns: PluginDns::default(),
            tenant: String::new(),
            kv: PluginKv::default(),
            inject: PluginInject::default(),
            http: PluginHttp::default(),
            tcp: PluginTcp::default(),
            geo: PluginGeo::default(),
            secrets: Table::new(),
            config: Table::new(),
        }
    }
}
