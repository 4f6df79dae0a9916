//! Final delivery into Maildirs.
//!
//! A message is written to `tmp/`, synced, renamed to `new/`, and the directory is synced. Its file name follows from
//! its spool id alone, so what was delivered before a crash is known again and not delivered twice. Messages that are
//! due together go through these steps together: the file system then commits their syncs in one go.

mod copy;
mod name;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use wasmail_mail::EnhancedStatus;
use wasmail_mail::{ForwardPath, Recipient};
use wasmail_policy::outbound::Said;
use wasmail_queue::Outcome;
use wasmail_spool::{Message, RecipientState, Spool, SpoolId};

use super::attempt::{Carried, Delivered, Due};
use crate::{MaildirConfig, MaildirLayout, StartError};

use copy::Place;

/// Copies that are written before they are synced together; each one holds a file open.
const TOGETHER: usize = 64;

/// The Maildirs of this machine.
pub(crate) struct Maildir {
    config: MaildirConfig,
    /// Up to here messages were in the spool when we started, and may have been delivered before.
    last_recovered: Option<SpoolId>,
}

impl Maildir {
    pub(crate) fn open(config: MaildirConfig, last_recovered: Option<SpoolId>) -> Result<Self, StartError> {
        let path = config.root.clone();
        make_dir(&path).map_err(|source| StartError::Maildir { path, source })?;
        Ok(Self { config, last_recovered })
    }

    /// Delivers these messages, on a thread that may wait for the disk.
    pub(crate) async fn carry(self: &Arc<Self>, spool: &Spool, batch: Vec<Due>) -> Vec<Carried> {
        let (maildir, spool, runtime) = (Arc::clone(self), spool.clone(), Handle::current());
        let due = batch.clone();
        let carried = tokio::task::spawn_blocking(move || Round::new(&maildir, &runtime).carry(&spool, due)).await;
        carried.unwrap_or_else(|error| {
            let error = io::Error::other(error);
            batch.iter().map(|due| Carried::unread(due, &error)).collect()
        })
    }

    /// Where a copy goes; none when the address makes no directory name.
    fn place(&self, id: SpoolId, position: usize, path: &ForwardPath) -> Option<Place> {
        let dir = match self.config.layout {
            MaildirLayout::Single => self.config.root.clone(),
            MaildirLayout::PerRecipient => {
                let (domain, local_part) = name::of_recipient(path, &self.config.hostname)?;
                self.config.root.join(domain).join(local_part)
            }
        };
        Some(Place { dir, name: name::of_file(id, position, &self.config.hostname) })
    }

    /// Whether an earlier attempt may have delivered a message.
    fn may_be_there(&self, message: &Message) -> bool {
        let attempted = message.recipients().iter().any(|state| !matches!(state, RecipientState::Pending));
        attempted || Some(message.id()) <= self.last_recovered
    }

    /// Makes the file in `tmp/`, and the Maildir where there is none yet.
    fn create(&self, place: &Place) -> io::Result<File> {
        match place.create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_maildir(&self.config.root, &place.dir, self.config.sync)?;
                place.create()
            }
            other => other,
        }
    }
}

/// Messages that are delivered together.
struct Round<'a> {
    maildir: &'a Maildir,
    runtime: &'a Handle,
    carried: Vec<Carried>,
    /// Copies that are written and not yet to be found.
    written: Vec<Written>,
}

/// A copy on its way.
struct Written {
    /// The message, by its position in the round.
    message: usize,
    /// The recipient, by its position in the envelope.
    recipient: usize,
    place: Place,
    /// None when an earlier attempt has delivered it.
    file: Option<File>,
}

impl<'a> Round<'a> {
    fn new(maildir: &'a Maildir, runtime: &'a Handle) -> Self {
        Self { maildir, runtime, carried: Vec::new(), written: Vec::new() }
    }

    fn carry(mut self, spool: &Spool, batch: Vec<Due>) -> Vec<Carried> {
        for due in batch {
            match spool.message_blocking(due.id) {
                Ok(message) => self.write_copies(message, &due),
                Err(error) => self.carried.push(Carried::unread(&due, &error)),
            }
        }
        self.settle();
        self.carried
    }

