//! Answers of policy and of the spool.

use wasmail_mail::Dispositions;
use wasmail_policy::{Decision, Denial, Fate, Hook, ReplyText, Subject, Verdict};

use super::{CommitFailure, Kind, Now, Session, State};
use crate::replies::{self, Extensions};

impl Session {
    /// Answers [`super::Step::Ask`]. Nothing happens when nothing is asked, as after the client has gone.
    pub fn answer(&mut self, decision: Decision, now: Now) {
        self.active = now.monotonic;
        let State::Asking(hook) = self.state else { return };
        let subject = std::mem::take(&mut self.context.subject);
        match (hook, &decision.verdict) {
            (Hook::ConnectInit, _) => self.ask(Hook::LookupRdns),
            (Hook::Capabilities, _) => self.say_capabilities(),
            (Hook::Rset, _) => self.reset(),
            (Hook::Quit, _) => self.say_and_leave(&replies::closing(&self.config.hostname), Fate::Abandoned),
            (Hook::QueueOk, _) => self.queue_heard(subject),
            (Hook::ResetTransaction, _) => self.forget_transaction(),
            (Hook::Disconnect, _) => self.state = State::Closed,
            (Hook::Auth, _) => self.auth_answered(subject, decision),
            (Hook::UnrecognizedCommand, _) => self.unrecognized_answered(decision),
            (Hook::Rcpt, _) => self.rcpt_answered(decision),
            (Hook::MaxDataExceeded, _) => self.exceeded_answered(&decision),
            (Hook::Deny, _) => self.denial_answered(&decision),
            (_, Verdict::Next) => self.go_on(hook, None),
            (Hook::Queue | Hook::QueueOutbound, Verdict::Accept(text)) => self.taken(text.as_ref()),
            (_, Verdict::Accept(text)) => self.go_on(hook, text.as_ref()),
            _ => self.objected(hook, decision),
        }
    }

    /// Answers [`super::Step::Commit`]: the queue id, or why there is none.
    pub fn committed(&mut self, outcome: Result<String, CommitFailure>, now: Now) {
        self.active = now.monotonic;
        if !matches!(self.state, State::Committing) {
            return;
        }
        match outcome {
            Ok(id) => {
                self.accepted(&replies::queued(&id));
                self.ask_about(Hook::QueueOk, Subject::QueueId(id));
            }
            Err(failure) => {
                self.answer_message(replies::not_queued(failure));
                self.context.connection.counters.messages.deferred += 1;
                self.end_transaction(Fate::Deferred, self.after_message());
            }
        }
    }

    /// Everybody has heard that the message is in the queue.
    fn queue_heard(&mut self, subject: Subject) {
        let id = if let Subject::QueueId(id) = subject { id } else { String::new() };
        self.end_transaction(Fate::Queued(id), self.after_message());
    }

    /// The client may have gone while its message was being committed.
    fn after_message(&self) -> State {
        if self.context.connection.remote.closed { State::Leaving } else { State::Ready }
    }

    /// Nobody objects.
    fn go_on(&mut self, hook: Hook, text: Option<&ReplyText>) {
        self.state = State::Ready;
        match hook {
            Hook::LookupRdns => self.ask(Hook::Connect),
            Hook::Connect => self.say(&replies::greeting(&self.config.hostname, self.config.kind, text)),
            Hook::Helo | Hook::Ehlo => self.greet_back(),
            Hook::UnrecognizedCommand | Hook::Noop => self.say_accepted(hook, text, replies::OK),
            Hook::Vrfy => self.say_accepted(hook, text, replies::CANNOT_VERIFY),
            Hook::Mail => self.say_accepted(hook, text, replies::SENDER_OK),
            Hook::Rcpt => self.recipient_wanted(text.cloned()),
            Hook::RcptOk => self.recipient_accepted(),
            Hook::Data => self.start_data(),
            Hook::Part => self.ask(Hook::DataPost),
            Hook::DataPost => self.ask(if self.context.relaying() { Hook::QueueOutbound } else { Hook::Queue }),
            Hook::Queue | Hook::QueueOutbound => self.queue(),
            // These have answers of their own.
            Hook::ConnectInit
            | Hook::Capabilities
            | Hook::Auth
            | Hook::Rset
            | Hook::Quit
            | Hook::MaxDataExceeded
            | Hook::QueueOk
            | Hook::Deny
            | Hook::ResetTransaction
            | Hook::Disconnect => {}
        }
    }

