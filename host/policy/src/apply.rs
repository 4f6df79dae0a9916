//! Applies an outcome's mutations, all or none.
//!
//! They are carried out on copies of just what they touch; only when the last one has succeeded do the copies take the
//! place of the real things.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wasmail_mail::{AddressError, Domain, Field, FieldError, ForwardPath, HeaderSection, Recipient};

use crate::capability::{self, CAPABILITIES_MAX};
use crate::{
    Context, DELAY_MAX, Grant, Grants, Hook, MUTATIONS_MAX, Mutation, NoteError, Notes, Outcome, ResultError, Results,
    Scope, Subject, TransactionContext, Verdict, VerdictError,
};

/// Recipients that a transaction can be given in all; a message to more people is several messages.
const RECIPIENTS_MAX: usize = 1_000;
/// Octets of a header section after edits: the session's own limit is lower, edits get a margin above it.
const HEADER_MAX: usize = 2 * 1024 * 1024;
/// Plugins that can be skipped: nobody binds more.
const SKIPPED_MAX: usize = 64;

/// Checks an outcome and applies it. On an error the context is as it was.
pub(crate) fn apply(
    context: &mut Context,
    plugin: &str,
    grants: Grants,
    hook: Hook,
    outcome: &Outcome,
) -> Result<(), Rejected> {
    check_verdict(&outcome.verdict, context, grants, hook)?;
    if outcome.mutations.is_empty() {
        return Ok(());
    }
    if outcome.mutations.len() > MUTATIONS_MAX {
        return Err(Rejected::TooMany);
    }
    let mut draft = Draft { context, plugin, grants, hook, changes: Changes::default() };
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
            Mutation::AddRecipient(recipient) => self.add_recipient(recipient),
            Mutation::RemoveRecipient { position } => self.remove_recipient(*position),
            Mutation::RewriteRecipient { position, address } => self.rewrite_recipient(*position, address),
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
        let host = host.map(Domain::parse).transpose()?;
        self.changes.remote_host = Some(host.map(|host| host.to_string()));
        Ok(())
    }

    fn header(&mut self) -> Result<&mut HeaderSection, Why> {
        self.needs_time()?;
        let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
        Ok(self.changes.header.get_or_insert_with(|| HeaderSection::clone(&transaction.facts.header)))
    }

    /// Makes a field; one with 8-bit octets needs a message that may carry them (RFC 6532 §3.2).
    fn field(&self, name: &str, value: &str) -> Result<Field, Why> {
        if !value.is_ascii() && !self.transaction()?.facts.smtputf8 {
            return Err(Why::EightBit);
        }
        Ok(Field::new(name, value)?)
    }

    fn add_header(&mut self, name: &str, value: &str, add: fn(&mut HeaderSection, Field)) -> Result<(), Why> {
        let field = self.field(name, value)?;
        let header = self.header()?;
        add(header, field);
        if header.len() > HEADER_MAX { Err(Why::HeaderTooLarge) } else { Ok(()) }
    }

    fn replace_header(&mut self, position: usize, name: &str, value: &str) -> Result<(), Why> {
        self.needs_message()?;
        let field = self.field(name, value)?;
        let header = self.header()?;
        if !header.replace(position, field) {
            return Err(Why::NoSuchPosition);
        }
        if header.len() > HEADER_MAX { Err(Why::HeaderTooLarge) } else { Ok(()) }
    }

    fn remove_header(&mut self, position: usize) -> Result<(), Why> {
        self.needs_message()?;
        if self.header()?.remove(position) { Ok(()) } else { Err(Why::NoSuchPosition) }
    }

    fn needs_message(&self) -> Result<(), Why> {
        if self.hook.has_message() { Ok(()) } else { Err(Why::NoMessage) }
    }

    /// What has been answered cannot be changed any more.
    fn needs_time(&self) -> Result<(), Why> {
        if self.hook.follows_reply() { Err(Why::TooLate) } else { Ok(()) }
    }

    fn recipients(&mut self) -> Result<&mut Vec<Recipient>, Why> {
        self.needs_time()?;
        granted(self.grants, Grant::EditRecipients).map_err(Why::NotGranted)?;
        let transaction = self.context.transaction.as_ref().ok_or(Why::NoTransaction)?;
        Ok(self.changes.recipients.get_or_insert_with(|| transaction.facts.recipients.clone()))
    }

    fn add_recipient(&mut self, recipient: &Recipient) -> Result<(), Why> {
        let path = self.check_path(recipient.path.clone())?;
        let recipients = self.recipients()?;
        if recipients.len() >= RECIPIENTS_MAX {
            return Err(Why::TooManyRecipients);
        }
        recipients.push(Recipient { path, parameters: recipient.parameters.clone() });
        Ok(())
    }

    fn remove_recipient(&mut self, position: usize) -> Result<(), Why> {
        let recipients = self.recipients()?;
        if position >= recipients.len() {
            return Err(Why::NoSuchPosition);
        }
        recipients.remove(position);
        Ok(())
    }

    fn rewrite_recipient(&mut self, position: usize, address: &str) -> Result<(), Why> {
        let path = self.check_path(ForwardPath::parse(&format!("<{address}>"))?)?;
        let recipients = self.recipients()?;
        let after_last = recipients.len();
        if let Some(recipient) = recipients.get_mut(position) {
            recipient.path = path;
            return Ok(());
        }
        let candidate = self.changes.candidate.clone().or_else(|| self.transaction().ok()?.candidate.clone());
        match candidate.filter(|_| position == after_last) {
            Some(candidate) => {
                self.changes.candidate = Some(Recipient { path, ..candidate });
                Ok(())
            }
            None => Err(Why::NoSuchPosition),
        }
    }

    /// A recipient that is not ASCII needs a transaction with SMTPUTF8 (RFC 6531 §3.5).
    fn check_path(&self, path: ForwardPath) -> Result<ForwardPath, Why> {
        let ascii = path.mailbox().is_none_or(wasmail_mail::Mailbox::is_ascii);
        if ascii || self.transaction()?.facts.smtputf8 { Ok(path) } else { Err(Why::EightBit) }
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

/// Why an outcome was not applied. The text is written for the plugin's author.
#[derive(Debug, Clone, PartialEq)]
pub enum Rejected {
    /// The verdict's reply is no reply.
    Verdict(VerdictError),
    /// The verdict needs a grant that the binding has not.
    NotGranted(Grant),
    /// More than 256 mutations.
    TooMany,
    /// A mutation cannot be applied.
    Mutation {
        /// Its place in the list, from 0.
        at: usize,
        /// Its name in WIT.
        name: &'static str,
        /// What is wrong with it.
        why: Why,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(why) => write!(f, "verdict: {why}"),
            Self::NotGranted(grant) => write!(f, "verdict: this needs the grant `{grant}`"),
            Self::TooMany => write!(f, "more than {MUTATIONS_MAX} mutations"),
            Self::Mutation { at, name, why } => write!(f, "mutation {at} ({name}): {why}"),
        }
    }
}

