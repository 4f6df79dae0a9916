//! BDAT (RFC 3030): content in chunks, each of which is answered.

use wasmail_mail::BodyType;
use wasmail_policy::{Fate, Hook};

use super::{Chunking, Session, State, Step};
use crate::command::{Chunk, CommandError};
use crate::data::{Reception, Refusal};
use crate::replies;

impl Session {
    /// BDAT. Its octets come in any case: a chunk that is refused is read and thrown away, as long as that is bearable.
    pub(super) fn bdat(&mut self, chunk: Chunk) {
        if self.config.chunking == Chunking::Off {
            return self.bad_command(CommandError::Bdat);
        }
        let limits = &self.config.limits;
        let size = self.chunks.as_ref().map_or(0, |reception| reception.size()).saturating_add(chunk.size);
        if size > limits.message_size.saturating_add(limits.drain) {
            let reply = replies::refusal(Refusal::TooLarge, limits);
            self.error(&reply);
            return self.leave(Fate::Rejected);
        }
        if let Some(mut reception) = self.chunks.take() {
            reception.go_on(chunk);
            self.state = State::Receiving(reception);
        } else if let Err(reply) = self.awaits_content() {
            self.error(reply);
            // Unless that was one error too many.
            if let State::Ready = self.state {
                self.state = State::Skipping(chunk.size);
            }
        } else {
            self.pending.chunk = Some(chunk);
            self.ask(Hook::Data);
        }
    }

    /// Nobody objects to the message.
    pub(super) fn first_chunk(&mut self, chunk: Chunk) {
        let binary = self.awaits_content() == Ok(BodyType::BinaryMime);
        let reception = Reception::of_chunks(self.config.line_endings, binary, chunk);
        self.state = State::Receiving(Box::new(reception));
    }

    /// A chunk that was not the last one has come.
    pub(super) fn chunk_taken(&mut self) {
        let State::Receiving(reception) = std::mem::replace(&mut self.state, State::Ready) else { return };
        self.say(&replies::chunk_taken(reception.chunk()));
        if reception.chunk() > 0 {
            self.without_progress = self.without_progress.saturating_sub(1);
        }
        self.chunks = Some(reception);
    }

    /// Where a session goes whose first chunk policy has refused.
    pub(super) fn after_refused_chunk(&mut self, then: State) -> State {
        match (self.pending.chunk.take(), then) {
            (Some(chunk), State::Ready) => State::Skipping(chunk.size),
            (_, then) => then,
        }
    }

    /// Throws away what comes of a refused chunk.
    pub(super) fn skip(&mut self, left: u64, input: &mut &[u8]) -> Option<Step> {
        let skipped = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        *input = &input[skipped..];
        match left - skipped as u64 {
            0 => {
                self.state = State::Ready;
                None
            }
            left => {
                self.state = State::Skipping(left);
                Some(Step::Read)
            }
        }
    }
}
