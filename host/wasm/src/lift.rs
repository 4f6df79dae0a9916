//! From what a guest answered to what policy understands.
//!
//! wasmtime has checked the shape and bounded the size; here texts become JSON, addresses and status codes. What does
//! not parse is a bad answer, told in words for the plugin's author. Whether the answer may be applied is the chain's
//! to say.

use std::time::Duration;

use serde_json::Value;
use wasmail_mail::{EnhancedStatus, ForwardPath, Parameter, Recipient};
use wasmail_mime::edit::{Banner, Replacement};
use wasmail_policy::{Fault, MUTATIONS_MAX, Mutation, Outcome, Rejected, ReplyText, ResultList, Scope, Verdict};

use crate::bindings::wasmail::policy::types as wit;

/// Octets of one JSON text: no note or result can hold more (`policy` has the exact limits).
const JSON_MAX: usize = 64 * 1024;

/// A verdict: what all hooks that decide have in common, and what is the hook's own.
macro_rules! verdict {
    ($verdict:expr, $type:ident $(, $own:pat => $lifted:expr)*) => {{
        use wit::$type as Wit;
        match $verdict {
            Wit::Next => Verdict::Next,
            $($own => $lifted,)*
            Wit::Deny(text) => Verdict::Deny(reply(text)?),
            Wit::DenySoft(text) => Verdict::DenySoft(reply(text)?),
            Wit::DenyDisconnect(text) => Verdict::DenyDisconnect(reply(text)?),
            Wit::DenySoftDisconnect(text) => Verdict::DenySoftDisconnect(reply(text)?),
            Wit::Disconnect => Verdict::Disconnect,
        }
    }};
}

pub(crate) fn connect_outcome(outcome: wit::ConnectOutcome) -> Result<Outcome, Fault> {
    let line = |line| ReplyText { lines: vec![line], ..ReplyText::default() };
    let verdict =
        verdict!(outcome.verdict, ConnectVerdict, wit::ConnectVerdict::Accept(text) => Verdict::Accept(text.map(line)));
    with_mutations(verdict, outcome.mutations)
}

pub(crate) fn outcome(outcome: wit::Outcome) -> Result<Outcome, Fault> {
    let verdict = verdict!(outcome.verdict, Verdict, wit::Verdict::Accept => Verdict::Accept(None));
    with_mutations(verdict, outcome.mutations)
}

pub(crate) fn replying_outcome(outcome: wit::ReplyingOutcome) -> Result<Outcome, Fault> {
    let verdict = verdict!(
        outcome.verdict,
        ReplyingVerdict,
        wit::ReplyingVerdict::Accept(text) => Verdict::Accept(reply(text)?)
    );
    with_mutations(verdict, outcome.mutations)
}

pub(crate) fn objecting_outcome(outcome: wit::ObjectingOutcome) -> Result<Outcome, Fault> {
    let verdict = verdict!(outcome.verdict, ObjectingVerdict);
    with_mutations(verdict, outcome.mutations)
}

pub(crate) fn command_outcome(outcome: wit::CommandOutcome) -> Result<Outcome, Fault> {
    let verdict = verdict!(
        outcome.verdict,
        CommandVerdict,
        wit::CommandVerdict::Accept(text) => Verdict::Accept(reply(text)?),
        wit::CommandVerdict::ReadAs(line) => Verdict::ReadAs(line)
    );
    with_mutations(verdict, outcome.mutations)
}

pub(crate) fn deny_outcome(outcome: wit::DenyOutcome) -> Result<Outcome, Fault> {
    let verdict = match outcome.verdict {
        wit::DenyVerdict::Next => Verdict::Next,
        wit::DenyVerdict::Overturn(text) => Verdict::Accept(reply(text)?),
    };
    with_mutations(verdict, outcome.mutations)
}

pub(crate) fn changes(changes: wit::Changes) -> Result<Outcome, Fault> {
    with_mutations(Verdict::Next, changes.mutations)
}

fn reply(reply: Option<wit::ReplyResult>) -> Result<Option<ReplyText>, Fault> {
    let Some(wit::ReplyResult { code, enhanced, lines }) = reply else { return Ok(None) };
    let enhanced = enhanced.map(status).transpose()?;
    Ok(Some(ReplyText { code, enhanced, lines }))
}

