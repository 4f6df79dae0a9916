//! Exim and OpenSMTPD, each with one port on loopback: what they are told.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::apart::Apart;
use super::authority::Certificate;

/// Which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    Exim,
    OpenSmtpd,
}

/// What it does with mail.
pub(crate) enum Role<'a> {
    /// All of it goes to the server at this port of `localhost`, under TLS alone, with a certificate of this authority (PEM).
    RelayTo { port: u16, authority: &'a str },
    /// Into its own Maildirs, for these addresses at `example.test` and no others; clients may begin TLS.
    Deliver { mailboxes: &'a [&'a str], certificate: &'a Certificate },
    /// Likewise, for clients that have authenticated under TLS as `tim` with the password `secret`.
    DeliverFromUsers { mailboxes: &'a [&'a str], certificate: &'a Certificate },
}

/// Such a server. It ends when dropped.
pub(crate) struct Neighbour {
    server: Apart,
}

impl Make {
    /// Whether a story with it may begin.
    pub(crate) fn here(self) -> bool {
        Apart::here(self.name())
    }

    /// Its host name.
    pub(crate) const fn host(self) -> &'static str {
        match self {
            Self::Exim => "exim.example",
            Self::OpenSmtpd => "opensmtpd.example",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Exim => "exim",
            Self::OpenSmtpd => "opensmtpd",
        }
    }

    /// Writes a configuration and starts.
    pub(crate) fn start(self, role: &Role<'_>) -> Neighbour {
        let logs: &[&str] = match self {
            Self::Exim => &["var/log/exim4/mainlog", "var/log/exim4/paniclog"],
            Self::OpenSmtpd => &[],
        };
        let mut server = Apart::new(self.name(), logs);
        let believed = match role {
            Role::RelayTo { authority, .. } => authority,
            Role::Deliver { certificate, .. } | Role::DeliverFromUsers { certificate, .. } => {
                server.write("etc/chain.pem", &certificate.chain);
                server.write("etc/key.pem", &certificate.key);
                certificate.chain.as_str()
            }
        };
        server.write("etc/ssl/certs/ca-certificates.crt", believed);
        match self {
            Self::Exim => start_exim(&mut server, role),
            Self::OpenSmtpd => start_opensmtpd(&mut server, role),
        }
        Neighbour { server }
    }
}

impl Neighbour {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The root of its Maildirs, `<domain>/<local-part>` below it.
    pub(crate) fn maildirs(&self) -> PathBuf {
        self.server.maildirs()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.server.log()
    }
}

fn start_exim(server: &mut Apart, role: &Role<'_>) {
    // What it is told must be root's alone; where it writes is its own.
    for (folder, its_own) in [("etc/exim4", false), ("var/spool/exim4", true), ("var/log/exim4", true)] {
        std::fs::create_dir(server.path(folder)).expect("the directory is ours");
        if its_own {
            server.give(folder, "Debian-exim");
        }
    }
    if !matches!(role, Role::RelayTo { .. }) {
        server.give("etc/key.pem", "Debian-exim");
    }
    let config = exim_conf(server.address().port(), &server.maildirs(), role);
    server.write("etc/exim4/exim4.conf", &config);
    server.start("exim", &["exim4", "-bdf", "-q1s"]);
}

fn exim_conf(port: u16, maildirs: &std::path::Path, role: &Role<'_>) -> String {
    let (tls, acl, router) = match role {
        Role::RelayTo { .. } => (
            "",
            "  accept\n".to_owned(),
            "  driver = manualroute\n  route_list = * localhost byname\n  self = send\n  transport = onward\n"
                .to_owned(),
        ),
        Role::Deliver { mailboxes, .. } => (TLS_OF_EXIM, exim_acl(mailboxes, ""), router_in(mailboxes)),
        Role::DeliverFromUsers { mailboxes, .. } => {
            let users = "  deny !authenticated = *\n       message = 5.7.1 users only\n";
            (TLS_OF_EXIM, exim_acl(mailboxes, users), router_in(mailboxes))
        }
    };
    let onward = if let Role::RelayTo { port, .. } = role { *port } else { 0 };
    let maildirs = maildirs.display();
    format!(
        "primary_hostname = exim.example\nqualify_domain = example.test\ndaemon_smtp_ports = {port}\n\
         local_interfaces = 127.0.0.1\nkeep_environment =\nnotifier_socket =\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
         chunking_advertise_hosts = *\ndsn_advertise_hosts = *\nsmtputf8_advertise_hosts = *\nprdr_enable = true\n\
         log_file_path = /var/log/exim4/%slog\npid_file_path = /var/spool/exim4/exim.pid\nacl_smtp_rcpt = rcpt\n{tls}\
         begin acl\nrcpt:\n{acl}begin routers\nall:\n{router}begin transports\n\
         box:\n  driver = appendfile\n  maildir_format\n  create_directory\n  return_path_add\n  user = nobody\n  \
         group = nobody\n  directory = {maildirs}/$domain_data/$local_part_data\n\
         onward:\n  driver = smtp\n  port = {onward}\n  allow_localhost\n  hosts_try_dane =\n  hosts_require_tls = *\n  \
         tls_verify_hosts = *\n  tls_verify_certificates = /etc/ssl/certs/ca-certificates.crt\n\
         begin retry\n* * F,1h,1s\nbegin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  \
         server_condition = ${{if and{{{{eq{{$auth2}}{{tim}}}}{{eq{{$auth3}}{{secret}}}}}}}}\n  \
         server_advertise_condition = ${{if def:tls_in_cipher}}\n"
    )
}

