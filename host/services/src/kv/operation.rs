//! What can be asked of a space.

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Without the space's own part.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
}

/// A part of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In the order of their keys, by octets.
    pub entries: Vec<Entry>,
    /// The key after which to go on; none when there is no more.
    pub next: Option<String>,
}

/// A change. Keys bear the space's own part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Set { value: Vec<u8> },
    Delete,
    Increment { by: i64 },
    CompareAndSet { expected: Option<Vec<u8>>, value: Option<Vec<u8>> },
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    /// Whether it was done: what was to be deleted was there, what was expected was so.
    Done(bool),
    /// The sum.
    Sum(i64),
}
