//! What stands behind the capabilities that plugins are granted.

use std::sync::Arc;

use wasmail_policy::Grant;
use wasmail_services::{Capabilities, dns};

use crate::config::{KeyPath, Mistakes, Plugin, Settings};

/// What stands behind the capabilities. What nobody was granted is not started.
pub(crate) struct Services {
    resolver: Option<Arc<dns::Resolver>>,
}

impl Services {
    /// Starts what some plugin was granted.
    pub(crate) fn start(settings: &Settings, mistakes: &mut Mistakes) -> Self {
        Self { resolver: if anybody_has(settings, Grant::Dns) { resolver(settings, mistakes) } else { None } }
    }

    /// What one plugin was granted.
    pub(crate) fn of(&self, plugin: &Plugin) -> Capabilities {
        let resolver = self.resolver.as_ref().filter(|_| has(plugin, Grant::Dns));
        Capabilities { dns: resolver.map(|resolver| dns::Client::new(Arc::clone(resolver), dns_quota(plugin))) }
    }
}

fn anybody_has(settings: &Settings, grant: Grant) -> bool {
    settings.plugin.iter().any(|plugin| plugin.enabled && has(plugin, grant))
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
    };
    let started = dns::Resolver::new(&config);
    let help = "name the servers, such as servers = [\"127.0.0.1:53\"]";
    started.map_err(|error| mistakes.add_with_help(&KeyPath::of(&["dns", "servers"]), error, help)).ok()
}

fn dns_quota(plugin: &Plugin) -> dns::Quota {
    let own = &plugin.dns;
    dns::Quota { queries: own.queries, rate: own.rate, concurrency: own.concurrency, timeout: own.timeout }
}
