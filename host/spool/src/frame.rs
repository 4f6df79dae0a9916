//! How a record lies in a segment: a checked header, a checked payload, and how to find the next one after damage.
//!
//! ```text
//! offset  0  magic "WMJ1"
//!         4  kind, then three zero octets
//!         8  payload length
//!        12  CRC-32 of the payload
//!        16  octets of this segment that were durable when this was written
//!        20  CRC-32 of salt, offset and the twenty octets above
//!        24  payload, zero-padded to a multiple of eight
//! ```
//!
//! Numbers are little-endian. The salt, which only the segment's file name tells, and the offset keep a record that
//! somebody mailed to us from being taken for one of ours.

use crate::storage::{File, read_exact_at};
use bytes::Bytes;
use crc32fast::Hasher;
use std::io;
use std::ops::Range;

/// Octets before the payload.
pub(crate) const HEADER_LEN: u64 = 24;
/// Every frame starts at a multiple of this.
const ALIGNMENT: u64 = 8;
/// Largest payload in octets: an inline body, a header section and an envelope of very many recipients.
pub(crate) const PAYLOAD_MAX: usize = 16 * 1024 * 1024;

const MAGIC: [u8; 4] = *b"WMJ1";
/// How much is read at once while looking for the next whole frame.
const RESYNC_WINDOW: usize = 1024 * 1024;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first record of a segment: what held when it was begun.
    Segment = 1,
    /// A whole message; a later one of the same id takes the place of an earlier one.
    Accepted = 2,
    /// What became of some recipients.
    Outcomes = 3,
    /// The message is finished.
    Done = 4,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        [Self::Segment, Self::Accepted, Self::Outcomes, Self::Done].into_iter().find(|kind| *kind as u8 == octet)
    }
}

/// The content of a record, in as many parts as it came, so that nothing is copied on its way to the disk.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) parts: Vec<Bytes>,
    len: u32,
    crc: u32,
}

impl Payload {
    /// Measures and sums up `parts`.
    ///
    /// # Errors
    /// When they are longer than [`PAYLOAD_MAX`] together.
    pub(crate) fn new(parts: Vec<Bytes>) -> io::Result<Self> {
        let len: usize = parts.iter().map(Bytes::len).sum();
        if len > PAYLOAD_MAX {
            let problem = format!("a record of {len} octets is longer than {PAYLOAD_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let mut hasher = Hasher::new();
        parts.iter().for_each(|part| hasher.update(part));
        Ok(Self { parts, len: len as u32, crc: hasher.finalize() })
    }

    /// Octets the frame takes in a segment.
    pub(crate) fn frame_len(&self) -> u64 {
        frame_len(self.len)
    }

    /// Zero octets after the payload.
    pub(crate) fn padding(&self) -> &'static [u8] {
        let pad = self.frame_len() - HEADER_LEN - u64::from(self.len);
        &[0; ALIGNMENT as usize][..pad as usize]
    }
}

fn frame_len(payload: u32) -> u64 {
    (HEADER_LEN + u64::from(payload)).next_multiple_of(ALIGNMENT)
}

/// Writes a frame's header for a place in a segment.
pub(crate) fn header(kind: Kind, payload: &Payload, salt: u64, offset: u64, durable: u64) -> [u8; HEADER_LEN as usize] {
    let mut octets = [0; HEADER_LEN as usize];
    octets[0..4].copy_from_slice(&MAGIC);
    octets[4] = kind as u8;
    octets[8..12].copy_from_slice(&payload.len.to_le_bytes());
    octets[12..16].copy_from_slice(&payload.crc.to_le_bytes());
    // A segment is smaller than 4 GiB, see `Options::segment_size`.
    octets[16..20].copy_from_slice(&(durable as u32).to_le_bytes());
    let crc = header_crc(&octets, salt, offset);
    octets[20..24].copy_from_slice(&crc.to_le_bytes());
    octets
}

fn header_crc(octets: &[u8; HEADER_LEN as usize], salt: u64, offset: u64) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&octets[..20]);
    hasher.finalize()
}

struct Header {
    kind: Kind,
    len: u32,
    crc: u32,
    durable: u32,
}

