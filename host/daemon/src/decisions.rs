//! Decisions as they are made, for those who watch by the API: the log's lines about messages, as values.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::broadcast;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Decisions that a watcher may lag behind; who is slower loses some and is told how many.
const BEHIND_MAX: usize = 256;

/// Where decisions are told.
#[derive(Debug, Clone)]
pub(crate) struct Decisions(broadcast::Sender<Arc<Value>>);

impl Decisions {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND_MAX))
    }

    /// Those that are made from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Value>> {
        self.0.subscribe()
    }

    /// What listens to the log for them.
    pub(crate) fn layer<S: Subscriber + for<'s> LookupSpan<'s>>(&self) -> impl Layer<S> + use<S> {
        let only = Targets::new().with_target("wasmail::message", Level::INFO);
        Tap(self.0.clone()).with_filter(only)
    }
}

struct Tap(broadcast::Sender<Arc<Value>>);

impl<S: Subscriber> Layer<S> for Tap {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Nobody watches, nearly always.
        if self.0.receiver_count() == 0 {
            return;
        }
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        fields.0.remove("message");
        let _ = self.0.send(Arc::new(Value::Object(fields.0)));
    }
}

/// The fields of a line.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_about_messages_are_told_to_who_watches() {
        let decisions = Decisions::new();
        let subscriber = tracing_subscriber::registry().with(decisions.layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "wasmail::message", uuid = "before", "message");
            let mut watching = decisions.watch();
            tracing::info!(target: "wasmail::connection", uuid = "c", "connection");
            tracing::info!(target: "wasmail::message", uuid = %"u.1", tenant = Some("acme"), size = 7_u64, "message");
            let told = watching.try_recv().expect("it was told");
            assert_eq!(*told, serde_json::json!({ "uuid": "u.1", "tenant": "acme", "size": 7 }));
            assert!(watching.try_recv().is_err());
        });
    }
}
