//! STARTTLS (RFC 3207).

use wasmail_mail::Tls;
use wasmail_policy::Fate;

use super::{Now, Session, State};
use crate::command::CommandError;
use crate::replies;

impl Session {
    /// Whether STARTTLS is listed and heeded now.
    pub(super) fn offers_tls(&self) -> bool {
        self.config.starttls && self.context.connection.tls.is_none()
    }

    /// The command STARTTLS. It must be the last of a group (RFC 3207 §4): what follows it came in the clear, from whoever
    /// sits between, and would be read as if it had come under TLS. Such a session ends.
    pub(super) fn start_tls(&mut self) {
        if self.context.connection.tls.is_some() {
            return self.error(replies::TLS_TWICE);
        }
        if !self.config.starttls {
            return self.not_known(CommandError::NotOffered);
        }
        if self.more {
            self.error(replies::INPUT_BEFORE_TLS);
            return self.leave(Fate::Abandoned);
        }
        if self.context.transaction.is_some() {
            return self.error(replies::TLS_IN_TRANSACTION);
        }
        if self.context.connection.auth.is_some() {
            return self.error(replies::AUTH_TWICE);
        }
        self.say(replies::START_TLS);
        self.state = State::Securing;
    }

    /// Answers [`super::Step::StartTls`]: the session goes on under TLS, as if it had just begun (RFC 3207 §4.2). What the client
    /// has said of itself in the clear is forgotten; what policy thinks of it stays.
    pub fn secured(&mut self, tls: Tls, now: Now) {
        self.active = now.monotonic;
        if matches!(self.state, State::Securing) {
            let connection = &mut self.context.connection;
            connection.tls = Some(tls);
            connection.hello = None;
            connection.counters.esmtp = false;
            self.state = State::Ready;
        }
    }

    /// Answers [`super::Step::StartTls`]: there is no TLS, and nothing that can be said.
    pub fn not_secured(&mut self, now: Now) {
        self.active = now.monotonic;
        if matches!(self.state, State::Securing) {
            self.leave(Fate::Abandoned);
        }
    }
}
