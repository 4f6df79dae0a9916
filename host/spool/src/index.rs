//! What is in the journal, in memory: which messages live, where they lie, and what each segment is still needed for.
//!
//! Only facts that are durable get in here, so whoever reads it may act on it.

use crate::frame::{self, Frame};
use crate::record::{BodyPlace, Outcomes};
use crate::storage::File;
use crate::{RecipientState, SpoolId};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// Octets with header and padding.
    pub(crate) len: u64,
}

/// A message that is not finished.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) place: Place,
    /// One for each recipient of the envelope, in its order.
    pub(crate) recipients: Vec<RecipientState>,
    /// Where its body lies.
    pub(crate) body: BodyPlace,
    /// The route that it goes by, when it is not the usual one.
    pub(crate) route: Option<Arc<str>>,
    /// Its sender's wish, from -9 to 9.
    pub(crate) priority: i8,
}

/// One file of the journal.
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) salt: u64,
    pub(crate) file: Arc<dyn File>,
    /// Octets that are trusted; what lies behind was never acknowledged.
    pub(crate) end: u64,
    /// Messages that lie here and are not finished, by offset.
    pub(crate) live: BTreeMap<u64, SpoolId>,
}

/// Reads records of one segment, even after its removal and without the index being locked.
pub(crate) struct Reader {
    file: Arc<dyn File>,
    salt: u64,
    end: u64,
}

impl Segment {
    pub(crate) fn reader(&self) -> Reader {
        Reader { file: self.file.clone(), salt: self.salt, end: self.end }
    }
}

impl Reader {
    pub(crate) fn read(&self, offset: u64) -> io::Result<Frame> {
        frame::read(&*self.file, self.salt, offset, self.end)
    }
}

/// Messages by id and segments by number.
#[derive(Default)]
pub(crate) struct Index {
    live: HashMap<SpoolId, Live>,
    segments: BTreeMap<u64, Segment>,
    live_octets: u64,
    octets: u64,
}

impl Index {
    pub(crate) fn get(&self, id: SpoolId) -> Option<&Live> {
        self.live.get(&id)
    }

    /// A message, and what reads its record.
    pub(crate) fn locate(&self, id: SpoolId) -> Option<(Live, Reader)> {
        let live = self.live.get(&id)?;
        let segment = self.segments.get(&live.place.segment)?;
        Some((live.clone(), segment.reader()))
    }

    /// How many messages are not finished.
    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SpoolId, &Live)> {
        self.live.iter().map(|(id, live)| (*id, live))
    }

    /// Octets of journal that unfinished messages take.
    pub(crate) fn live_octets(&self) -> u64 {
        self.live_octets
    }

    /// Octets of journal there are.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    pub(crate) fn segments(&self) -> &BTreeMap<u64, Segment> {
        &self.segments
    }

    pub(crate) fn add_segment(&mut self, number: u64, segment: Segment) {
        self.octets += segment.end;
        self.segments.insert(number, segment);
    }

    pub(crate) fn grow_segment(&mut self, number: u64, end: u64) {
        if let Some(segment) = self.segments.get_mut(&number) {
            self.octets += end - segment.end;
            segment.end = end;
        }
    }

    /// What lies behind `end` is not trusted.
    pub(crate) fn shrink_segment(&mut self, number: u64, end: u64) {
        if let Some(segment) = self.segments.get_mut(&number) {
            self.octets -= segment.end - end;
            segment.end = end;
        }
    }

    pub(crate) fn remove_segment(&mut self, number: u64) -> Option<Segment> {
        let segment = self.segments.remove(&number)?;
        self.octets -= segment.end;
        Some(segment)
    }

    /// A message is at `live.place`, from now on if it lay elsewhere before.
    pub(crate) fn put(&mut self, id: SpoolId, live: Live) {
        self.live_octets += live.place.len;
        if let Some(segment) = self.segments.get_mut(&live.place.segment) {
            segment.live.insert(live.place.offset, id);
        }
        if let Some(before) = self.live.insert(id, live) {
            self.forget_place(before.place);
        }
    }

    /// Takes over new states, and a new route; what names no recipient of a live message is ignored.
    pub(crate) fn settle(&mut self, outcomes: Outcomes) {
        let Some(live) = self.live.get_mut(&outcomes.id) else { return };
        if let Some(route) = outcomes.route {
            live.route = route.map(Arc::from);
        }
        for (position, state) in outcomes.states {
            if let Some(place) = live.recipients.get_mut(position) {
                *place = state;
            }
        }
    }

    /// A message is finished.
    pub(crate) fn remove(&mut self, id: SpoolId) -> Option<Live> {
        let live = self.live.remove(&id)?;
        self.forget_place(live.place);
        Some(live)
    }

    fn forget_place(&mut self, place: Place) {
        self.live_octets -= place.len;
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.live.remove(&place.offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Disk, Folder, Storage};

    fn live(segment: u64, offset: u64) -> Live {
        let place = Place { segment, offset, len: 100 };
        Live {
            place,
            recipients: vec![RecipientState::Pending; 2],
            body: BodyPlace::Inline { len: 0 },
            route: None,
            priority: 0,
        }
    }

    #[test]
    fn a_moved_message_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let mut index = Index::default();
        for number in [1, 2] {
            let file = disk.create(Folder::Journal, &number.to_string()).unwrap();
            index.add_segment(number, Segment { name: String::new(), salt: 0, file, end: 10, live: BTreeMap::new() });
        }
        let id = SpoolId::from_u64(5);
        index.put(id, live(1, 24));
        index.put(id, live(2, 48));
        assert_eq!((index.len(), index.live_octets(), index.octets()), (1, 100, 20));
        assert!(index.segments()[&1].live.is_empty());
        assert_eq!(index.segments()[&2].live[&48], id);
        let states = vec![(1, RecipientState::Delivered), (9, RecipientState::Delivered)];
        index.settle(Outcomes { id, states, route: Some(Some("archive".to_owned())) });
        assert_eq!(index.get(id).unwrap().route.as_deref(), Some("archive"));
        assert_eq!(index.get(id).unwrap().recipients, [RecipientState::Pending, RecipientState::Delivered]);
        assert_eq!(index.remove(id).unwrap().place.segment, 2);
        index.remove_segment(1);
        assert_eq!((index.len(), index.live_octets(), index.octets()), (0, 0, 10));
    }
}
