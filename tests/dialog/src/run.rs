//! Holds a dialogue with a server.

use std::fmt;
use std::io;

use crate::escape::show;
use crate::{Act, Dialog, Peer};

/// Octets of a reply line that are waited for: a server that sends more without a line end is broken.
const LINE_MAX: usize = 4096;

pub(crate) fn hold(dialog: &Dialog, peer: &mut dyn Peer) -> Result<(), Failure> {
    let mut talk = Talk { dialog, peer, heard: Vec::new(), transcript: Vec::new() };
    for turn in &dialog.turns {
        talk.act(turn.line, &turn.act)?;
    }
    if matches!(dialog.turns.last().map(|turn| &turn.act), Some(Act::Closed)) {
        return Ok(());
    }
    let last = dialog.turns.last().map_or(0, |turn| turn.line);
    talk.act(last, &Act::Send(b"QUIT\r\n".to_vec()))?;
    talk.act(last, &Act::Reply("221".to_owned()))?;
    talk.act(last, &Act::Closed)
}

/// A dialogue under way.
struct Talk<'a> {
    dialog: &'a Dialog,
    peer: &'a mut dyn Peer,
    /// Received, and not matched yet.
    heard: Vec<u8>,
    transcript: Vec<String>,
}

impl Talk<'_> {
    fn act(&mut self, line: usize, act: &Act) -> Result<(), Failure> {
        match act {
            Act::Send(octets) => self.send(octets),
            Act::Secure => self.secure(line)?,
            Act::Line(pattern) => {
                let heard = self.line(line, &pattern.to_string())?;
                if !pattern.matches(&heard) {
                    return Err(self.fail(line, &pattern.to_string(), &heard));
                }
            }
            Act::Reply(code) => self.reply(line, code)?,
            Act::Closed => self.closed(line)?,
        }
        Ok(())
    }

    fn send(&mut self, octets: &[u8]) {
        self.transcript.push(format!("C: {}", show(octets)));
        // A server that has closed may have said why: what is expected decides.
        if let Err(error) = self.peer.send(octets) {
            self.transcript.push(format!("(not sent: {error})"));
        }
    }

    /// Nothing may have been said beyond what was expected: it would be read as if it had come under TLS.
    fn secure(&mut self, line: usize) -> Result<(), Failure> {
        self.transcript.push("C: <tls>".to_owned());
        if !self.heard.is_empty() {
            let heard = show(&std::mem::take(&mut self.heard));
            return Err(self.fail(line, "nothing before TLS", &heard));
        }
        self.peer.secure().map_err(|error| self.fail(line, "a TLS handshake", &error.to_string()))
    }

    /// All lines of a reply.
    fn reply(&mut self, line: usize, code: &str) -> Result<(), Failure> {
        loop {
            let expected = format!("{code}...");
            let heard = self.line(line, &expected)?;
            match heard.strip_prefix(code).and_then(|rest| rest.bytes().next()) {
                Some(b'-') => {}
                Some(b' ') | None if heard.starts_with(code) => return Ok(()),
                _ => return Err(self.fail(line, &expected, &heard)),
            }
        }
    }

    /// The next line that the server says, without its CRLF.
    fn line(&mut self, line: usize, expected: &str) -> Result<String, Failure> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
                let heard = String::from_utf8_lossy(&self.heard[..end]).into_owned();
                self.heard.drain(..end + 2);
                self.transcript.push(format!("S: {heard}"));
                return Ok(heard);
            }
            if self.heard.len() > LINE_MAX {
                return Err(self.fail(line, expected, &show(&self.heard)));
            }
            let octets = self.peer.receive().unwrap_or_else(|error| self.silence(&error));
            if octets.is_empty() {
                let heard = show(&self.heard);
                let got = if heard.is_empty() { self.last_word() } else { heard };
                return Err(self.fail(line, expected, &got));
            }
            self.heard.extend_from_slice(&octets);
        }
    }

    fn silence(&mut self, error: &io::Error) -> Vec<u8> {
        self.transcript.push(format!("({error})"));
        Vec::new()
    }

    fn last_word(&self) -> String {
        match self.transcript.last() {
            Some(note) if note.starts_with('(') => note.clone(),
            _ => "<closed>".to_owned(),
        }
    }

    fn closed(&mut self, line: usize) -> Result<(), Failure> {
        if !self.heard.is_empty() {
            return Err(self.fail(line, "<closed>", &show(&self.heard)));
        }
        match self.peer.receive() {
            Ok(octets) if octets.is_empty() => Ok(()),
            Ok(octets) => Err(self.fail(line, "<closed>", &show(&octets))),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(self.fail(line, "<closed>", &format!("({error})"))),
        }
    }

    fn fail(&self, line: usize, expected: &str, got: &str) -> Failure {
        Failure {
            at: format!("{}:{line}", self.dialog.file.display()),
            title: self.dialog.title.clone(),
            expected: expected.to_owned(),
            got: got.to_owned(),
            transcript: self.transcript.clone(),
        }
    }
}

