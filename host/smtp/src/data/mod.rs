//! Receives a message: the header section is collected, the body streams through in large pieces.

mod chunk;
mod collector;
mod content;

use wasmail_mail::HeaderSection;

use crate::command::Chunk;
use crate::{CommitFailure, Limits, LineEndings};
use chunk::ChunkReader;
use collector::HeaderCollector;
use content::{Content, ContentReader};

/// Octets of body that are handed over at once: large enough that a write costs little per octet, small enough that a
/// thousand sessions in DATA stay below 100 MB.
const BODY_CHUNK: usize = 64 * 1024;
/// Octets of content that are read at once while the header section lasts, so that little body is copied twice.
const HEADER_CHUNK: usize = 4 * 1024;

/// A message on its way in. Never holds more than the header section and one piece of body.
#[derive(Debug)]
pub(crate) struct Reception {
    content: Source,
    phase: Phase,
    body: Vec<u8>,
    /// Whether `body` was handed over.
    handed: bool,
    ended: bool,
    /// Whether a chunk has ended, and nobody knows yet.
    paused: bool,
    /// Octets of the chunk.
    chunk: u64,
    size: u64,
    /// A refusal that cannot be read off the content so far.
    refusal: Option<Refusal>,
}

/// How content comes.
#[derive(Debug)]
enum Source {
    /// By DATA.
    Dots(ContentReader),
    /// By BDAT.
    Chunks(ChunkReader),
}

#[derive(Debug)]
enum Phase {
    Header(HeaderCollector),
    Body,
    /// The message is refused; what still comes of it is thrown away.
    Draining,
}

/// Why a message is refused, whatever policy says. The reply waits for the final dot: sooner, and the rest would be
/// read as commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// More octets than a message may have.
    TooLarge,
    /// A header section of more octets than it may have.
    HeaderTooLarge,
    /// A header section of more fields than it may have.
    TooManyFields,
    /// More `Received` fields than a message may have.
    TooManyHops,
    /// A line of more octets than it may have.
    LineTooLong,
    /// A NUL.
    Nul,
    /// A CR without an LF after it, in a chunk. (In data it leaves their end in doubt.)
    BareCr,
    /// An LF without a CR before it, in a chunk.
    BareLf,
    /// The draft could not take a piece of the body.
    Storage(CommitFailure),
}

/// What came of some input.
#[derive(Debug)]
pub(crate) enum Progress {
    /// All input is consumed.
    More,
    /// The header section is complete.
    Header(HeaderSection),
    /// A piece of the body is there.
    Body,
    /// The message is refused from here on.
    Refused,
    /// A chunk has ended, and others follow.
    Chunk,
    /// The data have ended; if the message is refused, for this reason.
    End(Option<Refusal>),
    /// A CR that ends no line.
    BareCr,
    /// An LF that ends no line.
    BareLf,
    /// A refused message that does not end.
    Endless(Refusal),
}

impl Source {
    fn read(&mut self, input: &mut &[u8], out: &mut Vec<u8>, room: usize) -> Content {
        match self {
            Self::Dots(reader) => reader.read(input, out, room),
            Self::Chunks(reader) => reader.read(input, out, room),
        }
    }

    /// Whether it can be read without input.
    fn is_over(&self) -> bool {
        matches!(self, Self::Chunks(reader) if reader.is_over())
    }

    fn longest_line(&self) -> usize {
        match self {
            Self::Dots(reader) => reader.longest_line(),
            Self::Chunks(reader) => reader.longest_line(),
        }
    }

    fn nul(&self) -> bool {
        match self {
            Self::Dots(reader) => reader.nul(),
            Self::Chunks(reader) => reader.nul(),
        }
    }

    fn bare_line_end(&self) -> Option<Refusal> {
        match self {
            Self::Chunks(reader) if reader.bare_cr() => Some(Refusal::BareCr),
            Self::Chunks(reader) if reader.bare_lf() => Some(Refusal::BareLf),
            _ => None,
        }
    }
}

impl Reception {
    /// Right after 354.
    pub(crate) fn new(endings: LineEndings) -> Self {
        Self::of(Source::Dots(ContentReader::new(endings)))
    }

    /// At the first chunk.
    pub(crate) fn of_chunks(endings: LineEndings, binary: bool, chunk: Chunk) -> Self {
        let reader = ChunkReader::new(endings, binary, chunk.size, chunk.last);
        Self { chunk: chunk.size, ..Self::of(Source::Chunks(reader)) }
    }

    fn of(content: Source) -> Self {
        Self {
            content,
            phase: Phase::Header(HeaderCollector::default()),
            body: Vec::new(),
            handed: false,
            ended: false,
            paused: false,
            chunk: 0,
            size: 0,
            refusal: None,
        }
    }

