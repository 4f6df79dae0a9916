//! Applies an outcome's mutations, all or none.
//!
//! They are carried out on copies of just what they touch; only when the last one has succeeded do the copies take the
//! place of the real things.

mod envelope;
mod header;
mod parts;
mod rejected;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use wasmail_mail::{Domain, Handling, HeaderSection, Mailbox, Recipient, ReversePath};

use crate::capability::{self, CAPABILITIES_MAX};
use crate::{
    Context, DELAY_MAX, Grant, Grants, Hook, MUTATIONS_MAX, Mutation, Notes, Outcome, Results, Scope, Subject,
    TransactionContext, Verdict,
};

pub use parts::PartError;
pub(crate) use parts::{Prepared, prepare};
pub use rejected::{Rejected, Why};

/// Plugins that can be skipped: nobody binds more.
const SKIPPED_MAX: usize = 64;

/// What a plugin may do beyond judging.
#[derive(Clone, Copy)]
pub(crate) struct Powers<'a> {
    pub(crate) grants: Grants,
    /// The routes that there are.
    pub(crate) routes: &'a [String],
    /// For a tenant's plugin: whether a recipient is the tenant's.
    pub(crate) own: Option<&'a (dyn Fn(&Mailbox) -> bool + Send + Sync)>,
}

/// Checks an outcome and applies it. On an error the context is as it was.
pub(crate) fn apply(
    context: &mut Context,
    plugin: &str,
    powers: Powers<'_>,
    hook: Hook,
    outcome: &Outcome,
) -> Result<(), Rejected> {
    let grants = powers.grants;
    check_verdict(&outcome.verdict, context, grants, hook)?;
    if outcome.mutations.is_empty() {
        return Ok(());
    }
    if outcome.mutations.len() > MUTATIONS_MAX {
        return Err(Rejected::TooMany);
    }
    let mut draft = Draft { context, plugin, grants, powers, hook, changes: Changes::default() };
    for (at, mutation) in outcome.mutations.iter().enumerate() {
        draft.apply(mutation).map_err(|why| Rejected::Mutation { at, name: mutation.name(), why })?;
    }
    draft.changes.commit(context);
    Ok(())
}

fn check_verdict(verdict: &Verdict, context: &Context, grants: Grants, hook: Hook) -> Result<(), Rejected> {
    verdict.check().map_err(Rejected::Verdict)?;
    match (verdict, hook) {
        (Verdict::Accept(_), Hook::Rcpt) => granted(grants, Grant::AcceptRecipients),
        (Verdict::Accept(_), Hook::Queue | Hook::QueueOutbound) => granted(grants, Grant::TakeMessages),
        (Verdict::Accept(_), Hook::Auth) => granted(grants, Grant::Credentials),
        (Verdict::Accept(_), Hook::Deny) => may_overturn(context, grants),
        _ => Ok(()),
    }
    .map_err(Rejected::NotGranted)
}

/// Who lets a recipient in that another refused has accepted it.
fn may_overturn(context: &Context, grants: Grants) -> Result<(), Grant> {
    granted(grants, Grant::OverturnDenials)?;
    match &context.subject {
        Subject::Denial(denial) if denial.hook == Hook::Rcpt => granted(grants, Grant::AcceptRecipients),
        _ => Ok(()),
    }
}

fn granted(grants: Grants, grant: Grant) -> Result<(), Grant> {
    if grants.has(grant) { Ok(()) } else { Err(grant) }
}

/// What the mutations so far have changed; nothing where nothing was touched.
#[derive(Default)]
struct Changes {
    connection: ScopeChanges,
    transaction: ScopeChanges,
    relaying: Option<bool>,
    remote_host: Option<Option<String>>,
    delay: Duration,
    header: Option<HeaderSection>,
    recipients: Option<Vec<Recipient>>,
    candidate: Option<Recipient>,
    reverse_path: Option<ReversePath>,
    handling: Option<Handling>,
    capabilities: Vec<String>,
}

