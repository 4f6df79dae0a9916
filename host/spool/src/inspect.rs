//! Looks at a spool that may be in use, without changing it.

use crate::message::Message;
use crate::recover::{self, Journal};
use crate::storage::Disk;
use crate::{Recovered, SpoolId};
use std::io;
use std::path::Path;

/// How often a look is repeated when a segment goes while it is read.
const ATTEMPTS: usize = 10;

/// The messages that were not finished at one moment.
pub struct Inspection {
    disk: Disk,
    journal: Journal,
}

impl Inspection {
    /// Looks at the spool in `dir`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let disk = Disk::view(dir);
        for _ in 1..ATTEMPTS {
            match recover::read(&disk) {
                Ok(journal) => return Ok(Self { disk, journal }),
                Err(error) if error.kind() == io::ErrorKind::NotFound && dir.exists() => {}
                Err(error) => return Err(error),
            }
        }
        recover::read(&disk).map(|journal| Self { disk, journal })
    }

    /// The messages, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Recovered> {
        crate::spool::recovered(&self.journal)
    }

    /// Reads one of them.
    ///
    /// # Errors
    /// `NotFound` when there is no such message, or it has been finished meanwhile; or what the disk says.
    pub fn message(&self, id: SpoolId) -> io::Result<Message> {
        let (live, reader) = self.journal.index.locate(id).ok_or(io::ErrorKind::NotFound)?;
        Message::read(&self.disk, live, &reader)
    }
}
