//! One tenant: its chain while it is awake, and what it has used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use wasmail_policy::{
    Binding, Chain, Comparison, FaultRule, Grant, Grants, Held, Meter, Pass, Plugin, Sampled, Shadowed, Share, Step,
    Tenant,
};
use wasmail_services::secret::Secret;
use wasmail_tenants::{self as tenants, Over, Quotas, Registry, Rollout, Roster, TenantName, Usage, Version};
use wasmail_wasm::{Bind, Bound, Budget, Cache, Engine, Life};

use super::Hosting;
use super::watch::{Kind, Record, Watched};
use crate::capabilities::Services;
use crate::config;

/// What plugins are started with.
pub(crate) struct Workshop {
    pub(crate) engine: Engine,
    pub(crate) cache: Option<Cache>,
    pub(crate) services: Services,
    /// Most octets of memory that one instance may have.
    pub(crate) memory: usize,
}

/// One tenant.
pub(crate) struct House {
    name: Arc<str>,
    usage: Arc<Usage>,
    state: Mutex<State>,
    /// One builds at a time; the others wait for what is built.
    building: tokio::sync::Mutex<()>,
}

struct State {
    force: Option<Arc<Force>>,
    entered: Instant,
    /// CPU time of plugins that run no more.
    spent_before: Duration,
    comparisons: HashMap<String, Arc<Comparison>>,
    /// How versions have behaved, by binding and since when they are its.
    records: HashMap<(String, u64), Arc<Record>>,
}

/// A tenant in force.
struct Force {
    tenant: Arc<Tenant>,
    suspended: bool,
    plugins: Vec<Arc<Bound>>,
    modules: Vec<tenants::ModuleHash>,
}