    fn write_copies(&mut self, message: Message, due: &Due) {
        let at = self.carried.len();
        self.carried.push(Carried { id: due.id, message: None, delivered: Vec::new() });
        for position in &due.recipients {
            let recipient = message.envelope().recipients.get(*position);
            let place = recipient.and_then(|recipient| self.maildir.place(due.id, *position, &recipient.path));
            let (Some(recipient), Some(place)) = (recipient, place) else {
                self.conclude(at, *position, Outcome::Failed, "5.1.1 the address makes no directory name".to_owned());
                continue;
            };
            match self.write(&message, recipient, &place) {
                Ok(file) => self.written.push(Written { message: at, recipient: *position, place, file }),
                Err(error) => self.give_up(at, *position, &place, &error),
            }
            if self.written.len() >= TOGETHER {
                self.settle();
            }
        }
        self.carried[at].message = Some(message);
    }

    /// Writes a copy, unless it is there already.
    fn write(&self, message: &Message, recipient: &Recipient, place: &Place) -> io::Result<Option<File>> {
        if self.maildir.may_be_there(message) && place.is_taken()? {
            return Ok(None);
        }
        let mut file = self.maildir.create(place)?;
        copy::write(&mut file, message, recipient, self.runtime)?;
        Ok(Some(file))
    }

    /// Brings all written copies to where they are found.
    fn settle(&mut self) {
        let sync = self.maildir.config.sync;
        let synced: Vec<_> = self.written.iter().map(|copy| if sync { copy.sync() } else { Ok(()) }).collect();
        let publish = |(copy, synced): (&Written, io::Result<()>)| synced.and_then(|()| copy.publish());
        let published: Vec<_> = self.written.iter().zip(synced).map(publish).collect();
        // Directories are synced when everything is in them; also for a copy of an earlier attempt, which may have
        // broken off right here.
        let mut dirs: BTreeMap<PathBuf, io::Result<()>> = BTreeMap::new();
        for (copy, published) in std::mem::take(&mut self.written).into_iter().zip(published) {
            let new = copy.place.new_dir();
            let synced = match published {
                Ok(()) if sync => dirs.entry(new).or_insert_with_key(|new| sync_dir(new)).as_ref().copied(),
                Ok(()) => Ok(()),
                Err(ref error) => Err(error),
            };
            match synced {
                Ok(()) => {
                    let how = if copy.file.is_some() { "to" } else { "already in" };
                    let reply = format!("{how} {}", copy.place.dir.display());
                    self.conclude(copy.message, copy.recipient, Outcome::Delivered, reply);
                }
                Err(error) => self.give_up(copy.message, copy.recipient, &copy.place, error),
            }
        }
    }

    fn give_up(&mut self, message: usize, recipient: usize, place: &Place, error: &io::Error) {
        place.clear();
        let reply = format!("4.3.0 failed to deliver to {}: {error}", place.dir.display());
        self.conclude(message, recipient, Outcome::Deferred, reply);
    }

    fn conclude(&mut self, message: usize, recipient: usize, outcome: Outcome, reply: String) {
        // Where our files are is nobody's business.
        let enhanced = reply.split(' ').next().and_then(EnhancedStatus::parse);
        let said = Some(Said { enhanced, ..Said::default() });
        self.carried[message].delivered.push(Delivered { said, ..Delivered::new(recipient, outcome, reply) });
    }
}

impl Written {
    fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_all)
    }

    fn publish(&self) -> io::Result<()> {
        if self.file.is_some() { self.place.publish() } else { Ok(()) }
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes `new` and `cur`, sees to it that their names survive a power cut, and then makes `tmp`: who finds that, and many may
/// deliver at once, finds all of them.
fn make_maildir(root: &Path, dir: &Path, sync: bool) -> io::Result<()> {
    for sub in ["new", "cur"] {
        make_dir(&dir.join(sub))?;
    }
    if sync {
        for made in dir.ancestors().take_while(|made| made.starts_with(root)) {
            sync_dir(made)?;
        }
    }
    make_dir(&dir.join("tmp"))
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn the_first_messages_of_a_maildir_may_come_at_the_same_time() {
        const AT_ONCE: usize = 4;
        let root = tempfile::tempdir().unwrap();
        let config = MaildirConfig {
            root: root.path().to_owned(),
            layout: MaildirLayout::PerRecipient,
            hostname: "mx.example.test".to_owned(),
            sync: false,
        };
        let maildir = Maildir::open(config, None).unwrap();
        for round in 0..500 {
            let (dir, barrier) = (root.path().join(format!("example.test/{round}")), Barrier::new(AT_ONCE));
            std::thread::scope(|scope| {
                for number in 0..AT_ONCE {
                    let place = Place { dir: dir.clone(), name: number.to_string() };
                    let (maildir, barrier) = (&maildir, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        drop(maildir.create(&place).unwrap());
                        place.publish().unwrap();
                    });
                }
            });
        }
    }
}
