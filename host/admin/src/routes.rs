//! Every endpoint, in one table: the router and the OpenAPI document are made of it, so neither can forget one.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use crate::problem::Problem;
use crate::{Shared, bindings, events, modules, openapi, tenants, tokens, traffic};

/// Who may use an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody, without a token.
    Anybody,
    /// The operator, and the tenant whose things they are.
    Tenant,
    /// The operator.
    Operator,
}

/// One endpoint.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) what: &'static str,
    pub(crate) who: Who,
    /// The name of the body's schema.
    pub(crate) body: Option<&'static str>,
    handler: fn() -> MethodRouter<Shared>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    who: Who,
    what: &'static str,
    body: Option<&'static str>,
    handler: fn() -> MethodRouter<Shared>,
) -> Route {
    Route { method, path, what, who, body, handler }
}

use Who::{Anybody, Operator, Tenant};

#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    route("get", "/healthz", Anybody, "Whether the server answers.", None, || get(healthy)),
    route("get", "/metrics", Operator, "What the server counts and measures: OpenMetrics, for Prometheus.", None, || get(traffic::metrics)),
    route("get", "/v1/openapi.json", Anybody, "This document.", None, || get(openapi::document)),
    route("get", "/v1/tenants", Tenant, "The tenants that the token sees.", None, || get(tenants::list)),
    route("get", "/v1/tenants/{tenant}", Tenant, "A tenant.", None, || get(tenants::get)),
    route("put", "/v1/tenants/{tenant}", Operator, "Makes a tenant.", Some("NewTenant"), || put(tenants::put)),
    route("patch", "/v1/tenants/{tenant}", Operator, "Alters a tenant.", Some("AlteredTenant"), || patch(tenants::patch)),
    route("delete", "/v1/tenants/{tenant}", Operator, "Removes a tenant with all that it owns.", None, || delete(tenants::delete)),
    route("get", "/v1/tenants/{tenant}/domains", Tenant, "A tenant's domains.", None, || get(tenants::domains)),
    route("put", "/v1/tenants/{tenant}/domains/{domain}", Operator, "Gives a tenant a domain.", None, || put(tenants::put_domain)),
    route("delete", "/v1/tenants/{tenant}/domains/{domain}", Operator, "Takes a domain away.", None, || delete(tenants::delete_domain)),
    route("get", "/v1/tenants/{tenant}/modules", Tenant, "A tenant's modules, the newest first.", None, || get(modules::list)),
    route("post", "/v1/tenants/{tenant}/modules", Tenant, "Uploads a module: the component as it is.", Some("Component"), || post(modules::upload)),
    route("get", "/v1/tenants/{tenant}/modules/{module}", Tenant, "A module.", None, || get(modules::get)),
    route("delete", "/v1/tenants/{tenant}/modules/{module}", Tenant, "Removes a module that no binding needs.", None, || delete(modules::delete)),
    route("get", "/v1/tenants/{tenant}/bindings", Tenant, "A tenant's bindings, in the order in which they are asked.", None, || get(bindings::list)),
    route("get", "/v1/tenants/{tenant}/bindings/{binding}", Tenant, "A binding.", None, || get(bindings::get)),
    route("put", "/v1/tenants/{tenant}/bindings/{binding}", Tenant, "Makes a binding.", Some("NewBinding"), || put(bindings::put)),
    route("patch", "/v1/tenants/{tenant}/bindings/{binding}", Tenant, "Alters a binding's place and rules.", Some("AlteredBinding"), || patch(bindings::patch)),
    route("delete", "/v1/tenants/{tenant}/bindings/{binding}", Tenant, "Removes a binding.", None, || delete(bindings::delete)),
    route("post", "/v1/tenants/{tenant}/bindings/{binding}/activate", Tenant, "Has another version run; the one before is kept.", Some("Version"), || post(bindings::activate)),
    route("post", "/v1/tenants/{tenant}/bindings/{binding}/rollback", Tenant, "Has the version before run again.", None, || post(bindings::roll_back)),
    route("put", "/v1/tenants/{tenant}/bindings/{binding}/rollout", Tenant, "Tries a version: in the shadow, or for a share of the senders.", Some("Rollout"), || put(bindings::roll_out)),
    route("delete", "/v1/tenants/{tenant}/bindings/{binding}/rollout", Tenant, "Tries it no longer.", None, || delete(bindings::end_roll_out)),
    route("get", "/v1/tenants/{tenant}/bindings/{binding}/comparison", Tenant, "What the shadow found.", None, || get(bindings::comparison)),
    route("get", "/v1/tenants/{tenant}/secrets", Tenant, "The names of a tenant's secrets.", None, || get(tenants::secrets)),
    route("put", "/v1/tenants/{tenant}/secrets/{secret}", Tenant, "Sets a secret: the body as it is. Nobody reads it again.", Some("Octets"), || put(tenants::put_secret)),
    route("delete", "/v1/tenants/{tenant}/secrets/{secret}", Tenant, "Removes a secret.", None, || delete(tenants::delete_secret)),
    route("get", "/v1/tenants/{tenant}/tokens", Tenant, "A tenant's tokens.", None, || get(tokens::of_tenant)),
    route("post", "/v1/tenants/{tenant}/tokens", Tenant, "Makes a token; it is shown once.", Some("NewToken"), || post(tokens::new_of_tenant)),
    route("get", "/v1/tenants/{tenant}/audit", Tenant, "Who did what, the newest first.", None, || get(tokens::audit_of_tenant)),
    route("get", "/v1/tenants/{tenant}/usage", Tenant, "What a tenant has used of its quotas.", None, || get(tenants::usage)),
    route("get", "/v1/tenants/{tenant}/queue", Tenant, "A tenant's messages that wait.", None, || get(traffic::of_tenant)),
    route("post", "/v1/tenants/{tenant}/queue/{id}", Tenant, "Does something with a message: ?order=release, retry, hold, expire, remove.", None, || post(traffic::order_of_tenant)),
    route("get", "/v1/tenants/{tenant}/metrics", Tenant, "What is counted and measured for a tenant: OpenMetrics.", None, || get(traffic::metrics_of_tenant)),
    route("get", "/v1/tenants/{tenant}/decisions", Tenant, "A tenant's decisions as they are made: server-sent events.", None, || get(events::of_tenant)),
    route("get", "/v1/tenants/{tenant}/quarantine", Tenant, "A tenant's messages that are held.", None, || get(traffic::quarantine)),
    route("get", "/v1/tokens", Operator, "All tokens.", None, || get(tokens::all)),
    route("post", "/v1/tokens", Operator, "Makes a token of the operator's; it is shown once.", Some("NewToken"), || post(tokens::new_operator)),
    route("delete", "/v1/tokens/{id}", Tenant, "Revokes a token.", None, || delete(tokens::revoke)),
    route("get", "/v1/audit", Operator, "Who did what, the newest first.", None, || get(tokens::audit_all)),
    route("get", "/v1/decisions", Operator, "All decisions as they are made: server-sent events.", None, || get(events::all)),
    route("get", "/v1/queue", Operator, "All messages that wait.", None, || get(traffic::all)),
    route("post", "/v1/queue/{id}", Operator, "Does something with a message: ?order=release, retry, hold, expire, remove.", None, || post(traffic::order)),
];

/// The router of all endpoints.
pub(crate) fn router(shared: Shared) -> Router {
    let all = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    all.fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn(tell_browsers))
        .with_state(shared)
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn nowhere(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}; /v1/openapi.json lists what there is", uri.path()))
}

async fn not_so(uri: Uri) -> Problem {
    let detail = format!("{} has other methods; /v1/openapi.json lists them", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method", detail)
}

/// Nothing of it is to be kept or guessed at.
async fn tell_browsers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
