//! Why something did not get to disk.

use std::io;
use std::sync::Arc;

/// Why a commit failed. The message is not in the spool, so the client must be told to come back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The disk, a quota or the spool is full: the operator's turn, answer 452.
    #[error("the spool is full: {0}")]
    Full(Arc<io::Error>),
    /// Anything else the disk said: answer 451.
    #[error("failed to write to the spool: {0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for CommitError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(Arc::new(error)),
            _ => Self::Io(Arc::new(error)),
        }
    }
}

impl CommitError {
    pub(crate) fn full(why: &str) -> Self {
        io::Error::new(io::ErrorKind::StorageFull, why).into()
    }

    pub(crate) fn closed() -> Self {
        io::Error::new(io::ErrorKind::BrokenPipe, "the spool is closed").into()
    }

    /// Whether the spool has no such message any more.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn unknown(id: crate::SpoolId) -> Self {
        io::Error::new(io::ErrorKind::NotFound, format!("no message {id} in the spool")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let error = |errno| CommitError::from(io::Error::from_raw_os_error(errno));
        assert!(matches!(error(rustix::io::Errno::NOSPC.raw_os_error()), CommitError::Full(_)));
        assert!(matches!(error(rustix::io::Errno::DQUOT.raw_os_error()), CommitError::Full(_)));
        assert!(matches!(error(rustix::io::Errno::IO.raw_os_error()), CommitError::Io(_)));
    }
}
