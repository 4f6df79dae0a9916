//! Who was promised what: every message of a load, and how far it got.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::client::stuffed;
use super::maildir::{Delivered, assert_same};
use super::random::Random;

/// How far a message got, as its sender saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its final dot was never sent, or it was refused: it may not be delivered.
    NotSent,
    /// Its end may have arrived, but no reply came back: it may be delivered once, or not at all.
    Unknown,
    /// 250: it is delivered once.
    Acknowledged,
}

/// A message of the load.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) recipients: Vec<&'static str>,
    /// Octets of the body.
    size: u64,
    fate: Fate,
}

impl Entry {
    /// The message, the same each time it is asked for.
    pub(crate) fn content(&self) -> Vec<u8> {
        let Self { id, size, .. } = self;
        let mut content = format!(
            "From: a@example.org\r\nTo: load@example.test\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\
             Message-Id: <{id}@example.org>\r\nX-Story: {id}\r\n\r\n"
        )
        .into_bytes();
        let end = content.len() as u64 + size;
        let mut random = id.bytes().fold(Random::from(*size), |random, octet| random.fork(octet.into()));
        while (content.len() as u64) < end {
            // Some lines begin with a dot.
            let dot = if random.within(0..8) == 0 { "." } else { "" };
            content
                .extend_from_slice(format!("{dot}{id} {:016x} {:016x}\r\n", random.next(), random.next()).as_bytes());
        }
        content
    }

    /// The message as DATA takes it.
    pub(crate) fn stuffed(&self) -> Vec<u8> {
        stuffed(&self.content())
    }
}

/// All messages of a load.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: Mutex<BTreeMap<String, Entry>>,
}

/// What a load came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sums {
    /// Messages with 250.
    pub(crate) acknowledged: usize,
    /// Messages that were sent and not answered.
    pub(crate) unknown: usize,
    /// Those of them that were delivered.
    pub(crate) unknown_delivered: usize,
    /// Copies that came a second time.
    pub(crate) duplicates: usize,
}

impl Ledger {
    /// A new message; most are small, some lie near 16 KiB, a few are far above it.
    pub(crate) fn draw(&self, prefix: &str, random: &mut Random, mailboxes: &[&'static str]) -> Entry {
        let size = match random.within(0..20) {
            0 => random.within(100_000..400_000),
            1..5 => random.within(12_000..20_000),
            _ => random.within(0..4_000),
        };
        let first = random.within(0..mailboxes.len() as u64) as usize;
        let count = 1 + usize::from(random.within(0..4) == 0 && mailboxes.len() > 1);
        let recipients = (0..count).map(|n| mailboxes[(first + n) % mailboxes.len()]).collect();
        let mut entries = self.entries.lock().expect("nobody panics with it");
        let entry = Entry { id: format!("{prefix}-{}", entries.len()), recipients, size, fate: Fate::NotSent };
        entries.insert(entry.id.clone(), entry.clone());
        entry
    }

    /// Notes how far a message got.
    pub(crate) fn note(&self, id: &str, fate: Fate) {
        self.entries.lock().expect("nobody panics with it").get_mut(id).expect("it was drawn").fate = fate;
    }

    /// Every message that may have come to the server, and its recipients; whether it was acknowledged.
    pub(crate) fn sent(&self) -> Vec<(String, Vec<&'static str>, bool)> {
        let entries = self.entries.lock().expect("nobody panics with it");
        let sent = entries.values().filter(|entry| entry.fate != Fate::NotSent);
        sent.map(|entry| (entry.id.clone(), entry.recipients.clone(), entry.fate == Fate::Acknowledged)).collect()
    }

    /// Copies that must arrive in all: one for each recipient of each acknowledged message.
    pub(crate) fn owed(&self) -> BTreeMap<String, usize> {
        let entries = self.entries.lock().expect("nobody panics with it");
        let owed = entries.values().filter(|entry| entry.fate == Fate::Acknowledged);
        owed.map(|entry| (entry.id.clone(), entry.recipients.len())).collect()
    }

    /// Compares with what one mailbox holds.
    ///
    /// # Panics
    /// When an acknowledged message is missing, or changed, or there more than once and `excused` does not know why; when
    /// something is there that was not sent.
    pub(crate) fn settle(&self, mailbox: &str, found: &[Delivered], excused: impl Fn(&[&Delivered]) -> bool) -> Sums {
        let mut copies: BTreeMap<String, Vec<&Delivered>> = BTreeMap::new();
        for mail in found {
            let id = mail.field("X-Story").unwrap_or_else(|| panic!("nobody sent {}", mail.path.display()));
            copies.entry(id).or_default().push(mail);
        }
        let entries = self.entries.lock().expect("nobody panics with it");
        let mut sums = Sums::default();
        for entry in entries.values().filter(|entry| entry.recipients.contains(&mailbox)) {
            let copies = copies.remove(&entry.id).unwrap_or_default();
            copies.iter().for_each(|mail| assert_same(mail, &entry.content()));
            assert!(copies.len() < 2 || excused(&copies), "{} came more than once: {}", entry.id, places(&copies));
            sums.add(entry, &copies);
        }
        assert!(copies.is_empty(), "never sent to {mailbox}: {:?}", copies.keys());
        sums
    }
}

impl Sums {
    fn add(&mut self, entry: &Entry, copies: &[&Delivered]) {
        let (id, count) = (&entry.id, copies.len());
        match entry.fate {
            Fate::NotSent => assert_eq!(count, 0, "{id} was never finished, and is delivered: {}", places(copies)),
            Fate::Acknowledged => assert_ne!(count, 0, "{id} was acknowledged, and is lost"),
            Fate::Unknown => {}
        }
        self.acknowledged += usize::from(entry.fate == Fate::Acknowledged);
        self.unknown += usize::from(entry.fate == Fate::Unknown);
        self.unknown_delivered += usize::from(entry.fate == Fate::Unknown && count > 0);
        self.duplicates += count.saturating_sub(1);
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            unknown: self.unknown + other.unknown,
            unknown_delivered: self.unknown_delivered + other.unknown_delivered,
            duplicates: self.duplicates + other.duplicates,
        }
    }
}

fn places(copies: &[&Delivered]) -> String {
    copies.iter().map(|mail| mail.path.display().to_string()).collect::<Vec<_>>().join(", ")
}
