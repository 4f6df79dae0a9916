//! A small durable store of keys and values, with a space for each binding.
//!
//! redb keeps it in one file. One thread writes: it takes what waits, carries it out in one transaction, and answers.
//! Such a transaction is atomic and seen at once, but not synced; once in a while the thread makes one that is. So a
//! crash loses what was written since, never more and never half of anything, and a write does not wait for the disk.
//! That is the right bargain for counters, greylists and caches; a message is not kept here.

mod key;
mod operation;
mod space;
mod store;
mod table;
mod writer;

pub use operation::{Entry, Page};
pub use space::{Quota, Space};
pub use store::{OpenError, Store, StoreConfig};

#[cfg(test)]
mod tests;
