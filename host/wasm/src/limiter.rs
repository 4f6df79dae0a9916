//! Counts the memory of one instance.

use wasmtime::ResourceLimiter;

use crate::engine::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};

/// What one table element takes on the host.
const TABLE_ELEMENT: usize = size_of::<usize>();

/// Counts octets over all memories and tables of a store; wasmtime's own limiter would count each by itself, and a
/// component with four memories would get four times its share.
pub(crate) struct Limiter {
    used: usize,
    max: usize,
    refused: bool,
    /// What was granted last, in case it cannot be had.
    last: usize,
}

impl Limiter {
    pub(crate) const fn new(max: usize) -> Self {
        Self { used: 0, max, refused: false, last: 0 }
    }

    /// Octets in use.
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// Whether the guest was refused memory; asking forgets it.
    pub(crate) const fn take_refused(&mut self) -> bool {
        std::mem::replace(&mut self.refused, false)
    }

    /// The guest learns of a refusal by the instruction's result: one that knows how to go on may do so.
    fn grow(&mut self, by: usize) -> bool {
        let used = self.used.saturating_add(by);
        let fits = used <= self.max;
        if fits {
            self.used = used;
            self.last = by;
        }
        self.refused |= !fits;
        fits
    }

    /// What was granted is more than the pool has for one memory or table.
    fn fail(&mut self) {
        self.used -= std::mem::take(&mut self.last);
        self.refused = true;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT)))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.fail();
        Ok(())
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.fail();
        Ok(())
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = Limiter::new(100_000);
        assert!(limiter.memory_growing(0, 65_536, None).unwrap());
        assert!(!limiter.memory_growing(0, 65_536, None).unwrap());
        assert!(limiter.take_refused());
        assert!(limiter.table_growing(0, 1_000, None).unwrap());
        assert_eq!(limiter.used(), 65_536 + 8_000);
        assert!(!limiter.take_refused());
    }
}
