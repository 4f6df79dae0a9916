//! The operator's plugins, then those of the tenant whose mail it is, then the operator's again.
//!
//! A refusal at any stage is the answer. An accept speaks for its own stage only: what the operator's plugins have nothing
//! against may still be refused by the tenant's. Only at `queue` is it the end, for the message has been taken.
//!
//! A tenant is known when its first recipient is named. What its plugins missed until then (`connect`, `helo` or `ehlo`,
//! `mail`) they are asked at that moment, and what they have against it is the answer to its recipients, and to no other's.

use std::sync::Arc;

use wasmail_mail::{HelloVerb, Mailbox};

use crate::guests::{Guest, Visit};
use crate::{Body, Chain, Context, Decision, Held, Hook, Subject, Tenancy, Verdict};

/// Stages in their order.
const STAGES: [Stage; 3] = [Stage::Before, Stage::Tenant, Stage::After];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Tenant,
    After,
}

/// All who are asked on a listener.
#[derive(Default)]
pub struct Stages {
    before: Arc<Chain>,
    after: Chain,
    tenancy: Option<Arc<dyn Tenancy>>,
    /// The tenant whose listener it is.
    tenant: Option<Arc<str>>,
}

impl From<Chain> for Stages {
    fn from(before: Chain) -> Self {
        Arc::new(before).into()
    }
}

impl From<Arc<Chain>> for Stages {
    fn from(before: Arc<Chain>) -> Self {
        Self { before, ..Self::default() }
    }
}

impl Stages {
    /// The operator's plugins before and after those of tenants.
    #[must_use]
    pub fn new(before: Chain, after: Chain, tenancy: Option<Arc<dyn Tenancy>>) -> Self {
        Self { before: Arc::new(before), after, tenancy, tenant: None }
    }

    /// Makes all that comes to this listener one tenant's.
    #[must_use]
    pub fn for_tenant(self, tenant: Option<Arc<str>>) -> Self {
        Self { tenant, ..self }
    }

    /// Whether anybody wants to be asked at a hook, as things stand.
    #[must_use]
    pub fn listens(&self, hook: Hook, context: &Context) -> bool {
        self.before.listens(hook) || self.after.listens(hook) || (self.tenancy.is_some() && concerns(hook, context))
    }

    /// Asks at a hook, stage by stage, as [`Chain::ask`].
    pub async fn ask(&self, hook: Hook, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
        if let Some(held) = self.admit(hook, context).await.err() {
            return Decision::held(held);
        }
        if hook == Hook::Deny {
            return self.ask_to_overturn(context, body).await;
        }
        let mut accepted = None;
        for (at, stage) in STAGES.into_iter().enumerate().skip(first_stage(hook, context)) {
            let decision = self.ask_stage(stage, hook, context, body).await;
            if decides(hook, &decision.verdict) {
                return decision;
            }
            if decision.verdict != Verdict::Next {
                accepted.get_or_insert(decision);
            }
            next_stage(hook, at, context);
        }
        if let Some(transaction) = context.transaction.as_mut().filter(|_| hook == Hook::ResetTransaction) {
            transaction.stay.leave();
        }
        accepted.unwrap_or_else(|| self.by_the_host(hook, context))
    }

    async fn ask_stage(
        &self,
        stage: Stage,
        hook: Hook,
        context: &mut Context,
        body: Option<&Arc<dyn Body>>,
    ) -> Decision {
        match stage {
            Stage::Before => self.before.ask(hook, context, body).await,
            Stage::After => self.after.ask(hook, context, body).await,
            Stage::Tenant if hook == Hook::Disconnect => {
                for tenant in context.guests.names() {
                    ask_tenant(&tenant, hook, context, body).await;
                }
                Decision::next()
            }
            Stage::Tenant => match tenant(context).filter(|_| self.may_ask_tenant(hook, context)) {
                Some(tenant) => ask_tenant(&tenant, hook, context, body).await,
                None => Decision::next(),
            },
        }
    }

