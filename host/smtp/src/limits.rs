//! How much a client may send, and how long it may take.

use std::time::Duration;

/// Where a session's patience ends. Every field is a setting; the defaults carry their reasons.
///
/// Sizes are in octets. What is exceeded is answered with the reply named at the field, never with silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest command line, CRLF included; a longer one is answered 500 5.5.2.
    ///
    /// 1024: the 512 of RFC 5321 §4.5.3.1.4 with room for the parameters of extensions (RFC 1870 adds 26,
    /// RFC 6531 10, RFC 3461 500).
    pub command_line: usize,
    /// Longest path, angle brackets included; a longer one is answered 501. More than 256 has no effect.
    ///
    /// 256: RFC 5321 §4.5.3.1.3.
    pub path: usize,
    /// Longest line of content, CRLF included; a message with a longer one is answered 554 5.6.0.
    ///
    /// 64 KiB: RFC 5321 §4.5.3.1.6 asks for 1000, but programs that write HTML in one line are many. Content is
    /// streamed, so a long line costs no memory; a longer one is no text.
    pub text_line: usize,
    /// Recipients of one transaction; one more is answered 452 4.5.3.
    ///
    /// 1000: RFC 5321 §4.5.3.1.8 asks for 100 at least; lists send more in one go.
    pub recipients: usize,
    /// Largest message, as SIZE advertises it; a larger one is answered 552 5.3.4, at MAIL when it was declared, else
    /// after the final dot.
    ///
    /// 50 MB: an attachment of 35 MB in base64, which is what large mailbox providers take.
    pub message_size: u64,
    /// Largest header section; a larger one is answered 552 5.3.4.
    ///
    /// 256 KiB: it is held in memory and copied to guests; real ones stay below 64 KiB.
    pub header_size: usize,
    /// Fields of a header section; more are answered 554 5.6.0.
    ///
    /// 1000: a mail that has travelled far has about a hundred.
    pub header_fields: usize,
    /// `Received` fields of a message; more are a loop, answered 554 5.4.6.
    ///
    /// 100: RFC 5321 §6.3.
    pub received_hops: usize,
    /// How long a message may be held for its sender (FUTURERELEASE, RFC 4865); more is answered 501. Nothing: it is not offered.
    ///
    /// 7 days: who plans further ahead has a calendar, and held messages fill the spool.
    pub future_release: Duration,
    /// Commands other than an accepted RCPT since the last accepted message; one more is answered 421 4.7.0 and ends
    /// the session.
    ///
    /// 250: a list with two hundred dead recipients gets through, a client that only probes does not.
    pub commands_without_progress: u32,
    /// Commands refused for what they are (unknown, malformed, out of order); one more is answered 421 4.7.0 and ends
    /// the session.
    ///
    /// 20: no mail program makes so many mistakes, a program that is none makes them at once.
    pub bad_commands: u32,
    /// Octets beyond `message_size` that are read of a message that is refused, and thrown away, so that the reply can
    /// be given where the client listens for it, after the final dot. One that goes on has its reply at once, and the
    /// session ends.
    ///
    /// 50 MB: who sends twice the largest message does not listen.
    pub drain: u64,
    /// Longest wait for the client's next octets; then 421 4.4.2.
    ///
    /// 5 minutes: RFC 5321 §4.5.3.2.7.
    pub idle: Duration,
    /// Longest session; then 421 4.4.2.
    ///
    /// 1 hour: 50 MB over 128 kbit/s take 52 minutes, and a client with more to send may come back.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 1024,
            path: 256,
            text_line: 64 * 1024,
            recipients: 1000,
            message_size: 50_000_000,
            header_size: 256 * 1024,
            header_fields: 1000,
            received_hops: 100,
            future_release: Duration::from_secs(7 * 24 * 60 * 60),
            commands_without_progress: 250,
            bad_commands: 20,
            drain: 50_000_000,
            idle: Duration::from_mins(5),
            total: Duration::from_hours(1),
        }
    }
}
