//! What stands behind the capabilities that plugins are granted.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use wasmail_policy::Grant;
use wasmail_server::{InjectError, Injector};
use wasmail_services::inject::{self, NewMessage, Outlet, Sink, Taken};
use wasmail_services::secret::{Secret, Secrets};
use wasmail_services::{Capabilities, Failure, dns, geo, http, kv, mail_auth, tcp};
use wasmail_smtp::own::Wish;

use crate::config::{KeyPath, Mistakes, Plugin, Settings};
use crate::hosting;

/// Where a secret may be.
const WHERE: &str = "expected \"file:PATH\" or \"env:VARIABLE\"";

/// What stands behind the capabilities. What nobody was granted is not started.
pub(crate) struct Services {
    resolver: Option<Arc<dns::Resolver>>,
    store: Option<Arc<kv::Store>>,
    outlet: Outlet,
    network: Option<Arc<http::Network>>,
    tcp: Option<Arc<tcp::Network>>,
    geo: Option<Arc<geo::Databases>>,
    judge: Option<mail_auth::Judge>,
    /// By the name of the plugin.
    secrets: HashMap<String, Secrets>,
}

impl Services {
    /// Starts what some plugin was granted. Without a file the store is in memory, and gone afterwards.
    pub(crate) fn start(settings: &Settings, base: &Path, file: Option<PathBuf>, mistakes: &mut Mistakes) -> Self {
        let asking = [Grant::Dns, Grant::Http, Grant::MailAuth];
        let needs_names = asking.iter().any(|grant| anybody_has(settings, *grant)) || names_a_service(settings);
        let resolver = if needs_names { resolver(settings, mistakes) } else { None };
        let names = resolver.as_ref().filter(|_| anybody_has(settings, Grant::Http));
        Self {
            secrets: secrets(settings, base, mistakes),
            judge: resolver.as_ref().map(|resolver| judge(settings, Arc::clone(resolver))),
            outlet: Outlet::default(),
            geo: if anybody_has(settings, Grant::Geo) { databases(settings, base, mistakes) } else { None },
            tcp: anybody_has(settings, Grant::Tcp)
                .then(|| tcp::Network::new(resolver.clone(), settings.tcp.concurrency)),
            network: names.and_then(|resolver| network(settings, Arc::clone(resolver), mistakes)),
            resolver,
            store: if anybody_has(settings, Grant::Kv) { store(settings, file, mistakes) } else { None },
        }
    }

    /// What one of the operator's plugins was granted.
    pub(crate) fn of(&self, plugin: &Plugin) -> Capabilities {
        let own = self.secrets.get(&plugin.name).cloned();
        self.with(plugin, own)
    }

    /// What a plugin was granted that has these secrets: names of tenants' plugins are not known here.
    pub(crate) fn with(&self, plugin: &Plugin, secrets: Option<Secrets>) -> Capabilities {
        let resolver = self.resolver.as_ref().filter(|_| has(plugin, Grant::Dns));
        let store = self.store.as_ref().filter(|_| has(plugin, Grant::Kv));
        let tcp = self.tcp.as_ref().filter(|_| has(plugin, Grant::Tcp));
        let network = self.network.as_ref().filter(|_| has(plugin, Grant::Http));
        Capabilities {
            dns: resolver.map(|resolver| dns::Client::new(Arc::clone(resolver), dns_quota(plugin))),
            inject: has(plugin, Grant::Inject).then(|| self.inject(plugin)),
            kv: store.map(|store| kv::Space::new(Arc::clone(store), &plugin.tenant, &plugin.name, kv_quota(plugin))),
            secrets: secrets.filter(|_| has(plugin, Grant::Secret)),
            tcp: tcp.map(|network| tcp_client(Arc::clone(network), plugin)),
            geo: has(plugin, Grant::Geo).then(|| geo::Client::new(self.geo.clone(), geo_quota(plugin))),
            http: network.map(|network| http_client(Arc::clone(network), plugin)),
            mail_auth: self.judge.clone().filter(|_| has(plugin, Grant::MailAuth)),
        }
    }

    fn inject(&self, plugin: &Plugin) -> inject::Client {
        inject::Client::new(self.outlet.clone(), &plugin.name, inject_quota(plugin))
    }

    /// Where messages of plugins wait for the server to start.
    pub(crate) fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }
}

