//! Messages of the plugin's own. It needs the grant `inject`; what is promised is said in `wit/inject.wit`.
//!
//! ```no_run
//! use wasmail_guest::inject::{self, NewMessage};
//!
//! let content = "From: postmaster@example.test\nTo: b@example.org\nSubject: Notice\n\nSomebody has written.\n";
//! let message = NewMessage {
//!     reverse_path: String::new(),
//!     recipients: vec!["b@example.org".into()],
//!     content: content.into(),
//! };
//! let queue_id = inject::send(&message)?;
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively it is a list of the thread, so that a unit test has one of its own; see [`sent`].

use crate::Failure;
pub use crate::bindings::wasmail::policy::inject::NewMessage;

/// Puts a message into the queue; its name there. It stays, whatever becomes of the hook's answer.
///
/// # Errors
/// When it is not granted, a quota or the time is used up, the message makes no sense, or it cannot be stored.
pub fn send(message: &NewMessage) -> Result<String, Failure> {
    host::send(message)
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::inject as host;

#[cfg(not(target_family = "wasm"))]
pub use host::sent;

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;

    use super::NewMessage;
    use crate::Failure;

    thread_local! {
        static SENT: RefCell<Vec<NewMessage>> = const { RefCell::new(Vec::new()) };
    }

    #[allow(clippy::unnecessary_wraps, reason = "as in the host")]
    pub(super) fn send(message: &NewMessage) -> Result<String, Failure> {
        SENT.with_borrow_mut(|sent| {
            sent.push(message.clone());
            Ok(sent.len().to_string())
        })
    }

    /// What this thread has sent since it was asked last.
    #[must_use]
    pub fn sent() -> Vec<NewMessage> {
        SENT.take()
    }
}
