//! Content: from 354 to the end of the data.

use std::sync::Arc;

use wasmail_mail::HeaderSection;
use wasmail_policy::{Fate, Hook};

use super::{CommitFailure, Session, State, Step};
use crate::data::{Progress, Reception, Refusal};
use crate::{replies, trace};

impl Session {
    /// The draft could not take what [`Step::Body`] gave: the rest is read and thrown away, then 452 or 451 follows.
    pub fn body_failed(&mut self, failure: CommitFailure) {
        if let State::Receiving(reception) = &mut self.state {
            reception.refuse(Refusal::Storage(failure));
        }
    }

    /// Says 354, or takes the first chunk.
    pub(super) fn start_data(&mut self) {
        if let Some(chunk) = self.pending.chunk.take() {
            return self.first_chunk(chunk);
        }
        self.say(replies::START_DATA);
        self.state = State::Receiving(Box::new(Reception::new(self.config.line_endings)));
    }

    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Option<Step> {
        let State::Receiving(reception) = &mut self.state else { return None };
        let progress = reception.take(input, &self.config.limits);
        let size = reception.size();
        self.count_octets(size);
        match progress {
            Progress::More => return Some(Step::Read),
            Progress::Body => return Some(Step::Body),
            Progress::Refused => return Some(Step::Discard),
            Progress::Header(section) => self.take_header(section),
            Progress::Chunk => self.chunk_taken(),
            Progress::End(None) => self.ask(Hook::Part),
            Progress::End(Some(refusal @ Refusal::TooLarge)) => {
                self.pending.refusal = Some(refusal);
                self.ask(Hook::MaxDataExceeded);
            }
            Progress::End(Some(refusal)) => self.refuse_message(refusal, State::Ready),
            // Where the client thinks the data end is anyone's guess, so nothing that follows can be trusted to be a
            // command.
            Progress::BareCr => self.break_off(replies::DATA_BARE_CR),
            Progress::BareLf => self.break_off(replies::DATA_BARE_LF),
            Progress::Endless(refusal) => {
                self.discard = true;
                self.refuse_message(refusal, State::Leaving);
            }
        }
        None
    }

    fn count_octets(&mut self, size: u64) {
        if let Some(transaction) = &mut self.context.transaction {
            self.context.connection.counters.octets += size - transaction.facts.size;
            transaction.facts.size = size;
        }
    }

    /// The header section is complete: it is kept as it came, for signatures; fields that policy added so far find their
    /// places around it, forged results are removed before anybody can believe them, and a loop is noticed.
    fn take_header(&mut self, section: HeaderSection) {
        let hops = section.named("Received").count();
        if let Some(transaction) = &mut self.context.transaction {
            let came = Arc::new(section);
            let early = std::mem::take(&mut transaction.facts.header);
            transaction.as_it_came.header = Arc::clone(&came);
            let forged = trace::has_forged(&came, &self.config.hostname);
            transaction.facts.header = if early.is_empty() && !forged {
                came
            } else {
                let mut section = HeaderSection::clone(&came);
                trace::remove_forged(&mut section, &self.config.hostname);
                let early = Arc::try_unwrap(early).unwrap_or_else(|shared| HeaderSection::clone(&shared));
                Arc::new(early.around(section))
            };
            transaction.facts.header_complete = true;
        }
        if let State::Receiving(reception) = &mut self.state
            && hops > self.config.limits.received_hops
        {
            reception.refuse(Refusal::TooManyHops);
        }
    }

    /// Refuses the message, whatever policy says.
    pub(super) fn refuse_message(&mut self, refusal: Refusal, then: State) {
        let reply = replies::refusal(refusal, &self.config.limits);
        self.answer_message(&reply);
        let messages = &mut self.context.connection.counters.messages;
        if let Refusal::Storage(_) = refusal {
            messages.deferred += 1;
            self.end_transaction(Fate::Deferred, then);
        } else {
            messages.rejected += 1;
            self.end_transaction(Fate::Rejected, then);
        }
    }

    fn break_off(&mut self, reply: &str) {
        self.context.connection.counters.messages.rejected += 1;
        self.context.connection.counters.errors += 1;
        self.say_and_leave(reply, Fate::Rejected);
    }
}
