//! From a question to the records of `wit/types.wit`, by borrowing.
//!
//! Three layers, each borrowing from the one before: [`Facts`] makes the texts that do not exist yet (addresses, JSON),
//! [`Lists`] gathers what WIT wants side by side, [`Records`] holds the lists of records. An empty list costs nothing.

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;
use std::ops::Range;
use std::time::SystemTime;

use serde_json::Value;
use wasmail_mail as mail;
use wasmail_policy::{
    Credentials, Fate, Notes, PluginResults, Question, Results, Secret, Subject, TransactionContext, Verdict,
};

use crate::bindings::wasmail::policy::types as wit;
use crate::manifest::{Manifest, Pointer};

/// Room for the texts of a usual call: three addresses, a path or two.
const TEXT: usize = 256;

/// Texts made for one call, in one allocation.
struct Texts(Vec<u8>);

type Span = Range<usize>;

impl Texts {
    fn push(&mut self, value: impl Display) -> Span {
        let from = self.0.len();
        // Writing to a vector does not fail.
        let _ = write!(self.0, "{value}");
        from..self.0.len()
    }

    /// An address as text. Every call shows two, and the formatter's padding makes it the dearest text of all.
    fn ip(&mut self, ip: IpAddr) -> Span {
        let IpAddr::V4(v4) = ip else { return self.push(ip) };
        let from = self.0.len();
        for (at, octet) in v4.octets().into_iter().enumerate() {
            if at > 0 {
                self.0.push(b'.');
            }
            if octet >= 100 {
                self.0.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.0.push(b'0' + octet / 10 % 10);
            }
            self.0.push(b'0' + octet % 10);
        }
        from..self.0.len()
    }

    fn json(&mut self, value: &Value) -> Span {
        let from = self.0.len();
        // Nor does this: keys are strings and numbers are finite.
        let _ = serde_json::to_writer(&mut self.0, value);
        from..self.0.len()
    }

    fn path(&mut self, path: &mail::ForwardPath) -> Span {
        match path {
            mail::ForwardPath::Postmaster => self.push("postmaster"),
            mail::ForwardPath::Mailbox(mailbox) => self.push(mailbox),
        }
    }
}

/// What a plugin has asked to see.
pub(crate) struct Sight<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) pointers: &'a [Pointer],
}

/// The facts of a question and the texts made of them.
pub(crate) struct Facts<'a> {
    question: &'a Question<'a>,
    texts: String,
    remote_ip: Span,
    local_ip: Span,
    proxy_ip: Option<Span>,
    connection: Scope<'a>,
    transaction: Scope<'a>,
    reverse_path: Span,
    recipients: Vec<Span>,
    candidate: Span,
}

/// What a plugin may see of a scope's notes and results.
#[derive(Default)]
struct Scope<'a> {
    notes: Vec<(&'a str, Span)>,
    results: Vec<(&'a str, &'a PluginResults)>,
    extras: Vec<(&'a str, Span)>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(question: &'a Question<'a>, sight: Sight<'a>) -> Self {
        let context = question.context;
        let mut texts = Texts(Vec::with_capacity(TEXT));
        let connection = &context.connection;
        let mut facts = Self {
            question,
            remote_ip: texts.ip(connection.remote.ip),
            local_ip: texts.ip(connection.local.ip),
            proxy_ip: connection.proxy.ip.map(|ip| texts.ip(ip)),
            connection: Scope::new(&context.notes, &context.results, &sight, &mut texts),
            transaction: Scope::default(),
            reverse_path: 0..0,
            recipients: Vec::new(),
            candidate: 0..0,
            texts: String::new(),
        };
        if let Some(transaction) = &context.transaction {
            facts.add_transaction(transaction, &sight, &mut texts);
        }
        // All that was written is UTF-8.
        facts.texts = String::from_utf8(texts.0).unwrap_or_default();
        facts
    }

    fn add_transaction(&mut self, transaction: &'a TransactionContext, sight: &Sight<'a>, texts: &mut Texts) {
        self.transaction = Scope::new(&transaction.notes, &transaction.results, sight, texts);
        if let Some(mailbox) = transaction.facts.reverse_path.mailbox() {
            self.reverse_path = texts.push(mailbox);
        }
        self.recipients = transaction.facts.recipients.iter().map(|recipient| texts.path(&recipient.path)).collect();
        if let Some(candidate) = &transaction.candidate {
            self.candidate = texts.path(&candidate.path);
        }
    }

    fn text(&self, span: &Span) -> &str {
        &self.texts[span.clone()]
    }

    fn transaction(&self) -> Option<&'a TransactionContext> {
        self.question.context.transaction.as_ref()
    }
}