impl std::error::Error for Rejected {}

/// What is wrong with a mutation.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each one's text says it")]
pub enum Why {
    NotGranted(Grant),
    NoTransaction,
    NoMessage,
    NoSuchPosition,
    EightBit,
    HeaderTooLarge,
    TooManyRecipients,
    TooManySkips,
    ControlCharacter,
    Delay,
    TooLate,
    NoCapabilities,
    TooManyCapabilities,
    Capability(&'static str),
    Note(NoteError),
    Result(ResultError),
    Header(FieldError),
    Address(AddressError),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted(grant) => write!(f, "needs the grant `{grant}`"),
            Self::NoTransaction => f.write_str("there is no transaction at this hook"),
            Self::NoMessage => {
                f.write_str("the message's own header can be edited at data-post, queue and queue-outbound only")
            }
            Self::NoSuchPosition => f.write_str("there is nothing at this position"),
            Self::EightBit => f.write_str("text outside US-ASCII needs a transaction with SMTPUTF8"),
            Self::HeaderTooLarge => f.write_str("the header section would exceed 2 MiB"),
            Self::TooManyRecipients => write!(f, "more than {RECIPIENTS_MAX} recipients"),
            Self::TooManySkips => write!(f, "more than {SKIPPED_MAX} skipped plugins"),
            Self::ControlCharacter => f.write_str("the text holds a control character"),
            Self::Delay => f.write_str("more than 30 seconds of delay in one answer"),
            Self::TooLate => f.write_str("the message can be changed no more"),
            Self::NoCapabilities => f.write_str("capabilities can be added at the hook capabilities only"),
            Self::TooManyCapabilities => write!(f, "more than {CAPABILITIES_MAX} capabilities"),
            Self::Capability(why) => f.write_str(why),
            Self::Note(error) => error.fmt(f),
            Self::Result(error) => error.fmt(f),
            Self::Header(error) => error.fmt(f),
            Self::Address(error) => error.fmt(f),
        }
    }
}

