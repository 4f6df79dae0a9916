//! What is counted and measured, in the text format of Prometheus (OpenMetrics 1.0).
//!
//! Everything is counted where its line of the log is written, so the two never differ.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use wasmail_mail::Connection;
use wasmail_policy::{Context, Trail};
use wasmail_queue::Decision;
use wasmail_smtp::{Ended, Fate};

use crate::log::verdict;

/// Plugins of tenants that have series of their own; with four hooks each that is some 20,000 lines. What the rest do is
/// counted under [`OTHER`].
const TENANTS_PLUGINS_MAX: usize = 256;
/// Stands for tenants and plugins beyond that.
const OTHER: &str = "_other";
/// Bounds of the calls of plugins, in seconds: from what an empty one takes to what the longest may.
const CALLS: [f64; 13] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0];
/// Bounds of the sizes of messages, in octets.
const SIZES: [f64; 8] = [1e3, 3e3, 1e4, 3e4, 1e5, 1e6, 1e7, 1e8];
/// Bounds of the age of messages at their delivery, in seconds.
const AGES: [f64; 9] = [0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0];

/// All that a server counts and measures. One that nobody asks costs some look-ups a message.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Histogram, fn() -> Histogram>,
    verdicts: Family<VerdictLabels, Counter>,
    faults: Family<FaultLabels, Counter>,
    not_measured: Counter,
    messages: Family<MessageLabels, Counter>,
    sizes: Histogram,
    connections: Family<ListenerLabels, Counter>,
    open: Family<ListenerLabels, Gauge>,
    turned_away: Family<ListenerLabels, Counter>,
    tls: Family<TlsLabels, Counter>,
    no_tls: Family<ListenerLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    ages: Histogram,
    waiting: Family<RouteLabels, Gauge>,
    quarantined: Counter,
    known: RwLock<HashSet<(Arc<str>, Arc<str>)>>,
}