impl House {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let now = Instant::now();
        let state = State {
            force: None,
            entered: now,
            spent_before: Duration::ZERO,
            comparisons: HashMap::new(),
            records: HashMap::new(),
        };
        let usage = Arc::new(Usage::new(Quotas::default(), now));
        Self { name, usage, state: Mutex::new(state), building: tokio::sync::Mutex::default() }
    }

    /// The tenant in force, put together if it sleeps.
    pub(crate) async fn enter(self: &Arc<Self>, hosting: &Hosting) -> Result<Arc<Tenant>, Held> {
        if let Some(force) = self.awake() {
            return force;
        }
        let _building = self.building.lock().await;
        if let Some(force) = self.awake() {
            return force;
        }
        self.furnish(hosting).await?;
        self.awake().unwrap_or(Err(Held::OutOfOrder))
    }

    fn awake(&self) -> Option<Result<Arc<Tenant>, Held>> {
        let mut state = self.state.lock();
        state.entered = Instant::now();
        let force = state.force.as_ref()?;
        Some(if force.suspended { Err(Held::Suspended) } else { Ok(Arc::clone(&force.tenant)) })
    }

    /// Puts the chain together anew, if it is awake. What cannot be put together leaves what there was in force.
    pub(crate) async fn furnish_anew(self: &Arc<Self>, hosting: &Hosting) {
        let _building = self.building.lock().await;
        // Also one that sleeps: its first mail should not wait for what has just been uploaded.
        let _ = self.furnish(hosting).await;
    }

    async fn furnish(self: &Arc<Self>, hosting: &Hosting) -> Result<(), Held> {
        let name: TenantName = self.name.parse().map_err(|_| Held::OutOfOrder)?;
        let roster = hosting.registry.roster(&name).await.map_err(|error| {
            tracing::error!(tenant = %self.name, %error, "a tenant's things cannot be read");
            Held::OutOfOrder
        })?;
        self.usage.set_quotas(roster.tenant.quotas.clone());
        let force = self.force(hosting, &roster).await?;
        let mut state = self.state.lock();
        if let Some(old) = state.force.replace(Arc::new(force)) {
            state.spent_before += old.spent();
        }
        Ok(())
    }

    async fn force(self: &Arc<Self>, hosting: &Hosting, roster: &Roster) -> Result<Force, Held> {
        let mut made = Made { bindings: Vec::new(), plugins: Vec::new() };
        for binding in roster.bindings.iter().filter(|binding| binding.enabled) {
            if let Err(why) = self.bind(hosting, roster, binding, &mut made).await {
                tracing::error!(tenant = %self.name, binding = %binding.name, %why, "a plugin cannot be started");
                // As its faults: nobody knows what it would have said.
                if binding.on_fault != tenants::FaultRule::Skip {
                    return Err(Held::OutOfOrder);
                }
            }
        }
        let (own, directory) = (Arc::clone(&self.name), Arc::clone(&hosting.directory));
        let is_own =
            move |mailbox: &wasmail_mail::Mailbox| directory.owner(mailbox.domain().as_str()).as_ref() == Some(&own);
        let chain = Chain::new(made.bindings).of_tenant(Arc::clone(&self.name), is_own);
        let meter = Box::new(Metered(Arc::clone(self)));
        let modules = roster.bindings.iter().flat_map(tenants::Binding::modules).cloned().collect();
        let tenant = Arc::new(Tenant { name: Arc::clone(&self.name), chain, meter });
        Ok(Force { tenant, suspended: roster.tenant.suspended, plugins: made.plugins, modules })
    }

    /// Binds what runs, and what is tried beside it.
    async fn bind(
        &self,
        hosting: &Hosting,
        roster: &Roster,
        binding: &tenants::Binding,
        made: &mut Made,
    ) -> Result<(), String> {
        let active = start(hosting, roster, binding.name.as_str(), &binding.active, false).await?;
        made.plugins.push(Arc::clone(&active));
        let name = binding.name.as_str();
        let base = binding.previous.first().map(|version| self.record(name, version));
        let watched = |bound: Arc<Bound>, version: &Version, kind, base| {
            let record = self.record(name, version);
            Watched::new(bound, record, base, (Arc::clone(&self.name), name.to_owned(), kind), hosting.jumps.clone())
        };
        let active: Arc<dyn Plugin> = Arc::new(watched(active, &binding.active, Kind::Active, base));
        let place = |plugin: Arc<dyn Plugin>, version: &Version| Binding {
            name: name.into(),
            plugin,
            grants: grants(version),
            on_fault: rule(binding.on_fault),
        };
        let Some(rollout) = &binding.rollout else {
            made.bindings.push(place(active, &binding.active));
            return Ok(());
        };
        // What is tried must not keep what runs from running.
        let candidate = rollout.candidate();
        let shadow = matches!(rollout, Rollout::Shadow { .. });
        let tried = match start(hosting, roster, name, candidate, shadow).await {
            Ok(tried) => tried,
            Err(why) => {
                tracing::error!(tenant = %self.name, binding = name, %why, "what is tried cannot be started");
                made.bindings.push(place(active, &binding.active));
                return Ok(());
            }
        };
        made.plugins.push(Arc::clone(&tried));
        match rollout {
            Rollout::Shadow { .. } => {
                let shadowed = Shadowed::new(active, tried, self.comparison_of(name, candidate));
                made.bindings.push(place(Arc::new(shadowed), &binding.active));
            }
            Rollout::Share { percent, .. } => {
                let base = Some(self.record(name, &binding.active));
                let tried = Arc::new(watched(tried, candidate, Kind::Candidate, base));
                let share = |plugin, others| Arc::new(Sampled { plugin, share: Share { percent: *percent, others } });
                made.bindings.push(place(share(active, true), &binding.active));
                made.bindings.push(place(share(tried, false), candidate));
            }
        }
        Ok(())
    }

    /// How a version behaves: its record lasts as long as it is this binding's.
    fn record(&self, binding: &str, version: &Version) -> Arc<Record> {
        let mut state = self.state.lock();
        Arc::clone(state.records.entry((binding.to_owned(), version.since)).or_default())
    }

    fn comparison_of(&self, binding: &str, candidate: &Version) -> Arc<Comparison> {
        let key = format!("{binding}/{}", candidate.since);
        Arc::clone(self.state.lock().comparisons.entry(key).or_default())
    }

    /// The newest comparison of a binding.
    pub(crate) fn comparison(&self, binding: &str) -> Option<Arc<Comparison>> {
        let state = self.state.lock();
        let of = |key: &&String| key.rsplit_once('/').is_some_and(|(name, _)| name == binding);
        let newest = state.comparisons.keys().filter(of).max()?;
        state.comparisons.get(newest).cloned()
    }

    /// What was used so far.
    pub(crate) fn used(&self) -> Value {
        serde_json::to_value(self.usage.used(self.spent())).unwrap_or_default()
    }

    fn spent(&self) -> Duration {
        let state = self.state.lock();
        state.spent_before + state.force.as_ref().map_or(Duration::ZERO, |force| force.spent())
    }

    /// Takes the chain down if nobody has entered for so long; the modules that are still needed.
    pub(crate) fn sleep_after(&self, time: Duration) -> Vec<tenants::ModuleHash> {
        let mut state = self.state.lock();
        if state.entered.elapsed() >= time
            && let Some(force) = state.force.take()
        {
            state.spent_before += force.spent();
            return Vec::new();
        }
        state.force.as_ref().map_or_else(Vec::new, |force| force.modules.clone())
    }
}