fn parse_header(octets: &[u8], salt: u64, offset: u64) -> Option<Header> {
    let octets: &[u8; HEADER_LEN as usize] = octets.get(..HEADER_LEN as usize)?.try_into().ok()?;
    let number = |at: usize| u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    if octets[..4] != MAGIC || number(20) != header_crc(octets, salt, offset) || number(8) as usize > PAYLOAD_MAX {
        return None;
    }
    Some(Header { kind: Kind::from_octet(octets[4])?, len: number(8), crc: number(12), durable: number(16) })
}

/// A whole record as it was read.
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// Where the frame begins.
    pub(crate) offset: u64,
    /// Its length with header and padding.
    pub(crate) len: u64,
    /// Octets of the segment that were durable when it was written.
    pub(crate) durable: u64,
    pub(crate) payload: Bytes,
}

enum Read {
    Whole(Frame),
    /// The header is good, so it is known where the next one starts.
    BadPayload {
        next: u64,
    },
    BadHeader,
}

/// Reads the frame at `offset` of a segment that ends at `end`.
///
/// # Errors
/// What the file says; `InvalidData` when the frame does not match its checksums.
pub(crate) fn read(file: &dyn File, salt: u64, offset: u64, end: u64) -> io::Result<Frame> {
    match try_read(file, salt, offset, end)? {
        Read::Whole(frame) => Ok(frame),
        _ => {
            let problem = format!("the record at octet {offset} does not match its checksum");
            Err(io::Error::new(io::ErrorKind::InvalidData, problem))
        }
    }
}

fn try_read(file: &dyn File, salt: u64, offset: u64, end: u64) -> io::Result<Read> {
    if offset + HEADER_LEN > end {
        return Ok(Read::BadHeader);
    }
    let octets = read_exact_at(file, offset, HEADER_LEN as usize)?;
    let Some(header) = parse_header(&octets, salt, offset) else { return Ok(Read::BadHeader) };
    let len = frame_len(header.len);
    if offset + len > end {
        return Ok(Read::BadHeader);
    }
    let payload = read_exact_at(file, offset + HEADER_LEN, header.len as usize)?;
    if crc32fast::hash(&payload) != header.crc {
        return Ok(Read::BadPayload { next: offset + len });
    }
    let (kind, durable) = (header.kind, u64::from(header.durable));
    Ok(Read::Whole(Frame { kind, offset, len, durable, payload: payload.into() }))
}

/// What a segment holds besides whole frames.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The end of the last whole frame.
    pub(crate) end: u64,
    /// Every octet before this had been synced, says some whole frame.
    pub(crate) durable: u64,
    /// What is not readable, the torn or blank tail included; neighbours are one range.
    pub(crate) damage: Vec<Range<u64>>,
}

/// Visits every whole frame before `end`, in order; steps over what is damaged.
pub(crate) fn scan(
    file: &dyn File,
    salt: u64,
    end: u64,
    mut visit: impl FnMut(Frame) -> io::Result<()>,
) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut offset = 0;
    while offset < end {
        let next = match try_read(file, salt, offset, end)? {
            Read::Whole(frame) => {
                offset += frame.len;
                scan.end = offset;
                scan.durable = scan.durable.max(frame.durable);
                visit(frame)?;
                continue;
            }
            Read::BadPayload { next } => next,
            Read::BadHeader => resync(file, salt, offset + ALIGNMENT, end)?,
        };
        scan.note_damage(offset..next);
        offset = next;
    }
    Ok(scan)
}

impl Scan {
    fn note_damage(&mut self, range: Range<u64>) {
        match self.damage.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None => self.damage.push(range),
        }
    }
}

