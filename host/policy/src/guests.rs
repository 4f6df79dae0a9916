//! The tenants that one connection has had to do with, and what their plugins left on it.

use std::mem;
use std::sync::Arc;

use wasmail_mail::{Handling, HeaderSection, ReversePath};

use crate::tenancy::{Pass, Tenant};
use crate::{Context, Decision, Held, Notes, Results, Step, TransactionContext};

/// Tenants that a connection remembers. One that comes back after so many others begins anew.
const GUESTS_MAX: usize = 64;

/// What plugins of one owner have hung on a connection or a transaction: no other's see it.
#[derive(Debug, Clone, Default)]
struct Shelf {
    notes: Arc<Notes>,
    results: Arc<Results>,
    skipped: Vec<String>,
}

/// A tenant on a connection.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) tenant: Arc<Tenant>,
    shelf: Shelf,
    /// Whether its plugins have been told of the connection.
    pub(crate) introduced: bool,
    /// What they said to that, if they object: it holds for all its recipients.
    pub(crate) objection: Option<Decision>,
}

impl Guest {
    pub(crate) fn new(tenant: Arc<Tenant>) -> Self {
        Self { tenant, shelf: Shelf::default(), introduced: false, objection: None }
    }
}

/// The tenants on a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guests(Vec<Guest>);

impl Guests {
    pub(crate) fn get(&self, name: &str) -> Option<&Guest> {
        self.0.iter().find(|guest| *guest.tenant.name == *name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        self.0.iter().map(|guest| Arc::clone(&guest.tenant.name)).collect()
    }

    pub(crate) fn put(&mut self, guest: Guest) {
        if self.0.len() >= GUESTS_MAX {
            self.0.remove(0);
        }
        self.0.push(guest);
    }

    fn take(&mut self, name: &str) -> Option<Guest> {
        let at = self.0.iter().position(|guest| *guest.tenant.name == *name)?;
        Some(self.0.remove(at))
    }
}

/// What a transaction is to its tenant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stay {
    /// Whose it is: none is the operator.
    pub(crate) owner: Option<Arc<str>>,
    /// Whether its client is the tenant's, so that its recipients may be anybody.
    pub(crate) by_client: bool,
    /// The room that it takes.
    pass: Option<Pass>,
    shelf: Shelf,
    /// The transaction as it was before the tenant's plugins saw it.
    before: Option<Box<Before>>,
    /// Whether the tenant's plugins have been asked about MAIL.
    pub(crate) introduced: bool,
    /// What they said to that, if they object.
    pub(crate) objection: Option<Decision>,
}

/// What plugins can change of a transaction before its data come.
#[derive(Debug, Clone)]
struct Before {
    header: Arc<HeaderSection>,
    handling: Handling,
    reverse_path: ReversePath,
}

impl TransactionContext {
    /// The transaction is this one's from now on; what another's plugins did to it is undone.
    pub(crate) fn belongs_to(&mut self, owner: Option<Arc<str>>) {
        if self.stay.owner == owner {
            return;
        }
        if let Some(before) = self.stay.before.take() {
            let Before { header, handling, reverse_path } = *before;
            (self.facts.header, self.facts.handling, self.facts.reverse_path) = (header, handling, reverse_path);
        }
        self.stay = Stay { owner, ..Stay::default() };
    }

    /// A tenant's plugins are about to see it.
    fn keep(&mut self) {
        let facts = &self.facts;
        self.stay.before.get_or_insert_with(|| {
            let (header, handling) = (Arc::clone(&facts.header), facts.handling.clone());
            Box::new(Before { header, handling, reverse_path: facts.reverse_path.clone() })
        });
    }
}

impl Stay {
    /// Makes room for another transaction.
    pub(crate) fn leave(&mut self) {
        self.pass = None;
    }

    /// Takes the room that a transaction needs, once.
    pub(crate) fn take_room(&mut self, tenant: &Tenant, new_connection: bool) -> Result<(), Held> {
        if self.pass.is_none() {
            self.pass = Some(tenant.meter.begin(new_connection)?);
        }
        Ok(())
    }
}

/// The context as a tenant's plugins see it: with what they left there, and nothing of others'.
///
/// Put it back with [`Visit::end`].
pub(crate) struct Visit {
    guest: Guest,
    /// Steps of the connection's and of the transaction's trail before it.
    steps: (usize, usize),
}

impl Visit {
    pub(crate) fn begin(context: &mut Context, tenant: &str) -> Option<Self> {
        let mut guest = context.guests.take(tenant)?;
        exchange(context, &mut guest);
        // Once somebody is accepted, it stays this tenant's.
        if let Some(transaction) = context.transaction.as_mut().filter(|own| own.facts.recipients.is_empty()) {
            transaction.keep();
        }
        let in_transaction = context.transaction.as_ref().map_or(0, |transaction| transaction.trail.steps().len());
        Some(Self { guest, steps: (context.trail.steps().len(), in_transaction) })
    }

    pub(crate) fn guest(&mut self) -> &mut Guest {
        &mut self.guest
    }

    pub(crate) fn end(mut self, context: &mut Context) {
        exchange(context, &mut self.guest);
        let tenant = &self.guest.tenant;
        let told = |step: &mut Step| {
            step.tenant = Some(Arc::clone(&tenant.name));
            tenant.meter.asked(step);
        };
        context.trail.since(self.steps.0).iter_mut().for_each(told);
        if let Some(transaction) = &mut context.transaction {
            transaction.trail.since(self.steps.1).iter_mut().for_each(told);
        }
        context.guests.put(self.guest);
    }
}

/// Puts a tenant's things in place of the operator's, or back.
fn exchange(context: &mut Context, guest: &mut Guest) {
    let shelf = &mut guest.shelf;
    mem::swap(&mut context.notes, &mut shelf.notes);
    mem::swap(&mut context.results, &mut shelf.results);
    mem::swap(&mut context.skipped, &mut shelf.skipped);
    let own = context.transaction.as_mut().filter(|transaction| transaction.tenant() == Some(&guest.tenant.name));
    let Some(transaction) = own else { return };
    let shelf = &mut transaction.stay.shelf;
    mem::swap(&mut transaction.notes, &mut shelf.notes);
    mem::swap(&mut transaction.results, &mut shelf.results);
    mem::swap(&mut transaction.skipped, &mut shelf.skipped);
}