#[derive(Default)]
struct ScopeChanges {
    notes: Option<Notes>,
    results: Option<Results>,
    skipped: Vec<String>,
}

impl Changes {
    fn commit(self, context: &mut Context) {
        self.connection.commit(&mut context.notes, &mut context.results, &mut context.skipped);
        if let Some(host) = self.remote_host {
            context.connection.remote.info.clone_from(&host);
            context.connection.remote.host = host;
        }
        context.delay += self.delay;
        context.capabilities.extend(self.capabilities);
        let Some(transaction) = &mut context.transaction else {
            context.connection.relaying = self.relaying.unwrap_or(context.connection.relaying);
            return;
        };
        self.transaction.commit(&mut transaction.notes, &mut transaction.results, &mut transaction.skipped);
        transaction.facts.relaying = self.relaying.unwrap_or(transaction.facts.relaying);
        if let Some(header) = self.header {
            transaction.facts.header = Arc::new(header);
        }
        if let Some(recipients) = self.recipients {
            transaction.facts.recipients = recipients;
        }
        if self.candidate.is_some() {
            transaction.candidate = self.candidate;
        }
        if let Some(reverse_path) = self.reverse_path {
            transaction.facts.reverse_path = reverse_path;
        }
        if let Some(handling) = self.handling {
            transaction.facts.handling = handling;
        }
    }
}

impl ScopeChanges {
    fn commit(self, notes: &mut Arc<Notes>, results: &mut Arc<Results>, skipped: &mut Vec<String>) {
        if let Some(changed) = self.notes {
            *notes = Arc::new(changed);
        }
        if let Some(changed) = self.results {
            *results = Arc::new(changed);
        }
        skipped.extend(self.skipped);
    }
}

/// One outcome being carried out.
struct Draft<'a> {
    context: &'a Context,
    plugin: &'a str,
    grants: Grants,
    powers: Powers<'a>,
    hook: Hook,
    changes: Changes,
}

