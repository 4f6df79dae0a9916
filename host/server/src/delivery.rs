//! Where committed messages go: the usual way or another that policy chose, each a lane of its own.

mod attempt;
mod hooks;
mod lane;
mod maildir;
mod mx;
mod next_hop;
mod orders;
mod reports;
mod smtp;
mod ways;
mod webhook;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use wasmail_mail::Handling;
use wasmail_spool::{RecipientState, Recovered, Spool, SpoolId};

use crate::metrics::Metrics;
use crate::stop::Stop;
use crate::{DeliveryConfig, RouteConfig, StartError};

use lane::{Lane, Work};
use orders::Clerk;

pub(crate) use hooks::Hooks;
pub(crate) use mx::Own;
pub(crate) use reports::Reporter;

use mx::in_ascii;
use ways::{Circumstances, Way, Ways};

pub use orders::{Order, order};

/// Whom all lanes ask and tell.
#[derive(Clone, Copy)]
pub(crate) struct Asks<'a> {
    pub(crate) reporter: &'a Arc<Reporter>,
    pub(crate) hooks: &'a Arc<Hooks>,
    pub(crate) metrics: &'a Arc<Metrics>,
}

/// Where sessions hand in what they have committed.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    usual: UnboundedSender<Work>,
    routes: Arc<HashMap<String, UnboundedSender<Work>>>,
    metrics: Arc<Metrics>,
}

impl Deliveries {
    /// Takes in a message that has just been committed; one that policy wants held stays where it is.
    /// It is tried from the time on that its sender wants, at once if none.
    pub(crate) fn accepted(&self, id: SpoolId, recipients: usize, handling: &Handling, now: SystemTime) {
        if let Some(reason) = &handling.quarantine {
            self.metrics.quarantined();
            let reason = crate::log::Escaped(reason);
            tracing::warn!(target: "wasmail::delivery", queue_id = %id, %reason, "held: `wasmail queue release` lets it go");
            return;
        }
        let (start, rank) = (handling.not_before.map_or(now, |start| start.max(now)), handling.priority);
        self.send(handling.route.as_deref(), Work::Accepted { id, recipients, rank, start });
    }

    /// Whether there is such a route; the usual way always is.
    fn has(&self, route: Option<&str>) -> bool {
        route.is_none_or(|name| self.routes.contains_key(name))
    }

    /// Hands work to the lane of a route. Says whether there is one.
    fn send(&self, route: Option<&str>, work: Work) -> bool {
        let lane = match route {
            None => Some(&self.usual),
            Some(name) => self.routes.get(name),
        };
        // Without a receiver the server is ending, and the next start finds the message in the spool.
        lane.map(|lane| lane.send(work)).is_some()
    }
}

/// All lanes.
pub(crate) struct Delivery {
    lanes: Vec<Lane>,
    clerk: Clerk,
}

impl Delivery {
    /// Puts down what the spool still held. `own` tells lanes that go by the DNS which servers are ourselves.
    pub(crate) fn new(
        config: DeliveryConfig,
        own: &Own,
        asks: Asks<'_>,
        spool: Spool,
        recovered: Vec<Recovered>,
        now: SystemTime,
    ) -> Result<(Deliveries, Self), StartError> {
        let last_recovered = recovered.iter().map(|message| message.id).max();
        let circumstances = Circumstances { hooks: asks.hooks, own, last_recovered };
        let mut sorted = Sorted::new(recovered);
        let (mut by_route, mut by_domain) = (HashMap::new(), BTreeMap::new());
        for (name, RouteConfig { lane, domains }) in &config.routes {
            let way = Way::new(lane, &circumstances)?;
            by_domain.extend(domains.iter().map(|domain| (in_ascii(domain), Arc::clone(&way))));
            by_route.insert(name.clone(), way);
        }
        let by_route = Arc::new(by_route);
        let (mut lanes, mut routes) = (Vec::new(), HashMap::new());
        for (name, RouteConfig { lane, .. }) in config.routes {
            let ways = Ways::new(Arc::clone(&by_route[&name]), BTreeMap::new(), Arc::clone(&by_route));
            let held = sorted.take(Some(&name));
            let (sender, lane) = Lane::new(Some(&name), lane, ways, asks, spool.clone(), held, now);
            lanes.push(lane);
            routes.insert(name, sender);
        }
        let ways = Ways::new(Way::new(&config.usual, &circumstances)?, by_domain, by_route);
        let (usual, lane) = Lane::new(None, config.usual, ways, asks, spool.clone(), sorted.take(None), now);
        lanes.push(lane);
        sorted.report_rest();
        let deliveries = Deliveries { usual, routes: Arc::new(routes), metrics: Arc::clone(asks.metrics) };
        asks.reporter.open(deliveries.clone());
        let clerk = Clerk { dir: config.orders, spool, deliveries: deliveries.clone() };
        Ok((deliveries, Self { lanes, clerk }))
    }

    /// Delivers until the server stops; says how many messages are left.
    pub(crate) async fn run(self, stop: Arc<Stop>) -> usize {
        let clerk = tokio::spawn(self.clerk.run(Arc::clone(&stop)));
        let lanes: JoinSet<usize> = self.lanes.into_iter().map(|lane| lane.run(Arc::clone(&stop))).collect();
        let waiting = lanes.join_all().await.into_iter().sum();
        clerk.abort();
        waiting
    }
}

/// What the spool still held, by route.
struct Sorted(HashMap<Option<Arc<str>>, Vec<Recovered>>);

impl Sorted {
    fn new(recovered: Vec<Recovered>) -> Self {
        let is_held = |state: &RecipientState| matches!(state, RecipientState::Held { .. });
        let held = recovered.iter().filter(|message| message.recipients.iter().any(is_held)).count();
        if held > 0 {
            tracing::warn!(held, "messages are held: `wasmail queue list` shows them");
        }
        let mut by_route: HashMap<_, Vec<_>> = HashMap::new();
        for message in recovered {
            by_route.entry(message.route.clone()).or_default().push(message);
        }
        Self(by_route)
    }

    fn take(&mut self, route: Option<&str>) -> Vec<Recovered> {
        self.0.remove(&route.map(Arc::from)).unwrap_or_default()
    }

    /// A route that is configured no more keeps its messages until it is there again.
    fn report_rest(&self) {
        for (route, messages) in &self.0 {
            let route = route.as_deref().unwrap_or_default();
            tracing::error!(route, messages = messages.len(), "messages wait for a route that is not configured");
        }
    }
}
