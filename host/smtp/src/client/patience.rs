//! How long a server may take.

use std::time::Duration;

use super::Phase;

/// How long a server may take for each step (RFC 5321 §4.5.3.2, which wants it to be a setting).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The greeting. A busy server may be slow to say hello: five minutes by default.
    pub greeting: Duration,
    /// A command before DATA, save STARTTLS's handshake: five minutes by default.
    pub command: Duration,
    /// A TLS handshake, of which the RFCs say nothing: a minute by default, for two round trips and a signature.
    pub handshake: Duration,
    /// DATA: two minutes by default.
    pub data: Duration,
    /// A piece of content to be taken: three minutes by default.
    pub content: Duration,
    /// The final dot: ten minutes by default. Shorter, and a server that is slow to answer gets the message twice (RFC 1047).
    pub final_dot: Duration,
}

/// Nothing depends on the answer to QUIT.
const QUIT: Duration = Duration::from_secs(5);

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            greeting: seconds(300),
            command: seconds(300),
            handshake: seconds(60),
            data: seconds(120),
            content: seconds(180),
            final_dot: seconds(600),
        }
    }
}

impl Patience {
    /// The same for everything.
    #[must_use]
    pub fn uniform(time: Duration) -> Self {
        Self { greeting: time, command: time, handshake: time, data: time, content: time, final_dot: time }
    }

    /// A piece of content counts from when it was made.
    pub(super) fn at(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Connect => self.greeting,
            Phase::Ehlo | Phase::Helo | Phase::Lhlo | Phase::StartTls | Phase::Auth => self.command,
            Phase::Rset | Phase::Mail | Phase::Rcpt => self.command,
            Phase::Data => self.data,
            Phase::Content => self.content,
            Phase::FinalDot => self.final_dot,
            Phase::Quit => QUIT,
        }
    }
}
