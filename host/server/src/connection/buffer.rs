//! Where octets from the wire lie until the session has consumed them.

use std::cell::RefCell;

/// Octets read at once: a large message takes few reads, and a thread's buffers stay in its cache.
const LEN: usize = 32 * 1024;
/// Spare buffers that a thread keeps.
const SPARE_MAX: usize = 32;

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Octets that were read and not yet consumed. With none it holds no memory, as most connections do most of the time.
#[derive(Default)]
pub(super) struct Buffer {
    octets: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What is still to be consumed.
    pub(super) fn unread(&self) -> &[u8] {
        self.octets.as_deref().map_or(&[], |octets| &octets[self.start..self.end])
    }

    /// The session has left this many octets.
    pub(super) fn keep(&mut self, left: usize) {
        self.start = self.end - left;
        if left == 0 {
            self.release();
        }
    }

    /// Room to read into, behind what is unread.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let octets = self.octets.get_or_insert_with(take_spare);
        octets.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut octets[self.end..]
    }

    /// This many octets were read into the room.
    pub(super) fn filled(&mut self, len: usize) {
        self.end += len;
        if self.start == self.end {
            self.release();
        }
    }

    fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        if let Some(octets) = self.octets.take() {
            give_spare(octets);
        }
    }
}

fn take_spare() -> Box<[u8]> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; LEN].into())
}

fn give_spare(octets: Box<[u8]>) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_MAX {
            spare.push(octets);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_comes_first_at_the_next_read() {
        let mut buffer = Buffer::default();
        buffer.room()[..6].copy_from_slice(b"abcdef");
        buffer.filled(6);
        buffer.keep(2);
        assert_eq!(buffer.unread(), b"ef");
        buffer.room()[..2].copy_from_slice(b"gh");
        buffer.filled(2);
        assert_eq!(buffer.unread(), b"efgh");
    }

    #[test]
    fn an_idle_connection_holds_no_memory() {
        let mut buffer = Buffer::default();
        buffer.room();
        buffer.filled(0);
        assert!(buffer.octets.is_none());
        buffer.room();
        buffer.filled(3);
        buffer.keep(0);
        assert!(buffer.octets.is_none() && buffer.unread().is_empty());
    }
}
