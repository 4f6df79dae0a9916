//! What the API is offered by a running server.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use wasmail_admin::{Examined, Order, Unacceptable, Works};
use wasmail_policy::Plugin;
use wasmail_server::Metrics;
use wasmail_spool::{Inspection, RecipientState, SpoolId};
use wasmail_tenants::{BoxFuture, Change, Metadata, Registry, Tenant, TenantName, Version};

use super::house::start;
use super::trial::trial;
use super::{GRANTS, Hosting};
use crate::cli::queue;
use crate::decisions::Decisions;

/// A running server.
pub(crate) struct Working {
    pub(crate) hosting: Arc<Hosting>,
    /// What is told of messages.
    pub(crate) decisions: Decisions,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Where messages wait.
    pub(crate) spool: PathBuf,
    /// Where orders about them are left.
    pub(crate) orders: PathBuf,
}

fn unacceptable(what: impl Into<String>, help: impl Into<String>) -> Unacceptable {
    Unacceptable { what: what.into(), help: help.into() }
}

impl Working {
    async fn examined(&self, octets: &[u8]) -> Result<Examined, Unacceptable> {
        let workshop = &self.hosting.workshop;
        let loaded = workshop.engine.load(octets, workshop.cache.as_ref()).await;
        let help = "`wasmail plugin inspect FILE` examines it on your desk, and `wasmail plugin build` makes good ones";
        let component = loaded.map_err(|error| unacceptable(error.to_string(), help))?;
        let info = component.info();
        let needs: Vec<_> = info.manifest.needs.iter().map(ToString::to_string).collect();
        let offered = GRANTS.map(|grant| grant.name());
        if let Some(need) = needs.iter().find(|need| !offered.contains(&need.as_str())) {
            let what = format!("it cannot work without the grant `{need}`, which no tenant's plugin may have");
            return Err(unacceptable(what, format!("tenants' plugins may have: {}", offered.join(", "))));
        }
        let manifest = &info.manifest;
        let metadata = Metadata {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            authors: info.about.authors.clone(),
            licence: info.about.licenses.clone(),
            source: info.about.source.clone(),
        };
        let hooks = info.hook_names().into_iter().map(str::to_owned).collect();
        Ok(Examined { metadata, hooks, imports: info.imports.clone(), needs })
    }

    async fn tried(&self, tenant: &TenantName, version: &Version) -> Result<(), Unacceptable> {
        let roster = self.hosting.registry.roster(tenant).await;
        let roster = roster.map_err(|error| unacceptable(error.to_string(), "try again"))?;
        let started = start(&self.hosting, &roster, "trial", version, true).await;
        let help = "the plugin's own documentation says which keys its configuration has";
        let bound = started.map_err(|why| unacceptable(why, help))?;
        let grants = version.grants.iter().filter_map(|grant| grant.parse().ok()).collect();
        let help = "`wasmail plugin test` holds dialogues against it, in the same sandbox";
        trial(bound as Arc<dyn Plugin>, grants).await.map_err(|why| unacceptable(why, help))
    }

    /// Looks at what waits, beside the threads that serve sockets.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Inspection) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let path = self.spool.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let spool = Inspection::open(&path).map_err(|error| format!("the spool cannot be read: {error}"))?;
            look(&spool)
        });
        looked.await.map_err(|error| error.to_string())?
    }
}

/// Whether a message is a tenant's, and held if that is wanted.
fn is_meant(message: &wasmail_spool::Message, tenant: Option<&str>, held: bool) -> bool {
    let of = message.envelope().handling.tenant.as_deref();
    let is_held = || message.recipients().iter().any(|state| matches!(state, RecipientState::Held { .. }));
    tenant.is_none_or(|tenant| of == Some(tenant)) && (!held || is_held())
}

impl Works for Working {
    fn examine<'a>(&'a self, _: &'a Tenant, octets: Vec<u8>) -> BoxFuture<'a, Result<Examined, Unacceptable>> {
        Box::pin(async move { self.examined(&octets).await })
    }

    fn try_version<'a>(
        &'a self,
        tenant: &'a TenantName,
        version: &'a Version,
    ) -> BoxFuture<'a, Result<(), Unacceptable>> {
        Box::pin(self.tried(tenant, version))
    }

    fn changed<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, ()> {
        Box::pin(self.hosting.take_in(change))
    }

    fn messages<'a>(
        &'a self,
        tenant: Option<&'a TenantName>,
        held: bool,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        let tenant = tenant.map(ToString::to_string);
        Box::pin(self.look(move |spool| {
            // What is gone meanwhile does not wait.
            let messages = spool.messages().into_iter().filter_map(|waiting| spool.message(waiting.id).ok());
            let meant = messages.filter(|message| is_meant(message, tenant.as_deref(), held));
            Ok(meant.take(limit).map(|message| queue::as_json(&message)).collect())
        }))
    }

    fn order<'a>(
        &'a self,
        tenant: Option<&'a TenantName>,
        id: &'a str,
        order: Order,
    ) -> BoxFuture<'a, Result<bool, String>> {
        let (tenant, id, dir) = (tenant.map(ToString::to_string), id.parse::<SpoolId>(), self.orders.clone());
        let order = match order {
            Order::Release => wasmail_server::Order::Release,
            Order::Retry => wasmail_server::Order::Retry,
            Order::Hold => wasmail_server::Order::Hold,
            Order::Expire => wasmail_server::Order::Expire,
            Order::Remove => wasmail_server::Order::Remove,
        };
        Box::pin(self.look(move |spool| {
            let Ok(id) = id else { return Ok(false) };
            let message = spool.message(id).ok().filter(|message| is_meant(message, tenant.as_deref(), false));
            if message.is_none() {
                return Ok(false);
            }
            wasmail_server::order(&dir, &order, id).map_err(|error| format!("the order cannot be left: {error}"))?;
            Ok(true)
        }))
    }

    fn decisions(&self) -> Receiver<Arc<Value>> {
        self.decisions.watch()
    }

    fn metrics(&self, tenant: Option<&TenantName>) -> String {
        tenant.map_or_else(|| self.metrics.text(), |tenant| self.metrics.text_of(tenant.as_str()))
    }

    fn usage(&self, tenant: &TenantName) -> Value {
        self.hosting.house(&tenant.as_str().into()).used()
    }

    fn comparison(&self, tenant: &TenantName, binding: &str) -> Option<Value> {
        let found = self.hosting.house(&tenant.as_str().into()).comparison(binding)?.so_far();
        let differences: Vec<_> = found.differences.iter().map(|one| {
            json!({ "uuid": one.uuid, "hook": one.hook.name(), "active": one.active, "candidate": one.candidate })
        }).collect();
        Some(json!({
            "asked": found.asked, "same": found.same, "verdicts": found.verdicts, "mutations": found.mutations,
            "faults-of-active": found.faults_of_active, "faults-of-candidate": found.faults_of_candidate,
            "differences": differences,
        }))
    }
}
