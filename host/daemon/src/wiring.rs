//! From settings to what the rooms below take.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use wasmail_policy::{Chain, Stages, Tenancy};
use wasmail_queue::{Backoff, Policy};
use wasmail_server::{
    ConnectionLimits, DeliveryConfig, Destination, DnsConfig, LaneConfig, ListenerConfig, ListenerTls, MaildirConfig,
    Metrics, MxConfig, ReportsConfig, RouteConfig, ServerConfig, Signer, SigningKey, SpoolConfig, Tls, Users,
};
use wasmail_smtp::{AuthConfig, SessionConfig, Srs};

use crate::config::{
    self, Chunking, DeliveryKind, KeyPath, LineEndings, Listener, ListenerKind, Mistakes, ReverseDns, Settings,
};
use crate::hosting::Hosting;
use crate::plugins::{LoadedPlugin, Plugins};
use crate::{dkim, outbound, paths, srs, tls};

/// Program and version, as `Received` shows them.
pub(crate) const SOFTWARE: &str = concat!("wasmail ", env!("CARGO_PKG_VERSION"));

/// What listeners have from files of their own.
pub(crate) struct Outfit {
    /// Certificates, where any listener wants TLS.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Users, where there is a file of them.
    pub(crate) users: Option<Arc<Users>>,
    /// Keys that sign.
    pub(crate) dkim: Vec<Arc<SigningKey>>,
    /// Who makes reverse-paths for forwarded mail.
    pub(crate) srs: Option<Arc<Srs>>,
    /// Tenants, once they are there.
    pub(crate) hosting: Option<Arc<Hosting>>,
    /// Where what happens is counted.
    pub(crate) metrics: Arc<Metrics>,
}

impl Outfit {
    /// Reads the files, and says what is wrong with them. Only a server that starts makes what is missing.
    pub(crate) fn load(settings: &Settings, make: bool, mistakes: &mut Mistakes) -> Self {
        let path = settings.auth.users.as_deref().filter(|_| settings.listener.iter().any(Listener::auth));
        let users = path.and_then(|path| {
            let (loaded, at) = (Users::load(path), KeyPath::of(&["auth", "users"]));
            loaded.map_err(|error| mistakes.add(&at, error)).ok().inspect(|users| scram(settings, users, mistakes))
        });
        outbound::check(settings, mistakes);
        let (dkim, srs) = (dkim::load(settings, mistakes), srs::load(settings, mistakes));
        Self { tls: tls::load(settings, make, mistakes), users, dkim, srs, hosting: None, metrics: Arc::default() }
    }
}

/// Who was added before SCRAM was offered has no verifier: clients that prefer it would fail.
fn scram(settings: &Settings, users: &Users, mistakes: &mut Mistakes) {
    let without = users.without_scram();
    if settings.auth.offers_scram() && without > 0 {
        let what =
            format!("users who cannot authenticate by SCRAM: {without}; their clients may not try anything else");
        mistakes.warn(&KeyPath::of(&["auth", "mechanisms"]), what, "give them passwords anew by `wasmail user add`");
    }
}

/// Puts a server together.
pub(crate) fn server(settings: &Settings, plugins: &Plugins, outfit: &Outfit) -> ServerConfig {
    ServerConfig {
        listeners: (0..settings.listener.len()).map(|index| listener(settings, index, plugins, outfit)).collect(),
        connections: connections(settings),
        dns: dns(settings),
        spool: SpoolConfig { dir: paths::spool(settings), options: paths::spool_options(settings) },
        delivery: delivery(settings, plugins, outfit.srs.as_ref()),
        signer: Signer::new(outfit.dkim.clone()),
        acme: tls::acme(settings),
        metrics: Arc::clone(&outfit.metrics),
        drain_timeout: settings.server.drain_timeout,
    }
}

