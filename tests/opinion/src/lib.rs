//! A guest as a customer of a hosting company would bring it: it needs no grant, judges as it is told, and may fail at it.

use std::collections::HashMap;

use serde::Deserialize;
use wasmail_guest::{
    ConnectOutcome, Connection, Message, Outcome, Plugin, Recipient, ReplyingOutcome, Transaction, plugin, secret,
};

/// What to do at which hook, by the hook's name: `deny TEXT`, `quarantine REASON`, `trap`, `trap-at TEXT` for messages whose subject
/// has this text; at `rcpt` `key NAME`, which tells whether there is such a secret.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Opinion(HashMap<String, String>);

impl Opinion {
    /// What to do, and the text with it.
    fn at(&self, hook: &str) -> (&str, &str) {
        let words = self.0.get(hook).map_or("", String::as_str);
        let (doing, text) = words.split_once(' ').unwrap_or((words, ""));
        assert!(doing != "trap", "told to fail");
        (doing, text)
    }
}

#[plugin(name = "opinion")]
impl Plugin for Opinion {
    type Config = Self;

    fn connect(&self, _: &Connection) -> ConnectOutcome {
        match self.at("connect") {
            ("deny", text) => ConnectOutcome::deny(text),
            _ => ConnectOutcome::next(),
        }
    }

    fn mail(&self, _: &Connection, _: &Transaction) -> ReplyingOutcome {
        match self.at("mail") {
            ("deny", text) => ReplyingOutcome::deny(text),
            _ => ReplyingOutcome::next(),
        }
    }

    fn rcpt(&self, _: &Connection, _: &Transaction, _: &Recipient) -> ReplyingOutcome {
        match self.at("rcpt") {
            ("deny", text) => ReplyingOutcome::deny(text),
            ("key", name) => ReplyingOutcome::deny(match secret::hmac_sha256(name, b"Hi There") {
                Ok(_) => "has the key".to_owned(),
                Err(failure) => format!("{failure:?}"),
            }),
            _ => ReplyingOutcome::next(),
        }
    }

    fn data_post(&self, _: &Connection, _: &Transaction, m: &Message) -> Outcome {
        match self.at("data-post") {
            ("deny", text) => Outcome::deny(text),
            ("quarantine", reason) => Outcome::next().quarantine(reason),
            ("trap-at", text) => {
                let subject = m.value("subject").unwrap_or_default();
                assert!(!subject.contains(text), "told to fail at this subject");
                Outcome::next()
            }
            _ => Outcome::next(),
        }
    }
}
