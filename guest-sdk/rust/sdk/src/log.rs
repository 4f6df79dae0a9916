//! Lines for the operator's log. The host marks each with the plugin's name and the connection's uuid, and bounds them:
//! 1 024 octets a line, 64 lines a call. Natively they go to standard error.

/// For the author.
pub fn debug(text: &str) {
    host::log(host::Level::Debug, text);
}

/// Worth knowing.
pub fn info(text: &str) {
    host::log(host::Level::Info, text);
}

/// Somebody should look at it one day.
pub fn warn(text: &str) {
    host::log(host::Level::Warn, text);
}

/// Somebody should look at it now.
pub fn error(text: &str) {
    host::log(host::Level::Error, text);
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::log as host;

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::io::Write as _;

    pub(super) use crate::bindings::wasmail::policy::log::Level;

    pub(super) fn log(level: Level, text: &str) {
        // A test does not fail because its log cannot be written.
        let _ = writeln!(std::io::stderr(), "{level:?}: {text}");
    }
}