    /// Whose refusal it is decides who may overturn it: the operator's plugins those of the operator's, a tenant's its own.
    async fn ask_to_overturn(&self, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
        let tenant = match &context.subject {
            Subject::Denial(denial) => denial.tenant.clone(),
            _ => None,
        };
        if let Some(tenant) = tenant {
            return ask_tenant(&tenant, Hook::Deny, context, body).await;
        }
        let decision = self.before.ask(Hook::Deny, context, body).await;
        if decision.verdict != Verdict::Next { decision } else { self.after.ask(Hook::Deny, context, body).await }
    }

    /// A recipient of a tenant's domain is welcome if nobody objects: the domain was given to the tenant.
    fn by_the_host(&self, hook: Hook, context: &Context) -> Decision {
        let welcome = hook == Hook::Rcpt && tenant(context).is_some() && self.is_own_recipient(context);
        if welcome { Decision { verdict: Verdict::Accept(None), ..Decision::next() } } else { Decision::next() }
    }

    /// A tenant's plugins judge its own recipients, and those to whom its own clients may send.
    fn may_ask_tenant(&self, hook: Hook, context: &Context) -> bool {
        hook != Hook::Rcpt || context.relaying() || self.is_own_recipient(context)
    }

    fn is_own_recipient(&self, context: &Context) -> bool {
        let owner = candidate(context).and_then(|mailbox| self.owner(mailbox));
        owner.is_some() && owner == tenant(context)
    }

    fn owner(&self, mailbox: &Mailbox) -> Option<Arc<str>> {
        self.tenancy.as_ref()?.owner(mailbox.domain().as_str())
    }

    /// Finds out whose a transaction is, and whether its mail can be taken now.
    async fn admit(&self, hook: Hook, context: &mut Context) -> Result<(), Held> {
        let Some(tenancy) = &self.tenancy else { return Ok(()) };
        match hook {
            Hook::Mail => self.admit_client(tenancy, context)?,
            Hook::Rcpt => self.admit_recipient(context)?,
            Hook::Queue | Hook::QueueOutbound => return count_message(context),
            _ => return Ok(()),
        }
        let Some(name) = tenant(context) else { return Ok(()) };
        let new = match context.guests.get(&name) {
            Some(_) => false,
            None => {
                let tenant = tenancy.enter(&name).await?;
                context.guests.put(Guest::new(tenant));
                true
            }
        };
        let (Some(guest), Some(transaction)) = (context.guests.get(&name), &mut context.transaction) else {
            return Ok(());
        };
        transaction.stay.take_room(&guest.tenant, new)
    }

    fn admit_client(&self, tenancy: &Arc<dyn Tenancy>, context: &mut Context) -> Result<(), Held> {
        let owner = self.tenant.clone().or_else(|| tenancy.owner_of_client(&context.connection));
        if let Some(transaction) = &mut context.transaction {
            transaction.stay.by_client = owner.is_some();
            transaction.stay.owner = owner;
        }
        Ok(())
    }

    fn admit_recipient(&self, context: &mut Context) -> Result<(), Held> {
        // Who may send to anywhere is no recipient's guest: users could not make sense of half a message.
        if context.relaying() {
            return Ok(());
        }
        let owner = candidate(context).and_then(|mailbox| self.owner(mailbox));
        let Some(transaction) = &mut context.transaction else { return Ok(()) };
        let stay = &mut transaction.stay;
        if stay.by_client || stay.owner == owner {
            return Ok(());
        }
        if !transaction.facts.recipients.is_empty() {
            return Err(Held::OtherTenant);
        }
        transaction.belongs_to(owner);
        Ok(())
    }
}

/// The tenant that a transaction is of.
fn tenant(context: &Context) -> Option<Arc<str>> {
    context.transaction.as_ref()?.stay.owner.clone()
}

/// The mailbox that RCPT asks about.
fn candidate(context: &Context) -> Option<&Mailbox> {
    context.transaction.as_ref()?.candidate.as_ref()?.path.mailbox()
}

