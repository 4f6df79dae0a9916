//! Decisions as they are made: Server-Sent Events (WHATWG HTML section 9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use wasmail_tenants::TenantName;

use crate::Shared;
use crate::guard::Caller;
use crate::problem::Answer;

/// Something is said so often, so that whoever stands between does not take the stream for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) async fn all(caller: Caller, State(shared): State<Shared>) -> Answer {
    caller.is_operator()?;
    Ok(events(shared.works.decisions(), None))
}

pub(crate) async fn of_tenant(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    let tenant = caller.reads(&tenant)?;
    shared.registry.tenant(&tenant).await?;
    Ok(events(shared.works.decisions(), Some(tenant)))
}

/// An endless answer. Who reads slowly loses some, and is told how many.
fn events(decisions: Receiver<Arc<Value>>, tenant: Option<TenantName>) -> Response {
    let next = |(mut decisions, tenant): (Receiver<Arc<Value>>, Option<TenantName>)| async move {
        let text = loop {
            match timeout(HEARTBEAT, decisions.recv()).await {
                Err(_) => break ": still here\n\n".to_owned(),
                Ok(Ok(decision)) => {
                    if let Some(decision) = shown(&decision, tenant.as_ref()) {
                        break format!("data: {decision}\n\n");
                    }
                }
                Ok(Err(RecvError::Lagged(lost))) => {
                    break format!("event: lost\ndata: {}\n\n", json!({ "lost": lost }));
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (decisions, tenant)))
    };
    let mut response = Response::new(Body::from_stream(stream::unfold((decisions, tenant), next)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// A decision as one tenant may see it: its own, without what the operator's plugins found.
fn shown(decision: &Value, tenant: Option<&TenantName>) -> Option<Value> {
    let Some(tenant) = tenant else { return Some(decision.clone()) };
    if decision["tenant"] != tenant.as_str() {
        return None;
    }
    let mut shown = decision.clone();
    let own = format!("{tenant}/");
    let steps = decision["plugins"].as_str().unwrap_or_default().split(' ').filter(|step| step.starts_with(&own));
    shown["plugins"] = steps.collect::<Vec<_>>().join(" ").into();
    shown.as_object_mut()?.remove("results");
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_sees_its_own_and_nothing_of_the_operators() {
        let decision = json!({
            "tenant": "acme", "uuid": "u.1", "results": "[karma: score: -2]",
            "plugins": "karma@mail=next/9us acme/filter@rcpt=deny/20us acme-2/x@rcpt=next/1us",
        });
        let acme = "acme".parse().unwrap();
        let expected = json!({ "tenant": "acme", "uuid": "u.1", "plugins": "acme/filter@rcpt=deny/20us" });
        assert_eq!(shown(&decision, Some(&acme)), Some(expected));
        assert_eq!(shown(&decision, Some(&"bravo".parse().unwrap())), None);
        assert_eq!(shown(&decision, None), Some(decision));
    }
}
