//! Where a message comes from: SPF (RFC 7208), DKIM (RFC 6376, 8301, 8463), DMARC (RFC 7489) and ARC (RFC 8617).
//!
//! No socket and no clock in here: questions to the DNS go to whoever implements [`Dns`], the body is read piece by piece
//! through [`Body`], and the time comes in as an argument. What is judged is the message as it came.
//!
//! Whatever a stranger writes becomes a result and never an error: a broken signature is `neutral`, a broken record
//! `permerror`, a name server that does not answer `temperror`.

mod arc;
mod dkim;
mod dmarc;
mod dns;
mod domain;
mod report;
mod result;
mod spf;
mod tags;

pub use arc::{ARC_SETS_MAX, Arc, arc};
pub use dkim::{Body, CannotSign, Dkim, Message, PrivateKey, SIGNATURES_MAX, Signer, SigningKey, dkim};
pub use dmarc::{Disposition, Dmarc, dmarc};
pub use dns::{Answer, BoxFuture, Dns, Kind, Record, Unanswered};
pub use report::Results;
pub use result::Verdict;
pub use spf::{Client, LOOKUPS_MAX, Spf, SpfResult, VOID_LOOKUPS_MAX, spf};

#[cfg(test)]
mod fixture;
