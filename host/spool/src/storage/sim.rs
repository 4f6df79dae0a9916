//! A disk in memory that can lose its power or break at any operation.
//!
//! Every file and directory has two images: the live one, which the process sees, and the durable one, which a power
//! cut leaves, together with whatever part of the unsynced changes the kernel happened to have written.

use super::{File, Folder, Storage};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

const SECTOR: usize = 512;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power is cut: this operation is half done, later ones fail.
    PowerCut,
    /// ENOSPC for whatever needs room.
    Full,
    /// EIO for whatever changes anything.
    Broken,
    /// EIO for reads too.
    Unreadable,
}

/// What a power cut leaves of the changes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// Nothing.
    Synced,
    /// Everything: the process was killed, the machine goes on.
    Everything,
    /// Some sectors and some directory entries, drawn by this seed.
    Some(u64),
}

#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, octets: Vec<u8> },
    Truncate(usize),
}

type Entries = BTreeMap<(Folder, String), usize>;

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    live: Entries,
    durable: Entries,
    pending: Vec<(Folder, String, Option<usize>)>,
    /// Operations so far.
    operations: u64,
    fault: Option<(Range<u64>, Fault)>,
    off: bool,
    random: u64,
    free: u64,
}

/// The simulated disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct Sim(Arc<Mutex<State>>);

struct SimFile {
    sim: Sim,
    inode: usize,
}

impl Sim {
    /// An empty disk on which operations `when` go wrong.
    pub(crate) fn new(when: Range<u64>, fault: Fault) -> Self {
        let state = State { fault: Some((when, fault)), free: u64::MAX, random: 1, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn sound() -> Self {
        Self::new(u64::MAX..u64::MAX, Fault::PowerCut)
    }

    /// How many operations there have been.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    pub(crate) fn set_free(&self, octets: u64) {
        self.0.lock().free = octets;
    }

    /// Operations `when` will go wrong.
    pub(crate) fn set_fault(&self, when: Range<u64>, fault: Fault) {
        self.0.lock().fault = Some((when, fault));
    }

    /// From now on nothing goes wrong.
    pub(crate) fn mend(&self) {
        self.0.lock().fault = None;
    }

    /// Flips one octet of the file, as rot would.
    pub(crate) fn rot(&self, folder: Folder, name: &str, offset: usize) {
        let mut state = self.0.lock();
        let inode = state.live[&(folder, name.to_owned())];
        state.inodes[inode].live[offset] ^= 0x40;
        state.inodes[inode].durable[offset] ^= 0x40;
    }

    /// The disk as the next start finds it, on which operations `when` go wrong.
    pub(crate) fn restart(&self, leaves: Leaves, when: Range<u64>, fault: Fault) -> Self {
        let state = self.0.lock();
        let mut random = match leaves {
            Leaves::Some(seed) => seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            _ => 1,
        };
        let inodes = state.inodes.iter().map(|inode| inode.after(leaves, &mut random)).collect();
        let (live, durable, pending) = match leaves {
            Leaves::Everything => (state.live.clone(), state.durable.clone(), state.pending.clone()),
            _ => {
                let entries = state.entries_after(leaves, &mut random);
                (entries.clone(), entries, Vec::new())
            }
        };
        let next = State {
            inodes,
            live,
            durable,
            pending,
            fault: Some((when, fault)),
            free: state.free,
            random,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(next)))
    }

    fn change(&self, needs_room: bool) -> io::Result<()> {
        self.0.lock().step(needs_room, false)
    }

    fn file(&self, inode: usize) -> Arc<dyn File> {
        Arc::new(SimFile { sim: self.clone(), inode })
    }
}

fn error(errno: rustix::io::Errno) -> io::Error {
    errno.into()
}

fn draw(random: &mut u64) -> bool {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random & 0x100 == 0
}

impl State {
    /// Counts an operation and says whether it goes wrong.
    fn step(&mut self, needs_room: bool, reads: bool) -> io::Result<()> {
        let now = self.operations;
        self.operations += 1;
        let fault = self.fault.as_ref().filter(|(when, _)| when.contains(&now)).map(|(_, fault)| *fault);
        match fault {
            _ if self.off => Err(error(rustix::io::Errno::IO)),
            Some(Fault::PowerCut) => {
                self.off = true;
                Err(error(rustix::io::Errno::IO))
            }
            Some(Fault::Full) if needs_room => Err(error(rustix::io::Errno::NOSPC)),
            Some(Fault::Broken) if !reads => Err(error(rustix::io::Errno::IO)),
            Some(Fault::Unreadable) => Err(error(rustix::io::Errno::IO)),
            _ => Ok(()),
        }
    }

    fn entries_after(&self, leaves: Leaves, random: &mut u64) -> Entries {
        let mut entries = self.durable.clone();
        for (folder, name, inode) in &self.pending {
            if leaves != Leaves::Synced && draw(random) {
                apply_entry(&mut entries, *folder, name, *inode);
            }
        }
        entries
    }

