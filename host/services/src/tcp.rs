//! Conversations with services that the operator lists: virus scanners, spam filters, policy services.
//!
//! Numbers name the connections of one hook call, and [`Conversations`] holds them: whoever drops or ends it closes them all,
//! so nothing of one call is left for another.

mod client;
mod connection;
mod conversations;
mod endpoint;
mod network;

pub use client::{Client, Framing, Octets, Quota, Source};
pub use conversations::Conversations;
pub use endpoint::{Endpoint, EndpointError};
pub use network::Network;

pub use crate::reach::Reach;

#[cfg(test)]
mod tests;
