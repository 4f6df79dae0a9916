//! AUTH (RFC 4954): the exchange, and what becomes of it.

use std::time::Duration;

use wasmail_mail::Auth;
use wasmail_policy::{Decision, Fate, Hook, ReplyText, Subject, Verdict};

use super::{Now, Session, State, Step};
use crate::command::{AuthCommand, CommandError};
use crate::line::LineFault;
use crate::replies;
use crate::sasl::{self, Exchange, Mechanism, Progress, ScramVerifier};

/// How clients may authenticate with a listener. Every field is a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// The mechanisms, in the order in which EHLO lists them.
    pub mechanisms: Vec<Mechanism>,
    /// Whether AUTH is offered on a connection without TLS, where whoever listens reads the password.
    pub without_tls: bool,
    /// Failures in one session; the last one is answered 421 4.7.0 and ends it.
    ///
    /// 3: a person mistypes twice, a program that guesses has to connect anew.
    pub attempts: u32,
    /// How long the answer to a failure waits.
    ///
    /// 3 seconds: a person does not mind, and a program that guesses gets twenty words a minute for each connection.
    pub failure_delay: Duration,
    /// Whether who is authenticated may send to anywhere.
    pub relaying: bool,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            mechanisms: Mechanism::USUAL.to_vec(),
            without_tls: false,
            attempts: 3,
            failure_delay: Duration::from_secs(3),
            relaying: true,
        }
    }
}

impl Session {
    /// How much longer than plugins have asked for the reply to this decision has to wait: a guess that failed is
    /// answered late. The driver waits before it answers.
    #[must_use]
    pub fn penalty(&self, decision: &Decision) -> Duration {
        let failed = matches!(self.state, State::Asking(Hook::Auth)) && !matches!(decision.verdict, Verdict::Accept(_));
        if failed && !decision.fault { self.failure_delay() } else { Duration::ZERO }
    }

    pub(super) fn failure_delay(&self) -> Duration {
        self.config.auth.as_ref().map(|auth| auth.failure_delay).unwrap_or_default()
    }

    /// Whether AUTH is listed and heeded now.
    pub(super) fn offers_auth(&self) -> bool {
        let connection = &self.context.connection;
        self.config.auth.as_ref().is_some_and(|auth| auth.without_tls || connection.tls.is_some())
    }

    /// The mechanisms that are possible on this connection.
    fn possible(&self) -> impl Iterator<Item = Mechanism> {
        let all = self.config.auth.iter().flat_map(|auth| &auth.mechanisms).copied();
        all.filter(|mechanism| mechanism.is_possible(self.context.connection.tls.as_ref()))
    }

