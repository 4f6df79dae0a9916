//! From settings to how mail goes to other servers.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use wasmail_server::{
    ClientConfig, Credentials, DestinationConfig, ExchangersConfig, LocalConfig, MaildirConfig, MxConfig,
    NextHopConfig, Pace, Patience, Secret, Security, StsConfig, WebhookConfig,
};
use wasmail_services::Reach;
use wasmail_services::dns::{ResolverConfig, Validation};

use crate::config::{self, Families, KeyPath, Mistakes, OutboundTls, Settings};
use crate::paths;

/// For one question to one name server; it is sent again once. Nobody waits for the answer but a message in the queue.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);
/// Questions under way at once. Each has a socket.
const DNS_CONCURRENCY: usize = 200;
/// Answers that are remembered: a dozen for a domain, some 500 octets each.
const DNS_CACHE: u64 = 20_000;

/// Delivery by the DNS; `local` has the Maildirs for domains whose mail stays here.
pub(crate) fn mx(settings: &Settings, local: Option<MaildirConfig>) -> MxConfig {
    let mx = &settings.delivery.mx;
    let domains = mx.local_domains.clone().unwrap_or_default();
    MxConfig {
        local: local.map(|maildir| LocalConfig { domains, maildir }),
        exchangers: ExchangersConfig {
            resolver: ResolverConfig { validation: validation(mx), ..resolver(settings) },
            families: families(mx.families),
            reach: Reach { private: mx.private, addresses: mx.networks() },
            literals: mx.literals,
        },
        own: mx.own.clone(),
        port: mx.port,
        concurrency: mx.concurrency,
        default: destination(settings, None),
        destinations: mx
            .domain
            .iter()
            .map(|own| (own.name.to_ascii_lowercase(), destination(settings, Some(own))))
            .collect(),
        srs: None,
        suspend_longest: mx.suspend_longest,
        tls_reports: mx.tls_reports.then(|| paths::tls_reports(settings)),
        dane: mx.dane,
        sts: mx.mta_sts.then(|| StsConfig {
            port: mx.mta_sts_port,
            ca: settings.delivery.tls_ca.clone(),
            dir: Some(paths::mta_sts(settings)),
        }),
        client: client(settings),
    }
}

/// What holds for a domain, or for those of which nothing else is said.
fn destination(settings: &Settings, own: Option<&config::MxDomain>) -> DestinationConfig {
    let mx = &settings.delivery.mx;
    let security = security(own.and_then(|own| own.tls).unwrap_or(settings.delivery.tls));
    let concurrency = own.and_then(|own| own.concurrency).unwrap_or(mx.destination_concurrency);
    let per_minute = own.and_then(|own| own.rate).or(mx.destination_rate);
    DestinationConfig { security, pace: Pace { concurrency, per_minute } }
}

/// Delivery to a server that the operator names, with the file of our credentials there.
pub(crate) fn next_hop(
    settings: &Settings,
    text: Option<&str>,
    tls: Option<OutboundTls>,
    secret: Option<&Path>,
    lmtp: bool,
) -> NextHopConfig {
    let hop = config::next_hop(text.unwrap_or_default(), lmtp);
    let hop = hop.expect("the settings were checked: these kinds have a good next hop");
    let client = ClientConfig {
        lmtp,
        implicit_tls: hop.implicit_tls,
        credentials: secret.map(|path| credentials(path).expect("the file was read when the settings were checked")),
        ..client(settings)
    };
    let security = security(tls.unwrap_or(settings.delivery.tls));
    NextHopConfig { host: hop.host, port: hop.port, security, client }
}

/// Delivery to a service by HTTP.
pub(crate) fn webhook(settings: &Settings, route: &config::Route) -> WebhookConfig {
    let authorization = route.authorization.as_deref();
    let authorization =
        authorization.map(|path| authorization_of(path).expect("the file was read when the settings were checked"));
    WebhookConfig {
        url: route.url.clone().expect("the settings were checked: kind = \"http\" has a URL"),
        authorization: authorization.map(Secret::new),
        resolver: resolver(settings),
        ca: settings.delivery.tls_ca.clone(),
        timeout: settings.delivery.patience.final_dot,
    }
}