    /// Goes on with another chunk, after [`Progress::Chunk`].
    pub(crate) fn go_on(&mut self, chunk: Chunk) {
        self.chunk = chunk.size;
        if let Source::Chunks(reader) = &mut self.content {
            reader.next(chunk.size, chunk.last);
        }
    }

    /// Octets of the chunk, all of them, as it was declared.
    pub(crate) fn chunk(&self) -> u64 {
        self.chunk
    }

    /// Octets of content so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The piece of body that is handed over.
    pub(crate) fn body(&self) -> &[u8] {
        if self.handed { &self.body } else { &[] }
    }

    /// Refuses the message.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    /// Why the message is refused, if it is. The order makes the reason the same however the octets were cut.
    fn refusal(&self, limits: &Limits) -> Option<Refusal> {
        if self.size > limits.message_size {
            Some(Refusal::TooLarge)
        } else if self.content.longest_line() > limits.text_line {
            Some(Refusal::LineTooLong)
        } else if self.content.nul() {
            Some(Refusal::Nul)
        } else {
            self.content.bare_line_end().or(self.refusal)
        }
    }

    /// Takes octets from the front of `input` until there is something to say.
    pub(crate) fn take(&mut self, input: &mut &[u8], limits: &Limits) -> Progress {
        if std::mem::take(&mut self.handed) {
            self.body.clear();
        }
        loop {
            if let Some(progress) = self.settle(limits) {
                return progress;
            }
            if input.is_empty() && !self.content.is_over() {
                return Progress::More;
            }
            let fault = match self.read(input) {
                Content::More => continue,
                Content::Chunk => {
                    self.paused = true;
                    continue;
                }
                Content::End => {
                    self.ended = true;
                    continue;
                }
                Content::BareCr => Progress::BareCr,
                Content::BareLf => Progress::BareLf,
            };
            return self.endless(limits).unwrap_or(fault);
        }
    }

    /// What there is to say of what was read so far.
    fn settle(&mut self, limits: &Limits) -> Option<Progress> {
        if let Some(section) = self.header_section(limits) {
            return Some(Progress::Header(section));
        }
        let refusal = self.refusal(limits);
        if refusal.is_some()
            && let Some(progress) = self.drain(limits)
        {
            return Some(progress);
        }
        if !self.body.is_empty() && (self.ended || self.body.len() >= BODY_CHUNK) {
            self.handed = true;
            return Some(Progress::Body);
        }
        match refusal {
            None if std::mem::take(&mut self.paused) => Some(Progress::Chunk),
            // A chunk that is refused is the last one.
            refusal => (self.ended || self.paused).then_some(Progress::End(refusal)),
        }
    }

    fn read(&mut self, input: &mut &[u8]) -> Content {
        // Never 0: a full body has been handed over before.
        let body_room = BODY_CHUNK.saturating_sub(self.body.len()).max(1);
        let (sink, room) = match &mut self.phase {
            Phase::Header(collector) => (&mut collector.pending, HEADER_CHUNK),
            Phase::Body | Phase::Draining => (&mut self.body, body_room),
        };
        let held = sink.len();
        let content = self.content.read(input, sink, room);
        self.size += (sink.len() - held) as u64;
        content
    }

    /// Throws away what is held of a refused message. Says so the first time.
    fn drain(&mut self, limits: &Limits) -> Option<Progress> {
        if !matches!(self.phase, Phase::Draining) {
            self.phase = Phase::Draining;
            self.body = Vec::new();
            return Some(Progress::Refused);
        }
        self.body.clear();
        self.endless(limits)
    }

    fn endless(&self, limits: &Limits) -> Option<Progress> {
        let refusal = self.refusal(limits)?;
        (self.size > limits.message_size.saturating_add(limits.drain)).then_some(Progress::Endless(refusal))
    }

    /// The header section, once, when it is complete.
    fn header_section(&mut self, limits: &Limits) -> Option<HeaderSection> {
        let Phase::Header(collector) = &mut self.phase else { return None };
        let complete = match collector.cut(limits) {
            Ok(complete) => complete || self.ended,
            Err(refusal) => {
                self.refuse(refusal);
                return None;
            }
        };
        if !complete {
            return None;
        }
        let (section, body) = std::mem::take(collector).finish();
        self.phase = Phase::Body;
        self.body = body;
        Some(section)
    }

    /// Octets of memory that are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        let header = match &self.phase {
            Phase::Header(collector) => collector.held(),
            Phase::Body | Phase::Draining => 0,
        };
        header + self.body.capacity()
    }
}
