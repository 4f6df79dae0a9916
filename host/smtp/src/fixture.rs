//! What the tests of this crate share.

use std::time::{Instant, SystemTime};

use wasmail_mail::{Connection, Counters, Local, Proxy, Remote};

use crate::{Limits, LineEndings, Now, SessionConfig};

/// A connection from a documentation net.
pub(crate) fn connection() -> Connection {
    let ip = [192, 0, 2, 1].into();
    Connection {
        uuid: "u".into(),
        remote: Remote::new(ip, 1),
        local: Local { ip, port: 25, host: "mx.example.test".into(), info: "wasmail".into() },
        proxy: Proxy::default(),
        hello: None,
        tls: None,
        auth: None,
        relaying: false,
        current_line: Vec::new(),
        last_response: String::new(),
        counters: Counters::default(),
        started: SystemTime::UNIX_EPOCH,
    }
}

/// A strict listener with default limits.
pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        srs: None,
        hostname: "mx.example.test".into(),
        software: "wasmail".into(),
        limits: Limits::default(),
        line_endings: LineEndings::Strict,
        kind: crate::Kind::Smtp,
        chunking: crate::Chunking::Binary,
        starttls: false,
        auth: None,
    }
}

/// A moment.
pub(crate) fn now() -> Now {
    Now { monotonic: Instant::now(), wall: SystemTime::UNIX_EPOCH }
}
