//! A component with a name and a configuration: what the chain asks.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Semaphore;
use wasmail_policy::{Answer, BoxFuture, Fault, Footprint, HookSet, Outcome, Plugin, Question, outbound};
use wasmail_services::Capabilities;

use crate::instance::{Instance, Owner, StartError};
use crate::lane::Pace;
use crate::{Budget, Component, Info, Life, Limits, patience};

/// Idle instances that one binding keeps: as many as are in use at once on a busy server, whose threads are fewer.
const IDLE_MAX: usize = 32;
/// Calls after which an instance is replaced, so that what a guest leaks does not pile up.
const CALLS_MAX: u32 = 10_000;
/// Octets that an instance's memory may grow before it is replaced.
const GROWN_MAX: usize = 8 * 1024 * 1024;
/// One binding may have this part of all instances, so that one plugin that stalls leaves room for the others; but at
/// least so many, for with fewer none would ever be idle.
const SHARE: usize = 4;
const SHARE_MIN: usize = 8;
/// This part of all instances is not kept while idle.
const SPARE: usize = 4;
/// Octets of a configuration as JSON.
const CONFIG_MAX: usize = 1024 * 1024;

/// How a component is to be bound.
#[derive(Debug, Clone, Default)]
pub struct Bind {
    /// Name in log lines; the binding's name in the chain.
    pub name: String,
    /// Configuration, a JSON object; `Null` stands for an empty one.
    pub config: Value,
    /// How long an instance lives.
    pub life: Life,
    /// What it was granted beyond judging.
    pub capabilities: Capabilities,
    /// What it may use, where that differs from the engine's limits.
    pub budget: Budget,
}

/// Why a component cannot be bound.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BindError {
    /// The plugin says what is wrong with its configuration.
    #[error("the plugin refuses its configuration: {0}")]
    Refused(String),
    /// There is a configuration, and the plugin takes none.
    #[error("the plugin takes no configuration")]
    NotConfigurable,
    /// More than 1 MiB.
    #[error("the configuration has {0} octets as JSON; 1 MiB is the most")]
    TooLarge(usize),
    /// It failed when it was started.
    #[error("the plugin failed at its start: it {0}")]
    Fault(Fault),
}

/// A component that can be asked.
pub struct Bound {
    component: Component,
    name: Arc<str>,
    config: Arc<str>,
    life: Life,
    capabilities: Capabilities,
    limits: Limits,
    pace: Pace,
    /// Instances that it may have more.
    share: Arc<Semaphore>,
    idle: Mutex<Vec<Instance>>,
}

impl Bound {
    pub(crate) async fn start(component: Component, bind: Bind) -> Result<Self, BindError> {
        let config = config(&component, &bind.config)?.into();
        let share = component.loaded.engine.inner.config.max_instances as usize / SHARE;
        let share = Arc::new(Semaphore::new(share.max(SHARE_MIN)));
        let limits = component.loaded.engine.inner.config.limits.with(bind.budget);
        let Bind { name, life, capabilities, .. } = bind;
        let (name, pace, idle) = (name.into(), Pace::default(), Mutex::default());
        let bound = Self { component, name, config, life, capabilities, limits, pace, share, idle };
        let first = bound.first_instance().await.map_err(BindError::Fault)??;
        bound.put_back(first);
        Ok(bound)
    }

    /// What there is to know about the component.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.component.info()
    }

    /// How long its guests ran in all, host calls included, on whatever thread; what they waited is not in it.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.pace.spent()
    }

    /// The instance that shows whether the configuration is taken.
    async fn first_instance(&self) -> Result<Result<Instance, BindError>, Fault> {
        let first = pin!(async {
            match self.new_instance().await {
                Ok(instance) => Ok(Ok(instance)),
                Err(StartError::Refused(why)) => Ok(Err(BindError::Refused(why))),
                Err(StartError::Fault(fault)) => Err(fault),
            }
        });
        patience::within(self.limits.wall_clock, first).await
    }

    async fn new_instance(&self) -> Result<Instance, StartError> {
        let owner = Owner {
            name: &self.name,
            share: Some(&self.share),
            capabilities: &self.capabilities,
            limits: &self.limits,
            pace: &self.pace,
        };
        Instance::start(&self.component.loaded, owner, Some(&self.config)).await
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Outcome, Fault> {
        let mut instance = self.an_instance().await?;
        // On a fault the instance is dropped: no store is used again after one. The same holds when nobody waits for
        // the answer any more.
        let outcome = instance.ask(&self.component.loaded, &self.limits, question).await?;
        self.put_back(instance);
        Ok(outcome)
    }

    async fn verdict(&self, question: &outbound::Question<'_>) -> Result<outbound::Verdict, Fault> {
        let mut instance = self.an_instance().await?;
        let verdict = instance.ask_outbound(&self.component.loaded, &self.limits, question).await?;
        self.put_back(instance);
        Ok(verdict)
    }

    /// One that is idle, or a new one.
    async fn an_instance(&self) -> Result<Instance, Fault> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(instance) => Ok(instance),
            None => self.new_instance().await.map_err(|error| match error {
                StartError::Refused(why) => Fault::Instance(format!("refuses its configuration: {why}")),
                StartError::Fault(fault) => fault,
            }),
        }
    }

    /// Keeps an instance for the next call, unless it is worn out or others need its place.
    fn put_back(&self, instance: Instance) {
        let worn = instance.calls() >= CALLS_MAX || instance.grown() > GROWN_MAX;
        let inner = &self.component.loaded.engine.inner;
        // A part of the places is never for idle ones: a thousand tenants' would leave no room for those who are asked.
        let spare = inner.config.max_instances as usize / SPARE;
        let crowded = inner.instances.available_permits() <= spare || self.share.available_permits() == 0;
        if self.life == Life::Call || worn || crowded {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(instance);
        }
    }
}

impl Plugin for Bound {
    fn hooks(&self) -> HookSet {
        self.info().hooks
    }

    fn footprint(&self) -> Option<&Footprint> {
        // What a plugin writes into the store is not undone when an earlier plugin decides: it is asked in its turn.
        self.info()
            .manifest
            .footprint
            .as_ref()
            .filter(|_| self.capabilities.kv.is_none() && self.capabilities.inject.is_none())
    }

    fn ask<'a>(&'a self, question: &'a Question<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let asked = Instant::now();
            let answer = pin!(self.answer(question));
            let outcome = patience::within(self.limits.wall_clock, answer).await;
            Answer { outcome, elapsed: asked.elapsed() }
        })
    }

    fn outbound_hooks(&self) -> outbound::HookSet {
        self.info().outbound
    }

    fn outbound_notes(&self) -> &[String] {
        if self.info().outbound.is_empty() { &[] } else { &self.info().manifest.reads_notes }
    }

    fn ask_outbound<'a>(&'a self, question: &'a outbound::Question<'a>) -> BoxFuture<'a, outbound::Answer> {
        Box::pin(async move {
            let asked = Instant::now();
            let verdict = pin!(self.verdict(question));
            let verdict = patience::within(self.limits.wall_clock, verdict).await;
            outbound::Answer { verdict, elapsed: asked.elapsed() }
        })
    }
}

/// The configuration as the guest gets it.
fn config(component: &Component, config: &Value) -> Result<String, BindError> {
    let empty = config.is_null() || config.as_object().is_some_and(serde_json::Map::is_empty);
    if !empty && !component.info().configurable {
        return Err(BindError::NotConfigurable);
    }
    let text = if empty { "{}".to_owned() } else { config.to_string() };
    if text.len() > CONFIG_MAX { Err(BindError::TooLarge(text.len())) } else { Ok(text) }
}
