//! Mutations that a host must not carry out, each beside one that it would: none of them may leave a trace.

use wasmail_guest::{
    HeaderField, HeaderReplacement, Mutation, NoteChange, NoteRemoval, Recipient, RecipientRewrite, ResultEntry,
    ResultIncrement, ResultList, ResultValue, Scope,
};

/// The mutations of a lie; none when there is no such lie.
pub(crate) fn told(name: &str) -> Option<Vec<Mutation>> {
    let mut mutations = vec![note("/innocent", "true"), header("X-Innocent", "yes")];
    match name {
        "note bomb" => mutations.push(note("/bomb", &format!("\"{}\"", "a".repeat(1 << 20)))),
        "note of many" => mutations.extend((0..900).map(|number| note(&format!("/n{number}"), &quoted(2_000)))),
        "note of depth" => mutations.push(note("/deep", &("[".repeat(20_000) + &"]".repeat(20_000)))),
        "note of no JSON" => mutations.push(note("/json", "{\"a\":")),
        "note of two values" => mutations.push(note("/json", "1 2")),
        "pointer bomb" => mutations.push(note(&"/a".repeat(50_000), "1")),
        "pointer of depth" => mutations.push(note(&"/a".repeat(200), "1")),
        "pointer far away" => mutations.extend([note("/list", "[]"), note("/list/4000000000", "1")]),
        "pointer without slash" => mutations.push(note("innocent", "1")),
        "pointer escape" => mutations.push(note("/a~2b", "1")),
        "pointer to all" => mutations.push(note("", "{}")),
        "removal bomb" => mutations.extend((0..100_000).map(|_| removal("/innocent"))),
        "result flood" => mutations.extend((0..900).map(|_| result(&"a".repeat(3_000)))),
        "result key" => mutations.push(value(&"k".repeat(100_000), "1")),
        "result list as key" => mutations.push(value("pass", "[\"spf\"]")),
        "result depth" => mutations.push(value("deep", &("[".repeat(100) + &"]".repeat(100)))),
        "not a number" => mutations.push(increment(f64::NAN)),
        "no number ends" => mutations.push(increment(f64::INFINITY)),
        "header name" => mutations.push(header("X-A: b\r\nBcc", "c")),
        "header name with space" => mutations.push(header("X A", "b")),
        "header name of nothing" => mutations.push(header("", "b")),
        "header value" => mutations.push(header("X-A", "b\r\n\r\nbody")),
        "header value bare LF" => mutations.push(header("X-A", "b\nBcc: c")),
        "header value NUL" => mutations.push(header("X-A", "b\0c")),
        "header bomb" => mutations.push(header("X-A", &"a ".repeat(1 << 20))),
        "header flood" => mutations.extend((0..2_000).map(|_| header("X-A", "b"))),
        "header far away" => mutations.push(Mutation::RemoveHeader(u32::MAX)),
        "header replaced far away" => mutations.push(replacement(u32::MAX)),
        "remote host" => mutations.push(Mutation::SetRemoteHost(Some("a.example\r\nX: y".to_owned()))),
        "delay for ever" => mutations.push(Mutation::Delay(u32::MAX)),
        "recipient with CRLF" => mutations.push(recipient("<a@example.test>\r\nRCPT TO:<b@example.org>")),
        "recipient of nothing" => mutations.push(recipient("")),
        "recipient flood" => mutations.extend((0..990).map(|number| recipient(&format!("r{number}@example.test")))),
        "recipient far away" => mutations.push(Mutation::RemoveRecipient(u32::MAX)),
        "recipient rewritten" => mutations.push(rewrite(u32::MAX)),
        "reverse-path with CRLF" => mutations.push(Mutation::SetReversePath("a@example.org>\r\nRCPT TO:<b".to_owned())),
        "route with CRLF" => mutations.push(Mutation::SetRoute(Some("mx.example.org\r\nX".to_owned()))),
        "quarantine bomb" => mutations.push(Mutation::Quarantine("a".repeat(1 << 20))),
        "skip flood" => mutations.extend((0..900).map(|number| Mutation::SkipPlugin(format!("p{number}")))),
        "capability elsewhere" => mutations.push(Mutation::AddCapability("X-A".to_owned())),
        _ => return None,
    }
    Some(mutations)
}

fn quoted(octets: usize) -> String {
    format!("\"{}\"", "a".repeat(octets))
}

fn note(pointer: &str, value: &str) -> Mutation {
    let (pointer, value) = (pointer.to_owned(), value.to_owned());
    Mutation::SetNote(NoteChange { scope: Scope::Transaction, pointer, value })
}

fn removal(pointer: &str) -> Mutation {
    Mutation::RemoveNote(NoteRemoval { scope: Scope::Transaction, pointer: pointer.to_owned() })
}

fn result(text: &str) -> Mutation {
    Mutation::AddResult(ResultEntry { scope: Scope::Transaction, list: ResultList::Msg, text: text.to_owned() })
}

fn value(key: &str, value: &str) -> Mutation {
    Mutation::SetResult(ResultValue { scope: Scope::Transaction, key: key.to_owned(), value: value.to_owned() })
}

fn increment(by: f64) -> Mutation {
    Mutation::IncrResult(ResultIncrement { scope: Scope::Transaction, key: "score".to_owned(), by })
}

fn header(name: &str, value: &str) -> Mutation {
    Mutation::AddHeader(HeaderField { name: name.to_owned(), value: value.to_owned() })
}

fn replacement(position: u32) -> Mutation {
    Mutation::ReplaceHeader(HeaderReplacement { position, name: "X-A".to_owned(), value: "b".to_owned() })
}

fn recipient(address: &str) -> Mutation {
    Mutation::AddRecipient(Recipient { address: address.to_owned(), parameters: Vec::new() })
}

fn rewrite(position: u32) -> Mutation {
    Mutation::RewriteRecipient(RecipientRewrite { position, address: "a@example.test".to_owned(), parameters: None })
}