/// A name that many series share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name(Arc<str>);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        encoder.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    tenant: Name,
    plugin: Name,
    hook: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    tenant: Name,
    plugin: Name,
    hook: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    tenant: Name,
    plugin: Name,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    tenant: Name,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TlsLabels {
    listener: String,
    version: String,
    cipher: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("wasmail"),
            calls: Family::new_with_constructor(|| Histogram::new(CALLS)),
            verdicts: Family::default(),
            faults: Family::default(),
            not_measured: Counter::default(),
            messages: Family::default(),
            sizes: Histogram::new(SIZES),
            connections: Family::default(),
            open: Family::default(),
            turned_away: Family::default(),
            tls: Family::default(),
            no_tls: Family::default(),
            attempts: Family::default(),
            ages: Histogram::new(AGES),
            waiting: Family::default(),
            quarantined: Counter::default(),
            known: RwLock::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let Self { registry, .. } = self;
        registry.register_with_unit("hook_duration", "Calls of plugins", Unit::Seconds, self.calls.clone());
        registry.register("verdicts", "Answers of plugins", self.verdicts.clone());
        registry.register("faults", "Calls of plugins that failed, by kind", self.faults.clone());
        let help = "Calls of plugins that were too many to be measured, in transactions of very many recipients";
        registry.register("hooks_not_measured", help, self.not_measured.clone());
        registry.register("messages", "Transactions that ended, by their fate", self.messages.clone());
        registry.register_with_unit("message_size", "Messages that were taken", Unit::Bytes, self.sizes.clone());
        registry.register("connections", "Connections that were let in", self.connections.clone());
        registry.register("connections_open", "Connections that are open", self.open.clone());
        registry.register("connections_turned_away", "Connections that were too many", self.turned_away.clone());
        registry.register("tls_sessions", "TLS handshakes that succeeded", self.tls.clone());
        registry.register("tls_failures", "TLS handshakes that failed", self.no_tls.clone());
        registry.register("delivery_attempts", "Recipients tried, by what became of them", self.attempts.clone());
        let help = "Ages of messages when a recipient got them";
        registry.register_with_unit("delivery_age", help, Unit::Seconds, self.ages.clone());
        registry.register("queue_messages", "Messages under way, by route", self.waiting.clone());
        registry.register("quarantined", "Messages that policy had held", self.quarantined.clone());
        let build = prometheus_client::metrics::info::Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "This server", build);
    }

    /// All of it, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// What is counted for one tenant, as text: nothing of other tenants or of the operator.
    #[must_use]
    pub fn text_of(&self, tenant: &str) -> String {
        let own = format!("tenant=\"{tenant}\"");
        let is_own = |line: &&str| {
            let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
            labels.is_some_and(|(labels, _)| labels.split(',').any(|label| label == own))
        };
        let text = self.text();
        let mut shown = String::new();
        // What is known of a metric stands before its lines; it is shown if any of these is.
        let mut about = String::new();
        for line in text.lines() {
            if line.starts_with('#') {
                if line.starts_with("# HELP") {
                    about.clear();
                }
                let _ = writeln!(about, "{line}");
            } else if is_own(&line) {
                shown.push_str(&std::mem::take(&mut about));
                let _ = writeln!(shown, "{line}");
            }
        }
        shown.push_str("# EOF\n");
        shown
    }

    /// How a tenant's plugin is called in the series.
    fn names(&self, tenant: Option<&Arc<str>>, plugin: &Arc<str>) -> (Name, Name) {
        // The operator's plugins are as many as its configuration has.
        let Some(tenant) = tenant else { return (Name("".into()), Name(Arc::clone(plugin))) };
        let names = (Arc::clone(tenant), Arc::clone(plugin));
        if self.known.read().contains(&names) {
            return (Name(names.0), Name(names.1));
        }
        let mut known = self.known.write();
        if known.len() >= TENANTS_PLUGINS_MAX && !known.contains(&names) {
            return (Name(OTHER.into()), Name(OTHER.into()));
        }
        known.insert(names.clone());
        (Name(names.0), Name(names.1))
    }

    fn steps(&self, trail: &Trail) {
        for step in trail.steps() {
            let (tenant, plugin) = self.names(step.tenant.as_ref(), &step.plugin);
            let (hook, verdict) = (step.hook.name(), step.verdict);
            if step.fault {
                let labels = FaultLabels { tenant: tenant.clone(), plugin: plugin.clone(), kind: verdict };
                self.faults.get_or_create(&labels).inc();
            } else {
                let labels = VerdictLabels { tenant: tenant.clone(), plugin: plugin.clone(), hook, verdict };
                self.verdicts.get_or_create(&labels).inc();
            }
            let labels = CallLabels { tenant, plugin, hook };
            self.calls.get_or_create(&labels).observe(step.elapsed.as_secs_f64());
        }
        self.not_measured.inc_by(trail.dropped() as u64);
    }

    /// A message ended, or a transaction that became none.
    pub(crate) fn message(&self, ended: &Ended) {
        let transaction = &ended.transaction;
        let tenant: Arc<str> = transaction.tenant().cloned().unwrap_or_else(|| "".into());
        // As many tenants as have plugins that are shown.
        let tenant = if tenant.is_empty() { Name(tenant) } else { self.names(Some(&tenant), &"".into()).0 };
        self.messages.get_or_create(&MessageLabels { tenant, verdict: verdict(&ended.fate) }).inc();
        if matches!(ended.fate, Fate::Queued(_) | Fate::Taken) {
            self.sizes.observe(transaction.facts.size as f64);
        }
        self.steps(&transaction.trail);
    }

    /// A connection has been let in; it is open until what is returned is dropped.
    pub(crate) fn opened(&self, listener: &str) -> Open {
        let labels = ListenerLabels { listener: listener.to_owned() };
        self.connections.get_or_create(&labels).inc();
        let gauge = self.open.get_or_create_owned(&labels);
        gauge.inc();
        Open(gauge)
    }

    /// A connection ended.
    pub(crate) fn connection(&self, context: &Context, listener: &str) {
        self.steps(&context.trail);
        if let Connection { tls: Some(tls), .. } = &context.connection {
            let (listener, version, cipher) = (listener.to_owned(), tls.version.clone(), tls.cipher.clone());
            self.tls.get_or_create(&TlsLabels { listener, version, cipher }).inc();
        }
    }

    /// Somebody was turned away.
    pub(crate) fn turned_away(&self, listener: &str) {
        self.turned_away.get_or_create(&ListenerLabels { listener: listener.to_owned() }).inc();
    }

    /// A handshake failed.
    pub(crate) fn no_tls(&self, listener: &str) {
        self.no_tls.get_or_create(&ListenerLabels { listener: listener.to_owned() }).inc();
    }

    /// A recipient was tried, of a message of this age.
    pub(crate) fn attempted(&self, decision: Decision, age: Duration) {
        let outcome = match decision {
            Decision::Delivered => {
                self.ages.observe(age.as_secs_f64());
                "delivered"
            }
            Decision::Retry { .. } => "deferred",
            Decision::GiveUp { .. } => "failed",
        };
        self.attempts.get_or_create(&AttemptLabels { outcome }).inc();
    }

    /// Policy had a message held.
    pub(crate) fn quarantined(&self) {
        self.quarantined.inc();
    }

    /// What shows how many messages are under way on a route; none is the usual way.
    pub(crate) fn route(&self, route: Option<&str>) -> Gauge {
        self.waiting.get_or_create_owned(&RouteLabels { route: route.unwrap_or_default().to_owned() })
    }
}

/// A connection that is open.
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_cannot_make_more_series_than_there_may_be() {
        let metrics = Metrics::default();
        let names = |tenant: &str, at: usize| {
            let (tenant, plugin) = metrics.names(Some(&tenant.into()), &format!("plugin-{at}").into());
            (tenant.0.to_string(), plugin.0.to_string())
        };
        for at in 0..TENANTS_PLUGINS_MAX {
            assert_eq!(names("many", at), ("many".to_owned(), format!("plugin-{at}")));
        }
        assert_eq!(names("late", 0), (OTHER.to_owned(), OTHER.to_owned()));
        // Who was there keeps its own, and the operator's plugins are always told apart.
        assert_eq!(names("many", 7), ("many".to_owned(), "plugin-7".to_owned()));
        assert_eq!(&*metrics.names(None, &"karma".into()).1.0, "karma");
    }

    #[test]
    fn a_tenant_sees_what_is_its_own_with_what_it_means() {
        let metrics = Metrics::default();
        for tenant in ["acme", "acme-2", ""] {
            let labels = MessageLabels { tenant: Name(tenant.into()), verdict: "queued" };
            metrics.messages.get_or_create(&labels).inc();
        }
        // A listener may be called anything.
        let listener = "tenant=\"acme\"".to_owned();
        metrics.connections.get_or_create(&ListenerLabels { listener }).inc();
        assert_eq!(
            metrics.text_of("acme"),
            "# HELP wasmail_messages Transactions that ended, by their fate.\n# TYPE wasmail_messages counter\n\
             wasmail_messages_total{tenant=\"acme\",verdict=\"queued\"} 1\n# EOF\n"
        );
        assert_eq!(metrics.text_of("nobody"), "# EOF\n");
    }
}