fn count_message(context: &Context) -> Result<(), Held> {
    let guest = tenant(context).and_then(|tenant| context.guests.get(&tenant));
    guest.map_or(Ok(()), |guest| guest.tenant.meter.message())
}

/// Whether tenants have to do with a hook: they or the host on their behalf.
fn concerns(hook: Hook, context: &Context) -> bool {
    match hook {
        Hook::Mail | Hook::Rcpt => true,
        Hook::Disconnect => !context.guests.is_empty(),
        _ => tenant(context).is_some(),
    }
}

/// Whether nobody after it is to be asked.
fn decides(hook: Hook, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Next => false,
        Verdict::Accept(_) => matches!(hook, Hook::Queue | Hook::QueueOutbound),
        _ => true,
    }
}

/// `part` goes on in the stage where a part was refused, when that was overturned.
fn first_stage(hook: Hook, context: &Context) -> usize {
    match &context.transaction {
        Some(transaction) if hook == Hook::Part => transaction.part_stage,
        _ => 0,
    }
}

fn next_stage(hook: Hook, at: usize, context: &mut Context) {
    if let Some(transaction) = context.transaction.as_mut().filter(|_| hook == Hook::Part) {
        (transaction.part_stage, transaction.parts_left) = (at + 1, None);
    }
}

/// Asks a tenant's plugins, which see nothing of what others' have left on the connection.
async fn ask_tenant(name: &Arc<str>, hook: Hook, context: &mut Context, body: Option<&Arc<dyn Body>>) -> Decision {
    let Some(mut visit) = Visit::begin(context, name) else { return Decision::next() };
    let tenant = Arc::clone(&visit.guest().tenant);
    let objection = if matches!(hook, Hook::Mail | Hook::Rcpt) { introduce(&mut visit, context).await } else { None };
    let decision = match objection {
        Some(objection) => objection,
        // That is part of the introduction.
        None if hook == Hook::Mail => Decision::next(),
        None => tenant.chain.ask(hook, context, body).await,
    };
    visit.end(context);
    let verdict = alone(decision.verdict);
    let tenant = (verdict != Verdict::Next).then(|| Arc::clone(name));
    Decision { verdict, tenant, ..decision }
}

/// Asks what a tenant's plugins missed before it was known whose mail it is. Their objection, if they have one.
async fn introduce(visit: &mut Visit, context: &mut Context) -> Option<Decision> {
    let guest = visit.guest();
    if !guest.introduced {
        guest.introduced = true;
        let hello = match context.connection.hello.as_ref().map(|hello| hello.verb) {
            Some(HelloVerb::Helo) => Hook::Helo,
            _ => Hook::Ehlo,
        };
        guest.objection = objection(&guest.tenant.chain, &[Hook::ConnectInit, Hook::Connect, hello], context).await;
    }
    if guest.objection.is_some() {
        return guest.objection.clone();
    }
    let introduced = context.transaction.as_mut().map(|transaction| &mut transaction.stay.introduced);
    if introduced.is_some_and(|introduced| !std::mem::replace(introduced, true)) {
        let objection = objection(&guest.tenant.chain, &[Hook::Mail], context).await;
        if let Some(transaction) = &mut context.transaction {
            transaction.stay.objection = objection;
        }
    }
    context.transaction.as_ref()?.stay.objection.clone()
}

async fn objection(chain: &Chain, hooks: &[Hook], context: &mut Context) -> Option<Decision> {
    for hook in hooks {
        let decision = chain.ask(*hook, context, None).await;
        if decides(*hook, &decision.verdict) {
            return Some(decision);
        }
    }
    None
}

/// One customer's verdict is about its own mail: the connection may bring others' next.
fn alone(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::DenyDisconnect(text) => Verdict::Deny(text),
        Verdict::DenySoftDisconnect(text) => Verdict::DenySoft(text),
        Verdict::Disconnect => Verdict::DenySoft(None),
        verdict => verdict,
    }
}
