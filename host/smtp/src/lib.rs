//! The SMTP protocol without sockets or clocks: the server session and the client.
//!
//! A [`Session`] is given octets and the time, and says what its driver has to do next, see [`Step`]. A [`Rehearsal`]
//! is the driver that does it all in memory.

pub mod client;
mod command;
mod data;
#[cfg(test)]
mod fixture;
mod limits;
mod line;
pub mod own;
pub mod proxy;
mod rehearsal;
mod replies;
pub mod report;
mod sasl;
mod server;
mod srs;
mod trace;

pub use command::{AuthCommand, ClientFacts, Command, CommandError, Hold, Mail};
pub use limits::Limits;
pub use rehearsal::{Message, Rehearsal};
pub use replies::{TOO_MANY_CONNECTIONS, TOO_MANY_FROM_ADDRESS};
pub use sasl::{Mechanism, ScramVerifier};
pub use server::{
    AuthConfig, Chunking, Commit, CommitFailure, Ended, Iprev, Kind, LineEndings, Now, Session, SessionConfig, Step,
};
pub use srs::{NotOurs, Srs};
pub use wasmail_policy::Fate;