/// Reads all files of credentials, to say what is wrong with them.
pub(crate) fn check(settings: &Settings, mistakes: &mut Mistakes) {
    for (index, route) in settings.route.iter().enumerate() {
        if let Some(path) = &route.authorization
            && let Err(error) = authorization_of(path)
        {
            let at = KeyPath::of(&["route"]).index(index).key("authorization");
            mistakes.add(&at, format!("{}: {error}", path.display()));
        }
    }
    let routes = settings.route.iter().enumerate();
    let of_routes = routes.map(|(index, route)| (KeyPath::of(&["route"]).index(index), &route.credentials));
    let all = of_routes.chain([(KeyPath::of(&["delivery"]), &settings.delivery.credentials)]);
    for (at, path) in all.filter_map(|(at, path)| Some((at, path.as_deref()?))) {
        if let Err(error) = credentials(path) {
            mistakes.add(&at.key("credentials"), format!("{}: {error}", path.display()));
        }
    }
}

/// The only line of a file, as the value of a field of HTTP.
fn authorization_of(path: &Path) -> io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    let line = text.trim_end_matches(['\r', '\n']);
    let is_good = !line.is_empty() && line.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    if is_good { Ok(line.to_owned()) } else { Err(io::Error::other("it has not one line of printable ASCII")) }
}

/// The user on the first line of a file, the password on the second.
fn credentials(path: &Path) -> io::Result<Credentials> {
    let text = std::fs::read_to_string(path)?;
    let mut lines = text.lines();
    match (lines.next(), lines.next(), lines.next()) {
        (Some(user), Some(password), None) if !user.is_empty() && !password.is_empty() => {
            Ok(Credentials { user: user.to_owned(), password: password.to_owned(), in_the_clear: false })
        }
        _ => Err(io::Error::other("it has not two lines: the user and the password")),
    }
}

fn security(tls: OutboundTls) -> Security {
    match tls {
        OutboundTls::Off => Security::Off,
        OutboundTls::Opportunistic => Security::Opportunistic,
        OutboundTls::Required => Security::Verified,
    }
}

/// How we speak with other servers.
pub(crate) fn client(settings: &Settings) -> ClientConfig {
    let delivery = &settings.delivery;
    ClientConfig {
        hostname: settings.server.hostname.clone(),
        connect_timeout: delivery.connect_timeout,
        idle_timeout: delivery.idle_timeout,
        patience: patience(&delivery.patience),
        ca: delivery.tls_ca.clone(),
        lmtp: false,
        chunking: delivery.chunking,
        implicit_tls: false,
        credentials: None,
        source_ipv4: delivery.source_ipv4.and_then(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }),
        source_ipv6: delivery.source_ipv6.and_then(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None }),
    }
}

fn patience(patience: &config::Patience) -> Patience {
    Patience {
        greeting: patience.greeting,
        command: patience.command,
        handshake: patience.handshake,
        data: patience.data,
        content: patience.content,
        final_dot: patience.final_dot,
    }
}

/// Who finds other servers.
pub(crate) fn resolver(settings: &Settings) -> ResolverConfig {
    let dns = &settings.dns;
    ResolverConfig {
        servers: dns.servers.clone(),
        timeout: DNS_TIMEOUT,
        concurrency: DNS_CONCURRENCY,
        cache: DNS_CACHE,
        trust_ad: dns.trust_ad,
        validation: Validation::Off,
    }
}

fn validation(mx: &config::Mx) -> Validation {
    match &mx.trust_anchors {
        _ if !mx.validate => Validation::Off,
        Some(path) => Validation::From(path.clone()),
        None => Validation::FromRoot,
    }
}

fn families(families: Families) -> wasmail_server::Families {
    match families {
        Families::Ipv4First => wasmail_server::Families::Ipv4First,
        Families::Ipv6First => wasmail_server::Families::Ipv6First,
        Families::Ipv4 => wasmail_server::Families::Ipv4Only,
        Families::Ipv6 => wasmail_server::Families::Ipv6Only,
    }
}
