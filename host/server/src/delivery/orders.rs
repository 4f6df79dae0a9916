//! What the operator wants done with single messages: release, try now, hold, send by another route, give up, remove.
//!
//! An order is a file in a directory, named after what is wanted and the message, and empty but for the name of a route. So it is given with the rights of the
//! file system, beside a server that runs or before one is started, survives a restart, and needs no port.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use wasmail_spool::{Spool, SpoolId};

use super::Deliveries;
use super::lane::Work;
use crate::stop::{Phase, Stop};

/// How often the directory is looked into: an operator who waits for it should not wonder, and looking into an empty
/// one costs microseconds.
const INTERVAL: Duration = Duration::from_secs(1);
/// Orders that are carried out in one go.
const ORDERS_MAX: usize = 1_000;

/// What is to be done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Deliver it to those for whom it is held.
    Release,
    /// Try it now, for those for whom it was given up too.
    Retry,
    /// Deliver it no more before it is released.
    Hold,
    /// Send it by this route from now on, none for the usual way, and try it now.
    Route(Option<String>),
    /// Give it up now: its sender is told.
    Expire,
    /// Forget it; nobody is told.
    Remove,
}

impl Order {
    const ALL: [Self; 6] = [Self::Release, Self::Retry, Self::Hold, Self::Route(None), Self::Expire, Self::Remove];

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Route(_) => "route",
            Self::Expire => "expire",
            Self::Remove => "remove",
        }
    }
}

/// Leaves an order for the server, in the directory that [`DeliveryConfig::orders`](crate::DeliveryConfig::orders) names.
/// It is durable when this returns; a server that runs carries it out within a second or two.
///
/// # Errors
/// When the directory cannot be made or written to.
pub fn order(dir: &Path, order: &Order, id: SpoolId) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let name = format!("{}-{id}", order.name());
    // Whoever looks into the directory meanwhile must not find a name without its route.
    let draft = dir.join(format!(".{name}"));
    let mut file = File::create(&draft)?;
    if let Order::Route(Some(route)) = order {
        file.write_all(route.as_bytes())?;
    }
    file.sync_all()?;
    fs::rename(draft, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// Reads orders and passes them on.
pub(super) struct Clerk {
    pub(super) dir: PathBuf,
    pub(super) spool: Spool,
    pub(super) deliveries: Deliveries,
}

impl Clerk {
    /// Works until the server stops.
    pub(super) async fn run(self, stop: Arc<Stop>) {
        loop {
            self.carry_out().await;
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = stop.reached(Phase::Closing) => return,
            }
        }
    }

    async fn carry_out(&self) {
        for (path, order, id) in orders(&self.dir) {
            if !self.pass_on(order, id).await {
                // It is under way, or could not be recorded: the file stays, and the order is tried again.
                continue;
            }
            if let Err(error) = fs::remove_file(&path) {
                tracing::error!(path = %path.display(), %error, "failed to remove an order that was carried out");
            }
        }
    }

    /// Whether the order is done with.
    async fn pass_on(&self, order: Order, id: SpoolId) -> bool {
        let route = match self.spool.message(id).await {
            Ok(message) => message.envelope().handling.route.clone(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(queue_id = %id, order = order.name(), "there is no such message");
                return true;
            }
            // What cannot be read cannot be delivered, but removed.
            Err(_) => None,
        };
        let wanted = if let Order::Route(wanted) = &order { Some(wanted.clone()) } else { None };
        if let Some(wanted) = &wanted
            && !self.deliveries.has(wanted.as_deref())
        {
            tracing::warn!(queue_id = %id, route = wanted, "there is no such route: the message stays where it is");
            return true;
        }
        let (name, (done, obeyed)) = (order.name(), oneshot::channel());
        let is_sent = self.deliveries.send(route.as_deref(), Work::Order { id, order, done });
        let done = match &wanted {
            _ if is_sent => obeyed.await.unwrap_or_default(),
            // Of a route that is gone nobody has the message in hand.
            Some(wanted) => self.spool.reroute(id, wanted.clone()).await.is_ok(),
            None => {
                tracing::warn!(queue_id = %id, order = name, route, "the message's route is not configured");
                return true;
            }
        };
        if let (true, Some(wanted)) = (done, wanted) {
            self.deliveries.send(wanted.as_deref(), Work::Moved { id });
        }
        done
    }
}

/// The orders that wait. What is no order is left alone.
fn orders(dir: &Path) -> Vec<(PathBuf, Order, SpoolId)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let found = paths.filter_map(|path| {
        let (order, id) = parse(path.file_name()?.to_str()?)?;
        let order = match order {
            Order::Route(_) => Order::Route(fs::read_to_string(&path).ok().filter(|route| !route.is_empty())),
            other => other,
        };
        Some((path, order, id))
    });
    found.take(ORDERS_MAX).collect()
}

fn parse(name: &str) -> Option<(Order, SpoolId)> {
    let (order, id) = name.split_once('-')?;
    Some((Order::ALL.into_iter().find(|known| known.name() == order)?, id.parse().ok()?))
}
