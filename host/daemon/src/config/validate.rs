//! What types alone cannot say: names that must differ, settings that need each other.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use wasmail_mail::Domain;
use wasmail_policy::Grant;
use wasmail_tenants::TenantName;

use super::decode::{Decode, nearest};
use super::limits::Limits;
use super::mistake::Mistakes;
use super::place::KeyPath;
use super::settings::{DeliveryKind, ListenerKind, ListenerTls, Mechanism, Plugin, Settings};

/// What a compiling process takes before it compiles anything, with some room.
const COMPILE_MEMORY_MIN: u64 = 256 * 1024 * 1024;

/// Checks the settings as a whole.
pub(super) fn validate(settings: &Settings, mistakes: &mut Mistakes) {
    server(settings, mistakes);
    listeners(settings, mistakes);
    session_limits(&settings.limits, &KeyPath::of(&["limits"]), mistakes);
    tls(settings, mistakes);
    kinds(settings, mistakes);
    auth(settings, mistakes);
    positive_numbers(settings, mistakes);
    spool(settings, mistakes);
    delivery(settings, mistakes);
    super::outbound::validate(settings, mistakes);
    super::acme::validate(settings, mistakes);
    api(settings, mistakes);
    routes(settings, mistakes);
    plugins(settings, mistakes);
}

fn server(settings: &Settings, mistakes: &mut Mistakes) {
    let hostname = &settings.server.hostname;
    let at = KeyPath::of(&["server", "hostname"]);
    match Domain::parse(hostname) {
        Err(error) => mistakes.add(&at, format!("`{hostname}` is no host name: {error}")),
        Ok(domain) if domain.is_literal() || !domain.is_ascii() => {
            mistakes.add(&at, format!("`{hostname}` is no host name in ASCII"));
        }
        Ok(_) => {}
    }
    if let Err(error) = crate::logs::parse(&settings.log.level) {
        let help = "write error, warn, info, debug or trace, or directives such as `info,wasmail_server=debug`";
        mistakes.add_with_help(&KeyPath::of(&["log", "level"]), error, help);
    }
}

fn listeners(settings: &Settings, mistakes: &mut Mistakes) {
    let list = KeyPath::of(&["listener"]);
    if settings.listener.is_empty() {
        mistakes.add_with_help(&list, "no listener", "add a table [[listener]] with name and address");
    }
    let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
    let known: Vec<_> = settings.plugin.iter().map(|plugin| plugin.name.as_str()).collect();
    for (index, listener) in settings.listener.iter().enumerate() {
        let at = list.index(index);
        name(&listener.name, &at.key("name"), &mut names, mistakes);
        // Port 0 is a free one each time.
        let is_free = listener.address.tcp().is_some_and(|address| address.port() == 0);
        if !is_free && !addresses.insert(listener.address.clone()) {
            mistakes.add(&at.key("address"), format!("another listener has {} already", listener.address));
        }
        if let Some(limits) = listener_limits(settings, index, mistakes) {
            session_limits(&limits, &at.key("limits"), mistakes);
        }
        named(listener.plugins.as_deref(), &known, &at.key("plugins"), mistakes);
    }
    named(settings.delivery.plugins.as_deref(), &known, &KeyPath::of(&["delivery", "plugins"]), mistakes);
}

/// The API shows a certificate wherever others could listen.
fn api(settings: &Settings, mistakes: &mut Mistakes) {
    let (api, at) = (&settings.api, KeyPath::of(&["api"]));
    if api.certificate.is_some() != api.key.is_some() {
        mistakes.add(&at.key(if api.key.is_none() { "key" } else { "certificate" }), "is missing: they come together");
    }
    for (index, listener) in settings.listener.iter().enumerate() {
        let at = KeyPath::of(&["listener"]).index(index).key("tenant");
        match listener.tenant.as_deref().map(str::parse::<TenantName>) {
            Some(Err(error)) => mistakes.add(&at, error),
            Some(Ok(_)) if api.listen.is_none() => {
                mistakes.add_with_help(&at, "there are no tenants", "they come by the API: set api.listen");
            }
            _ => {}
        }
    }
    let Some(listen) = api.listen else { return };
    if !listen.ip().is_loopback() && api.certificate.is_none() {
        let help = "name certificate and key, or listen on 127.0.0.1 behind a proxy that has one";
        mistakes.add_with_help(&at.key("listen"), "tokens would cross the network in the clear", help);
    }
    if let Some(other) =
        settings.listener.iter().find(|other| other.address.tcp() == Some(listen) && listen.port() != 0)
    {
        mistakes.add(&at.key("listen"), format!("the listener `{}` has {listen} already", other.name));
    }
}