impl From<NoteError> for Why {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

impl From<ResultError> for Why {
    fn from(error: ResultError) -> Self {
        Self::Result(error)
    }
}

impl From<FieldError> for Why {
    fn from(error: FieldError) -> Self {
        Self::Header(error)
    }
}

impl From<AddressError> for Why {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReplyText, ResultList};
    use serde_json::json;
    use wasmail_mail::{ReversePath, Transaction};

    fn context() -> Context {
        let mut facts = Transaction::new("u.1".into(), ReversePath::Null, false);
        facts.recipients = vec![recipient("<a@example.test>"), recipient("<b@example.test>")];
        let mut context = Context::new(crate::fixture::connection());
        context.transaction = Some(TransactionContext::new(facts));
        context
    }

    fn recipient(path: &str) -> Recipient {
        Recipient { path: ForwardPath::parse(path).unwrap(), parameters: Vec::new() }
    }

    fn all_grants() -> Grants {
        Grant::ALL.into_iter().collect()
    }

    fn mutate(context: &mut Context, hook: Hook, mutations: Vec<Mutation>) -> Result<(), Rejected> {
        apply(context, "p", all_grants(), hook, &Outcome { verdict: Verdict::Next, mutations })
    }

    fn note(pointer: &str) -> Mutation {
        Mutation::SetNote { scope: Scope::Transaction, pointer: pointer.into(), value: json!(1) }
    }

    #[test]
    fn one_bad_mutation_undoes_all_the_others() {
        let mut context = context();
        let before = format!("{context:?}");
        let mutations = vec![
            note("/a"),
            Mutation::SetRelaying(true),
            Mutation::SetRemoteHost(Some("a.example".into())),
            Mutation::AddResult { scope: Scope::Connection, list: ResultList::Fail, text: "x".into() },
            Mutation::AddHeader { name: "X".into(), value: "1".into() },
            Mutation::AddRecipient(recipient("<c@example.test>")),
            Mutation::Delay(Duration::from_secs(1)),
            Mutation::SkipPlugin("q".into()),
            Mutation::AddHeader { name: "X".into(), value: "1\r\nBcc: a".into() },
        ];
        let rejected = mutate(&mut context, Hook::Mail, mutations).unwrap_err();
        assert_eq!(rejected.to_string(), "mutation 8 (add-header): header field value holds a control character");
        assert_eq!(format!("{context:?}"), before);
    }

    #[test]
    fn mutations_are_applied_in_order() {
        let mut context = context();
        let rewrite = |position, address: &str| Mutation::RewriteRecipient { position, address: address.into() };
        let add = |name: &str| Mutation::AddHeader { name: name.into(), value: "1".into() };
        let mutations = vec![
            Mutation::RemoveRecipient { position: 0 },
            rewrite(0, "z@example.test"),
            add("A"),
            add("B"),
            Mutation::RemoveHeader { position: 0 },
        ];
        mutate(&mut context, Hook::DataPost, mutations).unwrap();
        let facts = &context.transaction.unwrap().facts;
        assert_eq!(facts.recipients, [recipient("<z@example.test>")]);
        assert_eq!(facts.header.to_octets(), b"B: 1\r\n\r\n");
    }

