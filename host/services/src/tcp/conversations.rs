//! The connections of one hook call.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use super::connection::Connection;
use crate::Failure;

/// The connections of one hook call, and what it has used of its binding's quotas.
///
/// Numbers go on from call to call, so that one that was kept names nothing.
#[derive(Default)]
pub struct Conversations {
    /// The number that was given last.
    last: u32,
    open: BTreeMap<u32, Connection>,
    pub(super) used: Used,
}

/// What a hook call has used.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Connections, failed ones counted.
    pub(super) connections: u32,
    /// Octets sent.
    pub(super) sent: u64,
    /// Octets received.
    pub(super) received: u64,
    /// When its time is over; it begins with the first connection.
    pub(super) until: Option<Instant>,
}

impl Conversations {
    /// Closes all connections: the hook call is over.
    pub fn end(&mut self) {
        self.open.clear();
        self.used = Used::default();
    }

    /// Names a connection.
    pub(super) fn add(&mut self, connection: Connection) -> u32 {
        // It cannot come round: an instance is worn out long before.
        self.last = self.last.wrapping_add(1);
        self.open.insert(self.last, connection);
        self.last
    }

    /// A connection of this call, with what the call has used and when its time is over.
    pub(super) fn get(&mut self, number: u32) -> Result<(&mut Connection, &mut Used, Instant), Failure> {
        let connection = self.open.get_mut(&number).ok_or_else(|| none(number))?;
        // There was a first connection, or there would be none.
        let until = self.used.until.ok_or_else(|| none(number))?;
        Ok((connection, &mut self.used, until))
    }

    /// Closes a connection.
    ///
    /// # Errors
    /// When the call has none of this number.
    pub fn close(&mut self, number: u32) -> Result<(), Failure> {
        self.open.remove(&number).map(drop).ok_or_else(|| none(number))
    }
}

fn none(number: u32) -> Failure {
    Failure::Invalid(format!("this hook call has no connection {number}"))
}

impl fmt::Debug for Conversations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: Vec<_> = self.open.keys().collect();
        f.debug_struct("Conversations").field("open", &open).field("used", &self.used).finish_non_exhaustive()
    }
}
