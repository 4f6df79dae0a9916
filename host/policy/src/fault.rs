//! How a plugin can fail.

use std::fmt;

use crate::Rejected;

/// Why a plugin gave no usable answer. The fault rule of its binding turns it into a verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The guest trapped: a panic, an access out of bounds, `unreachable`.
    Trap(String),
    /// The guest used up its CPU time.
    CpuDeadline,
    /// The call took longer than its wall-clock budget.
    WallClock,
    /// The guest asked for more memory than it may have.
    Memory,
    /// The answer does not lift: too large, not UTF-8, an unknown case.
    BadAnswer(String),
    /// The answer lifted, but the host cannot apply it.
    Rejected(Rejected),
    /// No instance could be had: the pool is exhausted, or `configure` failed on a new one.
    Instance(String),
    /// The plugin was not asked: it has failed too often of late.
    CircuitOpen,
}

impl Fault {
    /// A short stable name, for logs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::CpuDeadline => "cpu-deadline",
            Self::WallClock => "wall-clock",
            Self::Memory => "memory",
            Self::BadAnswer(_) => "bad-answer",
            Self::Rejected(_) => "rejected",
            Self::Instance(_) => "instance",
            Self::CircuitOpen => "circuit-open",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap(why) => write!(f, "trapped: {why}"),
            Self::CpuDeadline => f.write_str("used up its CPU time"),
            Self::WallClock => f.write_str("took longer than its wall-clock budget"),
            Self::Memory => f.write_str("asked for more memory than it may have"),
            Self::BadAnswer(why) => write!(f, "gave a malformed answer: {why}"),
            Self::Rejected(why) => write!(f, "gave an answer that cannot be applied: {why}"),
            Self::Instance(why) => write!(f, "could not be started: {why}"),
            Self::CircuitOpen => f.write_str("was not asked, for it has failed too often"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Rejected> for Fault {
    fn from(why: Rejected) -> Self {
        Self::Rejected(why)
    }
}