    #[test]
    fn the_candidate_stands_behind_the_last_recipient() {
        let mut context = context();
        context.transaction.as_mut().unwrap().candidate = Some(recipient("<old@example.test>"));
        let rewrite = |position| Mutation::RewriteRecipient { position, address: "new@example.test".into() };
        mutate(&mut context, Hook::Rcpt, vec![rewrite(2)]).unwrap();
        assert_eq!(context.transaction.as_ref().unwrap().candidate, Some(recipient("<new@example.test>")));
        assert!(mutate(&mut context, Hook::Rcpt, vec![rewrite(3)]).is_err());
    }

    #[test]
    fn privileges_are_needed() {
        let none = Grants::default();
        let accept = Outcome { verdict: Verdict::Accept(None), mutations: Vec::new() };
        let mut context = context();
        assert_eq!(
            apply(&mut context, "p", none, Hook::Rcpt, &accept),
            Err(Rejected::NotGranted(Grant::AcceptRecipients))
        );
        assert_eq!(
            apply(&mut context, "p", none, Hook::Queue, &accept),
            Err(Rejected::NotGranted(Grant::TakeMessages))
        );
        assert_eq!(apply(&mut context, "p", none, Hook::Mail, &accept), Ok(()));
        for mutation in [
            Mutation::SetRelaying(true),
            Mutation::AddRecipient(recipient("<c@example.test>")),
            Mutation::RemoveRecipient { position: 0 },
            Mutation::RewriteRecipient { position: 0, address: "c@example.test".into() },
        ] {
            let outcome = Outcome { verdict: Verdict::Next, mutations: vec![mutation] };
            assert!(apply(&mut context, "p", none, Hook::Rcpt, &outcome).is_err());
        }
    }

    #[test]
    fn relaying_belongs_to_the_transaction_when_there_is_one() {
        let mut context = context();
        mutate(&mut context, Hook::Mail, vec![Mutation::SetRelaying(true)]).unwrap();
        assert!(context.relaying() && !context.connection.relaying);
        context.transaction = None;
        assert!(!context.relaying());
        mutate(&mut context, Hook::Connect, vec![Mutation::SetRelaying(true)]).unwrap();
        assert!(context.connection.relaying);
    }

    #[test]
    fn what_is_not_there_cannot_be_changed() {
        let mut context = context();
        let header = Mutation::RemoveHeader { position: 0 };
        assert!(mutate(&mut context, Hook::Mail, vec![header.clone()]).is_err());
        assert!(mutate(&mut context, Hook::DataPost, vec![header]).is_err());
        context.transaction = None;
        assert!(mutate(&mut context, Hook::Ehlo, vec![note("/a")]).is_err());
    }

    #[test]
    fn everything_has_an_end() {
        let mut context = context();
        assert_eq!(mutate(&mut context, Hook::Mail, vec![note("/a"); 257]), Err(Rejected::TooMany));
        let delays = vec![Mutation::Delay(Duration::from_secs(20)); 2];
        assert!(mutate(&mut context, Hook::Mail, delays).is_err());
        let umlaut = Mutation::AddHeader { name: "X".into(), value: "\u{e4}".into() };
        assert!(mutate(&mut context, Hook::Mail, vec![umlaut]).is_err());
    }

    #[test]
    fn a_reply_that_breaks_the_wire_is_rejected() {
        let text = ReplyText { code: None, enhanced: None, lines: vec!["a\r\nb".into()] };
        let outcome = Outcome { verdict: Verdict::Deny(Some(text)), mutations: vec![note("/a")] };
        let mut context = context();
        assert!(matches!(apply(&mut context, "p", all_grants(), Hook::Mail, &outcome), Err(Rejected::Verdict(_))));
        assert!(context.transaction.unwrap().notes.is_empty());
    }
}