/// Has the messages of plugins go to the queue from now on.
pub(crate) fn open(outlet: &Outlet, injector: Injector) {
    outlet.open(Arc::new(ToQueue(injector)));
}

/// Hands what plugins send to the server.
struct ToQueue(Injector);

impl Sink for ToQueue {
    fn take<'a>(&'a self, binding: &'a str, message: NewMessage) -> Taken<'a> {
        Box::pin(async move {
            let NewMessage { reverse_path, recipients, content } = &message;
            let wish = Wish { by: binding, reverse_path, recipients, content };
            let taken = self.0.inject(wish).await;
            taken.map(|id| id.to_string()).map_err(|error| match error {
                InjectError::Invalid(why) => Failure::Invalid(why),
                error => Failure::Unavailable(error.to_string()),
            })
        })
    }
}

/// Reads the secrets of the plugins that were granted them.
fn secrets(settings: &Settings, base: &Path, mistakes: &mut Mistakes) -> HashMap<String, Secrets> {
    let granted = settings.plugin.iter().enumerate().filter(|(_, plugin)| plugin.enabled && has(plugin, Grant::Secret));
    let mut all = HashMap::new();
    for (index, plugin) in granted {
        let at = KeyPath::of(&["plugin"]).index(index).key("secrets");
        let read = |(name, place): (&String, &Value), mistakes: &mut Mistakes| {
            let octets = place.as_str().ok_or_else(|| WHERE.to_owned()).and_then(|place| octets(place, base));
            let secret = octets.and_then(|octets| Secret::new(&octets).map_err(|error| error.to_string()));
            secret.map_err(|why| mistakes.add(&at.key(name), why)).ok().map(|secret| (name.clone(), secret))
        };
        all.insert(plugin.name.clone(), plugin.secrets.iter().filter_map(|entry| read(entry, mistakes)).collect());
    }
    all
}

/// The octets of a secret. What goes wrong is told without them.
fn octets(place: &str, base: &Path) -> Result<Vec<u8>, String> {
    if let Some(path) = place.strip_prefix("file:") {
        let path = base.join(path);
        let mut octets = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        while octets.last().is_some_and(|octet| matches!(octet, b'\r' | b'\n')) {
            octets.pop();
        }
        return Ok(octets);
    }
    let variable = place.strip_prefix("env:").ok_or(WHERE)?;
    let value = std::env::var_os(variable).ok_or_else(|| format!("the environment has no {variable}"))?;
    Ok(value.into_encoded_bytes())
}

/// Tenants come when they like.
fn anybody_has(settings: &Settings, grant: Grant) -> bool {
    let tenants = settings.api.listen.is_some() && hosting::GRANTS.contains(&grant);
    tenants || settings.plugin.iter().any(|plugin| plugin.enabled && has(plugin, grant))
}

fn has(plugin: &Plugin, grant: Grant) -> bool {
    plugin.grants.iter().any(|name| name == grant.name())
}

fn resolver(settings: &Settings, mistakes: &mut Mistakes) -> Option<Arc<dns::Resolver>> {
    let own = &settings.dns;
    let config = dns::ResolverConfig {
        servers: own.servers.clone(),
        // A lost packet is sent for again before time is up.
        timeout: own.timeout / 3,
        concurrency: own.plugin_concurrency,
        cache: own.plugin_cache,
        trust_ad: own.trust_ad,
        validation: dns::Validation::Off,
    };
    let started = dns::Resolver::new(&config);
    let help = "name the servers, such as servers = [\"127.0.0.1:53\"]";
    started.map_err(|error| mistakes.add_with_help(&KeyPath::of(&["dns", "servers"]), error, help)).ok()
}

/// One for all plugins: a message is judged once.
fn judge(settings: &Settings, resolver: Arc<dns::Resolver>) -> mail_auth::Judge {
    let own = &settings.mail_auth;
    let hostname = settings.server.hostname.clone();
    mail_auth::Judge::new(resolver, mail_auth::Config { hostname, timeout: own.timeout, concurrency: own.concurrency })
}

fn dns_quota(plugin: &Plugin) -> dns::Quota {
    let own = &plugin.dns;
    dns::Quota { queries: own.queries, rate: own.rate, concurrency: own.concurrency, timeout: own.timeout }
}

