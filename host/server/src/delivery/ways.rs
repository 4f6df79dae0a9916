//! Ways for mail: the lane's own, and others for the domains that the operator names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wasmail_mail::Envelope;
use wasmail_queue::Outcome;
use wasmail_spool::{RecipientState, Spool, SpoolId};

use super::attempt::{Carried, Delivered, Due};
use super::hooks::Hooks;
use super::maildir::Maildir;
use super::mx::{Mx, Own, destination};
use super::next_hop::NextHop;
use super::webhook::Webhook;
use crate::{Destination, LaneConfig, StartError};

/// Who carries messages to where they go.
pub(crate) enum Carrier {
    Maildir(Arc<Maildir>),
    NextHop(Box<NextHop>),
    Mx(Arc<Mx>),
    Webhook(Box<Webhook>),
    Discard,
}

/// A carrier, and how many messages it carries at once.
pub(crate) struct Way {
    pub(crate) carrier: Carrier,
    /// For mail that comes here by its domain; a lane of its own counts for itself.
    slots: Arc<Semaphore>,
}

/// What is to be known besides the settings.
pub(crate) struct Circumstances<'a> {
    /// Whom to ask about delivery.
    pub(crate) hooks: &'a Arc<Hooks>,
    /// Which servers are ourselves.
    pub(crate) own: &'a Own,
    /// Up to here messages were in the spool when we started, and may have been delivered before.
    pub(crate) last_recovered: Option<SpoolId>,
}

/// The ways of one lane.
pub(crate) struct Ways {
    pub(crate) usual: Arc<Way>,
    /// By domain in ASCII and lower case; one that begins with a dot stands for all below it.
    by_domain: BTreeMap<String, Arc<Way>>,
    /// The ways of all routes, by name.
    by_route: Arc<HashMap<String, Arc<Way>>>,
}

impl Way {
    pub(crate) fn new(config: &LaneConfig, now: &Circumstances<'_>) -> Result<Arc<Self>, StartError> {
        let carrier = Carrier::new(config.destination.clone(), now)?;
        let places = match carrier {
            // It has gates of its own.
            Carrier::Mx(_) => Semaphore::MAX_PERMITS,
            _ => config.concurrency.clamp(1, Semaphore::MAX_PERMITS),
        };
        Ok(Arc::new(Self { carrier, slots: Arc::new(Semaphore::new(places)) }))
    }

    /// Carries one part of a message when there is a place; nothing is said of anybody when the server ends first.
    async fn carry(&self, spool: &Spool, due: Due) -> Carried {
        match self.slots.acquire().await {
            Ok(_place) => self.carrier.carry(spool, due).await,
            Err(_) => Carried { id: due.id, message: None, delivered: Vec::new() },
        }
    }

    fn close(&self) {
        self.slots.close();
        if let Carrier::Mx(mx) = &self.carrier {
            mx.close();
        }
    }
}

impl Carrier {
    fn new(destination: Destination, now: &Circumstances<'_>) -> Result<Self, StartError> {
        Ok(match destination {
            Destination::Maildir(config) => Self::Maildir(Arc::new(Maildir::open(config, now.last_recovered)?)),
            Destination::NextHop(config) => Self::NextHop(Box::new(NextHop::new(*config)?)),
            Destination::Mx(config) => Self::Mx(Mx::new(*config, now)?),
            Destination::Webhook(config) => Self::Webhook(Box::new(Webhook::new(*config)?)),
            Destination::Discard => Self::Discard,
        })
    }

    /// Makes one attempt.
    pub(crate) async fn carry(&self, spool: &Spool, due: Due) -> Carried {
        match self {
            Self::Maildir(maildir) => {
                let id = due.id;
                let carried = maildir.carry(spool, vec![due]).await.pop();
                carried.unwrap_or(Carried { id, message: None, delivered: Vec::new() })
            }
            Self::Mx(mx) => mx.carry(spool, due).await,
            Self::NextHop(_) | Self::Webhook(_) | Self::Discard => match spool.message(due.id).await {
                Ok(message) => {
                    let delivered = match self {
                        Self::NextHop(next_hop) => next_hop.carry(&message, &due.recipients).await,
                        Self::Webhook(webhook) => webhook.carry(&message, &due.recipients).await,
                        _ => Delivered::all(&due.recipients, Outcome::Delivered, "2.0.0 discarded"),
                    };
                    Carried { id: due.id, message: Some(message), delivered }
                }
                Err(error) => Carried::unread(&due, &error),
            },
        }
    }
}

