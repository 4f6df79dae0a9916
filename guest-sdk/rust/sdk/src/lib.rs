//! Write a wasmail policy plugin in Rust.
//!
//! A plugin is a type that implements [`Plugin`]: one method a hook, each with a default. The attribute [`macro@plugin`] looks
//! which methods are there and makes the component export these hooks and no others, so a hook that you leave out costs
//! the server nothing.
//!
//! ```
//! use wasmail_guest::prelude::*;
//!
//! /// Configuration keys; one that is not here is reported by name when the server starts.
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct NotFrom {
//!     senders: Vec<String>,
//! }
//!
//! #[plugin]
//! impl Plugin for NotFrom {
//!     type Config = Self;
//!
//!     fn mail(&self, _: &Connection, t: &Transaction) -> ReplyingOutcome {
//!         if self.senders.contains(&t.reverse_path) {
//!             return ReplyingOutcome::deny("we had words").with_status("5.7.1");
//!         }
//!         ReplyingOutcome::next()
//!     }
//! }
//! # let plugin = NotFrom { senders: vec!["a@b.example".into()] };
//! # let verdict = plugin.mail(&Connection::example(), &Transaction::example("a@b.example")).verdict;
//! # assert!(matches!(verdict, wasmail_guest::ReplyingVerdict::Deny(_)));
//! ```
//!
//! Build it as a `cdylib` for `wasm32-wasip2`. The same crate compiles natively, where the plugin's methods are plain
//! functions over plain records: [`Connection::example`] and its neighbours make records for unit tests.
//!
//! What the records, verdicts and mutations mean is said on them, and in `wit/`, from which they are generated.

// The attribute names this crate as a plugin sees it, also in our own tests.
extern crate self as wasmail_guest;

pub mod bindings;
mod choices;
mod delivery;
pub mod dns;
#[cfg(not(target_family = "wasm"))]
mod example;
pub mod geo;
pub mod http;
pub mod inject;
mod json;
pub mod kv;
pub mod log;
pub mod mail_auth;
mod message;
mod network;
mod outcome;
mod plugin;
pub mod public_suffix;
mod read;

#[doc(hidden)]
pub mod rt;
#[cfg(not(target_family = "wasm"))]
pub mod schema;
pub mod secret;
mod status;
pub mod tcp;

pub use bindings::describe::exports::wasmail::policy::describe::{Facts, Footprint, Manifest};
pub use bindings::wasmail::policy::capability::Failure;
pub use bindings::wasmail::policy::delivery::{
    Answer, BounceVerdict, Consignment, DeferredVerdict, Exchange, ExchangesVerdict, PreSendVerdict, SendVerdict,
    Target,
};
pub use bindings::wasmail::policy::message::{
    Address, DateTime, Field, Media, MediaParameter, MimePart as Part, PassedLimit, Structure,
};
pub use bindings::wasmail::policy::types::*;
pub use choices::{Check, Exempt, Refusal};
pub use message::{Body, Content, Message};
pub use network::Network;
pub use plugin::{NoConfig, Plugin};
pub use wasmail_guest_macros::plugin;

/// What most plugins name.
pub mod prelude {
    pub use crate::{
        Answer, AuthAttempt, BounceVerdict, Changes, Check, CommandOutcome, ConnectOutcome, Connection, Consignment,
        DeferredVerdict, Denial, DenyOutcome, ExchangesVerdict, Exempt, Fate, Message, ObjectingOutcome, Outcome, Part,
        Plugin, PreSendVerdict, Recipient, Refusal, ReplyingOutcome, Scope, SendVerdict, Transaction, log, plugin,
    };
    pub use serde::{Deserialize, Serialize};
}

/// The plugin in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
