//! What the hook-call benchmark calls: it looks at every note that it is shown, at `data-post` at ten header fields, and at
//! `queue` at the whole body.
//!
//! Written against the bindings, without the attribute, because its manifest asks for a number of notes.

use std::io::Read;

use wasmail_guest::{Connection, Manifest, Message, Outcome, ReplyingOutcome};

/// How many notes it asks for. The benchmark writes another number over this one in the compiled component.
pub static ASKED: &str = "notes asked: 200";

/// The number at the end of [`ASKED`], as it stands when this runs.
#[must_use]
pub fn asked() -> usize {
    std::hint::black_box(ASKED).rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// The pointer of a note.
#[must_use]
pub fn pointer(number: usize) -> String {
    format!("/note-{number}")
}

/// What it says of itself.
#[must_use]
pub fn manifest() -> Manifest {
    Manifest {
        name: "measured".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        description: "Looks at its notes.".into(),
        reads_notes: (0..asked()).map(pointer).collect(),
        reads_results: Vec::new(),
        needs: Vec::new(),
        config_schema: None,
        footprint: None,
    }
}

/// Denies when a note says so; the benchmark's never do.
#[must_use]
pub fn ehlo(c: &Connection) -> Outcome {
    if c.notes.iter().any(|note| note.value == "\"deny\"") { Outcome::deny("a note says so") } else { Outcome::next() }
}

/// Denies when one of ten fields is very long; the benchmark's never are.
#[must_use]
pub fn data_post(m: &Message) -> Outcome {
    let names =
        ["From", "To", "Subject", "Date", "Message-ID", "Reply-To", "Cc", "MIME-Version", "List-Id", "X-Mailer"];
    let octets: usize = names.iter().filter_map(|name| m.value(name)).map(|value| value.len()).sum();
    if octets > 100_000 { Outcome::deny("very long") } else { Outcome::next() }
}

/// Denies when the body has an escape; the benchmark's has none.
#[must_use]
pub fn queue(m: &Message) -> ReplyingOutcome {
    let (mut body, mut chunk) = (m.body(), vec![0; 65_536]);
    while let Ok(len @ 1..) = body.read(&mut chunk) {
        if chunk[..len].contains(&0x1b) {
            return ReplyingOutcome::deny("an escape");
        }
    }
    ReplyingOutcome::next()
}

#[cfg(target_family = "wasm")]
#[allow(unsafe_code, missing_docs, clippy::all, reason = "the entry points that wit-bindgen writes")]
mod component {
    use wasmail_guest::bindings;

    struct Exports;

    impl bindings::describe::exports::wasmail::policy::describe::Guest for Exports {
        fn describe() -> super::Manifest {
            super::manifest()
        }
    }
    bindings::describe::export!(Exports);

    impl bindings::ehlo::exports::wasmail::policy::hook_ehlo::Guest for Exports {
        fn ehlo(c: super::Connection) -> super::Outcome {
            super::ehlo(&c)
        }
    }
    bindings::ehlo::export!(Exports);

    impl bindings::data_post::exports::wasmail::policy::hook_data_post::Guest for Exports {
        fn data_post(_: super::Connection, _: wasmail_guest::Transaction) -> super::Outcome {
            super::data_post(&super::Message::of_call())
        }
    }
    bindings::data_post::export!(Exports);

    impl bindings::queue::exports::wasmail::policy::hook_queue::Guest for Exports {
        fn queue(_: super::Connection, _: wasmail_guest::Transaction) -> super::ReplyingOutcome {
            super::queue(&super::Message::of_call())
        }
    }
    bindings::queue::export!(Exports);
}