    fn greet_back(&mut self) {
        let extended = self.context.connection.hello.as_ref().is_some_and(|hello| hello.verb.is_extended());
        if extended {
            self.ask(Hook::Capabilities);
        } else {
            self.say(&replies::helo(&self.config.hostname));
        }
    }

    fn say_capabilities(&mut self) {
        self.state = State::Ready;
        let of_plugins = std::mem::take(&mut self.context.capabilities);
        let chunking = self.config.chunking;
        let future_release = self.holds_mail().then_some(self.wall);
        let priority = self.is_for_users();
        let extensions = Extensions {
            lmtp: self.config.kind == Kind::Lmtp,
            tls: self.context.connection.tls.is_some(),
            future_release,
            priority,
            starttls: self.offers_tls(),
            chunking,
            auth: self.mechanisms(),
            trusted: self.peer_is_trusted,
            of_plugins,
        };
        self.say(&replies::ehlo(&self.config.hostname, &self.config.limits, &extensions));
    }

    fn say_accepted(&mut self, hook: Hook, text: Option<&ReplyText>, usual: &'static str) {
        let reply = replies::accepted(hook, text);
        self.say(reply.as_deref().unwrap_or(usual));
    }

    fn reset(&mut self) {
        self.say(replies::RESET);
        self.end_transaction(Fate::Abandoned, State::Ready);
    }

    /// A command that the host does not know.
    fn unrecognized_answered(&mut self, decision: Decision) {
        let Some(error) = self.pending.unknown.take() else { return };
        match &decision.verdict {
            Verdict::Next => {
                self.state = State::Ready;
                self.bad_command(error);
            }
            Verdict::Accept(text) => self.go_on(Hook::UnrecognizedCommand, text.as_ref()),
            Verdict::ReadAs(line) => {
                self.state = State::Ready;
                self.read_as(line);
            }
            _ => self.objected(Hook::UnrecognizedCommand, decision),
        }
    }

    /// Without an accept a recipient is refused, unless the client is relaying.
    fn rcpt_answered(&mut self, decision: Decision) {
        match &decision.verdict {
            Verdict::Next if !self.context.relaying() => {
                self.state = State::Ready;
                self.recipient_refused(&Fate::Rejected);
                self.say(replies::NO_RELAYING);
            }
            verdict @ (Verdict::Next | Verdict::Accept(_)) => self.recipient_wanted(verdict.text().cloned()),
            _ => self.objected(Hook::Rcpt, decision),
        }
    }

    /// The recipient is to be accepted, unless somebody has a reason against it that holds for all.
    pub(super) fn recipient_wanted(&mut self, text: Option<ReplyText>) {
        self.pending.accepted = text;
        self.ask(Hook::RcptOk);
    }

    fn recipient_accepted(&mut self) {
        let text = self.pending.accepted.take();
        let Some(transaction) = &mut self.context.transaction else { return };
        transaction.facts.recipients.extend(transaction.candidate.take());
        transaction.facts.recipient_counts.accepted += 1;
        self.context.connection.counters.recipients.accepted += 1;
        self.without_progress = self.without_progress.saturating_sub(1);
        self.say_accepted(Hook::Rcpt, text.as_ref(), replies::RECIPIENT_OK);
    }

    /// Counts a recipient that was not accepted.
    fn recipient_refused(&mut self, fate: &Fate) {
        self.pending.accepted = None;
        count(&mut self.context.connection.counters.recipients, fate);
        if let Some(transaction) = &mut self.context.transaction {
            transaction.candidate = None;
            count(&mut transaction.facts.recipient_counts, fate);
        }
    }

    /// The message is too large; a plugin may only say so in its own words.
    fn exceeded_answered(&mut self, decision: &Decision) {
        let Some(refusal) = self.pending.refusal.take() else { return };
        if decision.fault || matches!(decision.verdict, Verdict::Next | Verdict::Accept(_)) {
            self.refuse_message(refusal, State::Ready);
        } else {
            self.denied(Hook::MaxDataExceeded, decision);
        }
    }

