//! Makes a journal fit to go on with: what is trusted gets durable, what is damaged goes aside, leftovers go away.

use super::{Damage, Journal, Why};
use crate::index::Segment;
use crate::record::BodyPlace;
use crate::storage::{File, Folder, Storage, read_exact_at};
use std::io::{self, IoSlice};
use std::ops::Range;

/// Most files in quarantine. More than that is a broken disk, and copying it would fill another.
const QUARANTINE_MAX: usize = 1000;
/// How much is copied at once.
const COPY_WINDOW: u64 = 1024 * 1024;

/// Repairs the directory that `journal` was read from.
///
/// # Errors
/// When what the journal relies on from now on cannot be made durable.
pub(crate) fn repair(storage: &dyn Storage, journal: &mut Journal) -> io::Result<()> {
    for damage in std::mem::take(&mut journal.damage) {
        report(storage, journal, &damage);
    }
    for number in std::mem::take(&mut journal.blank) {
        if let Some(segment) = journal.index.remove_segment(number) {
            storage.remove(Folder::Journal, &segment.name)?;
        }
    }
    for (number, durable) in std::mem::take(&mut journal.unsealed) {
        if let Some(segment) = journal.index.segments().get(&number) {
            make_durable(segment, durable)?;
        }
    }
    storage.sync_folder(Folder::Journal)?;
    remove_orphans(storage, journal)
}

/// Writes the last, perhaps unsynced, records of a segment once more and cuts off what lies behind.
///
/// A process that was killed leaves records in the page cache that the disk may not have; if their sync had failed, the
/// kernel would not even try again. Written anew they are dirty and the sync is an honest one. Whoever acts on a record
/// needs that: a copied message's first place is given up for the second.
fn make_durable(segment: &Segment, durable: u64) -> io::Result<()> {
    segment.file.truncate(segment.end)?;
    let mut offset = durable;
    while offset < segment.end {
        let length = (segment.end - offset).min(COPY_WINDOW);
        let octets = read_exact_at(&*segment.file, offset, length as usize)?;
        segment.file.write_all_at(&mut [IoSlice::new(&octets)], offset)?;
        offset += length;
    }
    segment.file.sync()
}

fn report(storage: &dyn Storage, journal: &Journal, damage: &Damage) {
    let Some(segment) = journal.index.segments().get(&damage.segment) else { return };
    let (name, range) = (&segment.name, &damage.range);
    match &damage.why {
        Why::TornTail => {
            tracing::info!(segment = name, octets = range.end - range.start, "cut off an unfinished write");
            return;
        }
        Why::Torn => tracing::warn!(segment = name, ?range, "an unfinished write lies between whole records"),
        Why::Checksum => tracing::error!(segment = name, ?range, "synced records are not readable any more"),
        Why::Content(error) => tracing::error!(segment = name, ?range, %error, "a record makes no sense"),
        Why::Body(id) => tracing::error!(segment = name, ?range, %id, "the file with the message's body is damaged"),
    }
    match set_aside(storage, segment, range.clone()) {
        Ok(Some(file)) => tracing::error!(segment = name, ?range, file, "kept a copy of the damaged octets"),
        Ok(None) => {}
        Err(error) => tracing::error!(segment = name, ?range, %error, "failed to copy the damaged octets"),
    }
}

/// Copies damaged octets to a file of their own, for a person to look at; says its name, unless there is one already.
///
/// # Errors
/// What the storage says.
pub(crate) fn set_aside(storage: &dyn Storage, segment: &Segment, range: Range<u64>) -> io::Result<Option<String>> {
    let name = format!("{}.{}", segment.name, range.start);
    let known = storage.list(Folder::Quarantine)?;
    if known.contains(&name) || known.len() >= QUARANTINE_MAX {
        return Ok(None);
    }
    let copy = storage.create(Folder::Quarantine, &name)?;
    copy_range(&*segment.file, range, &*copy)?;
    copy.sync()?;
    storage.sync_folder(Folder::Quarantine)?;
    Ok(Some(name))
}

fn copy_range(from: &dyn File, range: Range<u64>, to: &dyn File) -> io::Result<()> {
    let end = range.end.min(from.len()?);
    let mut offset = range.start;
    while offset < end {
        let length = (end - offset).min(COPY_WINDOW);
        let octets = read_exact_at(from, offset, length as usize)?;
        to.write_all_at(&mut [IoSlice::new(&octets)], offset - range.start)?;
        offset += length;
    }
    Ok(())
}

/// Removes the bodies of messages that were never committed or are finished.
fn remove_orphans(storage: &dyn Storage, journal: &Journal) -> io::Result<()> {
    for name in storage.list(Folder::Bodies)? {
        let live = name.parse().ok().and_then(|id| journal.index.get(id));
        if !live.is_some_and(|live| matches!(live.body, BodyPlace::File { .. })) {
            tracing::debug!(name, "removed a body that no message names");
            storage.remove(Folder::Bodies, &name)?;
        }
    }
    Ok(())
}