/// The next place from `offset` on where a whole frame begins, or `end`.
fn resync(file: &dyn File, salt: u64, mut offset: u64, end: u64) -> io::Result<u64> {
    while offset + HEADER_LEN <= end {
        let length = (end - offset).min(RESYNC_WINDOW as u64) as usize;
        let window = read_exact_at(file, offset, length)?;
        let step = ALIGNMENT as usize;
        for at in (0..=window.len() - HEADER_LEN as usize).step_by(step) {
            let place = offset + at as u64;
            if parse_header(&window[at..], salt, place).is_some()
                && matches!(try_read(file, salt, place, end)?, Read::Whole(_))
            {
                return Ok(place);
            }
        }
        // The windows overlap by a header, so that one across their border is seen.
        offset += ((window.len() - HEADER_LEN as usize) as u64 / ALIGNMENT + 1) * ALIGNMENT;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Disk, Folder, Storage};
    use proptest::prelude::*;
    use std::io::IoSlice;

    const SALT: u64 = 7;

    /// A segment with the given payloads, as octets.
    fn segment(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = Vec::new();
        for payload in payloads {
            let payload = Payload::new(vec![Bytes::copy_from_slice(payload)]).unwrap();
            let offset = octets.len() as u64;
            octets.extend(header(Kind::Accepted, &payload, SALT, offset, offset));
            octets.extend(&payload.parts[0]);
            octets.extend(payload.padding());
        }
        octets
    }

    fn scanned(octets: &[u8]) -> (Vec<Vec<u8>>, Scan) {
        let dir = tempfile::tempdir().unwrap();
        let file = Disk::open(dir.path()).unwrap().create(Folder::Journal, "s").unwrap();
        file.write_all_at(&mut [IoSlice::new(octets)], 0).unwrap();
        let mut payloads = Vec::new();
        let scan = scan(&*file, SALT, octets.len() as u64, |frame| {
            payloads.push(frame.payload.to_vec());
            Ok(())
        });
        (payloads, scan.unwrap())
    }

    #[test]
    fn what_was_written_is_read_back() {
        let payloads = vec![vec![], vec![1; 7], vec![2; 8], vec![3; 100_000]];
        let octets = segment(&payloads);
        let (read, scan) = scanned(&octets);
        assert_eq!(read, payloads);
        assert_eq!(scan.end, octets.len() as u64);
        assert!(scan.damage.is_empty());
        assert_eq!(scan.durable, 24 + 32 + 32, "as the last frame says");
    }

    #[test]
    fn a_broken_header_hides_no_more_than_its_own_record() {
        let payloads = vec![vec![1; 50], vec![2; 3_000_000], vec![3; 50]];
        let mut octets = segment(&payloads);
        octets[80 + 9] ^= 1;
        let (read, scan) = scanned(&octets);
        assert_eq!(read, [payloads[0].clone(), payloads[2].clone()]);
        assert_eq!((scan.damage.len(), scan.damage[0].clone()), (1, 80..80 + 3_000_024));
    }

    #[test]
    fn a_record_that_somebody_mailed_to_us_is_not_ours() {
        let forged = segment(&[vec![9; 40]]);
        let mut octets = segment(&[vec![1; 40], [vec![0; 8], forged].concat()]);
        octets[64] ^= 1;
        let (read, scan) = scanned(&octets);
        assert_eq!(read, [vec![1; 40]]);
        assert_eq!(scan.damage.len(), 1);
    }

    #[test]
    fn zeros_are_no_record() {
        let mut octets = segment(&[vec![1; 40]]);
        octets.extend([0; 4096]);
        let (_, scan) = scanned(&octets);
        assert_eq!((scan.end, scan.damage.len(), scan.damage[0].clone()), (64, 1, 64..64 + 4096));
    }

    #[test]
    fn a_record_has_a_largest_size() {
        let error = Payload::new(vec![Bytes::from(vec![0; PAYLOAD_MAX]), Bytes::from_static(b"x")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    proptest! {
        #[test]
        fn damage_anywhere_costs_only_the_records_it_touches(
            sizes in proptest::collection::vec(1usize..300, 1..12),
            place in any::<proptest::sample::Index>(),
            length in 1usize..40,
        ) {
            let payloads: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
            let mut octets = segment(&payloads);
            let start = place.index(octets.len());
            let end = (start + length).min(octets.len());
            octets[start..end].iter_mut().for_each(|octet| *octet ^= 0x5a);
            let (read, _) = scanned(&octets);
            let mut offset = 0;
            for payload in &payloads {
                let next = offset + frame_len(payload.len() as u32) as usize;
                // The padding is not summed up: nobody reads it.
                let touched = start < offset + 24 + payload.len() && end > offset;
                prop_assert_eq!(read.contains(payload), !touched);
                offset = next;
            }
        }

        #[test]
        fn any_octets_are_scanned_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let (read, _) = scanned(&octets);
            prop_assert!(read.is_empty());
        }
    }
}