    /// Nobody objects to the message: it is to be made durable.
    fn queue(&mut self) {
        let left =
            self.context.transaction.as_ref().is_some_and(|transaction| !transaction.facts.recipients.is_empty());
        if left {
            self.state = State::Committing;
            return;
        }
        // Policy has removed them all. To say 250 would be to lose the message without a word.
        self.discard = true;
        self.answer_message(replies::NO_RECIPIENT_LEFT);
        self.context.connection.counters.messages.rejected += 1;
        self.end_transaction(Fate::Rejected, State::Ready);
    }

    /// A plugin has the message now.
    fn taken(&mut self, text: Option<&ReplyText>) {
        self.discard = true;
        let reply = replies::accepted(Hook::Queue, text);
        self.accepted(reply.as_deref().unwrap_or(replies::TAKEN));
        self.end_transaction(Fate::Taken, State::Ready);
    }

    fn accepted(&mut self, reply: &str) {
        self.answer_message(reply);
        self.without_progress = 0;
        self.context.connection.counters.messages.accepted += 1;
    }

    /// A plugin objects: others may overturn that. What a fault stands for is not overturned, for nobody knows what
    /// the plugin would have said.
    fn objected(&mut self, hook: Hook, decision: Decision) {
        match &decision.by {
            Some(by) if !decision.fault && !matches!(decision.verdict, Verdict::Disconnect) => {
                let (by, tenant) = (by.clone(), decision.tenant.clone());
                let denial = Denial { hook, by, tenant, verdict: decision.verdict.clone() };
                self.pending.denial = Some((hook, decision));
                self.ask_about(Hook::Deny, Subject::Denial(denial));
            }
            _ => self.denied(hook, &decision),
        }
    }

    fn denial_answered(&mut self, decision: &Decision) {
        let Some((hook, refusal)) = self.pending.denial.take() else { return };
        match &decision.verdict {
            // The other parts are still to be asked about.
            Verdict::Accept(_) if hook == Hook::Part => self.ask(Hook::Part),
            Verdict::Accept(text) => self.go_on(hook, text.as_ref()),
            _ => self.denied(hook, &refusal),
        }
    }

    /// Somebody objects, and that is the end of it.
    pub(super) fn denied(&mut self, hook: Hook, decision: &Decision) {
        let verdict = &decision.verdict;
        let soft = matches!(verdict, Verdict::DenySoft(_) | Verdict::DenySoftDisconnect(_));
        let fate = if soft { Fate::Deferred } else { Fate::Rejected };
        if let Some(reply) = replies::denied(hook, decision) {
            match hook.has_message() || hook == Hook::MaxDataExceeded {
                true => self.answer_message(&reply),
                false => self.say(&reply),
            }
        }
        let connecting = matches!(hook, Hook::LookupRdns | Hook::Connect);
        // 421 in place of a greeting ends the session (RFC 5321 §3.8).
        let closes = !matches!(verdict, Verdict::Deny(_) | Verdict::DenySoft(_)) || (connecting && soft);
        let usual = if connecting { State::Unwelcome } else { State::Ready };
        self.undo(hook, fate, if closes { State::Leaving } else { usual });
    }

    /// Takes back what the denied command has begun.
    fn undo(&mut self, hook: Hook, fate: Fate, then: State) {
        match hook {
            Hook::Helo | Hook::Ehlo => self.context.connection.hello = None,
            Hook::UnrecognizedCommand => self.context.connection.counters.errors += 1,
            Hook::Rcpt | Hook::RcptOk => self.recipient_refused(&fate),
            // A client whose DATA was refused has nothing left to do in its transaction.
            Hook::Mail | Hook::Data => {
                let then = self.after_refused_chunk(then);
                return self.end_transaction(fate, then);
            }
            Hook::MaxDataExceeded | Hook::Part | Hook::DataPost | Hook::Queue | Hook::QueueOutbound => {
                count(&mut self.context.connection.counters.messages, &fate);
                self.discard |= hook.has_message();
                return self.end_transaction(fate, then);
            }
            _ => {}
        }
        if matches!(then, State::Leaving) {
            self.leave(fate);
        } else {
            self.state = then;
        }
    }
}

/// Counts what was not accepted.
fn count(dispositions: &mut Dispositions, fate: &Fate) {
    match fate {
        Fate::Deferred => dispositions.deferred += 1,
        _ => dispositions.rejected += 1,
    }
}
