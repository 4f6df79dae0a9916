//! One message in the dialogue: which commands are out, and what the replies decide.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use wasmail_mail::{BodyType, Parameter, Recipient};

use super::content::{ChunkWriter, ContentWriter, Writer};
use super::{Extensions, Fate, Outgoing, Phase, Reason, RemoteReply, Wishes};

/// Commands that may be out at once with PIPELINING. Their replies, some 5 KB, fit into any socket's buffer, so
/// neither side ever waits for the other to read first (RFC 2920 §3.1).
const WINDOW: usize = 64;

#[derive(Debug)]
pub(super) struct Transaction {
    message: Outgoing,
    extensions: Extensions,
    /// What is still to be written, the next one first.
    next: Option<Command>,
    /// What was written and not yet answered, the oldest first.
    outstanding: VecDeque<Command>,
    /// What MAIL became, once refused: it is then everybody's fate.
    refused: Option<Fate>,
    /// One for each recipient that RCPT has decided; `Delivered` stands for accepted so far.
    fates: Vec<Fate>,
    mail_accepted: bool,
    /// The content goes in one chunk (RFC 3030).
    chunk: bool,
    /// Each recipient has a reply of their own to the final dot (RFC 2033 §4.2).
    lmtp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Rset,
    Mail,
    Rcpt(usize),
    Data,
    FinalDot,
    /// The final dot, for one recipient.
    FinalDotFor(usize),
}

/// How far a reply has brought us.
#[derive(Debug)]
pub(super) enum Progress {
    Waiting,
    /// The server takes it so.
    Content(Writer),
    /// Everybody's fate is known. `open`: the server still believes in a transaction.
    Through {
        open: bool,
    },
    /// The server is about to close, or can no longer be understood.
    Closing(Reason),
}

impl Transaction {
    pub(super) fn new(message: Outgoing, extensions: Extensions, reset_first: bool, wishes: &Wishes) -> Self {
        let fates = Vec::with_capacity(message.recipients.len());
        let next = Some(if reset_first { Command::Rset } else { Command::Mail });
        let outstanding = VecDeque::new();
        let chunk = extensions.chunking && (wishes.chunking || message.body == BodyType::BinaryMime);
        Self {
            message,
            extensions,
            next,
            outstanding,
            refused: None,
            fates,
            mail_accepted: false,
            chunk,
            lmtp: wishes.lmtp,
        }
    }