/// A chain names plugins that there are.
fn named(plugins: Option<&[String]>, known: &[&str], at: &KeyPath, mistakes: &mut Mistakes) {
    for (position, plugin) in plugins.unwrap_or_default().iter().enumerate() {
        if !known.contains(&plugin.as_str()) {
            let help = nearest(plugin, known).map_or_else(
                || format!("the plugins are {}", known.join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            mistakes.add_with_help(&at.index(position), format!("no plugin `{plugin}`"), help);
        }
    }
}

fn tls(settings: &Settings, mistakes: &mut Mistakes) {
    let at = KeyPath::of(&["tls"]);
    nonzero_time(settings.tls.handshake_timeout, &at.key("handshake_timeout"), mistakes);
    if settings.tls.client_certificate_required && settings.tls.client_ca.is_none() {
        mistakes.add(&at.key("client_ca"), "missing; tls.client_certificate_required needs it");
    }
}

/// What a listener is for goes with what it offers.
fn kinds(settings: &Settings, mistakes: &mut Mistakes) {
    for (index, listener) in settings.listener.iter().enumerate() {
        let at = KeyPath::of(&["listener"]).index(index);
        if listener.kind == ListenerKind::Submissions && listener.tls() != ListenerTls::Implicit {
            let help = "leave it out, or set kind to \"submission\"";
            mistakes.add_with_help(&at.key("tls"), "of kind \"submissions\" TLS begins with the first octet", help);
        }
    }
}

fn auth(settings: &Settings, mistakes: &mut Mistakes) {
    let at = KeyPath::of(&["auth"]);
    if settings.auth.mechanisms.is_empty() {
        mistakes.add_with_help(&at.key("mechanisms"), "no mechanism", "set listener.auth to false to offer none");
    }
    if settings.auth.offers_scram() && settings.auth.users.is_none() {
        let help = "SCRAM is for users of the file; those of plugins use PLAIN, LOGIN or tokens";
        mistakes.add_with_help(&at.key("users"), "missing; auth.mechanisms has SCRAM, which needs it", help);
    }
    if settings.auth.mechanisms.contains(&Mechanism::External) && settings.tls.client_ca.is_none() {
        let what = "missing; auth.mechanisms has \"EXTERNAL\", which needs it";
        mistakes.add(&KeyPath::of(&["tls", "client_ca"]), what);
    }
    if settings.auth.attempts == 0 {
        mistakes.add(&at.key("attempts"), "must be 1 at least");
    }
    for (index, listener) in settings.listener.iter().enumerate().filter(|(_, listener)| listener.auth()) {
        if !settings.auth.without_tls && listener.tls() == ListenerTls::Off {
            let help = "set listener.tls to \"starttls\", or auth.without_tls to true if nobody can listen on the way";
            let what = "AUTH is offered under TLS alone, which this listener has none of";
            mistakes.add_with_help(&KeyPath::of(&["listener"]).index(index).key("auth"), what, help);
        }
    }
}

/// The limits of a listener: its own keys over those of all.
pub(crate) fn listener_limits(settings: &Settings, index: usize, mistakes: &mut Mistakes) -> Option<Limits> {
    let Some(own) = &settings.listener[index].limits else { return Some(settings.limits.clone()) };
    let at = KeyPath::of(&["listener"]).index(index).key("limits");
    Limits::decode_over(&settings.limits, &Value::Object(own.clone()), &at, mistakes)
}

/// A name must be there, be plain, and be the only one.
fn name<'n>(name: &'n str, at: &KeyPath, seen: &mut HashSet<&'n str>, mistakes: &mut Mistakes) {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
        let help = "use 1 to 64 letters, digits, hyphens, underscores and dots";
        mistakes.add_with_help(at, format!("`{name}` is no good name"), help);
    }
    if !seen.insert(name) {
        mistakes.add_with_help(at, format!("the name `{name}` is taken"), "names must differ");
    }
}

