//! Commands: is it their turn, and what do they change?

use wasmail_mail::{BodyType, Hello, HelloVerb, Mailbox, Recipient, ReversePath, Transaction};
use wasmail_policy::{Fate, Hook, Subject, TransactionContext};

use super::{Chunking, Kind, Session, State, Step, auth};
use crate::command::{Command, CommandError, Mail, looks_like_http};
use crate::line::LineFault;
use crate::replies;

impl Session {
    /// Reads the next command line and carries it out.
    pub(super) fn next_command(&mut self, input: &mut &[u8]) -> Option<Step> {
        if self.shutting_down && self.context.transaction.is_none() {
            self.say_and_leave(replies::SHUTTING_DOWN, Fate::Abandoned);
            return None;
        }
        let outcome = self.lines.read(input, self.config.limits.command_line, self.config.line_endings);
        let Some(outcome) = outcome else { return Some(Step::Read) };
        self.lines.take_into(&mut self.context.connection.current_line);
        self.more = !input.is_empty();
        self.context.connection.counters.pipelining |= self.more;
        match outcome {
            Ok(()) => self.command_line(),
            Err(fault) => self.bad_line(fault),
        }
        None
    }

    fn command_line(&mut self) {
        let line = &mut self.context.connection.current_line;
        let command = Command::parse(line, self.config.limits.path);
        auth::without_response(line);
        match (&self.state, command) {
            (_, Ok(Command::Quit)) => self.quit(),
            (_, Err(error @ (CommandError::Http | CommandError::BadChunk))) => self.bad_command(error),
            (State::Unwelcome, Ok(Command::Bdat(_))) => self.bad_command(CommandError::Bdat),
            (State::Unwelcome, _) => self.error(replies::NOT_WELCOME),
            (_, Ok(command)) => self.command(command),
            (_, Err(error @ (CommandError::Unknown | CommandError::NotOffered))) => self.unrecognized(error),
            // To strangers it is no command at all.
            (_, Err(CommandError::PeerAttribute)) if !self.peer_is_trusted => self.unrecognized(CommandError::Unknown),
            (_, Err(error)) => self.bad_command(error),
        }
    }

    fn command(&mut self, command: Command) {
        if self.is_stuck() {
            return;
        }
        match command {
            Command::Hello(hello) => self.hello(hello),
            Command::Auth(auth) => self.auth(&auth),
            Command::StartTls => self.start_tls(),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(recipient) => self.rcpt(recipient),
            Command::Data => self.data(),
            Command::Bdat(chunk) => self.bdat(chunk),
            Command::XClient(facts) => self.xclient(facts),
            Command::XForward(facts) => self.xforward(facts),
            Command::Rset => self.ask(Hook::Rset),
            Command::Noop => self.ask(Hook::Noop),
            Command::Vrfy(argument) => self.ask_about(Hook::Vrfy, Subject::Argument(argument)),
            Command::Expn => self.say(replies::NO_EXPANSION),
            Command::Help => self.say(replies::HELP),
            Command::Quit => self.quit(),
        }
    }

    /// A command that a plugin may know.
    fn unrecognized(&mut self, error: CommandError) {
        if !self.is_stuck() {
            self.not_known(error);
        }
    }

    /// Asks whether a plugin knows it.
    pub(super) fn not_known(&mut self, error: CommandError) {
        self.pending.unknown = Some(error);
        self.ask(Hook::UnrecognizedCommand);
    }

    /// A plugin has said what the command line means. That is the last word: what nobody knows then is unknown.
    pub(super) fn read_as(&mut self, line: &str) {
        match Command::parse(line.as_bytes(), self.config.limits.path) {
            Ok(command) => self.command(command),
            Err(error) => self.bad_command(error),
        }
    }

    /// Counts a command; one too many since the last message ends the session.
    fn is_stuck(&mut self) -> bool {
        self.without_progress += 1;
        let stuck = self.without_progress > self.config.limits.commands_without_progress;
        if stuck {
            self.say_and_leave(replies::NO_PROGRESS, Fate::Abandoned);
        }
        stuck
    }