impl<'a> Scope<'a> {
    fn new(notes: &Notes, results: &'a Results, sight: &Sight<'a>, texts: &mut Texts) -> Self {
        let results = visible_results(results, sight.manifest);
        let extras = results.iter().flat_map(|(_, of_plugin)| &of_plugin.extra);
        let extras = extras.map(|(key, value)| (key.as_str(), texts.json(value))).collect();
        Self { notes: visible_notes(notes, sight.pointers, texts), extras, results }
    }
}

/// The notes that a plugin is shown, as JSON texts.
pub(crate) fn notes<'a>(notes: &Notes, sight: &Sight<'a>) -> Vec<(&'a str, String)> {
    let mut texts = Texts(Vec::new());
    let found = visible_notes(notes, sight.pointers, &mut texts);
    let text = |span: Span| String::from_utf8_lossy(&texts.0[span]).into_owned();
    found.into_iter().map(|(pointer, span)| (pointer, text(span))).collect()
}

fn visible_notes<'a>(notes: &Notes, pointers: &'a [Pointer], texts: &mut Texts) -> Vec<(&'a str, Span)> {
    let Some(root) = notes.get("").filter(|_| !pointers.is_empty() && !notes.is_empty()) else { return Vec::new() };
    let found = |pointer: &'a Pointer| Some((pointer.text.as_str(), texts.json(pointer.find(root)?)));
    pointers.iter().filter_map(found).collect()
}

fn visible_results<'a>(results: &'a Results, manifest: &'a Manifest) -> Vec<(&'a str, &'a PluginResults)> {
    if manifest.reads_all_results() {
        return results.iter().collect();
    }
    let found = |name: &'a String| Some((name.as_str(), results.get(name)?));
    manifest.reads_results.iter().filter_map(found).collect()
}

/// What WIT wants side by side in memory.
pub(crate) struct Lists<'a> {
    connection: ScopeLists<'a>,
    transaction: ScopeLists<'a>,
    /// Of MAIL, then of each recipient in turn, then of the candidate.
    parameters: Vec<wit::ParameterParam<'a>>,
}

/// The texts of all plugins' five lists, and the further keys.
struct ScopeLists<'a> {
    texts: Vec<&'a str>,
    extras: Vec<(&'a str, &'a str)>,
}

impl<'a> Lists<'a> {
    pub(crate) fn new(facts: &'a Facts<'a>) -> Self {
        let parameters = facts.transaction().map(|transaction| {
            let of_recipients = transaction.facts.recipients.iter().chain(&transaction.candidate);
            let of_recipients = of_recipients.flat_map(|recipient| &recipient.parameters);
            transaction.facts.parameters.iter().chain(of_recipients).map(parameter).collect()
        });
        Self {
            connection: ScopeLists::new(facts, &facts.connection),
            transaction: ScopeLists::new(facts, &facts.transaction),
            parameters: parameters.unwrap_or_default(),
        }
    }
}

impl<'a> ScopeLists<'a> {
    fn new(facts: &'a Facts<'a>, scope: &'a Scope<'a>) -> Self {
        let texts = scope.results.iter().flat_map(|(_, results)| five(results)).flatten().map(String::as_str).collect();
        let extras = scope.extras.iter().map(|(key, value)| (*key, facts.text(value))).collect();
        Self { texts, extras }
    }
}

fn five(results: &PluginResults) -> [&[String]; 5] {
    [&results.pass, &results.fail, &results.msg, &results.skip, &results.err]
}

pub(crate) fn parameter(parameter: &mail::Parameter) -> wit::ParameterParam<'_> {
    wit::ParameterParam { keyword: parameter.keyword(), value: parameter.value() }
}

/// The records of one call.
pub(crate) struct Records<'a> {
    facts: &'a Facts<'a>,
    connection: ScopeRecords<'a>,
    transaction: ScopeRecords<'a>,
    parameters: &'a [wit::ParameterParam<'a>],
    recipients: Vec<wit::RecipientParam<'a>>,
    candidate: Option<wit::RecipientParam<'a>>,
    denial_lines: Vec<&'a str>,
}

struct ScopeRecords<'a> {
    notes: Vec<wit::Note<'a>>,
    results: Vec<wit::PluginResults<'a>>,
}

impl<'a> Records<'a> {
    pub(crate) fn new(facts: &'a Facts<'a>, lists: &'a Lists<'a>) -> Self {
        let mut records = Self {
            facts,
            connection: ScopeRecords::new(facts, &facts.connection, &lists.connection),
            transaction: ScopeRecords::new(facts, &facts.transaction, &lists.transaction),
            parameters: &[],
            recipients: Vec::new(),
            candidate: None,
            denial_lines: denial_lines(&facts.question.context.subject),
        };
        if let Some(transaction) = facts.transaction() {
            records.add_recipients(transaction, &lists.parameters);
        }
        records
    }

