//! Mail that waits, the queue and what is held; and what is counted of all mail.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use wasmail_tenants::TenantName;

use crate::Shared;
use crate::body::{Asked, nothing, page};
use crate::guard::Caller;
use crate::problem::{Answer, Problem};
use crate::tenants::Part;
use crate::works::Order;

/// What is to be done with a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    order: String,
}

async fn list(shared: &Shared, tenant: Option<&TenantName>, held: bool, part: &Part) -> Answer {
    let found = shared.works.messages(tenant, held, part.limit()).await.map_err(Problem::broken)?;
    Ok(page(&found, None))
}

pub(crate) async fn all(caller: Caller, State(shared): State<Shared>, Asked(part): Asked<Part>) -> Answer {
    caller.is_operator()?;
    list(&shared, None, false, &part).await
}

pub(crate) async fn of_tenant(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    Asked(part): Asked<Part>,
) -> Answer {
    list(&shared, Some(&caller.reads(&tenant)?), false, &part).await
}

pub(crate) async fn quarantine(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    Asked(part): Asked<Part>,
) -> Answer {
    list(&shared, Some(&caller.reads(&tenant)?), true, &part).await
}

async fn give(shared: &Shared, tenant: Option<&TenantName>, id: &str, wanted: &Wanted) -> Answer {
    let unknown =
        || Problem::invalid(format!("there is no order `{}`: release, retry, hold, expire or remove", wanted.order));
    let order = Order::named(&wanted.order).ok_or_else(unknown)?;
    let done = shared.works.order(tenant, id, order).await.map_err(Problem::broken)?;
    if done { Ok(nothing()) } else { Err(Problem::not_found(format!("no message `{id}` waits"))) }
}

pub(crate) async fn order(
    caller: Caller,
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Asked(wanted): Asked<Wanted>,
) -> Answer {
    caller.operates()?;
    give(&shared, None, &id, &wanted).await
}

pub(crate) async fn order_of_tenant(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, id)): Path<(String, String)>,
    Asked(wanted): Asked<Wanted>,
) -> Answer {
    give(&shared, Some(&caller.writes(&tenant)?), &id, &wanted).await
}

/// Text that Prometheus and others read (OpenMetrics 1.0).
fn open_metrics(text: String) -> Response {
    let mut response = text.into_response();
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

pub(crate) async fn metrics(caller: Caller, State(shared): State<Shared>) -> Answer {
    caller.is_operator()?;
    Ok(open_metrics(shared.works.metrics(None)))
}

pub(crate) async fn metrics_of_tenant(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
) -> Answer {
    let tenant = caller.reads(&tenant)?;
    shared.registry.tenant(&tenant).await?;
    Ok(open_metrics(shared.works.metrics(Some(&tenant))))
}
