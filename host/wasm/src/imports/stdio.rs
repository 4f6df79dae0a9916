//! Standard output and standard error: lines for the log.

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::GuestLog;
use crate::bindings::wasmail::policy::log::Level;

/// Octets that a guest may write at once; longer texts come in pieces.
const WRITE_MAX: usize = 4_096;

/// One of the two streams.
#[derive(Clone)]
pub(super) struct Stdio {
    log: GuestLog,
    level: Level,
}

impl Stdio {
    pub(super) fn stdout(log: &GuestLog) -> Self {
        Self { log: log.clone(), level: Level::Info }
    }

    pub(super) fn stderr(log: &GuestLog) -> Self {
        Self { log: log.clone(), level: Level::Warn }
    }
}

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    /// Only WASI 0.3 asks for this one, and it is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Lines { stdio: self.clone(), line: Vec::new() })
    }
}

/// Cuts what is written into lines.
struct Lines {
    stdio: Stdio,
    line: Vec<u8>,
}

impl Lines {
    fn log(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        self.stdio.log.line(self.stdio.level, text.trim_end());
        self.line.clear();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Lines {
    fn write(&mut self, octets: Bytes) -> StreamResult<()> {
        if self.stdio.level == Level::Warn {
            self.stdio.log.keep(&String::from_utf8_lossy(&octets));
        }
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > WRITE_MAX {
                self.log();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.log();
        }
    }
}