fn listener(settings: &Settings, index: usize, plugins: &Plugins, outfit: &Outfit) -> ListenerConfig {
    let listener = &settings.listener[index];
    // Mistakes were reported when the settings were read; the limits of all stand in for ones that were not.
    let limits = config::listener_limits(settings, index, &mut Mistakes::default());
    let session = SessionConfig {
        hostname: settings.server.hostname.clone(),
        software: SOFTWARE.to_owned(),
        limits: limits.unwrap_or_else(|| settings.limits.clone()).for_session(),
        kind: match listener.kind {
            ListenerKind::Smtp => wasmail_smtp::Kind::Smtp,
            ListenerKind::Submission | ListenerKind::Submissions => wasmail_smtp::Kind::Submission,
            ListenerKind::Lmtp => wasmail_smtp::Kind::Lmtp,
        },
        line_endings: match listener.line_endings {
            LineEndings::Strict => wasmail_smtp::LineEndings::Strict,
            LineEndings::Normalise => wasmail_smtp::LineEndings::Normalise,
        },
        chunking: match listener.chunking {
            Chunking::Off => wasmail_smtp::Chunking::Off,
            Chunking::Text => wasmail_smtp::Chunking::Text,
            Chunking::Binary => wasmail_smtp::Chunking::Binary,
        },
        starttls: listener.tls() == config::ListenerTls::Starttls,
        auth: listener.auth().then(|| auth(&settings.auth)),
        srs: outfit.srs.clone(),
    };
    let (after, before): (Vec<_>, Vec<_>) =
        plugins.in_order(listener.plugins.as_deref()).into_iter().partition(|plugin| plugin.after_tenants);
    let chain = |plugins: Vec<&LoadedPlugin>| {
        Chain::new(plugins.into_iter().map(LoadedPlugin::binding).collect()).with_routes(routes(settings))
    };
    let tenancy = outfit.hosting.clone().map(|hosting| hosting as Arc<dyn Tenancy>);
    ListenerConfig {
        name: listener.name.clone(),
        address: listener.address.clone(),
        socket_mode: listener.socket_mode.0,
        session: Arc::new(session),
        policy: Arc::new(
            Stages::new(chain(before), chain(after), tenancy).for_tenant(listener.tenant.as_deref().map(Arc::from)),
        ),
        reverse_dns: reverse_dns(listener.reverse_dns.unwrap_or(settings.dns.reverse)),
        tls: listener_tls(listener.tls(), outfit.tls.as_ref()),
        proxies: listener.proxies.clone(),
        xclient: listener.xclient.clone(),
        users: outfit.users.clone().filter(|_| listener.auth()),
        relaying: listener.relaying,
    }
}

/// What TLS needs was loaded before, for every listener that wants it.
fn listener_tls(wanted: config::ListenerTls, tls: Option<&Arc<Tls>>) -> ListenerTls {
    match (wanted, tls) {
        (config::ListenerTls::Starttls, Some(tls)) => ListenerTls::StartTls(Arc::clone(tls)),
        (config::ListenerTls::Implicit, Some(tls)) => ListenerTls::Implicit(Arc::clone(tls)),
        (config::ListenerTls::Off, _) | (_, None) => ListenerTls::Off,
    }
}

fn auth(auth: &config::Auth) -> AuthConfig {
    let mechanism = |mechanism: &config::Mechanism| match mechanism {
        config::Mechanism::ScramSha256Plus => wasmail_smtp::Mechanism::ScramSha256Plus,
        config::Mechanism::ScramSha256 => wasmail_smtp::Mechanism::ScramSha256,
        config::Mechanism::OauthBearer => wasmail_smtp::Mechanism::OauthBearer,
        config::Mechanism::Xoauth2 => wasmail_smtp::Mechanism::Xoauth2,
        config::Mechanism::External => wasmail_smtp::Mechanism::External,
        config::Mechanism::Plain => wasmail_smtp::Mechanism::Plain,
        config::Mechanism::Login => wasmail_smtp::Mechanism::Login,
    };
    AuthConfig {
        mechanisms: auth.mechanisms.iter().map(mechanism).collect(),
        without_tls: auth.without_tls,
        attempts: auth.attempts,
        failure_delay: auth.failure_delay,
        relaying: auth.relaying,
    }
}

fn reverse_dns(mode: ReverseDns) -> wasmail_server::ReverseDns {
    match mode {
        ReverseDns::Off => wasmail_server::ReverseDns::Off,
        ReverseDns::Lazy => wasmail_server::ReverseDns::Lazy,
        ReverseDns::Wait => wasmail_server::ReverseDns::Wait,
    }
}

pub(crate) fn connections(settings: &Settings) -> ConnectionLimits {
    ConnectionLimits { total: settings.connections.total, per_address: settings.connections.per_address }
}

pub(crate) fn dns(settings: &Settings) -> DnsConfig {
    let dns = &settings.dns;
    let servers: Vec<SocketAddr> = dns.servers.clone();
    DnsConfig { servers, timeout: dns.timeout, concurrency: dns.concurrency, cache: dns.cache }
}

pub(crate) fn retry(settings: &Settings) -> Policy {
    let retry = &settings.delivery.retry;
    let backoff = Backoff { first: retry.first, factor: retry.factor, max: retry.longest, jitter: retry.jitter };
    Policy { backoff, lifetime: retry.lifetime }
}

