//! Bindings: which module runs in a tenant's chain, and what is tried beside it.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use wasmail_tenants::{Binding, BindingName, Change, FaultRule, ModuleHash, Rollout, TenantName, Version};

use crate::Shared;
use crate::body::{Json, json_of, nothing, ok, page};
use crate::guard::Caller;
use crate::problem::{Answer, Problem};
use crate::tenants::unchanged;
use crate::works::Unacceptable;

/// A module with its configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Wanted {
    /// The module, by its SHA-256.
    module: ModuleHash,
    /// Its configuration.
    #[serde(default)]
    config: Map<String, Value>,
    /// What it may do beyond judging.
    #[serde(default)]
    grants: Vec<String>,
}

/// A new binding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NewBinding {
    module: ModuleHash,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    grants: Vec<String>,
    /// -100 to 100: who is asked earlier.
    #[serde(default)]
    priority: i8,
    /// What becomes of a question that it fails to answer.
    #[serde(default)]
    on_fault: FaultRule,
}

/// Another place, another rule; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Altered {
    enabled: Option<bool>,
    priority: Option<i8>,
    on_fault: Option<FaultRule>,
}

/// How a version is tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WantedRollout {
    module: ModuleHash,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    grants: Vec<String>,
    /// 1 to 99: it is asked in place of the active one for this part of the senders. Left out, it stands in the shadow: it is asked
    /// and compared, and nothing of what it says is applied.
    percent: Option<u8>,
}

fn version(module: ModuleHash, config: Map<String, Value>, grants: Vec<String>) -> Version {
    Version { module, config, grants, since: 0 }
}

fn named(binding: &str) -> Result<BindingName, Problem> {
    Ok(binding.parse()?)
}

/// Before anything is switched: that the plugin starts with this configuration.
async fn try_it(shared: &Shared, tenant: &TenantName, version: &Version) -> Result<(), Problem> {
    // What the tenant does not have cannot be started; the registry says so in its words.
    if shared.registry.module(tenant, &version.module).await.is_err() {
        return Ok(());
    }
    let refused = |Unacceptable { what, help }| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "The plugin does not start", what).with("help", help)
    };
    shared.works.try_version(tenant, version).await.map_err(refused)
}

pub(crate) async fn list(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    Ok(page(&shared.registry.bindings(&caller.reads(&tenant)?).await?, None))
}

pub(crate) async fn get(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
) -> Answer {
    Ok(ok(&shared.registry.binding(&caller.reads(&tenant)?, &named(&binding)?).await?))
}

pub(crate) async fn put(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, name)): Path<(String, String)>,
    headers: HeaderMap,
    Json(new): Json<NewBinding>,
) -> Answer {
    let (tenant, name) = (caller.writes(&tenant)?, named(&name)?);
    unchanged(&shared, &tenant, &headers).await?;
    let binding = Binding {
        name: name.clone(),
        tenant: tenant.clone(),
        active: version(new.module, new.config, new.grants),
        previous: Vec::new(),
        rollout: None,
        enabled: true,
        priority: new.priority,
        on_fault: new.on_fault,
    };
    try_it(&shared, &tenant, &binding.active).await?;
    shared.make(&caller.author(), Change::AddBinding { binding }).await?;
    Ok(json_of(StatusCode::CREATED, &shared.registry.binding(&tenant, &name).await?))
}

/// Makes a change of a binding and shows what it is now.
async fn change(shared: &Shared, caller: &Caller, change: Change, of: (&TenantName, &BindingName)) -> Answer {
    shared.make(&caller.author(), change).await?;
    Ok(ok(&shared.registry.binding(of.0, of.1).await?))
}

pub(crate) async fn patch(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
    headers: HeaderMap,
    Json(altered): Json<Altered>,
) -> Answer {
    let (tenant, binding) = (caller.writes(&tenant)?, named(&binding)?);
    unchanged(&shared, &tenant, &headers).await?;
    let Altered { enabled, priority, on_fault } = altered;
    let altered =
        Change::AlterBinding { tenant: tenant.clone(), binding: binding.clone(), enabled, priority, on_fault };
    change(&shared, &caller, altered, (&tenant, &binding)).await
}

pub(crate) async fn delete(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
) -> Answer {
    let (tenant, binding) = (caller.writes(&tenant)?, named(&binding)?);
    shared.make(&caller.author(), Change::RemoveBinding { tenant, binding }).await?;
    Ok(nothing())
}

pub(crate) async fn activate(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Answer {
    let (tenant, binding) = (caller.writes(&tenant)?, named(&binding)?);
    unchanged(&shared, &tenant, &headers).await?;
    let version = version(wanted.module, wanted.config, wanted.grants);
    try_it(&shared, &tenant, &version).await?;
    let activated = Change::Activate { tenant: tenant.clone(), binding: binding.clone(), version };
    change(&shared, &caller, activated, (&tenant, &binding)).await
}

pub(crate) async fn roll_back(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
) -> Answer {
    let (tenant, binding) = (caller.writes(&tenant)?, named(&binding)?);
    let back = Change::RollBack { tenant: tenant.clone(), binding: binding.clone() };
    change(&shared, &caller, back, (&tenant, &binding)).await
}

pub(crate) async fn roll_out(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
    Json(wanted): Json<WantedRollout>,
) -> Answer {
    let (tenant, binding) = (caller.writes(&tenant)?, named(&binding)?);
    let candidate = version(wanted.module, wanted.config, wanted.grants);
    try_it(&shared, &tenant, &candidate).await?;
    let rollout = Some(match wanted.percent {
        Some(percent) => Rollout::Share { candidate, percent },
        None => Rollout::Shadow { candidate },
    });
    let tried = Change::RollOut { tenant: tenant.clone(), binding: binding.clone(), rollout };
    change(&shared, &caller, tried, (&tenant, &binding)).await
}

pub(crate) async fn end_roll_out(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
) -> Answer {
    let (tenant, binding) = (caller.writes(&tenant)?, named(&binding)?);
    let ended = Change::RollOut { tenant: tenant.clone(), binding: binding.clone(), rollout: None };
    change(&shared, &caller, ended, (&tenant, &binding)).await
}

pub(crate) async fn comparison(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, binding)): Path<(String, String)>,
) -> Answer {
    let (tenant, binding) = (caller.reads(&tenant)?, named(&binding)?);
    shared.registry.binding(&tenant, &binding).await?;
    let found = shared.works.comparison(&tenant, binding.as_str());
    let none = || Problem::not_found("nothing stands in this binding's shadow, or no mail has come since it does");
    found.map(|found| ok(&found)).ok_or_else(none)
}
