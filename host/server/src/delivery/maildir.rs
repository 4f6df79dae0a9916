//! Final delivery into Maildirs.
//!
//! A message is written to `tmp/`, synced, renamed to `new/`, and the directory is synced. Its file name follows from
//! its spool id alone, so what was delivered before a crash is known again and not delivered twice.

mod name;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use wasmail_mail::{ForwardPath, Recipient};
use wasmail_queue::Outcome;
use wasmail_spool::{Message, RecipientState, SpoolId};

use super::attempt::Delivered;
use crate::{MaildirConfig, MaildirLayout, StartError};

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

    /// Delivers to these recipients, on a thread that may wait for the disk.
    pub(crate) async fn carry(self: &Arc<Self>, message: Message, recipients: Vec<usize>) -> Vec<Delivered> {
        let (maildir, runtime) = (Arc::clone(self), Handle::current());
        let tried = recipients.clone();
        let work = move || -> Vec<_> { tried.iter().map(|to| maildir.deliver(&message, *to, &runtime)).collect() };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
            Delivered::all(&recipients, Outcome::Deferred, &format!("4.3.0 broke off: {error}"))
        })
    }

    fn deliver(&self, message: &Message, position: usize, runtime: &Handle) -> Delivered {
        // The queue's positions are those of the envelope.
        let Some(recipient) = message.envelope().recipients.get(position) else {
            return Delivered::new(position, Outcome::Failed, "5.1.1 no such recipient");
        };
        let Some(dir) = self.dir(&recipient.path) else {
            return Delivered::new(position, Outcome::Failed, "5.1.1 the address makes no directory name");
        };
        let copy = Copy { message, recipient, dir: &dir, name: &self.file_name(message.id(), position) };
        match self.deliver_copy(&copy, runtime) {
            Ok(how) => Delivered::new(position, Outcome::Delivered, format!("{how} {}", dir.display())),
            Err(error) => {
                let reply = format!("4.3.0 failed to deliver to {}: {error}", dir.display());
                Delivered::new(position, Outcome::Deferred, reply)
            }
        }
    }

    fn dir(&self, path: &ForwardPath) -> Option<PathBuf> {
        match self.config.layout {
            MaildirLayout::Single => Some(self.config.root.clone()),
            MaildirLayout::PerRecipient => {
                let (domain, local_part) = name::of_recipient(path, &self.config.hostname)?;
                Some(self.config.root.join(domain).join(local_part))
            }
        }
    }

    fn file_name(&self, id: SpoolId, position: usize) -> String {
        name::of_file(id, position, &self.config.hostname)
    }

    fn deliver_copy(&self, copy: &Copy<'_>, runtime: &Handle) -> io::Result<&'static str> {
        let attempted = copy.message.recipients().iter().any(|state| !matches!(state, RecipientState::Pending));
        let perhaps_there = attempted || Some(copy.message.id()) <= self.last_recovered;
        if perhaps_there && copy.is_there()? {
            return Ok("already in");
        }
        let tmp = copy.dir.join("tmp").join(copy.name);
        let file = match copy.create(&tmp) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_maildir(&self.config.root, copy.dir, self.config.sync)?;
                copy.create(&tmp)
            }
            other => other,
        }?;
        let written = copy.write(file, runtime, self.config.sync).and_then(|()| copy.publish(&tmp, self.config.sync));
        // What could not be delivered leaves nothing behind.
        written.inspect_err(|_| drop(fs::remove_file(&tmp)))?;
        Ok("to")
    }
}

/// One recipient's copy of a message.
struct Copy<'a> {
    message: &'a Message,
    recipient: &'a Recipient,
    dir: &'a Path,
    name: &'a str,
}

impl Copy<'_> {
    /// Whether an earlier attempt has delivered it: unseen in `new/`, or under the same name with flags in `cur/`.
    fn is_there(&self) -> io::Result<bool> {
        if self.dir.join("new").join(self.name).try_exists()? {
            return Ok(true);
        }
        let entries = match fs::read_dir(self.dir.join("cur")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        for entry in entries {
            let seen = entry?.file_name();
            let flags = seen.as_encoded_bytes().strip_prefix(self.name.as_bytes());
            if flags.is_some_and(|flags| flags.is_empty() || flags[0] == b':') {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn create(&self, tmp: &Path) -> io::Result<File> {
        // The name is ours alone: what is there was left by an attempt that broke off.
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(tmp)
    }

    fn write(&self, mut file: File, runtime: &Handle, sync: bool) -> io::Result<()> {
        let mut pending = self.trace_fields();
        pending.extend_from_slice(self.message.header());
        let mut chunks = self.message.body().chunks();
        while let Some(chunk) = next_chunk(&mut chunks, runtime)? {
            pending.extend_from_slice(&chunk);
            file.write_all(&pending)?;
            pending.clear();
        }
        file.write_all(&pending)?;
        if sync { file.sync_all() } else { Ok(()) }
    }

    /// The fields of final delivery: where failures go, and for whom this copy is (RFC 5321 §4.4).
    fn trace_fields(&self) -> Vec<u8> {
        let (from, to) = (&self.message.envelope().reverse_path, self.recipient.path.address());
        format!("Return-Path: {from}\r\nDelivered-To: {to}\r\n").into_bytes()
    }

    fn publish(&self, tmp: &Path, sync: bool) -> io::Result<()> {
        let new = self.dir.join("new");
        fs::rename(tmp, new.join(self.name))?;
        if sync { sync_dir(&new) } else { Ok(()) }
    }
}

fn next_chunk(chunks: &mut wasmail_spool::Chunks, runtime: &Handle) -> io::Result<Option<Bytes>> {
    runtime.block_on(chunks.next())
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes `tmp`, `new` and `cur`, and sees to it that their names survive a power cut.
fn make_maildir(root: &Path, dir: &Path, sync: bool) -> io::Result<()> {
    for sub in ["tmp", "new", "cur"] {
        make_dir(&dir.join(sub))?;
    }
    if sync {
        for made in dir.ancestors().take_while(|made| made.starts_with(root)) {
            sync_dir(made)?;
        }
    }
    Ok(())
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