impl Draft<'_> {
    fn apply(&mut self, mutation: &Mutation) -> Result<(), Why> {
        match mutation {
            Mutation::SetNote { scope, pointer, value } => Ok(self.notes(*scope)?.set(pointer, value.clone())?),
            Mutation::RemoveNote { scope, pointer } => Ok(self.notes(*scope)?.remove(pointer).map(|_| ())?),
            Mutation::AddResult { scope, list, text } => {
                let plugin = self.plugin;
                Ok(self.results(*scope)?.add(plugin, *list, clean(text)?)?)
            }
            Mutation::IncrResult { scope, key, by } => {
                let plugin = self.plugin;
                Ok(self.results(*scope)?.incr(plugin, key, *by)?)
            }
            Mutation::PushResult { scope, key, value } => {
                let plugin = self.plugin;
                Ok(self.results(*scope)?.push(plugin, key, value.clone())?)
            }
            Mutation::SetResult { scope, key, value } => {
                let plugin = self.plugin;
                Ok(self.results(*scope)?.set(plugin, key, value.clone())?)
            }
            Mutation::SetRelaying(relaying) => self.set_relaying(*relaying),
            Mutation::SetRemoteHost(host) => self.set_remote_host(host.as_deref()),
            Mutation::AddHeader { name, value } => self.add_header(name, value, HeaderSection::append),
            Mutation::PrependHeader { name, value } => self.add_header(name, value, HeaderSection::prepend),
            Mutation::ReplaceHeader { position, name, value } => self.replace_header(*position, name, value),
            Mutation::RemoveHeader { position } => self.remove_header(*position),
            // Prepared before, and let take effect after the others.
            Mutation::AddBanner(_) | Mutation::ReplacePart { .. } | Mutation::RemovePart { .. } => Ok(()),
            Mutation::AddRecipient(recipient) => self.add_recipient(recipient),
            Mutation::RemoveRecipient { position } => self.remove_recipient(*position),
            Mutation::RewriteRecipient { position, address, parameters } => {
                self.rewrite_recipient(*position, address, parameters.as_deref())
            }
            Mutation::SetReversePath(address) => self.set_reverse_path(address),
            Mutation::SetRoute(route) => self.set_route(route.as_deref()),
            Mutation::Quarantine(reason) => self.quarantine(reason),
            Mutation::Delay(delay) => self.delay(*delay),
            Mutation::SkipPlugin(name) => self.skip(name),
            Mutation::AddCapability(line) => self.add_capability(line),
        }
    }

    fn transaction(&self) -> Result<&TransactionContext, Why> {
        self.context.transaction.as_ref().ok_or(Why::NoTransaction)
    }

    fn notes(&mut self, scope: Scope) -> Result<&mut Notes, Why> {
        Ok(match scope {
            Scope::Connection => self.changes.connection.notes.get_or_insert_with(|| Notes::clone(&self.context.notes)),
            Scope::Transaction => {
                let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
                self.changes.transaction.notes.get_or_insert_with(|| Notes::clone(&transaction.notes))
            }
        })
    }

    fn results(&mut self, scope: Scope) -> Result<&mut Results, Why> {
        Ok(match scope {
            Scope::Connection => {
                self.changes.connection.results.get_or_insert_with(|| Results::clone(&self.context.results))
            }
            Scope::Transaction => {
                let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
                self.changes.transaction.results.get_or_insert_with(|| Results::clone(&transaction.results))
            }
        })
    }

    fn set_relaying(&mut self, relaying: bool) -> Result<(), Why> {
        granted(self.grants, Grant::Relaying).map_err(Why::NotGranted)?;
        self.changes.relaying = Some(relaying);
        Ok(())
    }

    fn set_remote_host(&mut self, host: Option<&str>) -> Result<(), Why> {
        self.needs_whole_connection()?;
        let host = host.map(Domain::parse).transpose()?;
        self.changes.remote_host = Some(host.map(|host| host.to_string()));
        Ok(())
    }

    /// The next transaction of the connection may be another tenant's.
    fn needs_whole_connection(&self) -> Result<(), Why> {
        if self.powers.own.is_some() { Err(Why::OthersToo) } else { Ok(()) }
    }

    /// What has been answered cannot be changed any more.
    fn needs_time(&self) -> Result<(), Why> {
        if self.hook.follows_reply() { Err(Why::TooLate) } else { Ok(()) }
    }

    fn delay(&mut self, delay: Duration) -> Result<(), Why> {
        self.changes.delay += delay;
        if self.changes.delay > DELAY_MAX { Err(Why::Delay) } else { Ok(()) }
    }

    fn skip(&mut self, name: &str) -> Result<(), Why> {
        let (so_far, scope) = match &self.context.transaction {
            Some(transaction) => (transaction.skipped.len(), &mut self.changes.transaction),
            None => (self.context.skipped.len(), &mut self.changes.connection),
        };
        if so_far + scope.skipped.len() >= SKIPPED_MAX {
            return Err(Why::TooManySkips);
        }
        scope.skipped.push(clean(name)?);
        Ok(())
    }

    fn add_capability(&mut self, line: &str) -> Result<(), Why> {
        self.needs_whole_connection()?;
        if self.hook != Hook::Capabilities {
            return Err(Why::NoCapabilities);
        }
        capability::check(line).map_err(Why::Capability)?;
        if self.context.capabilities.len() + self.changes.capabilities.len() >= CAPABILITIES_MAX {
            return Err(Why::TooManyCapabilities);
        }
        self.changes.capabilities.push(line.to_owned());
        Ok(())
    }
}

/// Text that may be shown in a log: without control characters.
fn clean(text: &str) -> Result<String, Why> {
    if text.chars().any(char::is_control) { Err(Why::ControlCharacter) } else { Ok(text.to_owned()) }
}