impl Force {
    fn spent(&self) -> Duration {
        self.plugins.iter().map(|plugin| plugin.spent()).sum()
    }
}

/// What a chain is made of.
struct Made {
    bindings: Vec<Binding>,
    plugins: Vec<Arc<Bound>>,
}

/// Starts a version. What stands in a shadow gets nothing by which others could notice it.
pub(super) async fn start(
    hosting: &Hosting,
    roster: &Roster,
    binding: &str,
    version: &Version,
    shadow: bool,
) -> Result<Arc<Bound>, String> {
    let component = hosting.component(&version.module).await.map_err(|error| error.to_string())?;
    let quotas = &roster.tenant.quotas;
    let kept = |grant: &&String| !(shadow && **grant == Grant::Kv.name());
    let plugin = config::Plugin {
        grants: version.grants.iter().filter(kept).cloned().collect(),
        // No name in a configuration has a slash: what tenants keep lies apart from what the operator's plugins keep.
        tenant: format!("hosted/{}", roster.tenant.name),
        kv: config::PluginKv::of_size(quotas.kv / roster.bindings.len().max(1) as u64),
        ..config::Plugin::named(binding)
    };
    let secrets = roster.secrets.iter();
    let secrets = secrets.filter_map(|(name, value)| Some((name.to_string(), Secret::new(value).ok()?))).collect();
    let capabilities = hosting.workshop.services.with(&plugin, Some(secrets));
    let memory = usize::try_from(quotas.memory).unwrap_or(usize::MAX).min(hosting.workshop.memory);
    let bind = Bind {
        name: format!("{}/{binding}", roster.tenant.name),
        config: Value::Object(version.config.clone()),
        life: Life::Pooled,
        capabilities,
        budget: Budget { memory: Some(memory), cpu: None, wall_clock: None },
    };
    component.bind(bind).await.map(Arc::new).map_err(|error| error.to_string())
}

fn grants(version: &Version) -> Grants {
    version.grants.iter().filter_map(|grant| grant.parse().ok()).collect()
}

const fn rule(rule: tenants::FaultRule) -> FaultRule {
    match rule {
        tenants::FaultRule::Defer => FaultRule::Defer,
        tenants::FaultRule::Skip => FaultRule::Skip,
        tenants::FaultRule::Reject => FaultRule::Reject,
    }
}

/// Counts what a tenant uses, by the clock.
struct Metered(Arc<House>);

impl Metered {
    fn over(&self, over: Over) -> Held {
        tracing::info!(target: "wasmail::tenant", tenant = %self.0.name, ?over, "over quota");
        Held::OverQuota
    }
}

impl Meter for Metered {
    fn begin(&self, new_connection: bool) -> Result<Pass, Held> {
        let running = self.0.usage.begin(new_connection, self.0.spent(), Instant::now());
        running.map(|running| Arc::new(running) as Pass).map_err(|over| self.over(over))
    }

    fn message(&self) -> Result<(), Held> {
        self.0.usage.message(Instant::now()).map_err(|over| self.over(over))
    }

    fn asked(&self, step: &Step) {
        self.0.usage.asked(step.fault);
    }
}