/// Zero lets no mail in; less than what the standards ask for may be meant, and is warned of by `danger`.
fn session_limits(limits: &Limits, at: &KeyPath, mistakes: &mut Mistakes) {
    let numbers = [
        ("command_line", limits.command_line.0),
        ("path", limits.path.0),
        ("text_line", limits.text_line.0),
        ("recipients", limits.recipients as u64),
        ("message_size", limits.message_size.0),
        ("header_size", limits.header_size.0),
        ("header_fields", limits.header_fields as u64),
        ("received_hops", limits.received_hops as u64),
        ("commands_without_progress", limits.commands_without_progress.into()),
    ];
    for (key, _) in numbers.into_iter().filter(|(_, number)| *number == 0) {
        mistakes.add(&at.key(key), "must be 1 at least, or no mail comes in");
    }
    nonzero_time(limits.idle, &at.key("idle"), mistakes);
    nonzero_time(limits.total, &at.key("total"), mistakes);
}

pub(super) fn nonzero_time(time: Duration, at: &KeyPath, mistakes: &mut Mistakes) {
    if time.is_zero() {
        mistakes.add(at, "must be longer than nothing");
    }
}

/// Shortest time between two syncs of what plugins keep.
const SYNC_INTERVAL_MIN: Duration = Duration::from_millis(10);

fn positive_numbers(settings: &Settings, mistakes: &mut Mistakes) {
    let numbers = [
        ("connections", "total", settings.connections.total as u64),
        ("connections", "per_address", settings.connections.per_address as u64),
        ("dns", "concurrency", settings.dns.concurrency as u64),
        ("dns", "plugin_concurrency", settings.dns.plugin_concurrency as u64),
        ("http", "concurrency", settings.http.concurrency as u64),
        ("tcp", "concurrency", settings.tcp.concurrency as u64),
        ("mail_auth", "concurrency", settings.mail_auth.concurrency as u64),
        ("delivery", "concurrency", settings.delivery.concurrency as u64),
        ("spool", "messages_max", settings.spool.messages_max as u64),
        ("engine", "instances", settings.engine.instances.into()),
        ("engine", "memory", settings.engine.memory.0),
        ("server", "worker_threads", settings.server.worker_threads.unwrap_or(1) as u64),
    ];
    for (section, key, _) in numbers.into_iter().filter(|(_, _, number)| *number == 0) {
        mistakes.add(&KeyPath::of(&[section, key]), "must be 1 at least");
    }
    nonzero_time(settings.dns.timeout, &KeyPath::of(&["dns", "timeout"]), mistakes);
    mail_auth(settings, mistakes);
    // Shorter, and the thread that writes would do little else.
    if settings.kv.sync_interval < SYNC_INTERVAL_MIN {
        mistakes.add(&KeyPath::of(&["kv", "sync_interval"]), "must be 10ms at least");
    }
    nonzero_time(settings.engine.cpu, &KeyPath::of(&["engine", "cpu"]), mistakes);
    nonzero_time(settings.engine.wall_clock, &KeyPath::of(&["engine", "wall_clock"]), mistakes);
    nonzero_time(settings.engine.compile_cpu, &KeyPath::of(&["engine", "compile_cpu"]), mistakes);
    nonzero_time(settings.engine.compile_wall_clock, &KeyPath::of(&["engine", "compile_wall_clock"]), mistakes);
    compile_memory(settings.engine.compile_memory.0, mistakes);
}

fn mail_auth(settings: &Settings, mistakes: &mut Mistakes) {
    let (timeout, at) = (settings.mail_auth.timeout, KeyPath::of(&["mail_auth", "timeout"]));
    nonzero_time(timeout, &at, mistakes);
    if timeout >= settings.engine.wall_clock {
        mistakes.add(&at, "must be shorter than engine.wall_clock: plugins are given up before they have their answer");
    }
}