    /// The parameters lie in the order in which they are handed out here.
    fn add_recipients(&mut self, transaction: &'a TransactionContext, parameters: &'a [wit::ParameterParam<'a>]) {
        let facts = self.facts;
        let mut rest = parameters;
        self.parameters = take(&mut rest, transaction.facts.parameters.len());
        let mut recipient = |recipient: &'a mail::Recipient, address: &Span| wit::RecipientParam {
            address: facts.text(address),
            parameters: take(&mut rest, recipient.parameters.len()),
        };
        let accepted = transaction.facts.recipients.iter().zip(&facts.recipients);
        self.recipients = accepted.map(|(accepted, address)| recipient(accepted, address)).collect();
        self.candidate = transaction.candidate.as_ref().map(|candidate| recipient(candidate, &facts.candidate));
    }

    /// The connection as a snapshot.
    pub(crate) fn connection(&'a self) -> wit::Connection<'a> {
        let context = self.facts.question.context;
        let connection = &context.connection;
        wit::Connection {
            uuid: &connection.uuid,
            remote: remote(&connection.remote, self.facts.text(&self.facts.remote_ip)),
            local: local(&connection.local, self.facts.text(&self.facts.local_ip)),
            proxy: wit::Proxy {
                allowed: connection.proxy.allowed,
                ip: self.facts.proxy_ip.as_ref().map(|ip| self.facts.text(ip)),
                kind: connection.proxy.kind.map(proxy_kind),
            },
            hello: connection.hello.as_ref().map(hello),
            tls: connection.tls.as_ref().map(tls),
            auth: connection.auth.as_ref().map(auth),
            relaying: context.relaying(),
            counters: counters(&connection.counters, connection.started),
            current_line: &connection.current_line,
            last_response: &connection.last_response,
            notes: &self.connection.notes,
            results: &self.connection.results,
        }
    }

    /// The transaction as a snapshot; none where the session has none.
    pub(crate) fn transaction(&'a self) -> Option<wit::Transaction<'a>> {
        let facts = &self.facts.transaction()?.facts;
        Some(wit::Transaction {
            uuid: &facts.uuid,
            reverse_path: self.facts.text(&self.facts.reverse_path),
            parameters: self.parameters,
            body: body_type(facts.body),
            smtputf8: facts.smtputf8,
            declared_size: facts.declared_size,
            recipients: &self.recipients,
            route: facts.handling.route.as_deref(),
            quarantine: facts.handling.quarantine.as_deref(),
            recipient_counts: dispositions(facts.recipient_counts),
            size: facts.size,
            notes: &self.transaction.notes,
            results: &self.transaction.results,
        })
    }

    /// What VRFY asks about.
    pub(crate) fn argument(&self) -> &'a str {
        match &self.facts.question.context.subject {
            Subject::Argument(argument) => argument,
            _ => "",
        }
    }

    /// The message's name in the queue.
    pub(crate) fn attempt(&self) -> Option<wit::AuthAttempt<'a>> {
        let (mechanism, shown) = self.facts.question.credentials()?;
        let credentials = shown.map(|Credentials { user, secret, .. }| match secret {
            Secret::Password(password) => wit::Credentials::Password(wit::UserPassword { user, password }),
            Secret::Token(token) => wit::Credentials::Token(wit::UserToken { user, token }),
        });
        Some(wit::AuthAttempt { mechanism, credentials })
    }

    pub(crate) fn queue_id(&self) -> &'a str {
        match &self.facts.question.context.subject {
            Subject::QueueId(id) => id,
            _ => "",
        }
    }

    /// How the transaction ends.
    pub(crate) fn fate(&self) -> wit::Fate {
        match &self.facts.question.context.subject {
            Subject::Fate(Fate::Queued(_)) => wit::Fate::Queued,
            Subject::Fate(Fate::Taken) => wit::Fate::Taken,
            Subject::Fate(Fate::Deferred) => wit::Fate::Deferred,
            Subject::Fate(Fate::Rejected) => wit::Fate::Rejected,
            _ => wit::Fate::Abandoned,
        }
    }

    /// What a plugin refused.
    pub(crate) fn denial(&'a self) -> Option<wit::Denial<'a>> {
        let Subject::Denial(denial) = &self.facts.question.context.subject else { return None };
        let kind = match &denial.verdict {
            Verdict::DenySoft(_) => wit::RefusalKind::DenySoft,
            Verdict::DenyDisconnect(_) => wit::RefusalKind::DenyDisconnect,
            Verdict::DenySoftDisconnect(_) => wit::RefusalKind::DenySoftDisconnect,
            _ => wit::RefusalKind::Deny,
        };
        let reply = denial.verdict.text().map(|text| wit::ReplyParam {
            code: text.code,
            enhanced: text.enhanced.map(enhanced),
            lines: &self.denial_lines,
        });
        Some(wit::Denial { hook: denial.hook.name(), plugin: &denial.by, kind, reply })
    }

    /// The recipient that RCPT asks about.
    pub(crate) fn candidate(&self) -> Option<wit::RecipientParam<'a>> {
        self.candidate.clone()
    }
}