    pub(super) fn bad_line(&mut self, fault: LineFault) {
        // A request of HTTP may be longer than a command line, and its next lines are no commands either.
        if fault == LineFault::TooLong && looks_like_http(&self.context.connection.current_line) {
            return self.bad_command(CommandError::Http);
        }
        let (reply, leave) = replies::line_fault(fault);
        self.refuse(reply, leave);
    }

    pub(super) fn bad_command(&mut self, error: CommandError) {
        let (reply, leave) = replies::command_error(error);
        self.refuse(&reply, leave);
    }

    fn refuse(&mut self, reply: &str, leave: bool) {
        self.error(reply);
        if leave && matches!(self.state, State::Ready | State::Unwelcome) {
            self.leave(Fate::Rejected);
        }
    }

    /// Refuses a command for what it is; one too many ends the session.
    pub(super) fn error(&mut self, reply: &str) {
        let errors = &mut self.context.connection.counters.errors;
        *errors += 1;
        if *errors > self.config.limits.bad_commands {
            self.say_and_leave(replies::TOO_MANY_ERRORS, Fate::Abandoned);
        } else {
            self.say(reply);
        }
    }

    fn quit(&mut self) {
        self.ask(Hook::Quit);
    }

    /// A greeting begins everything anew (RFC 5321 §4.1.4).
    fn hello(&mut self, hello: Hello) {
        match (self.config.kind, hello.verb) {
            (Kind::Lmtp, HelloVerb::Lhlo) | (Kind::Smtp | Kind::Submission, HelloVerb::Helo | HelloVerb::Ehlo) => {}
            (Kind::Lmtp, _) => return self.error(replies::THIS_IS_LMTP),
            (_, HelloVerb::Lhlo) => return self.not_known(CommandError::Unknown),
        }
        let extended = hello.verb.is_extended();
        self.context.connection.counters.esmtp |= extended;
        self.context.connection.hello = Some(hello);
        let hook = if extended { Hook::Ehlo } else { Hook::Helo };
        self.end_transaction(Fate::Abandoned, State::Asking(hook));
    }

    fn mail(&mut self, mail: Mail) {
        let Some(hello) = &self.context.connection.hello else { return self.error(self.greeting_first()) };
        if !hello.verb.is_extended() && !mail.parameters.is_empty() {
            return self.error(replies::EXTENSION_UNDER_HELO);
        }
        if mail.parameters.iter().any(|parameter| parameter.keyword() == "AUTH") && !self.offers_auth() {
            return self.bad_command(CommandError::UnknownParameter);
        }
        if mail.body == BodyType::BinaryMime && self.config.chunking != Chunking::Binary {
            return self.bad_command(CommandError::BinaryNotOffered);
        }
        let needless = mail.prdr && self.config.kind == Kind::Lmtp;
        if needless || (mail.require_tls && self.context.connection.tls.is_none()) {
            return self.bad_command(CommandError::UnknownParameter);
        }
        if (mail.hold.is_some() && !self.holds_mail()) || (mail.priority.is_some() && !self.is_for_users()) {
            return self.bad_command(CommandError::UnknownParameter);
        }
        if self.context.transaction.is_some() {
            return self.error(replies::NESTED_MAIL);
        }
        if mail.hold.is_some_and(|hold| hold.from(self.wall) > self.config.limits.future_release) {
            let reply = replies::held_too_long(&self.config.limits);
            return self.error(&reply);
        }
        if mail.size.is_some_and(|size| size > self.config.limits.message_size) {
            let reply = replies::declared_too_large(&self.config.limits);
            return self.say(&reply);
        }
        if self.config.kind == Kind::Submission && self.is_stranger() {
            return self.error(replies::AUTH_FIRST);
        }
        self.begin_transaction(mail);
        self.ask(Hook::Mail);
    }

    /// Whether extensions for users are offered: to those who have authenticated, and where everybody has to.
    pub(super) fn is_for_users(&self) -> bool {
        self.config.kind == Kind::Submission || self.context.connection.auth.is_some()
    }

    /// Whether messages are held until the time that their senders want (RFC 4865).
    pub(super) fn holds_mail(&self) -> bool {
        self.is_for_users() && !self.config.limits.future_release.is_zero()
    }

