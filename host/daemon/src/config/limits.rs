//! The section `limits`: what one session may send, and how long it may take.

use std::time::Duration;

use super::decode::{Size, section};

section! {
    /// Limits of a session; `wasmail_smtp::Limits` says what each does.
    Limits {
        /// Longest command line.
        command_line: Size,
        /// Longest path.
        path: Size,
        /// Longest line of content.
        text_line: Size,
        /// Recipients of a transaction.
        recipients: usize,
        /// Largest message.
        message_size: Size,
        /// Largest header section.
        header_size: Size,
        /// Fields of a header section.
        header_fields: usize,
        /// `Received` fields.
        received_hops: usize,
        /// How long a message may be held for its sender.
        future_release: Duration,
        /// Commands since the last accepted message.
        commands_without_progress: u32,
        /// Commands refused for what they are.
        bad_commands: u32,
        /// Octets of a refused message that are read all the same.
        drain: Size,
        /// Wait for the client's next octets.
        idle: Duration,
        /// The whole session.
        total: Duration,
    }
}

impl Limits {
    /// As a session takes them.
    pub(crate) fn for_session(&self) -> wasmail_smtp::Limits {
        wasmail_smtp::Limits {
            command_line: self.command_line.len(),
            path: self.path.len(),
            text_line: self.text_line.len(),
            recipients: self.recipients,
            message_size: self.message_size.0,
            header_size: self.header_size.len(),
            header_fields: self.header_fields,
            received_hops: self.received_hops,
            future_release: self.future_release,
            commands_without_progress: self.commands_without_progress,
            bad_commands: self.bad_commands,
            drain: self.drain.0,
            idle: self.idle,
            total: self.total,
        }
    }
}