impl<'a> ScopeRecords<'a> {
    fn new(facts: &'a Facts<'a>, scope: &'a Scope<'a>, lists: &'a ScopeLists<'a>) -> Self {
        let note = |(pointer, value): &'a (&'a str, Span)| wit::Note { pointer, value: facts.text(value) };
        let (mut texts, mut extras) = (&lists.texts[..], &lists.extras[..]);
        let results = |(plugin, results): &'a (&'a str, &'a PluginResults)| {
            let [pass, fail, msg, skip, err] = five(results).map(|list| take(&mut texts, list.len()));
            wit::PluginResults { plugin, pass, fail, msg, skip, err, extra: take(&mut extras, results.extra.len()) }
        };
        Self { notes: scope.notes.iter().map(note).collect(), results: scope.results.iter().map(results).collect() }
    }
}

fn denial_lines(subject: &Subject) -> Vec<&str> {
    let text = if let Subject::Denial(denial) = subject { denial.verdict.text() } else { None };
    text.map(|text| text.lines.iter().map(String::as_str).collect()).unwrap_or_default()
}

pub(crate) fn enhanced(status: mail::EnhancedStatus) -> wit::EnhancedStatus {
    wit::EnhancedStatus { class: status.class(), subject: status.subject(), detail: status.detail() }
}

/// Cuts the first `count` items off a slice that has them.
fn take<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (first, others) = rest.split_at(count);
    *rest = others;
    first
}

fn remote<'a>(remote: &'a mail::Remote, ip: &'a str) -> wit::Remote<'a> {
    wit::Remote {
        ip,
        port: remote.port,
        host: remote.host.as_deref(),
        info: remote.info.as_deref(),
        is_private: remote.is_private,
        is_local: remote.is_local,
        closed: remote.closed,
    }
}

fn local<'a>(local: &'a mail::Local, ip: &'a str) -> wit::Local<'a> {
    wit::Local { ip, port: local.port, host: &local.host, info: &local.info }
}

fn hello(hello: &mail::Hello) -> wit::Hello<'_> {
    let verb = match hello.verb {
        mail::HelloVerb::Helo => wit::HelloVerb::Helo,
        mail::HelloVerb::Ehlo => wit::HelloVerb::Ehlo,
        mail::HelloVerb::Lhlo => wit::HelloVerb::Lhlo,
    };
    wit::Hello { verb, host: &hello.host }
}

fn proxy_kind(kind: mail::ProxyKind) -> wit::ProxyKind {
    match kind {
        mail::ProxyKind::Haproxy => wit::ProxyKind::Haproxy,
        mail::ProxyKind::Xclient => wit::ProxyKind::Xclient,
        mail::ProxyKind::Xforward => wit::ProxyKind::Xforward,
    }
}

fn tls(tls: &mail::Tls) -> wit::Tls<'_> {
    wit::Tls {
        version: &tls.version,
        cipher: &tls.cipher,
        sni: tls.sni.as_deref(),
        peer_certificate: tls.peer_certificate.as_deref(),
    }
}

fn auth(auth: &mail::Auth) -> wit::Auth<'_> {
    wit::Auth { identity: &auth.identity, mechanism: &auth.mechanism }
}

fn counters(counters: &mail::Counters, started: SystemTime) -> wit::Counters {
    wit::Counters {
        early_talker: counters.early_talker,
        pipelining: counters.pipelining,
        esmtp: counters.esmtp,
        transactions: counters.transactions,
        recipients: dispositions(counters.recipients),
        messages: dispositions(counters.messages),
        errors: counters.errors,
        octets: counters.octets,
        started: started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    }
}

fn dispositions(counts: mail::Dispositions) -> wit::Dispositions {
    wit::Dispositions { accepted: counts.accepted, deferred: counts.deferred, rejected: counts.rejected }
}

fn body_type(body: mail::BodyType) -> wit::BodyType {
    match body {
        mail::BodyType::SevenBit => wit::BodyType::SevenBit,
        mail::BodyType::EightBitMime => wit::BodyType::EightBitMime,
        mail::BodyType::BinaryMime => wit::BodyType::BinaryMime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_the_standard_library_writes_it() {
        let v4 = [0, 9, 10, 99, 100, 109, 110, 199, 200, 255].map(|octet| IpAddr::from([octet, 203, octet, octet]));
        let v6 = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]);
        for ip in v4.into_iter().chain([v6]) {
            let mut texts = Texts(b"before".to_vec());
            let span = texts.ip(ip);
            assert_eq!(texts.0[span], *ip.to_string().as_bytes());
        }
    }
}