    /// Whether nobody vouches for the client (RFC 6409 §4.3).
    fn is_stranger(&self) -> bool {
        let connection = &self.context.connection;
        connection.auth.is_none() && !connection.relaying
    }

    pub(super) fn greeting_first(&self) -> &'static str {
        if self.config.kind == Kind::Lmtp { replies::LHLO_FIRST } else { replies::GREETING_FIRST }
    }

    fn begin_transaction(&mut self, mail: Mail) {
        let connection = &mut self.context.connection;
        connection.counters.transactions += 1;
        let uuid = format!("{}.{}", connection.uuid, connection.counters.transactions);
        let mut facts = Transaction::new(uuid, mail.reverse_path, connection.relaying);
        facts.parameters = mail.parameters;
        facts.declared_size = mail.size;
        facts.body = mail.body;
        facts.smtputf8 = mail.smtputf8;
        let hold = mail.hold.map(|hold| hold.from(self.wall)).filter(|hold| !hold.is_zero());
        facts.handling.not_before = hold.map(|hold| self.wall + hold);
        facts.handling.priority = mail.priority.unwrap_or_default();
        self.context.transaction = Some(TransactionContext::new(facts));
    }

    fn rcpt(&mut self, recipient: Recipient) {
        let Some(transaction) = &mut self.context.transaction else { return self.error(replies::MAIL_FIRST) };
        if self.chunks.is_some() {
            return self.error(replies::CHUNKS_HAVE_BEGUN);
        }
        let extended = self.context.connection.hello.as_ref().is_some_and(|hello| hello.verb.is_extended());
        if !extended && !recipient.parameters.is_empty() {
            return self.error(replies::EXTENSION_UNDER_HELO);
        }
        let facts = &mut transaction.facts;
        if !recipient.path.mailbox().is_none_or(Mailbox::is_ascii) && !facts.smtputf8 {
            return self.error(replies::RECIPIENT_NEEDS_UTF8);
        }
        if facts.recipients.len() >= self.config.limits.recipients {
            facts.recipient_counts.deferred += 1;
            self.context.connection.counters.recipients.deferred += 1;
            return self.say(replies::TOO_MANY_RECIPIENTS);
        }
        let is_notification = facts.reverse_path == ReversePath::Null;
        let Some(back) = self.config.srs.as_ref().and_then(|srs| srs.reverse(&recipient.path, self.wall)) else {
            transaction.candidate = Some(recipient);
            return self.ask(Hook::Rcpt);
        };
        match back {
            // We have made the address for this, so nobody need vouch for it.
            Ok(path) if is_notification => {
                transaction.candidate = Some(Recipient { path, ..recipient });
                self.recipient_wanted(None);
            }
            Ok(_) => self.error(replies::NOTIFICATIONS_ALONE),
            Err(why) => self.error(replies::leads_nowhere(why)),
        }
    }

    /// DATA. It must be the last of a group (RFC 2920 §3.1): what follows it was sent by one who does not wait for 354.
    /// Were DATA refused now, that content would be read as commands, so such a session ends whatever the answer
    /// would have been.
    fn data(&mut self) {
        if self.more {
            self.error(replies::CONTENT_TOO_EARLY);
            return self.leave(Fate::Rejected);
        }
        match self.awaits_content() {
            Err(reply) => self.error(reply),
            Ok(_) if self.chunks.is_some() => self.error(replies::CHUNKS_HAVE_BEGUN),
            Ok(BodyType::BinaryMime) => self.error(replies::BINARY_NEEDS_CHUNKS),
            Ok(_) => self.ask(Hook::Data),
        }
    }

    /// What the content is made of, when it is its turn; the reply, when it is not.
    pub(super) fn awaits_content(&self) -> Result<BodyType, &'static str> {
        let Some(transaction) = &self.context.transaction else { return Err(replies::MAIL_FIRST) };
        let facts = &transaction.facts;
        match facts.recipients.is_empty() {
            false => Ok(facts.body),
            true if self.config.kind == Kind::Lmtp => Err(replies::NOBODY_IS_LEFT),
            true if facts.recipient_counts.rejected + facts.recipient_counts.deferred > 0 => {
                Err(replies::NO_VALID_RECIPIENTS)
            }
            true => Err(replies::RCPT_FIRST),
        }
    }
}