    fn set_entry(&mut self, folder: Folder, name: &str, inode: Option<usize>) {
        apply_entry(&mut self.live, folder, name, inode);
        self.pending.push((folder, name.to_owned(), inode));
    }
}

fn apply_entry(entries: &mut Entries, folder: Folder, name: &str, inode: Option<usize>) {
    match inode {
        Some(inode) => drop(entries.insert((folder, name.to_owned()), inode)),
        None => drop(entries.remove(&(folder, name.to_owned()))),
    }
}

impl Inode {
    fn after(&self, leaves: Leaves, random: &mut u64) -> Self {
        let content = match leaves {
            Leaves::Everything => return self.clone(),
            Leaves::Synced => self.durable.clone(),
            Leaves::Some(_) => self.torn(random),
        };
        Self { live: content.clone(), durable: content, pending: Vec::new() }
    }

    /// The durable image with some sectors of what was written since.
    fn torn(&self, random: &mut u64) -> Vec<u8> {
        let mut content = self.durable.clone();
        for change in &self.pending {
            match change {
                Change::Truncate(length) if draw(random) => content.resize(*length, 0),
                Change::Truncate(_) => {}
                Change::Write { offset, octets } => {
                    for (start, sector) in sectors(*offset, octets) {
                        if draw(random) {
                            put(&mut content, start, sector);
                        }
                    }
                }
            }
        }
        content
    }

    /// Only what is dirty is written: what an earlier sync failed to write stays lost.
    fn write_back(&mut self) {
        for change in &self.pending {
            match change {
                Change::Write { offset, octets } => put(&mut self.durable, *offset, octets),
                Change::Truncate(length) => self.durable.resize(*length, 0),
            }
        }
    }

    fn change(&mut self, change: Change) {
        match &change {
            Change::Write { offset, octets } => put(&mut self.live, *offset, octets),
            Change::Truncate(length) => self.live.resize(*length, 0),
        }
        self.pending.push(change);
    }
}

/// The parts of a write that a disk writes whole.
fn sectors(offset: usize, octets: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR - offset % SECTOR).min(octets.len());
    let (head, rest) = octets.split_at(first);
    let rest = rest.chunks(SECTOR).enumerate().map(move |(n, sector)| (offset + first + n * SECTOR, sector));
    std::iter::once((offset, head)).chain(rest)
}

fn put(content: &mut Vec<u8>, offset: usize, octets: &[u8]) {
    content.resize(content.len().max(offset + octets.len()), 0);
    content[offset..offset + octets.len()].copy_from_slice(octets);
}

impl Storage for Sim {
    fn create(&self, folder: Folder, name: &str) -> io::Result<Arc<dyn File>> {
        self.change(true)?;
        let mut state = self.0.lock();
        if state.live.contains_key(&(folder, name.to_owned())) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.set_entry(folder, name, Some(inode));
        Ok(self.file(inode))
    }

    fn open(&self, folder: Folder, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        state.step(false, true)?;
        let inode = *state.live.get(&(folder, name.to_owned())).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(inode))
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        let mut state = self.0.lock();
        state.step(false, true)?;
        let names: BTreeSet<_> = state.live.keys().filter(|key| key.0 == folder).map(|key| key.1.clone()).collect();
        Ok(names.into_iter().collect())
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        self.change(false)?;
        let mut state = self.0.lock();
        if !state.live.contains_key(&(folder, name.to_owned())) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.set_entry(folder, name, None);
        Ok(())
    }

    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        self.change(false)?;
        let mut state = self.0.lock();
        let (done, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.pending).into_iter().partition(|entry| entry.0 == folder);
        state.pending = left;
        done.iter().for_each(|(folder, name, inode)| apply_entry(&mut state.durable, *folder, name, *inode));
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.0.lock().free)
    }
}

impl SimFile {
    fn with<T>(&self, work: impl FnOnce(&mut Inode) -> T) -> T {
        work(&mut self.sim.0.lock().inodes[self.inode])
    }
}

impl File for SimFile {
    fn write_all_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut octets: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let result = self.sim.change(true);
        if result.is_err() {
            // A failed write has written a part of it.
            octets.truncate(octets.len() / 2);
        }
        self.with(|inode| inode.change(Change::Write { offset: offset as usize, octets }));
        result
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.sim.0.lock().step(false, true)?;
        self.with(|inode| {
            let rest = inode.live.get(offset as usize..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.sim.0.lock();
        let result = state.step(true, false);
        let cut = state.off;
        let mut random = state.random;
        draw(&mut random);
        state.random = random;
        let inode = &mut state.inodes[self.inode];
        match &result {
            Ok(()) => inode.write_back(),
            Err(_) if cut => return result,
            // The kernel has written some pages, and marks all of them clean: a later sync will not write them.
            Err(_) => inode.durable = inode.torn(&mut random),
        }
        inode.pending.clear();
        result
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.sim.change(false)?;
        self.with(|inode| inode.change(Change::Truncate(length as usize)));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|inode| inode.live.len()) as u64)
    }
}
