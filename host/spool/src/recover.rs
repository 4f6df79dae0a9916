//! Reads the journal after a start: which messages live, what is damaged, and where the torn tail begins.
//!
//! Reading changes nothing, so a second process may look at a spool in use. [`fn@repair`] is for its owner.

use crate::SpoolId;
use crate::frame::{self, Frame, Kind, Scan};
use crate::index::{Index, Live, Place, Segment};
use crate::record::{self, Accepted, BodyPlace, Outcomes, SegmentRecord};
use crate::segment;
use crate::storage::{Folder, Storage};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::Arc;

mod repair;
pub(crate) use repair::{repair, set_aside};

/// The journal as it was found.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) index: Index,
    /// The greatest id that any record names.
    pub(crate) last_id: u64,
    /// The greatest number of a segment.
    pub(crate) last_segment: u64,
    damage: Vec<Damage>,
    /// Segments that no later one seals, with the length up to which they were certainly synced.
    unsealed: Vec<(u64, u64)>,
    /// Segments whose making was cut short: they hold nothing.
    blank: Vec<u64>,
}

struct Damage {
    segment: u64,
    range: Range<u64>,
    why: Why,
}

enum Why {
    /// Unreadable, and it had been synced.
    Checksum,
    /// Unreadable, but never acknowledged: a write that was cut short.
    Torn,
    /// Unreadable to the end of the file and never acknowledged.
    TornTail,
    /// Whole, but it makes no sense.
    Content(io::Error),
    /// The record is good, but the file with the body is not.
    Body(SpoolId),
}

/// Reads every segment, oldest first.
///
/// # Errors
/// When the storage cannot be read: what it holds may be good, so nothing is given up for lost. A journal of an
/// unknown format is refused too.
pub(crate) fn read(storage: &dyn Storage) -> io::Result<Journal> {
    let mut journal = Journal::default();
    let mut found = BTreeMap::new();
    let mut seals = HashMap::new();
    for name in storage.list(Folder::Journal)? {
        let Some((number, salt)) = segment::parse_name(&name) else { continue };
        let segment = open(storage, name, salt)?;
        if let Some(record) = read_head(&segment)? {
            journal.last_id = journal.last_id.max(record.last_id);
            seals.extend(record.seals);
        }
        found.insert(number, segment);
    }
    for (number, segment) in found {
        journal.read_segment(number, segment, seals.get(&number).copied())?;
    }
    journal.check_bodies(storage)?;
    Ok(journal)
}

fn open(storage: &dyn Storage, name: String, salt: u64) -> io::Result<Segment> {
    let context = |error: io::Error| io::Error::new(error.kind(), format!("failed to read {name}: {error}"));
    let file = storage.open(Folder::Journal, &name).map_err(context)?;
    let end = file.len().map_err(context)?;
    Ok(Segment { name, salt, file, end, live: BTreeMap::new() })
}

/// The first record, unless it is damaged; the scan will tell then.
fn read_head(segment: &Segment) -> io::Result<Option<SegmentRecord>> {
    match frame::read(&*segment.file, segment.salt, 0, segment.end) {
        Ok(frame) if frame.kind == Kind::Segment => SegmentRecord::decode(&frame.payload).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

impl Journal {
    fn read_segment(&mut self, number: u64, mut segment: Segment, seal: Option<u64>) -> io::Result<()> {
        self.last_segment = self.last_segment.max(number);
        let length = segment.end;
        segment.end = seal.unwrap_or(length).min(length);
        let (file, salt, end) = (segment.file.clone(), segment.salt, segment.end);
        let name = segment.name.clone();
        self.index.add_segment(number, segment);
        let context = |error: io::Error| io::Error::new(error.kind(), format!("failed to read {name}: {error}"));
        let scan = frame::scan(&*file, salt, end, |frame| {
            self.apply(number, frame);
            Ok(())
        });
        let scan = scan.map_err(context)?;
        if let Some(seal) = seal.filter(|seal| *seal > length) {
            self.damage.push(Damage { segment: number, range: length..seal, why: Why::Checksum });
        }
        self.judge(number, scan, seal, end);
        Ok(())
    }

    /// Tells corruption from writes that were cut short, and settles how much of the segment is trusted.
    fn judge(&mut self, number: u64, scan: Scan, seal: Option<u64>, end: u64) {
        let durable = seal.unwrap_or(scan.durable);
        for range in scan.damage {
            let why = match range.start >= durable {
                false => Why::Checksum,
                true if range.end == end && scan.end > 0 => Why::TornTail,
                true => Why::Torn,
            };
            self.damage.push(Damage { segment: number, range, why });
        }
        match seal {
            Some(_) => {}
            None if scan.end == 0 => self.blank.push(number),
            None => {
                self.index.shrink_segment(number, scan.end);
                self.unsealed.push((number, scan.durable));
            }
        }
    }

    fn apply(&mut self, segment: u64, frame: Frame) {
        let place = Place { segment, offset: frame.offset, len: frame.len };
        if let Err(error) = self.try_apply(place, &frame) {
            let range = frame.offset..frame.offset + frame.len;
            self.damage.push(Damage { segment, range, why: Why::Content(error) });
        }
    }

    fn try_apply(&mut self, place: Place, frame: &Frame) -> io::Result<()> {
        let id = match frame.kind {
            Kind::Segment => return Ok(()),
            Kind::Accepted => {
                let (accepted, ..) = Accepted::decode(&frame.payload)?;
                let route = accepted.envelope.handling.route.map(Arc::from);
                let priority = accepted.envelope.handling.priority;
                let settles = accepted.settles;
                let live = Live { place, recipients: accepted.recipients, body: accepted.body, route, priority };
                self.index.put(accepted.id, live);
                settles.into_iter().for_each(|other| self.index.settle(other));
                accepted.id
            }
            Kind::Outcomes => {
                let outcomes = Outcomes::decode(&frame.payload)?;
                let id = outcomes.id;
                self.index.settle(outcomes);
                id
            }
            Kind::Done => {
                let id = record::decode_done(&frame.payload)?;
                self.index.remove(id);
                id
            }
        };
        self.last_id = self.last_id.max(id.as_u64());
        Ok(())
    }

    /// A message whose body is not there as its record says is no message any more.
    fn check_bodies(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let mut bad = Vec::new();
        for (id, live) in self.index.iter() {
            if let BodyPlace::File { len, .. } = live.body
                && !body_has_length(storage, id, len)?
            {
                bad.push(id);
            }
        }
        for id in bad {
            if let Some(live) = self.index.remove(id) {
                let range = live.place.offset..live.place.offset + live.place.len;
                self.damage.push(Damage { segment: live.place.segment, range, why: Why::Body(id) });
            }
        }
        Ok(())
    }
}

fn body_has_length(storage: &dyn Storage, id: SpoolId, len: u64) -> io::Result<bool> {
    match storage.open(Folder::Bodies, &id.to_string()) {
        Ok(file) => Ok(file.len()? == len),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
