//! The files of the journal: their names, and how a new one is begun.

use crate::frame::{self, Kind, Payload};
use crate::index::{Index, Segment};
use crate::record::{SegmentRecord, VERSION};
use crate::storage::{File, Folder, Storage};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};

/// Begins segment `number`, durable and empty but for the record that seals all older ones.
///
/// # Errors
/// What the storage says; then no such file is left, as far as that can be had.
pub(crate) fn create(storage: &dyn Storage, number: u64, index: &Index, last_id: u64) -> io::Result<Segment> {
    // Seeded by the operating system, so nobody who sends us mail can know it.
    let salt = RandomState::new().hash_one(number);
    let name = name(number, salt);
    let file = storage.create(Folder::Journal, &name)?;
    let segment = Segment { name, salt, file, end: 0, live: BTreeMap::new() };
    match begin(storage, segment, index, last_id) {
        Ok(segment) => Ok(segment),
        Err((name, error)) => {
            let _ = storage.remove(Folder::Journal, &name);
            Err(error)
        }
    }
}

fn begin(
    storage: &dyn Storage,
    mut segment: Segment,
    index: &Index,
    last_id: u64,
) -> Result<Segment, (String, io::Error)> {
    let seals = index.segments().iter().map(|(number, segment)| (*number, segment.end)).collect();
    let written = SegmentRecord { version: VERSION, last_id, seals }.encode().and_then(|payload| {
        write(&*segment.file, segment.salt, 0, &[(Kind::Segment, &payload)])?;
        segment.file.sync()?;
        storage.sync_folder(Folder::Journal)?;
        Ok(payload.frame_len())
    });
    match written {
        Ok(end) => {
            segment.end = end;
            Ok(segment)
        }
        Err(error) => Err((segment.name, error)),
    }
}

/// Writes `records` one after the other from `offset` on, where everything before is durable.
pub(crate) fn write(file: &dyn File, salt: u64, offset: u64, records: &[(Kind, &Payload)]) -> io::Result<()> {
    let mut headers = Vec::with_capacity(records.len());
    let mut place = offset;
    for (kind, payload) in records {
        headers.push(frame::header(*kind, payload, salt, place, offset));
        place += payload.frame_len();
    }
    let mut slices = Vec::with_capacity(records.len() * 5);
    for (header, (_, payload)) in headers.iter().zip(records) {
        slices.push(IoSlice::new(header));
        slices.extend(payload.parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)));
        slices.push(IoSlice::new(payload.padding()));
    }
    file.write_all_at(&mut slices, offset)
}

fn name(number: u64, salt: u64) -> String {
    format!("seg-{number:010}-{salt:016x}.log")
}

/// Number and salt of the segment in a file of that name, if it is one.
pub(crate) fn parse_name(text: &str) -> Option<(u64, u64)> {
    let (number, salt) = text.strip_prefix("seg-")?.strip_suffix(".log")?.split_once('-')?;
    let parsed = (number.parse().ok()?, u64::from_str_radix(salt, 16).ok()?);
    (name(parsed.0, parsed.1) == text).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_known_by_its_name() {
        assert_eq!(parse_name(&name(7, 0xabc)), Some((7, 0xabc)));
        assert_eq!(name(7, 0xabc), "seg-0000000007-0000000000000abc.log");
        for other in
            ["lock", "seg-7-abc.log", "seg-0000000007-0000000000000abc.log.bak", "seg-+000000007-0000000000000abc.log"]
        {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