/// The server said something else than was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    at: String,
    title: String,
    expected: String,
    got: String,
    transcript: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.at, self.title)?;
        writeln!(f, "  expected: {}", self.expected)?;
        writeln!(f, "  got:      {}", self.got)?;
        writeln!(f, "  what was said:")?;
        self.transcript.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::path::Path;

    /// A server that says these things one after another, then closes.
    struct Says(VecDeque<&'static str>);

    impl Peer for Says {
        fn send(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn receive(&mut self) -> io::Result<Vec<u8>> {
            match self.0.pop_front() {
                Some("") => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came")),
                Some(text) => Ok(text.into()),
                None => Ok(Vec::new()),
            }
        }
    }

    fn hold(text: &str, says: &[&'static str]) -> Result<(), String> {
        let dialogs = Dialog::parse(Path::new("f"), text).unwrap();
        let failed = dialogs[0].hold(&mut Says(says.iter().copied().collect()));
        failed.map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_dialogue_that_goes_as_it_should() {
        let text = "# t\nS: 220 *\nC: EHLO a\nS: 250-mx\nS: 250...\nC: QUIT\nS: 221 *\nS: <closed>\n";
        assert_eq!(hold(text, &["220 h", "i\r\n250-mx\r\n250-A\r\n", "250 B\r\n221 bye\r\n"]), Ok(()));
    }

    #[test]
    fn quit_is_said_for_those_who_do_not() {
        assert_eq!(hold("# t\nS: 220 *\n", &["220 hi\r\n", "221 bye\r\n"]), Ok(()));
        let surplus = hold("# t\nS: 220 *\n", &["220 hi\r\n", "221 bye\r\n250 more\r\n"]).unwrap_err();
        assert!(surplus.contains("expected: <closed>\n  got:      250 more<CR><LF>"), "{surplus}");
    }

    #[test]
    fn a_failure_tells_where_and_what_was_said() {
        let failure = hold("# A story.\nS: 220 *\nC: NOOP\nS: 250 *\n", &["220 hi\r\n", "500 no\r\n"]).unwrap_err();
        assert_eq!(
            failure,
            "f:4: A story.\n  expected: 250 *\n  got:      500 no\n  what was said:\n    S: 220 hi\n    \
             C: NOOP<CR><LF>\n    S: 500 no\n"
        );
    }

    #[test]
    fn silence_and_closing_are_told_apart() {
        let failure = |says: &[&'static str]| hold("# t\nS: 220 *\n", says).unwrap_err();
        assert!(failure(&[""]).contains("got:      (nothing came)"));
        assert!(failure(&[]).contains("got:      <closed>"));
        assert!(failure(&["22"]).contains("got:      22"));
        assert!(failure(&["250-mx\r\n"]).contains("got:      250-mx"));
    }
}
