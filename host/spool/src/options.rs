//! What the operator may choose.

/// How much a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Synced: what is acknowledged survives a power cut.
    #[default]
    Synced,
    /// Handed to the kernel: what is acknowledged survives the end of the process, not that of the machine. For
    /// benchmarks, and for mail that one can afford to lose.
    Unsynced,
}

/// Settings of a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How much a commit promises.
    pub durability: Durability,
    /// Octets after which a new segment of the journal is begun, from [`SEGMENT_MIN`] to [`SEGMENT_MAX`]; what lies
    /// outside is brought to the nearer end. Finished messages give their room back a segment at a time.
    pub segment_size: u64,
    /// Longest body in octets that lies in the journal; a longer one gets a file of its own. At most [`INLINE_LIMIT`].
    pub inline_max: usize,
    /// Most messages that are not finished. Their states are in memory, some 200 octets each and 100 a recipient.
    pub messages_max: usize,
    /// Octets of disk that new mail must leave free, so that what becomes of the old can still be written.
    pub min_free: u64,
}

/// Smallest segment in octets.
pub const SEGMENT_MIN: u64 = 4 * 1024;
/// Largest segment in octets: offsets within one are 32 bits wide.
pub const SEGMENT_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Longest body that may be chosen to lie in the journal, in octets: a draft holds as much in memory.
pub const INLINE_LIMIT: usize = 4 * 1024 * 1024;

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            segment_size: 64 * 1024 * 1024,
            inline_max: 128 * 1024,
            messages_max: 1_000_000,
            min_free: 64 * 1024 * 1024,
        }
    }
}

impl Options {
    pub(crate) fn within_limits(mut self) -> Self {
        self.segment_size = self.segment_size.clamp(SEGMENT_MIN, SEGMENT_MAX);
        self.inline_max = self.inline_max.min(INLINE_LIMIT);
        self
    }

    pub(crate) fn synced(&self) -> bool {
        self.durability == Durability::Synced
    }
}
