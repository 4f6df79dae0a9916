//! Answers of policy and of the spool.

use wasmail_mail::{Dispositions, HelloVerb};
use wasmail_policy::{Decision, Hook, ReplyText, Verdict};

use super::{CommitFailure, Fate, Now, Session, State};
use crate::replies;

impl Session {
    /// Answers [`super::Step::Ask`]. Nothing happens when nothing is asked, as after the client has gone.
    pub fn answer(&mut self, decision: Decision, now: Now) {
        self.active = now.monotonic;
        let State::Asking(hook) = self.state else { return };
        match (hook, &decision.verdict) {
            (Hook::Disconnect, _) => self.state = State::Closed,
            (Hook::Rcpt, _) => self.rcpt_answered(&decision),
            (_, Verdict::Next) => self.go_on(hook, None),
            (Hook::Queue, Verdict::Accept(text)) => self.taken(text.as_ref()),
            (_, Verdict::Accept(text)) => self.go_on(hook, text.as_ref()),
            _ => self.denied(hook, &decision),
        }
    }

    /// Answers [`super::Step::Commit`]: the queue id, or why there is none.
    pub fn committed(&mut self, outcome: Result<String, CommitFailure>, now: Now) {
        self.active = now.monotonic;
        if !matches!(self.state, State::Committing) {
            return;
        }
        self.state = State::Ready;
        match outcome {
            Ok(id) => self.accepted(&replies::queued(&id), Fate::Queued(id)),
            Err(failure) => {
                self.say(replies::not_queued(failure));
                self.context.connection.counters.messages.deferred += 1;
                self.end_transaction(Fate::Deferred);
            }
        }
        if self.context.connection.remote.closed {
            self.leave(Fate::Abandoned);
        }
    }

    /// Nobody objects.
    fn go_on(&mut self, hook: Hook, text: Option<&ReplyText>) {
        self.state = State::Ready;
        match hook {
            Hook::Connect => self.say(&replies::greeting(&self.config.hostname, text)),
            Hook::Helo | Hook::Ehlo => self.greet_back(),
            Hook::Mail => self.say_accepted(hook, text, replies::SENDER_OK),
            Hook::Data => self.start_data(),
            Hook::DataPost => {
                self.ask(Hook::Queue);
            }
            Hook::Queue => self.queue(),
            // Both have answers of their own.
            Hook::Rcpt | Hook::Disconnect => {}
        }
    }

    fn greet_back(&mut self) {
        let extended = self.context.connection.hello.as_ref().is_some_and(|hello| hello.verb == HelloVerb::Ehlo);
        let hostname = &self.config.hostname;
        let reply = if extended { replies::ehlo(hostname, &self.config.limits) } else { replies::helo(hostname) };
        self.say(&reply);
    }

    fn say_accepted(&mut self, hook: Hook, text: Option<&ReplyText>, usual: &'static str) {
        let reply = replies::accepted(hook, text);
        self.say(reply.as_deref().unwrap_or(usual));
    }

    /// Without an accept a recipient is refused, unless the client is relaying.
    fn rcpt_answered(&mut self, decision: &Decision) {
        let relaying = self.context.relaying();
        let Some(transaction) = &mut self.context.transaction else { return };
        let candidate = transaction.candidate.take();
        match &decision.verdict {
            Verdict::Next if !relaying => {
                self.state = State::Ready;
                self.count_recipient(Fate::Rejected);
                self.say(replies::NO_RELAYING);
            }
            verdict @ (Verdict::Next | Verdict::Accept(_)) => {
                transaction.facts.recipients.extend(candidate);
                transaction.facts.recipient_counts.accepted += 1;
                self.context.connection.counters.recipients.accepted += 1;
                self.state = State::Ready;
                self.without_progress = self.without_progress.saturating_sub(1);
                self.say_accepted(Hook::Rcpt, verdict.text(), replies::RECIPIENT_OK);
            }
            _ => self.denied(Hook::Rcpt, decision),
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
        self.say(replies::NO_RECIPIENT_LEFT);
        self.context.connection.counters.messages.rejected += 1;
        self.end_transaction(Fate::Rejected);
    }

    /// A plugin has the message now.
    fn taken(&mut self, text: Option<&ReplyText>) {
        self.state = State::Ready;
        self.discard = true;
        let reply = replies::accepted(Hook::Queue, text);
        self.accepted(reply.as_deref().unwrap_or(replies::TAKEN), Fate::Taken);
    }

    fn accepted(&mut self, reply: &str, fate: Fate) {
        self.say(reply);
        self.without_progress = 0;
        self.context.connection.counters.messages.accepted += 1;
        self.end_transaction(fate);
    }

    /// Somebody objects.
    fn denied(&mut self, hook: Hook, decision: &Decision) {
        let verdict = &decision.verdict;
        let soft = matches!(verdict, Verdict::DenySoft(_) | Verdict::DenySoftDisconnect(_));
        let fate = if soft { Fate::Deferred } else { Fate::Rejected };
        if let Some(reply) = replies::denied(hook, verdict, decision.fault) {
            self.say(&reply);
        }
        self.state = if hook == Hook::Connect { State::Unwelcome } else { State::Ready };
        self.undo(hook, &fate);
        // 421 in place of a greeting ends the session (RFC 5321 §3.8).
        if !matches!(verdict, Verdict::Deny(_) | Verdict::DenySoft(_)) || (hook == Hook::Connect && soft) {
            self.leave(fate);
        }
    }

    /// Takes back what the denied command has begun.
    fn undo(&mut self, hook: Hook, fate: &Fate) {
        match hook {
            Hook::Helo | Hook::Ehlo => self.context.connection.hello = None,
            Hook::Rcpt => self.count_recipient(fate.clone()),
            // A client whose DATA was refused has nothing left to do in its transaction.
            Hook::Mail | Hook::Data => self.end_transaction(fate.clone()),
            Hook::DataPost | Hook::Queue => {
                count(&mut self.context.connection.counters.messages, fate);
                self.discard = true;
                self.end_transaction(fate.clone());
            }
            Hook::Connect | Hook::Disconnect => {}
        }
    }

    /// Counts a recipient that was not accepted.
    fn count_recipient(&mut self, fate: Fate) {
        count(&mut self.context.connection.counters.recipients, &fate);
        if let Some(transaction) = &mut self.context.transaction {
            count(&mut transaction.facts.recipient_counts, &fate);
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