fn compile_memory(octets: u64, mistakes: &mut Mistakes) {
    if octets < COMPILE_MEMORY_MIN {
        let what = format!("{octets} is less than {COMPILE_MEMORY_MIN}, with which nothing can be compiled");
        mistakes.add(&KeyPath::of(&["engine", "compile_memory"]), what);
    }
}

fn spool(settings: &Settings, mistakes: &mut Mistakes) {
    use wasmail_spool::{INLINE_LIMIT, SEGMENT_MAX, SEGMENT_MIN};
    let (segment, inline) = (settings.spool.segment_size.0, settings.spool.inline_max.len());
    if !(SEGMENT_MIN..=SEGMENT_MAX).contains(&segment) {
        let what = format!("{segment} is not between {SEGMENT_MIN} and {SEGMENT_MAX}");
        mistakes.add(&KeyPath::of(&["spool", "segment_size"]), what);
    }
    if inline > INLINE_LIMIT {
        mistakes.add(&KeyPath::of(&["spool", "inline_max"]), format!("{inline} is more than {INLINE_LIMIT}"));
    }
}

fn delivery(settings: &Settings, mistakes: &mut Mistakes) {
    let delivery = &settings.delivery;
    hop(delivery.kind, delivery.next_hop.as_deref(), &KeyPath::of(&["delivery"]), mistakes);
    if delivery.kind == DeliveryKind::Http {
        let what = "\"http\" is for routes: a [[route]] of this kind may have all domains that there are";
        mistakes.add(&KeyPath::of(&["delivery", "kind"]), what);
    }
    let retry = &settings.delivery.retry;
    let at = KeyPath::of(&["delivery", "retry"]);
    nonzero_time(retry.first, &at.key("first"), mistakes);
    if retry.longest < retry.first {
        mistakes.add(&at.key("longest"), "is shorter than delivery.retry.first");
    }
    if retry.factor < 1.0 {
        mistakes.add(&at.key("factor"), "must be 1 at least: waits do not shrink");
    }
    if !(0.0..=1.0).contains(&retry.jitter) {
        mistakes.add(&at.key("jitter"), "must be from 0 to 1");
    }
    nonzero_time(retry.lifetime, &at.key("lifetime"), mistakes);
}

/// Whether the next hop is there when it is needed, and one.
fn hop(kind: DeliveryKind, text: Option<&str>, section: &KeyPath, mistakes: &mut Mistakes) {
    let at = section.key("next_hop");
    match (kind, text) {
        (DeliveryKind::Smtp, None) => {
            let help = "name the server that takes our mail, such as next_hop = \"mx.example.org:25\"";
            mistakes.add_with_help(&at, format!("missing; {section}.kind = \"smtp\" needs it"), help);
        }
        (DeliveryKind::Lmtp, None) => {
            let help = "name the server, such as next_hop = \"unix:/run/dovecot/lmtp\" or \"127.0.0.1:24\"";
            mistakes.add_with_help(&at, format!("missing; {section}.kind = \"lmtp\" needs it"), help);
        }
        (_, Some(text)) => {
            if let Err(error) = next_hop(text, kind == DeliveryKind::Lmtp) {
                mistakes.add(&at, error);
            }
        }
        (_, None) => {}
    }
}

fn routes(settings: &Settings, mistakes: &mut Mistakes) {
    let list = KeyPath::of(&["route"]);
    let mut names = HashSet::new();
    for (index, route) in settings.route.iter().enumerate() {
        let at = list.index(index);
        name(&route.name, &at.key("name"), &mut names, mistakes);
        hop(route.kind, route.next_hop.as_deref(), &at, mistakes);
        super::outbound::route(settings, route, &at, mistakes);
        match route.kind {
            DeliveryKind::Maildir if route.path.is_none() => {
                mistakes.add(&at.key("path"), format!("missing; {at}.kind = \"maildir\" needs it"));
            }
            _ => {}
        }
        if route.concurrency == 0 {
            mistakes.add(&at.key("concurrency"), "must be 1 at least");
        }
    }
}