fn delivery(settings: &Settings, plugins: &Plugins, srs: Option<&Arc<Srs>>) -> DeliveryConfig {
    let delivery = &settings.delivery;
    let next_hop = |lmtp| {
        let credentials = delivery.credentials.as_deref();
        Destination::NextHop(Box::new(outbound::next_hop(
            settings,
            delivery.next_hop.as_deref(),
            None,
            credentials,
            lmtp,
        )))
    };
    let destination = match delivery.kind {
        DeliveryKind::Maildir => Destination::Maildir(maildir(settings, &delivery.path, delivery.layout)),
        DeliveryKind::Lmtp => next_hop(true),
        // The settings were checked: HTTP is for routes.
        DeliveryKind::Smtp | DeliveryKind::Http => next_hop(false),
        DeliveryKind::Mx => {
            let here = maildir(settings, &delivery.path, delivery.layout);
            Destination::Mx(Box::new(MxConfig { srs: srs.cloned(), ..outbound::mx(settings, Some(here)) }))
        }
        DeliveryKind::Discard => Destination::Discard,
    };
    let judges = plugins.bindings(delivery.plugins.as_deref());
    DeliveryConfig {
        chain: Arc::new(wasmail_policy::outbound::Chain::new(judges, routes(settings))),
        usual: LaneConfig { destination, concurrency: delivery.concurrency, retry: retry(settings) },
        routes: settings.route.iter().map(|way| (way.name.clone(), route(settings, way, srs))).collect(),
        orders: paths::orders(settings),
        reports: ReportsConfig {
            hostname: settings.server.hostname.clone(),
            failures: delivery.reports.failures,
            warn_after: Some(delivery.reports.warn_after).filter(|after| !after.is_zero()),
            return_max: delivery.reports.return_max.0,
        },
    }
}

/// The names by which policy chooses.
fn routes(settings: &Settings) -> Vec<String> {
    settings.route.iter().map(|route| route.name.clone()).collect()
}

fn route(settings: &Settings, route: &config::Route, srs: Option<&Arc<Srs>>) -> RouteConfig {
    let next_hop = |lmtp| {
        let credentials = route.credentials.as_deref();
        let hop = outbound::next_hop(settings, route.next_hop.as_deref(), route.tls, credentials, lmtp);
        Destination::NextHop(Box::new(hop))
    };
    let destination = match route.kind {
        DeliveryKind::Maildir => {
            let path = route.path.as_deref().expect("the settings were checked: kind = \"maildir\" has a path");
            Destination::Maildir(maildir(settings, path, route.layout))
        }
        // Another way was chosen: no mail stays here.
        DeliveryKind::Mx => Destination::Mx(Box::new(MxConfig { srs: srs.cloned(), ..outbound::mx(settings, None) })),
        DeliveryKind::Smtp => next_hop(false),
        DeliveryKind::Lmtp => next_hop(true),
        DeliveryKind::Http => Destination::Webhook(Box::new(outbound::webhook(settings, route))),
        DeliveryKind::Discard => Destination::Discard,
    };
    let lane = LaneConfig { destination, concurrency: route.concurrency, retry: retry(settings) };
    RouteConfig { lane, domains: route.domains.clone() }
}

fn maildir(settings: &Settings, root: &Path, layout: config::MaildirLayout) -> MaildirConfig {
    use wasmail_server::MaildirLayout;
    MaildirConfig {
        root: root.to_owned(),
        layout: match layout {
            config::MaildirLayout::PerRecipient => MaildirLayout::PerRecipient,
            config::MaildirLayout::Single => MaildirLayout::Single,
        },
        hostname: settings.server.hostname.clone(),
        sync: settings.delivery.sync,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;
    use wasmail_server::{ClientConfig, DestinationConfig};

    fn defaults() -> Settings {
        Loaded::read(None, &[]).settings.expect("the reference is good")
    }

    #[test]
    fn the_defaults_are_those_of_the_server() {
        let settings = defaults();
        assert_eq!(auth(&settings.auth), AuthConfig::default());
        assert_eq!(connections(&settings), ConnectionLimits::default());
        assert_eq!(dns(&settings), DnsConfig::default());
        assert_eq!(retry(&settings), Policy::default());
        let reports = delivery(&settings, &Plugins::default(), None).reports;
        assert_eq!(reports.warn_after, Some(ReportsConfig::WARN_AFTER));
        assert_eq!(reports.return_max, ReportsConfig::RETURN_MAX);
        assert_eq!(settings.delivery.concurrency, LaneConfig::CONCURRENCY);
        assert_eq!(outbound::mx(&settings, None).default, DestinationConfig::default());
        assert_eq!(settings.delivery.connect_timeout, ClientConfig::CONNECT_TIMEOUT);
        assert_eq!(settings.delivery.idle_timeout, ClientConfig::IDLE_TIMEOUT);
        assert_eq!(outbound::client(&settings).patience, wasmail_server::Patience::default());
        assert_eq!(settings.server.drain_timeout, ServerConfig::DRAIN_TIMEOUT);
        assert_eq!(reverse_dns(settings.dns.reverse), wasmail_server::ReverseDns::default());
    }
}