fn store(settings: &Settings, path: Option<PathBuf>, mistakes: &mut Mistakes) -> Option<Arc<kv::Store>> {
    let config = kv::StoreConfig { path, sync_interval: settings.kv.sync_interval, cache: settings.kv.cache.len() };
    let help = "if it is damaged, move it away: plugins begin with an empty store";
    kv::Store::open(&config).map_err(|error| mistakes.add_with_help(&KeyPath::of(&["kv"]), error, help)).ok()
}

fn inject_quota(plugin: &Plugin) -> inject::Quota {
    let own = &plugin.inject;
    inject::Quota {
        messages: own.messages,
        rate: own.rate,
        recipients: own.recipients,
        size: own.size.len(),
        timeout: own.timeout,
    }
}

fn kv_quota(plugin: &Plugin) -> kv::Quota {
    let own = &plugin.kv;
    kv::Quota {
        calls: own.calls,
        rate: own.rate,
        value: own.value.len(),
        entries: own.entries,
        size: own.size.0,
        timeout: own.timeout,
    }
}

fn network(settings: &Settings, resolver: Arc<dns::Resolver>, mistakes: &mut Mistakes) -> Option<Arc<http::Network>> {
    let own = &settings.http;
    let config = http::NetworkConfig { roots: own.roots.clone(), more_roots: None, concurrency: own.concurrency };
    let help = "name a file of certificates in PEM, or leave it out for Mozilla's";
    let started = http::Network::new(resolver, &config);
    started.map_err(|error| mistakes.add_with_help(&KeyPath::of(&["http", "roots"]), error, help)).ok()
}

/// What does not parse was refused with the configuration.
fn http_client(network: Arc<http::Network>, plugin: &Plugin) -> http::Client {
    let own = &plugin.http;
    let origins = own.origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let addresses = own.addresses.iter().filter_map(|net| net.parse().ok()).collect();
    let quota = http::Quota {
        requests: own.requests,
        rate: own.rate,
        concurrency: own.concurrency,
        request: own.request.len(),
        response: own.response.len(),
        timeout: own.timeout,
    };
    http::Client::new(network, origins, http::Reach { private: own.private, addresses }, quota)
}

/// Whether some plugin may speak with a service that has a name: without, no name server is needed.
fn names_a_service(settings: &Settings) -> bool {
    let granted = settings.plugin.iter().filter(|plugin| plugin.enabled && has(plugin, Grant::Tcp));
    granted.flat_map(endpoints).any(|endpoint| matches!(endpoint, tcp::Endpoint::Name(..)))
}

/// What does not parse was refused with the configuration.
fn endpoints(plugin: &Plugin) -> impl Iterator<Item = tcp::Endpoint> {
    plugin.tcp.endpoints.iter().filter_map(|endpoint| endpoint.parse().ok())
}

fn tcp_client(network: Arc<tcp::Network>, plugin: &Plugin) -> tcp::Client {
    let own = &plugin.tcp;
    let addresses = own.addresses.iter().filter_map(|net| net.parse().ok()).collect();
    let quota = tcp::Quota {
        connections: own.connections,
        rate: own.rate,
        concurrency: own.concurrency,
        sent: own.sent.0,
        received: own.received.0,
        connect_timeout: own.connect_timeout,
        timeout: own.timeout,
    };
    let reach = tcp::Reach { private: own.private, addresses };
    tcp::Client::new(network, endpoints(plugin).collect(), reach, quota)
}

/// The databases, if the operator names any.
fn databases(settings: &Settings, base: &Path, mistakes: &mut Mistakes) -> Option<Arc<geo::Databases>> {
    let own = &settings.geo;
    if own.databases.is_empty() {
        return None;
    }
    let files = own.databases.iter().map(|path| base.join(path)).collect();
    let opened = geo::Databases::open(&geo::DatabasesConfig { files, check_interval: own.check_interval });
    let help = "name files of the format mmdb, such as GeoLite2-City.mmdb and GeoLite2-ASN.mmdb";
    let complain = |(at, error)| {
        mistakes.add_with_help(&KeyPath::of(&["geo", "databases"]).index(at), error, help);
    };
    opened.map_err(complain).ok()
}

const fn geo_quota(plugin: &Plugin) -> geo::Quota {
    geo::Quota { lookups: plugin.geo.lookups }
}