/// A server that takes our mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextHop {
    /// Name, or address without brackets, or the path of a socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// TLS begins at the first octet.
    pub(crate) implicit_tls: bool,
}

/// Reads `host`, `host:port`, `[address]:port`; the port is 25 when left out. After `smtps://` TLS begins at the first octet,
/// and the port is 465.
///
/// For LMTP the port is 24 when left out, and `unix:/path` is a socket of this machine.
pub(crate) fn next_hop(text: &str, lmtp: bool) -> Result<NextHop, String> {
    if lmtp {
        return lmtp_hop(text);
    }
    let bad = || format!("`{text}` is no next hop; write host:port, [address]:port or smtps://host");
    let (implicit_tls, place) = match text.strip_prefix("smtps://") {
        Some(place) => (true, place),
        None => (false, text.strip_prefix("smtp://").unwrap_or(text)),
    };
    let (host, port) = host_and_port(place, if implicit_tls { 465 } else { 25 }).ok_or_else(bad)?;
    Ok(NextHop { host, port, implicit_tls })
}

fn lmtp_hop(text: &str) -> Result<NextHop, String> {
    let bad = || format!("`{text}` is no next hop for LMTP; write unix:/path, host:port or [address]:port");
    let (host, port) = match text.strip_prefix("unix:") {
        Some(path) => (Some(path).filter(|path| path.starts_with('/')).ok_or_else(bad)?.to_owned(), 0),
        None => host_and_port(text, 24).ok_or_else(bad)?,
    };
    Ok(NextHop { host, port, implicit_tls: false })
}

fn host_and_port(place: &str, usual: u16) -> Option<(String, u16)> {
    if let Ok(ip) = place.parse::<std::net::IpAddr>() {
        return Some((ip.to_string(), usual));
    }
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (place, usual),
    };
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let is_good = host.parse::<std::net::IpAddr>().is_ok() || Domain::parse(host).is_ok();
    (is_good && port != 0).then(|| (host.to_owned(), port))
}

fn plugins(settings: &Settings, mistakes: &mut Mistakes) {
    let list = KeyPath::of(&["plugin"]);
    let mut names = HashSet::new();
    for (index, plugin) in settings.plugin.iter().enumerate() {
        let at = list.index(index);
        name(&plugin.name, &at.key("name"), &mut names, mistakes);
        if plugin.memory.is_some_and(|memory| memory.0 == 0) {
            mistakes.add(&at.key("memory"), "must be 1 at least");
        }
        for (key, time) in [("cpu", plugin.cpu), ("wall_clock", plugin.wall_clock)] {
            nonzero_time(time.unwrap_or(Duration::MAX), &at.key(key), mistakes);
        }
        for (position, grant) in plugin.grants.iter().enumerate() {
            if let Err(error) = grant.parse::<Grant>() {
                mistakes.add(&at.key("grants").index(position), error);
            }
        }
        capabilities(settings, plugin, &at, mistakes);
    }
}

/// Octets of a tenant's name: it stands in front of every key.
const TENANT_MAX: usize = 64;

/// A capability answers before the call that waits for it is given up.
fn capabilities(settings: &Settings, plugin: &Plugin, at: &KeyPath, mistakes: &mut Mistakes) {
    // One that may take longer than others may wait longer, too; a shorter one gets its answers or not.
    let wall_clock = plugin.wall_clock.unwrap_or_default().max(settings.engine.wall_clock);
    let mut deadline = |capability: &str, timeout: Duration| {
        let at = at.key(capability).key("timeout");
        nonzero_time(timeout, &at, mistakes);
        if timeout >= wall_clock {
            mistakes
                .add(&at, "must be shorter than engine.wall_clock: the plugin is given up before it has its answer");
        }
    };
    deadline("dns", plugin.dns.timeout);
    deadline("kv", plugin.kv.timeout);
    deadline("inject", plugin.inject.timeout);
    deadline("http", plugin.http.timeout);
    deadline("tcp", plugin.tcp.timeout);
    http(plugin, &at.key("http"), mistakes);
    tcp(plugin, &at.key("tcp"), mistakes);
    if plugin.dns.concurrency == 0 {
        mistakes.add(&at.key("dns").key("concurrency"), "must be 1 at least");
    }
    if plugin.tenant.is_empty() || plugin.tenant.len() > TENANT_MAX {
        mistakes.add(&at.key("tenant"), format!("must have 1 to {TENANT_MAX} octets"));
    }
}

