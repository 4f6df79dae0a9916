//! Gives the room of finished messages back.
//!
//! Segments go strictly oldest first, each gone for good before the next: a `Done` record lies in a later segment than
//! its message, and must not go before it. When old messages hold up the oldest segment, they are copied forward.

use super::{Change, Committer, Request};
use crate::SpoolId;
use crate::index::Segment;
use crate::record::Accepted;
use crate::recover::set_aside;
use crate::storage::Folder;
use std::io;

/// Octets copied forward between two syncs.
const STEP_OCTETS: u64 = 1024 * 1024;
/// Messages copied forward between two syncs.
const STEP_MESSAGES: usize = 256;
/// Rounds to wait after a failure.
const REST: u32 = 1000;

impl Committer {
    /// Removes old segments that nobody needs and copies some messages forward, if that is due.
    pub(super) fn keep_house(&mut self) {
        self.rest = self.rest.saturating_sub(1);
        if self.rest > 0 {
            return;
        }
        if let Err(error) = self.try_keep_house() {
            tracing::error!(%error, "failed to tidy up the journal");
            self.rest = REST;
        }
    }

    fn try_keep_house(&mut self) -> io::Result<()> {
        while let Some((number, name)) = self.oldest_unused() {
            self.remove_segment(number, &name)?;
        }
        if self.wants_compaction() { self.compact() } else { Ok(()) }
    }

    fn oldest_unused(&self) -> Option<(u64, String)> {
        let index = self.shared.index.lock();
        let (number, segment) = index.segments().first_key_value()?;
        let unused = !self.is_active(*number) && segment.live.is_empty();
        unused.then(|| (*number, segment.name.clone()))
    }

    fn remove_segment(&mut self, number: u64, name: &str) -> io::Result<()> {
        match self.shared.storage.remove(Folder::Journal, name) {
            // It went in an earlier attempt, which could not be synced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        self.shared.storage.sync_folder(Folder::Journal)?;
        self.shared.index.lock().remove_segment(number);
        Ok(())
    }

    fn is_active(&self, number: u64) -> bool {
        self.active == Some(number)
    }

    /// Whether more than half of the journal is of no use any more: so it never gets larger than twice what lives,
    /// and two segments.
    pub(super) fn wants_compaction(&self) -> bool {
        let index = self.shared.index.lock();
        let allowed = 2 * index.live_octets() + 2 * self.shared.options.segment_size;
        let oldest = index.segments().first_key_value();
        self.rest == 0 && index.octets() > allowed && oldest.is_some_and(|(number, _)| !self.is_active(*number))
    }

    fn compact(&mut self) -> io::Result<()> {
        let mut batch = Vec::new();
        for id in self.next_to_move() {
            match self.copy(id) {
                Ok(request) => batch.push(request),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => self.give_up(id, &error)?,
                Err(error) => return Err(error),
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let places = match self.write(&batch) {
            Ok(places) => places,
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.fail(batch, error);
                return Err(copy);
            }
        };
        self.apply(batch, places);
        Ok(())
    }

    /// The next messages of the oldest segment, in the order in which they lie there.
    fn next_to_move(&self) -> Vec<SpoolId> {
        let index = self.shared.index.lock();
        let Some((_, segment)) = index.segments().first_key_value() else { return Vec::new() };
        let mut octets = 0;
        let mut few = |id: &SpoolId| {
            let before = octets;
            octets += index.get(*id).map_or(0, |live| live.place.len);
            before == 0 || octets <= STEP_OCTETS
        };
        segment.live.values().copied().take(STEP_MESSAGES).take_while(|id| few(id)).collect()
    }

    fn copy(&self, id: SpoolId) -> io::Result<Request> {
        let located = self.shared.index.lock().locate(id);
        let (live, reader) = located.ok_or(io::ErrorKind::NotFound)?;
        let frame = reader.read(live.place.offset)?;
        let (mut accepted, header, body) = Accepted::decode(&frame.payload)?;
        accepted.take_over(&live);
        let payload = Accepted { settles: None, ..accepted }.encode(header, body)?;
        Ok(Request { payload, change: Change::Move { id, live }, reply: None })
    }

    /// The disk has lost a message that was there: the octets are kept, and the others go on.
    fn give_up(&mut self, id: SpoolId, error: &io::Error) -> io::Result<()> {
        let mut index = self.shared.index.lock();
        let Some(place) = index.get(id).map(|live| live.place) else { return Ok(()) };
        let range = place.offset..place.offset + place.len;
        let aside = |segment: &Segment| set_aside(&*self.shared.storage, segment, range);
        let copy = index.segments().get(&place.segment).map(aside).transpose()?;
        tracing::error!(%id, %error, ?copy, "a message is not readable any more");
        index.remove(id);
        Ok(())
    }
}
