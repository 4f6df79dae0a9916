//! Tenants, their domains, secrets and use.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use wasmail_tenants::{Change, DomainName, Quotas, SecretName, TenantName};

use crate::Shared;
use crate::body::{Asked, Json, Octets, json_of, nothing, ok, page};
use crate::guard::Caller;
use crate::problem::{Answer, Problem};

/// Things on one page at most, and when nothing is said.
const PAGE_MAX: usize = 200;
const PAGE: usize = 50;

/// A part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) after: Option<String>,
    pub(crate) limit: Option<usize>,
}

impl Part {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)
    }
}

/// A new tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NewTenant {
    /// What people call it.
    #[serde(default)]
    title: String,
    /// What it may use; what is left out is a small customer's.
    #[serde(default)]
    quotas: Quotas,
    /// What its bindings may be granted at most.
    #[serde(default)]
    grants: Vec<String>,
}

/// Other facts of a tenant; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AlteredTenant {
    title: Option<String>,
    suspended: Option<bool>,
    quotas: Option<Quotas>,
    grants: Option<Vec<String>>,
    /// Ed25519 keys in base64, of which one must have signed each module that is uploaded.
    signers: Option<Vec<String>>,
}

pub(crate) async fn list(caller: Caller, State(shared): State<Shared>, Asked(part): Asked<Part>) -> Answer {
    // Who has one tenant sees one.
    if let Some(own) = caller.scope.tenant() {
        return Ok(page(&[shared.registry.tenant(own).await?], None));
    }
    let found = shared.registry.tenants(part.after.as_deref(), part.limit()).await?;
    Ok(page(&found.items, found.next))
}

pub(crate) async fn get(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    let tenant = shared.registry.tenant(&caller.reads(&tenant)?).await?;
    let mut response = ok(&tenant);
    if let Ok(tag) = format!("\"{}\"", tenant.revision).parse() {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

pub(crate) async fn put(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    Json(new): Json<NewTenant>,
) -> Answer {
    caller.operates()?;
    let tenant: TenantName = tenant.parse()?;
    let NewTenant { title, quotas, grants } = new;
    let change = Change::AddTenant { tenant: tenant.clone(), title, quotas, grants };
    shared.make(&caller.author(), change).await?;
    Ok(json_of(StatusCode::CREATED, &shared.registry.tenant(&tenant).await?))
}

pub(crate) async fn patch(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    Json(altered): Json<AlteredTenant>,
) -> Answer {
    caller.operates()?;
    let tenant: TenantName = tenant.parse()?;
    unchanged(&shared, &tenant, &headers).await?;
    let AlteredTenant { title, suspended, quotas, grants, signers } = altered;
    let change = Change::AlterTenant { tenant: tenant.clone(), title, suspended, quotas, grants, signers };
    shared.make(&caller.author(), change).await?;
    Ok(ok(&shared.registry.tenant(&tenant).await?))
}

pub(crate) async fn delete(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    caller.operates()?;
    shared.make(&caller.author(), Change::RemoveTenant { tenant: tenant.parse()? }).await?;
    Ok(nothing())
}

/// Whether a tenant is as its caller believes (RFC 9110 section 13.1.1).
pub(crate) async fn unchanged(shared: &Shared, tenant: &TenantName, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(wanted) = headers.get(header::IF_MATCH) else { return Ok(()) };
    let revision = shared.registry.tenant(tenant).await?.revision;
    if wanted == "*" || wanted.to_str().is_ok_and(|wanted| wanted == format!("\"{revision}\"")) {
        return Ok(());
    }
    let detail = format!("the tenant has the revision {revision} by now: read it again");
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Somebody was quicker", detail))
}

pub(crate) async fn domains(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    Ok(page(&shared.registry.domains(&caller.reads(&tenant)?).await?, None))
}

pub(crate) async fn put_domain(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, domain)): Path<(String, String)>,
) -> Answer {
    // Whose a domain is, is the operator's word: a tenant could take another's mail.
    caller.operates()?;
    let (tenant, domain): (TenantName, DomainName) = (tenant.parse()?, domain.parse()?);
    shared.make(&caller.author(), Change::AddDomain { tenant, domain }).await?;
    Ok(nothing())
}

pub(crate) async fn delete_domain(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, domain)): Path<(String, String)>,
) -> Answer {
    caller.operates()?;
    let (tenant, domain): (TenantName, DomainName) = (tenant.parse()?, domain.parse()?);
    shared.make(&caller.author(), Change::RemoveDomain { tenant, domain }).await?;
    Ok(nothing())
}

pub(crate) async fn secrets(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    Ok(page(&shared.registry.secrets(&caller.reads(&tenant)?).await?, None))
}

pub(crate) async fn put_secret(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, secret)): Path<(String, String)>,
    Octets(value): Octets,
) -> Answer {
    let tenant = caller.writes(&tenant)?;
    let secret: SecretName = secret.parse()?;
    let value = value.to_vec();
    shared.make(&caller.author(), Change::SetSecret { tenant, secret, value }).await?;
    Ok(nothing())
}

pub(crate) async fn delete_secret(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, secret)): Path<(String, String)>,
) -> Answer {
    let tenant = caller.writes(&tenant)?;
    shared.make(&caller.author(), Change::RemoveSecret { tenant, secret: secret.parse()? }).await?;
    Ok(nothing())
}

pub(crate) async fn usage(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    let tenant = shared.registry.tenant(&caller.reads(&tenant)?).await?;
    let used = shared.works.usage(&tenant.name);
    Ok(ok(&json!({ "quotas": tenant.quotas, "used": used })))
}