    /// Writes as many commands as may be out.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) {
        let window = if self.extensions.pipelining { WINDOW } else { 1 };
        while let Some(command) = self.next.filter(|_| self.outstanding.len() < window) {
            self.next = self.after(command);
            self.write_command(command, out);
            self.outstanding.push_back(command);
        }
    }

    fn after(&self, command: Command) -> Option<Command> {
        let recipient = |at: usize| match at < self.message.recipients.len() {
            true => Some(Command::Rcpt(at)),
            // A chunk waits until it is known that somebody gets it.
            false => (!self.chunk).then_some(Command::Data),
        };
        match command {
            Command::Rset => Some(Command::Mail),
            Command::Mail => recipient(0),
            Command::Rcpt(at) => recipient(at + 1),
            Command::Data | Command::FinalDot | Command::FinalDotFor(_) => None,
        }
    }

    fn write_command(&self, command: Command, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = match command {
            Command::Rset => out.write_all(b"RSET\r\n"),
            Command::Mail => self.write_mail(out),
            Command::Rcpt(at) => self.write_rcpt(&self.message.recipients[at], out),
            Command::Data => out.write_all(b"DATA\r\n"),
            Command::FinalDot | Command::FinalDotFor(_) => Ok(()),
        };
    }

    fn write_mail(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        write!(out, "MAIL FROM:{}", self.message.reverse_path)?;
        if self.extensions.size {
            write!(out, " SIZE={}", self.message.size)?;
        }
        if self.message.body != BodyType::SevenBit {
            write!(out, " BODY={}", self.message.body.as_str())?;
        }
        if self.message.smtputf8 {
            out.write_all(b" SMTPUTF8")?;
        }
        if self.message.require_tls {
            out.write_all(b" REQUIRETLS")?;
        }
        self.pass_on(&self.message.parameters, out)
    }

    fn write_rcpt(&self, recipient: &Recipient, out: &mut Vec<u8>) -> std::io::Result<()> {
        write!(out, "RCPT TO:{}", recipient.path)?;
        self.pass_on(&recipient.parameters, out)
    }

    fn pass_on(&self, parameters: &[Parameter], out: &mut Vec<u8>) -> std::io::Result<()> {
        for parameter in parameters.iter().filter(|parameter| self.extensions.pass_on(parameter)) {
            write!(out, " {parameter}")?;
        }
        out.write_all(b"\r\n")
    }

    /// Takes the reply to the oldest command that is out.
    pub(super) fn take(&mut self, reply: RemoteReply, out: &mut Vec<u8>) -> Progress {
        let Some(command) = self.outstanding.pop_front() else { return Progress::Waiting };
        if reply.code() == 421 {
            return Progress::Closing(Reason::Reply { to: phase(command), reply });
        }
        match command {
            Command::Rset if reply.is_positive() => {}
            Command::Rset => return Progress::Closing(Reason::Reply { to: Phase::Rset, reply }),
            Command::Mail => self.take_mail(reply),
            Command::Rcpt(_) => self.take_rcpt(reply),
            Command::Data => return self.take_data(reply, out),
            Command::FinalDot => return self.take_final_dot(reply),
            Command::FinalDotFor(at) => return self.take_final_dot_for(at, reply),
        }
        self.go_on(out)
    }

    fn take_mail(&mut self, reply: RemoteReply) {
        self.mail_accepted = reply.is_positive();
        if !self.mail_accepted {
            self.refused = Some(Fate::refused(Reason::Reply { to: Phase::Mail, reply }));
        }
    }

    /// Any 2yz accepts: 251 means that the server forwards, and that mail is not ours any more (RFC 5321 §4.2.1).
    fn take_rcpt(&mut self, reply: RemoteReply) {
        let positive = reply.is_positive();
        let reason = Reason::Reply { to: Phase::Rcpt, reply };
        self.fates.push(if positive { Fate::Delivered(Arc::new(reason)) } else { Fate::refused(reason) });
    }

    fn go_on(&mut self, out: &mut Vec<u8>) -> Progress {
        // Without a recipient DATA makes no sense; without MAIL neither does RCPT.
        if self.refused.is_some() || !self.anybody_left() {
            self.next = None;
        }
        self.write(out);
        if self.outstanding.is_empty() && self.next.is_none() {
            if self.chunk && self.anybody_accepted() {
                return self.begin_chunk(out);
            }
            return Progress::Through { open: self.mail_accepted };
        }
        Progress::Waiting
    }

    fn begin_chunk(&self, out: &mut Vec<u8>) -> Progress {
        out.extend_from_slice(format!("BDAT {} LAST\r\n", self.message.size).as_bytes());
        let binary = self.message.body == BodyType::BinaryMime;
        Progress::Content(Writer::Chunk(ChunkWriter::new(self.message.size, binary)))
    }

    /// Whether a recipient was accepted or has still to be decided.
    fn anybody_left(&self) -> bool {
        self.fates.len() < self.message.recipients.len() || self.anybody_accepted()
    }

    fn anybody_accepted(&self) -> bool {
        self.refused.is_none() && self.fates.iter().any(is_accepted)
    }

    fn take_data(&mut self, reply: RemoteReply, out: &mut Vec<u8>) -> Progress {
        let wants_content = reply.code() == 354;
        match (wants_content, self.anybody_accepted()) {
            (true, true) => Progress::Content(Writer::Dots(ContentWriter::new())),
            // MAIL was refused, recipients were not: the server may give them the empty message. And LMTP has no reply for
            // nobody.
            (true, false) if self.lmtp || self.fates.iter().any(is_accepted) => {
                Progress::Closing(Reason::Reply { to: Phase::Data, reply })
            }
            // DATA went out with recipients that were all refused: an empty message ends it, and nobody gets that.
            (true, false) => {
                out.extend_from_slice(b".\r\n");
                self.outstanding.push_back(Command::FinalDot);
                Progress::Waiting
            }
            (false, _) => {
                self.decide(Reason::Reply { to: Phase::Data, reply });
                Progress::Through { open: self.mail_accepted }
            }
        }
    }

    fn take_final_dot(&mut self, reply: RemoteReply) -> Progress {
        // A chunk that was refused leaves the transaction in doubt (RFC 3030 §2).
        let open = self.chunk && !reply.is_positive();
        self.decide(Reason::Reply { to: Phase::FinalDot, reply });
        Progress::Through { open }
    }

    fn take_final_dot_for(&mut self, at: usize, reply: RemoteReply) -> Progress {
        let open = self.chunk && !reply.is_positive();
        if let Some(fate) = self.fates.get_mut(at) {
            *fate = final_fate(Reason::Reply { to: Phase::FinalDot, reply });
        }
        if self.outstanding.is_empty() { Progress::Through { open } } else { Progress::Waiting }
    }

    /// Gives every accepted recipient the fate of the message.
    fn decide(&mut self, reason: Reason) {
        self.settle(&final_fate(reason));
    }

    fn settle(&mut self, fate: &Fate) {
        for accepted in self.fates.iter_mut().filter(|fate| is_accepted(fate)) {
            *accepted = fate.clone();
        }
    }

    pub(super) fn end_content(&mut self) {
        if !self.lmtp {
            return self.outstanding.push_back(Command::FinalDot);
        }
        let accepted = self.fates.iter().enumerate().filter(|(_, fate)| is_accepted(fate));
        self.outstanding.extend(accepted.map(|(at, _)| Command::FinalDotFor(at)));
    }

    /// What we wait for.
    pub(super) fn phase(&self) -> Phase {
        self.outstanding.front().map_or(Phase::Content, |command| phase(*command))
    }

    /// One fate for each recipient.
    pub(super) fn into_fates(self) -> Vec<Fate> {
        match self.refused {
            Some(fate) => vec![fate; self.message.recipients.len()],
            None => self.fates,
        }
    }

    /// Gives everybody of whom nothing is decided this fate.
    pub(super) fn fail(mut self, reason: Reason) -> Vec<Fate> {
        if self.refused.is_some() {
            return self.into_fates();
        }
        let fate = Fate::refused(reason);
        self.settle(&fate);
        self.fates.resize(self.message.recipients.len(), fate);
        self.fates
    }
}

fn phase(command: Command) -> Phase {
    match command {
        Command::Rset => Phase::Rset,
        Command::Mail => Phase::Mail,
        Command::Rcpt(_) => Phase::Rcpt,
        Command::Data => Phase::Data,
        Command::FinalDot | Command::FinalDotFor(_) => Phase::FinalDot,
    }
}

/// Whether RCPT was accepted and nothing more is known.
fn is_accepted(fate: &Fate) -> bool {
    matches!(fate, Fate::Delivered(reason) if matches!(**reason, Reason::Reply { to: Phase::Rcpt, .. }))
}

/// What the reply after the content means.
fn final_fate(reason: Reason) -> Fate {
    let good = matches!(&reason, Reason::Reply { to: Phase::FinalDot, reply } if reply.is_positive());
    if good { Fate::Delivered(Arc::new(reason)) } else { Fate::refused(reason) }
}