impl Ways {
    pub(crate) fn new(
        usual: Arc<Way>,
        by_domain: BTreeMap<String, Arc<Way>>,
        by_route: Arc<HashMap<String, Arc<Way>>>,
    ) -> Self {
        Self { usual, by_domain, by_route }
    }

    /// The way of a route.
    pub(crate) fn named(&self, route: &str) -> Option<Arc<Way>> {
        self.by_route.get(route).cloned()
    }

    /// Whether all mail goes one way.
    pub(crate) fn are_one(&self) -> bool {
        self.by_domain.is_empty()
    }

    /// Lets nobody wait any more: who has no place yet stays as they are, for the next start.
    pub(crate) fn close(&self) {
        self.usual.close();
        self.by_domain.values().for_each(|way| way.close());
    }

    /// Carries each recipient's mail by the way of their domain, each way beside the others.
    pub(crate) async fn carry(&self, spool: &Spool, due: Due) -> Carried {
        let parts = match spool.message(due.id).await {
            Ok(message) => self.parts(message.envelope(), &due.recipients),
            Err(error) => return Carried::unread(&due, &error),
        };
        self.carry_parts(spool, &due, parts).await
    }

    /// Carries each part by its way, each beside the others.
    pub(crate) async fn carry_parts(&self, spool: &Spool, due: &Due, parts: Vec<(Arc<Way>, Vec<usize>)>) -> Carried {
        let mut under_way = JoinSet::new();
        for (way, recipients) in parts {
            let (spool, part) = (spool.clone(), Due { id: due.id, recipients });
            under_way.spawn(async move { way.carry(&spool, part).await });
        }
        let mut all = Carried { id: due.id, message: None, delivered: Vec::with_capacity(due.recipients.len()) };
        let mut broken = false;
        while let Some(part) = under_way.join_next().await {
            match part {
                Ok(part) => {
                    remember(spool, due.id, &part.delivered, !under_way.is_empty()).await;
                    all.message = part.message.or(all.message);
                    all.delivered.extend(part.delivered);
                }
                Err(error) => {
                    tracing::error!(queue_id = %due.id, %error, "a delivery broke off");
                    broken = true;
                }
            }
        }
        if broken {
            all.defer_missing(due);
        }
        all
    }

    /// Lets nobody's mail wait because nobody was reached there: the operator wants it tried.
    pub(crate) fn try_again(&self, envelope: &Envelope) {
        for recipient in &envelope.recipients {
            let destination = destination(&recipient.path);
            if let Carrier::Mx(mx) = &self.of(&destination).carrier {
                mx.try_again(&destination);
            }
        }
    }

    /// Which recipients go which way.
    pub(crate) fn parts(&self, envelope: &Envelope, recipients: &[usize]) -> Vec<(Arc<Way>, Vec<usize>)> {
        let mut parts: HashMap<*const Way, (Arc<Way>, Vec<usize>)> = HashMap::new();
        for at in recipients {
            let to = envelope.recipients.get(*at);
            let way = to.map_or(&self.usual, |to| self.of(&destination(&to.path)));
            parts.entry(Arc::as_ptr(way)).or_insert_with(|| (Arc::clone(way), Vec::new())).1.push(*at);
        }
        parts.into_values().collect()
    }

    /// The way of a domain: by its name, or by that of the nearest domain above it.
    fn of(&self, domain: &str) -> &Arc<Way> {
        let above = domain.match_indices('.').map(|(at, _)| &domain[at..]);
        std::iter::once(domain).chain(above).find_map(|name| self.by_domain.get(name)).unwrap_or(&self.usual)
    }
}

/// Remembers what is delivered while others go on, which may take hours: a crash must not repeat it.
pub(super) async fn remember(spool: &Spool, id: SpoolId, part: &[Delivered], others: bool) {
    let is_delivered = |done: &&Delivered| done.outcome == Outcome::Delivered;
    let states: Vec<_> =
        part.iter().filter(is_delivered).map(|done| (done.recipient, RecipientState::Delivered)).collect();
    if others
        && !states.is_empty()
        && let Err(error) = spool.record(id, states).await
    {
        // It is tried again when the last one is through.
        tracing::error!(queue_id = %id, %error, "failed to record a delivery");
    }
}
