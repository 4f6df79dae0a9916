//! The interface `log`, and the one place where a guest's text becomes a line of ours.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::bindings::wasmail::policy::log::{Host, Level};
use crate::state::State;
use crate::text::escaped;

/// Octets of what a guest says on standard error, or logs as an error, that are kept to explain a trap: there a panic
/// says what happened and where.
const LAST_WORDS_MAX: usize = 1_024;

impl Host for State {
    fn log(&mut self, level: Level, text: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        if level == Level::Error {
            self.log.keep(&text);
        }
        self.log.line(level, &text);
        Ok(())
    }
}

/// The log of one instance, shared by the interface `log`, standard output and standard error.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Mutex<Inner>>);

struct Inner {
    plugin: Arc<str>,
    connection: String,
    lines_max: u32,
    line_max: usize,
    lines: u32,
    dropped: u32,
    last_words: String,
}

impl GuestLog {
    pub(crate) fn new(plugin: Arc<str>, lines_max: u32, line_max: usize) -> Self {
        let (connection, last_words) = (String::new(), String::new());
        Self(Arc::new(Mutex::new(Inner { plugin, connection, lines_max, line_max, lines: 0, dropped: 0, last_words })))
    }

    /// A call begins; its lines bear this connection's name.
    pub(crate) fn begin(&self, connection: &str) {
        let mut log = self.0.lock();
        log.connection.clear();
        log.connection.push_str(connection);
        log.lines = 0;
        log.dropped = 0;
        log.last_words.clear();
    }

    /// The call has ended; what was only counted is told.
    pub(crate) fn end(&self) {
        let log = self.0.lock();
        if log.dropped > 0 {
            let Inner { plugin, connection, dropped, .. } = &*log;
            tracing::warn!(target: "plugin", %plugin, uuid = %connection, dropped, "more lines were not logged");
        }
    }

    /// Logs a line, escaped and cut, or only counts it.
    pub(crate) fn line(&self, level: Level, text: &str) {
        let mut log = self.0.lock();
        if log.lines >= log.lines_max {
            log.dropped = log.dropped.saturating_add(1);
            return;
        }
        log.lines += 1;
        let Inner { plugin, connection, line_max, .. } = &*log;
        let text = || escaped(text, *line_max);
        match level {
            Level::Debug => tracing::debug!(target: "plugin", %plugin, uuid = %connection, "{}", text()),
            Level::Info => tracing::info!(target: "plugin", %plugin, uuid = %connection, "{}", text()),
            Level::Warn => tracing::warn!(target: "plugin", %plugin, uuid = %connection, "{}", text()),
            Level::Error => tracing::error!(target: "plugin", %plugin, uuid = %connection, "{}", text()),
        }
    }

    /// Keeps the beginning of what may explain a trap that follows.
    pub(crate) fn keep(&self, text: &str) {
        let mut log = self.0.lock();
        let room = LAST_WORDS_MAX.saturating_sub(log.last_words.len());
        let cut = text.floor_char_boundary(room.min(text.len()));
        log.last_words.push_str(&text[..cut]);
    }

    /// What was kept during this call.
    pub(crate) fn last_words(&self) -> String {
        self.0.lock().last_words.clone()
    }
}
