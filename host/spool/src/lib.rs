//! What is on disk: 250 means that a message is here.
//!
//! `DESIGN.md` beside this crate says which states a message has on disk and what a crash leaves in each.

mod body;
mod committer;
mod draft;
mod error;
mod frame;
mod id;
mod index;
mod inspect;
mod message;
mod options;
mod recipient;
mod record;
mod recover;
mod segment;
mod shared;
mod spool;
mod storage;
#[cfg(test)]
mod tests;

pub use body::{Body, CHUNK_LEN, Chunks};
pub use draft::{Draft, SealedDraft};
pub use error::CommitError;
pub use id::{SpoolId, SpoolIdError};
pub use inspect::Inspection;
pub use message::Message;
pub use options::{Durability, INLINE_LIMIT, Options, SEGMENT_MAX, SEGMENT_MIN};
pub use recipient::{Deferral, REPLY_MAX, RecipientState};
pub use shared::Stats;
pub use spool::{Recovered, Spool};