fn status(status: wit::EnhancedStatus) -> Result<EnhancedStatus, Fault> {
    let wit::EnhancedStatus { class, subject, detail } = status;
    EnhancedStatus::new(class, subject, detail)
        .ok_or_else(|| Fault::BadAnswer(format!("verdict: {class}.{subject}.{detail} is no enhanced status code")))
}

fn with_mutations(verdict: Verdict, mutations: Vec<wit::Mutation>) -> Result<Outcome, Fault> {
    if mutations.len() > MUTATIONS_MAX {
        return Err(Rejected::TooMany.into());
    }
    let mutations = mutations
        .into_iter()
        .enumerate()
        .map(|(at, mutation)| self::mutation(mutation).map_err(|why| Fault::BadAnswer(format!("mutation {at} {why}"))));
    Ok(Outcome { verdict, mutations: mutations.collect::<Result<_, _>>()? })
}

fn mutation(mutation: wit::Mutation) -> Result<Mutation, String> {
    use wit::Mutation as Wit;
    Ok(match mutation {
        Wit::SetNote(note) => Mutation::SetNote {
            scope: scope(note.scope),
            value: json(&note.value).map_err(|why| format!("(set-note {:?}): {why}", note.pointer))?,
            pointer: note.pointer,
        },
        Wit::RemoveNote(note) => Mutation::RemoveNote { scope: scope(note.scope), pointer: note.pointer },
        Wit::AddResult(entry) => {
            Mutation::AddResult { scope: scope(entry.scope), list: list(entry.list), text: entry.text }
        }
        Wit::IncrResult(entry) => Mutation::IncrResult { scope: scope(entry.scope), key: entry.key, by: entry.by },
        Wit::PushResult(entry) => Mutation::PushResult {
            scope: scope(entry.scope),
            value: json(&entry.value).map_err(|why| format!("(push-result {:?}): {why}", entry.key))?,
            key: entry.key,
        },
        Wit::SetResult(entry) => Mutation::SetResult {
            scope: scope(entry.scope),
            value: json(&entry.value).map_err(|why| format!("(set-result {:?}): {why}", entry.key))?,
            key: entry.key,
        },
        Wit::SetRelaying(relaying) => Mutation::SetRelaying(relaying),
        Wit::SetRemoteHost(host) => Mutation::SetRemoteHost(host),
        Wit::AddHeader(field) => Mutation::AddHeader { name: field.name, value: field.value },
        Wit::PrependHeader(field) => Mutation::PrependHeader { name: field.name, value: field.value },
        Wit::ReplaceHeader(field) => {
            Mutation::ReplaceHeader { position: field.position as usize, name: field.name, value: field.value }
        }
        Wit::RemoveHeader(position) => Mutation::RemoveHeader { position: position as usize },
        Wit::AddBanner(banner) => Mutation::AddBanner(Banner { text: banner.text, html: banner.html }),
        Wit::ReplacePart(part) => Mutation::ReplacePart {
            part: part.part as usize,
            replacement: Replacement { media_type: part.media_type, name: part.name, content: part.content },
        },
        Wit::RemovePart(part) => Mutation::RemovePart { part: part as usize },
        Wit::AddRecipient(recipient) => {
            Mutation::AddRecipient(self::recipient(&recipient).map_err(|why| format!("(add-recipient): {why}"))?)
        }
        Wit::RemoveRecipient(position) => Mutation::RemoveRecipient { position: position as usize },
        Wit::RewriteRecipient(rewrite) => {
            let parameters = rewrite.parameters.as_deref().map(parameters).transpose();
            Mutation::RewriteRecipient {
                position: rewrite.position as usize,
                parameters: parameters.map_err(|why| format!("(rewrite-recipient): {why}"))?,
                address: rewrite.address,
            }
        }
        Wit::SetReversePath(address) => Mutation::SetReversePath(address),
        Wit::SetRoute(route) => Mutation::SetRoute(route),
        Wit::Quarantine(reason) => Mutation::Quarantine(reason),
        Wit::Delay(milliseconds) => Mutation::Delay(Duration::from_millis(milliseconds.into())),
        Wit::SkipPlugin(name) => Mutation::SkipPlugin(name),
        Wit::AddCapability(line) => Mutation::AddCapability(line),
    })
}

