//! One recipient's copy of a message, step by step to where it is found.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use tokio::runtime::Handle;
use wasmail_mail::Recipient;
use wasmail_spool::Message;

/// Where a copy goes.
pub(super) struct Place {
    /// The Maildir.
    pub(super) dir: PathBuf,
    /// The file's name.
    pub(super) name: String,
}

impl Place {
    /// Whether an earlier attempt has delivered it: unseen in `new/`, or under the same name with flags in `cur/`.
    pub(super) fn is_taken(&self) -> io::Result<bool> {
        if self.new_file().try_exists()? {
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

    /// Makes the file in `tmp/`. The name is ours alone: what is there was left by an attempt that broke off.
    pub(super) fn create(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.tmp_file())
    }

    pub(super) fn publish(&self) -> io::Result<()> {
        fs::rename(self.tmp_file(), self.new_file())
    }

    /// Leaves nothing of a copy that could not be delivered.
    pub(super) fn clear(&self) {
        let _ = fs::remove_file(self.tmp_file());
    }

    pub(super) fn new_dir(&self) -> PathBuf {
        self.dir.join("new")
    }

    fn tmp_file(&self) -> PathBuf {
        self.dir.join("tmp").join(&self.name)
    }

    fn new_file(&self) -> PathBuf {
        self.dir.join("new").join(&self.name)
    }
}

/// Writes the message with the fields of final delivery on top: where failures go, and for whom this copy is
/// (RFC 5321 §4.4).
pub(super) fn write(file: &mut File, message: &Message, recipient: &Recipient, runtime: &Handle) -> io::Result<()> {
    let (from, to) = (&message.envelope().reverse_path, recipient.path.address());
    let mut pending = format!("Return-Path: {from}\r\nDelivered-To: {to}\r\n").into_bytes();
    pending.extend_from_slice(message.header());
    let mut chunks = message.body().chunks();
    while let Some(chunk) = runtime.block_on(chunks.next())? {
        pending.extend_from_slice(&chunk);
        file.write_all(&pending)?;
        pending.clear();
    }
    file.write_all(&pending)
}