    /// The mechanisms as EHLO lists them; none when the client has no use for them.
    pub(super) fn mechanisms(&self) -> Option<String> {
        if !self.offers_auth() || self.context.connection.auth.is_some() {
            return None;
        }
        let names: Vec<&str> = self.possible().map(Mechanism::name).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    /// The command AUTH.
    pub(super) fn auth(&mut self, command: &AuthCommand) {
        let connection = &self.context.connection;
        if self.config.auth.is_none() {
            return self.not_known(CommandError::NotOffered);
        }
        if !self.offers_auth() {
            return self.error(replies::AUTH_NEEDS_TLS);
        }
        match &connection.hello {
            None => return self.error(self.greeting_first()),
            Some(hello) if !hello.verb.is_extended() => return self.error(replies::AUTH_NEEDS_EHLO),
            Some(_) => {}
        }
        if connection.auth.is_some() {
            return self.error(replies::AUTH_TWICE);
        }
        if self.context.transaction.is_some() {
            return self.error(replies::AUTH_IN_TRANSACTION);
        }
        let wanted = Mechanism::parse(&command.mechanism).filter(|wanted| self.possible().any(|one| one == *wanted));
        let Some(mechanism) = wanted else { return self.error(replies::UNKNOWN_MECHANISM) };
        let plus_is_offered = self.possible().any(|one| one == Mechanism::ScramSha256Plus);
        let mut exchange = Exchange::new(mechanism, self.context.connection.tls.as_ref(), plus_is_offered);
        match &command.response {
            None => {
                let challenge = exchange.first_challenge();
                self.challenge(exchange, challenge);
            }
            Some(response) => {
                let progress = exchange.respond_at_once(response);
                self.proceed(exchange, progress);
            }
        }
    }

    /// Reads the client's next response. It never becomes the current line, which every plugin sees.
    pub(super) fn next_response(&mut self, input: &mut &[u8]) -> Option<Step> {
        let Some(outcome) = self.lines.read(input, sasl::LINE_MAX, self.config.line_endings) else {
            return Some(Step::Read);
        };
        let mut line = Vec::new();
        self.lines.take_into(&mut line);
        if let State::Authenticating(mut exchange) = std::mem::replace(&mut self.state, State::Ready) {
            // Whatever it says now, that guess has failed.
            if let Some(decision) = self.pending.token.take() {
                self.auth_denied(&decision);
                return None;
            }
            match outcome {
                Ok(()) if line == b"*" => self.error(replies::AUTH_CANCELLED),
                Ok(()) => {
                    let progress = exchange.respond(&line);
                    self.proceed(exchange, progress);
                }
                Err(LineFault::TooLong) => self.error(replies::AUTH_LINE_TOO_LONG),
                Err(fault) => self.bad_line(fault),
            }
        }
        None
    }

    fn proceed(&mut self, exchange: Exchange, progress: Progress) {
        match progress {
            Progress::Challenge(challenge) => self.challenge(exchange, &challenge),
            Progress::Shown(credentials) => self.ask_about(Hook::Auth, Subject::Credentials(credentials)),
            Progress::Wanted(user) => self.state = State::LookingUp(user, exchange),
            Progress::Proven(user) => self.authenticated(user, exchange.mechanism(), None),
            Progress::Refused => self.state = State::Penalised(replies::AUTH_FAILED),
            Progress::ForAnother => self.state = State::Penalised(replies::AUTH_FOR_ANOTHER),
            Progress::Malformed => self.error(replies::AUTH_MALFORMED),
        }
    }

    fn challenge(&mut self, exchange: Exchange, challenge: &str) {
        self.say(&replies::challenge(challenge));
        self.state = State::Authenticating(exchange);
    }

    /// Answers [`Step::Verifier`]. None is as good as a wrong password, and tells the client that there is no such user: better give
    /// [`crate::ScramVerifier::decoy`].
    pub fn verifier(&mut self, verifier: Option<ScramVerifier>, now: Now) {
        self.active = now.monotonic;
        match std::mem::replace(&mut self.state, State::Ready) {
            State::LookingUp(_, mut exchange) => {
                let progress = exchange.verifier(verifier);
                self.proceed(exchange, progress);
            }
            other => self.state = other,
        }
    }

    /// Answers [`Step::Pause`]: the time has passed.
    pub fn paused(&mut self, now: Now) {
        self.active = now.monotonic;
        if let State::Penalised(reply) = self.state {
            self.state = State::Ready;
            self.failed(reply);
        }
    }

    /// Nobody who vouches for the client is as good as a refusal.
    pub(super) fn auth_answered(&mut self, subject: Subject, decision: Decision) {
        self.state = State::Ready;
        let Subject::Credentials(credentials) = subject else { return self.failed(replies::AUTH_FAILED) };
        if let Verdict::Accept(text) = &decision.verdict {
            return self.authenticated(credentials.user, credentials.mechanism, text.as_ref());
        }
        let refused = matches!(decision.verdict, Verdict::Next | Verdict::Deny(_)) && !decision.fault;
        match sasl::token_refused(credentials.mechanism) {
            Some((exchange, told)) if refused => {
                self.pending.token = Some(decision);
                self.challenge(exchange, &told);
            }
            _ => self.auth_denied(&decision),
        }
    }

    fn auth_denied(&mut self, decision: &Decision) {
        match &decision.verdict {
            Verdict::Next | Verdict::Accept(_) => self.failed(replies::AUTH_FAILED),
            Verdict::Deny(_) if !decision.fault && self.is_last_attempt() => self.failed(replies::AUTH_FAILED),
            Verdict::Deny(_) => {
                self.failures += u32::from(!decision.fault);
                self.denied(Hook::Auth, decision);
            }
            _ => self.denied(Hook::Auth, decision),
        }
    }

    fn authenticated(&mut self, identity: String, mechanism: &str, text: Option<&ReplyText>) {
        let connection = &mut self.context.connection;
        connection.auth = Some(Auth { identity, mechanism: mechanism.to_owned() });
        connection.relaying |= self.config.auth.as_ref().is_some_and(|auth| auth.relaying);
        let reply = replies::accepted(Hook::Auth, text);
        self.say(reply.as_deref().unwrap_or(replies::AUTHENTICATED));
    }

    fn failed(&mut self, reply: &str) {
        let last = self.is_last_attempt();
        self.failures += 1;
        if last {
            self.say_and_leave(replies::TOO_MANY_FAILURES, Fate::Abandoned);
        } else {
            self.say(reply);
        }
    }

    fn is_last_attempt(&self) -> bool {
        self.config.auth.as_ref().is_none_or(|auth| self.failures + 1 >= auth.attempts)
    }
}

/// Cuts off what a client has shown in the command itself: the current line is for everybody.
pub(super) fn without_response(line: &mut Vec<u8>) {
    let word = |from: usize| {
        let start = from + line[from..].iter().take_while(|octet| **octet == b' ').count();
        (start, start + line[start..].iter().take_while(|octet| **octet != b' ').count())
    };
    let (_, verb) = word(0);
    if line[..verb].eq_ignore_ascii_case(b"AUTH") {
        let (_, mechanism) = word(verb);
        line.truncate(mechanism);
    }
}

#[cfg(test)]
mod tests {
    use super::without_response;

    #[test]
    fn the_current_line_has_no_secrets() {
        for (line, rest) in [
            ("AUTH PLAIN AHRpbQB4", "AUTH PLAIN"),
            ("auth  login   dGlt x", "auth  login"),
            ("AUTH PLAIN", "AUTH PLAIN"),
            ("AUTH", "AUTH"),
            ("AUTHOR a b c", "AUTHOR a b c"),
            ("", ""),
        ] {
            let mut octets = line.as_bytes().to_vec();
            without_response(&mut octets);
            assert_eq!(octets, rest.as_bytes(), "{line}");
        }
    }
}