fn scope(scope: wit::Scope) -> Scope {
    match scope {
        wit::Scope::Connection => Scope::Connection,
        wit::Scope::Transaction => Scope::Transaction,
    }
}

fn list(list: wit::ResultList) -> ResultList {
    match list {
        wit::ResultList::Pass => ResultList::Pass,
        wit::ResultList::Fail => ResultList::Fail,
        wit::ResultList::Msg => ResultList::Msg,
        wit::ResultList::Skip => ResultList::Skip,
        wit::ResultList::Err => ResultList::Err,
    }
}

/// Parses a JSON text. serde_json goes 128 levels deep at most, and we are on the host's own stack here, not on the
/// small one of a guest's call.
fn json(text: &str) -> Result<Value, String> {
    if text.len() > JSON_MAX {
        return Err(format!("the JSON text has more than {JSON_MAX} octets"));
    }
    serde_json::from_str(text).map_err(|why| format!("the value is no JSON text: {why}"))
}

fn recipient(recipient: &wit::RecipientResult) -> Result<Recipient, String> {
    let path = ForwardPath::parse(&format!("<{}>", recipient.address)).map_err(|why| why.to_string())?;
    Ok(Recipient { path, parameters: parameters(&recipient.parameters)? })
}

fn parameters(parameters: &[wit::ParameterResult]) -> Result<Vec<Parameter>, String> {
    let parse = |parameter: &wit::ParameterResult| Parameter::new(&parameter.keyword, parameter.value.as_deref());
    parameters.iter().map(parse).collect::<Result<_, _>>().map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifted(mutation: wit::Mutation) -> Result<Outcome, Fault> {
        outcome(wit::Outcome { verdict: wit::Verdict::Next, mutations: vec![mutation] })
    }

    fn note(value: &str) -> wit::Mutation {
        wit::Mutation::SetNote(wit::NoteChange {
            scope: wit::Scope::Connection,
            pointer: "/a".into(),
            value: value.into(),
        })
    }

    fn bad_answer(mutation: wit::Mutation) -> String {
        match lifted(mutation) {
            Err(Fault::BadAnswer(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_json_is_told_to_the_author() {
        assert!(lifted(note("{\"a\": [1, null]}")).is_ok());
        assert_eq!(
            bad_answer(note("{a: 1}")),
            "mutation 0 (set-note \"/a\"): the value is no JSON text: key must be a string at line 1 column 2"
        );
        assert!(bad_answer(note(&"[".repeat(60_000))).contains("recursion limit"));
        assert!(bad_answer(note(&" ".repeat(70_000))).contains("65536 octets"));
    }

    #[test]
    fn what_is_no_address_is_told_to_the_author() {
        let add = |address: &str| {
            wit::Mutation::AddRecipient(wit::RecipientResult { address: address.into(), parameters: vec![] })
        };
        assert!(lifted(add("a@example.org")).is_ok());
        assert_eq!(bad_answer(add("a@b> <c@d")), "mutation 0 (add-recipient): malformed domain");
        assert_eq!(bad_answer(add("a@b\r\nX")), "mutation 0 (add-recipient): malformed domain");
    }

    #[test]
    fn an_enhanced_code_of_no_class_is_refused() {
        let enhanced = Some(wit::EnhancedStatus { class: 3, subject: 1, detail: 1 });
        let text = wit::ReplyResult { code: None, enhanced, lines: vec![] };
        let answer = outcome(wit::Outcome { verdict: wit::Verdict::Deny(Some(text)), mutations: vec![] });
        assert_eq!(answer, Err(Fault::BadAnswer("verdict: 3.1.1 is no enhanced status code".into())));
    }

    #[test]
    fn too_many_mutations_are_not_even_looked_at() {
        let mutations = vec![wit::Mutation::SetRelaying(true); MUTATIONS_MAX + 1];
        let answer = outcome(wit::Outcome { verdict: wit::Verdict::Next, mutations });
        assert_eq!(answer, Err(Fault::Rejected(Rejected::TooMany)));
    }
}
