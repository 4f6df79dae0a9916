//! Real SMTP dialogues against a plugin, in `cargo test`, without starting a server.
//!
//! [`kit!`] compiles the crate it stands in to a component, and the component is asked just as the server asks it: in
//! its sandbox, by a chain, in a session that speaks SMTP. Only socket, disk and clock are missing.
//!
//! ```no_run
//! // tests/dialogs.rs of a plugin
//! #[test]
//! fn dialogues() {
//!     wasmail_testkit::kit!().run_dialogs("dialogs");
//! }
//!
//! #[test]
//! fn strangers_are_refused() {
//!     let kit = wasmail_testkit::kit!().config(serde_json::json!({"domains": ["example.test"]}));
//!     let mut session = kit.connect();
//!     session.expect("EHLO client.example", "250");
//!     session.expect("MAIL FROM:<a@client.example>", "250");
//!     session.expect("RCPT TO:<b@elsewhere.example>", "550 5.7.1");
//!     assert!(session.messages().is_empty());
//! }
//! ```
//!
//! Dialogues are text files in the format of `tests/dialogs/README.md`. Their lines `@ plugin NAME JSON` make the chain:
//! NAME is this plugin's own, that of a plugin that comes with the server, or one that was given to [`Kit::with`].

mod build;
mod dialogs;
mod kit;
mod session;
mod workshop;
mod world;

pub use kit::Kit;
pub use session::Session;
pub use wasmail_policy::Grant;
pub use wasmail_smtp::Message;
pub use wasmail_smtp::own::OwnMessage;

/// A [`Kit`] for the crate in which this stands.
#[macro_export]
macro_rules! kit {
    () => {
        $crate::Kit::of_crate(env!("CARGO_MANIFEST_DIR"))
    };
}