const TLS_OF_EXIM: &str = "tls_advertise_hosts = *\ntls_certificate = /etc/chain.pem\ntls_privatekey = /etc/key.pem\n";

/// Names that stand in a list are no longer tainted, so that they may be part of a path.
fn router_in(mailboxes: &[&str]) -> String {
    let names: Vec<_> = mailboxes.iter().filter_map(|name| name.strip_suffix("@example.test")).collect();
    format!("  driver = accept\n  domains = example.test\n  local_parts = {}\n  transport = box\n", names.join(" : "))
}

fn exim_acl(mailboxes: &[&str], users: &str) -> String {
    let all = mailboxes.join(" : ");
    format!("{users}  accept recipients = {all}\n  deny message = 5.1.1 no such mailbox\n")
}

fn start_opensmtpd(server: &mut Apart, role: &Role<'_>) {
    std::fs::create_dir_all(server.path("var/lib/opensmtpd/empty")).expect("the directory is ours");
    server.write("etc/mailname", "opensmtpd.example\n");
    let config = smtpd_conf(server.address().port(), &server.maildirs(), role);
    server.write("etc/smtpd.conf", &config);
    if !matches!(role, Role::RelayTo { .. }) {
        use std::os::unix::fs::PermissionsExt as _;
        let ours_alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(server.path("etc/key.pem"), ours_alone).expect("it is ours");
    }
    server.start("opensmtpd", &["smtpd", "-d", "-f", "/etc/smtpd.conf"]);
}

fn smtpd_conf(port: u16, maildirs: &std::path::Path, role: &Role<'_>) -> String {
    let (mailboxes, how) = match role {
        Role::RelayTo { port: onward, .. } => {
            return format!(
                "listen on 127.0.0.1 port {port} hostname opensmtpd.example\n\
                 action \"onward\" relay host smtp+tls://localhost:{onward} tls helo opensmtpd.example\n\
                 match from any for any action \"onward\"\n"
            );
        }
        Role::Deliver { mailboxes, .. } => (mailboxes, "tls pki ours"),
        Role::DeliverFromUsers { mailboxes, .. } => (mailboxes, "tls-require pki ours auth <users>"),
    };
    let quoted = |ending: &str| mailboxes.iter().map(|name| format!("{name:?}{ending}")).collect::<Vec<_>>().join(", ");
    let maildirs = maildirs.display();
    format!(
        "pki ours cert \"/etc/chain.pem\"\npki ours key \"/etc/key.pem\"\ntable users {{ tim = {SECRET:?} }}\n\
         table boxes {{ {} }}\ntable owners {{ {} }}\n\
         listen on 127.0.0.1 port {port} {how} hostname opensmtpd.example\n\
         action \"in\" maildir \"{maildirs}/%{{dest.domain}}/%{{dest.user}}\" virtual <owners>\n\
         match from any for domain \"example.test\" rcpt-to <boxes> action \"in\"\n\
         match auth from any for domain \"example.test\" rcpt-to <boxes> action \"in\"\n",
        quoted(""),
        quoted(" = nobody")
    )
}

/// `secret`, as crypt(3) has it.
const SECRET: &str =
    "$6$wasmail$6h/TIs1ICMzt3d0hBUzDte.wbnDxbJ26jmFTivq4iqh6hwKtqCq9C9cFHRWbEGKIVrCCBAPhxs8HZZ7d1gNeM/";
