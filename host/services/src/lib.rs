//! What stands behind the capabilities of plugins: DNS, a store of keys and values, messages of their own, HTTP,
//! conversations over TCP, geography, where messages come from. No wasmtime in here.
//!
//! [`Capabilities`] is what one binding was granted. Each capability has quotas and a deadline, and answers with a
//! [`Failure`] instead of an error that would end the plugin.

mod capabilities;
mod dial;
pub mod dns;
mod failure;
pub mod geo;
pub mod http;
pub mod inject;
pub mod kv;
pub mod mail_auth;
mod rate;
mod reach;
pub mod secret;
pub mod suffix;
pub mod tcp;

pub use capabilities::{Capabilities, Used};
pub use failure::Failure;
pub use reach::Reach;
