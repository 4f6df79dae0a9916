//! Requests over HTTP/1.1, to origins that the operator lists and addresses that are meant to be reached.
//!
//! One connection a request: no pool, so nothing of one binding's is left for another, and the address that was judged is
//! the address that is connected to. The protocol is `ureq-proto`'s machine, which knows no socket; TLS is rustls'.

mod client;
mod connection;
mod content;
mod exchange;
mod network;
mod origin;
mod request;

pub use crate::reach::Reach;
pub use client::{Client, Quota};
pub use content::{Content, Piece};
pub use network::{Network, NetworkConfig, NoRoots};
pub use origin::{Origin, OriginError};
pub use request::{Header, Request, Response, check_url};

#[cfg(test)]
mod tests;
