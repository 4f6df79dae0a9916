//! Tokens, and who did what.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use wasmail_tenants::{Change, NewToken, Scope, TokenId};

use crate::Shared;
use crate::body::{Asked, Json, json_of, nothing, page};
use crate::guard::Caller;
use crate::problem::{Answer, Problem};
use crate::tenants::Part;

/// A token that is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Wanted {
    /// What it is for.
    label: String,
    /// Whether it may only read.
    #[serde(default)]
    read_only: bool,
    /// Until when it is good, in milliseconds since 1970; left out, until it is revoked.
    expires: Option<u64>,
}

pub(crate) async fn all(caller: Caller, State(shared): State<Shared>) -> Answer {
    caller.is_operator()?;
    Ok(page(&shared.registry.tokens(None).await?, None))
}

pub(crate) async fn of_tenant(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    Ok(page(&shared.registry.tokens(Some(&caller.reads(&tenant)?)).await?, None))
}

pub(crate) async fn new_operator(caller: Caller, State(shared): State<Shared>, Json(wanted): Json<Wanted>) -> Answer {
    caller.operates()?;
    let scope = Scope::Operator { read_only: wanted.read_only };
    make(&shared, &caller, &wanted, scope).await
}

pub(crate) async fn new_of_tenant(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Answer {
    let scope = Scope::Tenant { tenant: caller.writes(&tenant)?, read_only: wanted.read_only };
    make(&shared, &caller, &wanted, scope).await
}

async fn make(shared: &Shared, caller: &Caller, wanted: &Wanted, scope: Scope) -> Answer {
    let made = NewToken::make(&wanted.label, scope, wanted.expires);
    let NewToken { change, id, secret } =
        made.ok_or_else(|| Problem::broken("the operating system gives no random octets"))?;
    shared.make(&caller.author(), change).await?;
    Ok(json_of(StatusCode::CREATED, &json!({ "id": id, "token": secret })))
}

/// A token may revoke itself, and those of its scope.
pub(crate) async fn revoke(caller: Caller, State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    let not_there = || Problem::not_found(format!("there is no token `{id}`"));
    let token: TokenId = id.parse().map_err(|_| not_there())?;
    let (found, _) = shared.registry.token(&token).await?;
    match found.scope.tenant() {
        _ if id == caller.token() => {}
        Some(tenant) if caller.scope.sees(tenant) => drop(caller.writes(tenant.as_str())?),
        None if caller.scope.tenant().is_none() => caller.operates()?,
        _ => return Err(not_there()),
    }
    shared.make(&caller.author(), Change::RevokeToken { token }).await?;
    Ok(nothing())
}

pub(crate) async fn audit_all(caller: Caller, State(shared): State<Shared>, Asked(part): Asked<Part>) -> Answer {
    caller.is_operator()?;
    let found = shared.registry.audit(None, before(&part)?, part.limit()).await?;
    Ok(page(&found.items, found.next))
}

pub(crate) async fn audit_of_tenant(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    Asked(part): Asked<Part>,
) -> Answer {
    let tenant = caller.reads(&tenant)?;
    let found = shared.registry.audit(Some(&tenant), before(&part)?, part.limit()).await?;
    Ok(page(&found.items, found.next))
}

/// The newest lines come first, so what follows is what is older.
fn before(part: &Part) -> Result<Option<u64>, Problem> {
    let number = part.after.as_deref().map(str::parse);
    number.transpose().map_err(|_| Problem::invalid("`after` is no number of a line"))
}