fn http(plugin: &Plugin, at: &KeyPath, mistakes: &mut Mistakes) {
    for (position, origin) in plugin.http.origins.iter().enumerate() {
        if let Err(error) = origin.parse::<wasmail_services::http::Origin>() {
            mistakes.add(&at.key("origins").index(position), error);
        }
    }
    networks(&plugin.http.addresses, &at.key("addresses"), mistakes);
    if plugin.http.concurrency == 0 {
        mistakes.add(&at.key("concurrency"), "must be 1 at least");
    }
    if plugin.grants.iter().any(|grant| grant == Grant::Http.name()) && plugin.http.origins.is_empty() {
        mistakes.add(&at.key("origins"), "must name whom the plugin may ask, since it was granted \"http\"");
    }
}

fn tcp(plugin: &Plugin, at: &KeyPath, mistakes: &mut Mistakes) {
    for (position, endpoint) in plugin.tcp.endpoints.iter().enumerate() {
        if let Err(error) = endpoint.parse::<wasmail_services::tcp::Endpoint>() {
            mistakes.add(&at.key("endpoints").index(position), error);
        }
    }
    networks(&plugin.tcp.addresses, &at.key("addresses"), mistakes);
    nonzero_time(plugin.tcp.connect_timeout, &at.key("connect_timeout"), mistakes);
    if plugin.tcp.connect_timeout > plugin.tcp.timeout {
        mistakes
            .add(&at.key("connect_timeout"), format!("must not be longer than {at}.timeout, of which it is a part"));
    }
    if plugin.tcp.concurrency == 0 {
        mistakes.add(&at.key("concurrency"), "must be 1 at least");
    }
    if plugin.grants.iter().any(|grant| grant == Grant::Tcp.name()) && plugin.tcp.endpoints.is_empty() {
        mistakes.add(&at.key("endpoints"), "must name whom the plugin may speak with, since it was granted \"tcp\"");
    }
}

pub(super) fn networks(texts: &[String], at: &KeyPath, mistakes: &mut Mistakes) {
    for (position, net) in texts.iter().enumerate() {
        if net.parse::<ipnet::IpNet>().is_err() {
            mistakes.add(&at.index(position), format!("`{net}` is no network such as 10.0.0.0/8"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hop_is_a_host_and_perhaps_a_port() {
        let hop = |text| next_hop(text, false).map(|hop| (hop.host, hop.port, hop.implicit_tls));
        assert_eq!(hop("mx.example.org:2525"), Ok(("mx.example.org".into(), 2525, false)));
        assert_eq!(hop("smtp://mx.example.org"), Ok(("mx.example.org".into(), 25, false)));
        assert_eq!(hop("smtps://mx.example.org"), Ok(("mx.example.org".into(), 465, true)));
        assert_eq!(hop("127.0.0.1:26"), Ok(("127.0.0.1".into(), 26, false)));
        assert_eq!(hop("smtps://[::1]:26"), Ok(("::1".into(), 26, true)));
        assert_eq!(hop("::1"), Ok(("::1".into(), 25, false)));
        for bad in ["", "host:", "host:0", "host:99999", "two words:25", "[::1:25"] {
            assert!(next_hop(bad, false).is_err(), "{bad}");
        }
        assert_eq!(next_hop("unix:/run/lmtp", true).map(|hop| hop.host).as_deref(), Ok("/run/lmtp"));
        assert_eq!(next_hop("[::1]", true).map(|hop| (hop.host, hop.port)), Ok(("::1".to_owned(), 24)));
        for bad in ["unix:lmtp", "unix:", "smtps://a.example", "a.example:0"] {
            assert!(next_hop(bad, true).is_err(), "{bad}");
        }
    }
}
