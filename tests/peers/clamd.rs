//! ClamAV's daemon, with a signature of ours and no other.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::eventually;
use super::programs::{self, Guard};

/// What it takes for a virus, and the name that it calls that by.
pub(crate) const VIRUS: &str = "wasmail-test-virus";
pub(crate) const NAME: &str = "Wasmail.Test.UNOFFICIAL";

/// A running daemon; dropped, it is dead.
pub(crate) struct Clamd {
    _process: Guard,
    dir: TempDir,
}

impl Clamd {
    /// Starts one that takes so many octets, and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub(crate) fn start(stream_max: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let here = dir.path().display();
        let hex: String = VIRUS.bytes().map(|octet| format!("{octet:02x}")).collect();
        let name = NAME.trim_end_matches(".UNOFFICIAL");
        let files = [
            // Name, any kind of file, at any place, these octets.
            ("own.ndb", format!("{name}:0:*:{hex}\n")),
            (
                "clamd.conf",
                format!(
                    "Foreground yes\nLocalSocket {here}/socket\nDatabaseDirectory {here}\n\
                     TemporaryDirectory {here}\nStreamMaxLength {stream_max}\n"
                ),
            ),
        ];
        for (file, text) in files {
            std::fs::write(dir.path().join(file), text).expect("it can be written");
        }
        let mut command = programs::command("clamd");
        command.arg("--config-file").arg(dir.path().join("clamd.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Guard(command.spawn().expect("clamd starts"));
        let clamd = Self { _process: process, dir };
        eventually("clamd listens", Duration::from_secs(60), || UnixStream::connect(clamd.socket()).ok());
        clamd
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// Where it listens, as a plugin says it.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.socket().display())
    }
}
