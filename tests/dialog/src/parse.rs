//! The format of dialogue files.

use std::path::Path;

use crate::escape::unescape;
use crate::pattern::Pattern;
use crate::{Act, Dialog, ParseError, Setting, Turn};

/// Times that one line can be repeated.
const REPEAT_MAX: usize = 100_000;

pub(crate) fn dialogs(file: &Path, text: &str) -> Result<Vec<Dialog>, ParseError> {
    let mut dialogs = Vec::new();
    let mut draft = Draft::new(file);
    for (at, line) in text.lines().enumerate() {
        let taken = if line == "===" { draft.finish(&mut dialogs) } else { draft.take(at + 1, line) };
        taken.map_err(|why| ParseError { file: file.to_owned(), line: at + 1, why })?;
    }
    let last = text.lines().count();
    draft.finish(&mut dialogs).map_err(|why| ParseError { file: file.to_owned(), line: last, why })?;
    Ok(dialogs)
}

/// A dialogue that is being read.
struct Draft {
    dialog: Dialog,
    /// What `C|` lines have gathered, and where they began.
    group: Option<(usize, Vec<u8>)>,
}

impl Draft {
    fn new(file: &Path) -> Self {
        let (title, settings, turns) = (String::new(), Vec::new(), Vec::new());
        Self { dialog: Dialog { file: file.to_owned(), line: 0, title, settings, turns }, group: None }
    }

    fn take(&mut self, at: usize, line: &str) -> Result<(), String> {
        match line.as_bytes().first() {
            None => Ok(()),
            Some(b'#') => {
                self.comment(at, line[1..].trim());
                Ok(())
            }
            Some(b'@') => self.setting(at, line[1..].trim()),
            Some(b'C') => self.client(at, &line[1..]),
            Some(b'S') => self.server(at, &line[1..]),
            Some(_) => Err("a line begins with C:, C|, S:, @, # or ===".to_owned()),
        }
    }

    fn comment(&mut self, at: usize, text: &str) {
        if self.dialog.title.is_empty() {
            self.dialog.title = text.to_owned();
            self.dialog.line = at;
        }
    }

    fn setting(&mut self, line: usize, text: &str) -> Result<(), String> {
        if !self.dialog.turns.is_empty() || self.group.is_some() {
            return Err("settings stand before the first turn".to_owned());
        }
        let (key, value) = text.split_once(' ').unwrap_or((text, ""));
        if key.is_empty() {
            return Err("a setting is `@ key value`".to_owned());
        }
        self.dialog.settings.push(Setting { line, key: key.to_owned(), value: value.trim().to_owned() });
        Ok(())
    }

    fn client(&mut self, line: usize, rest: &str) -> Result<(), String> {
        let (times, mark, text) = split(rest, &[':', '|'])?;
        self.still_open()?;
        if text == "<tls>" && mark == ':' && self.group.is_none() {
            self.dialog.turns.push(Turn { line, act: Act::Secure });
            return Ok(());
        }
        let octets = match text.strip_suffix('\\') {
            Some(text) => unescape(text),
            None => [unescape(text).as_slice(), b"\r\n"].concat(),
        };
        let (_, group) = self.group.get_or_insert((line, Vec::new()));
        (0..times).for_each(|_| group.extend_from_slice(&octets));
        if mark == ':' {
            self.send();
        }
        Ok(())
    }

    fn send(&mut self) {
        if let Some((line, octets)) = self.group.take() {
            self.dialog.turns.push(Turn { line, act: Act::Send(octets) });
        }
    }

    fn server(&mut self, line: usize, rest: &str) -> Result<(), String> {
        let (times, _, text) = split(rest, &[':'])?;
        self.still_open()?;
        if self.group.is_some() {
            return Err("a group of C| lines ends with a C: line".to_owned());
        }
        let act = match text {
            "<closed>" => Act::Closed,
            text => match text.strip_suffix("...").filter(|code| is_code(code)) {
                Some(code) => Act::Reply(code.to_owned()),
                None => Act::Line(Pattern::new(text)),
            },
        };
        (0..times).for_each(|_| self.dialog.turns.push(Turn { line, act: act.clone() }));
        Ok(())
    }

    fn still_open(&self) -> Result<(), String> {
        let closed = matches!(self.dialog.turns.last(), Some(Turn { act: Act::Closed, .. }));
        if closed { Err("nothing follows <closed>".to_owned()) } else { Ok(()) }
    }

    fn finish(&mut self, dialogs: &mut Vec<Dialog>) -> Result<(), String> {
        if self.group.is_some() {
            return Err("a group of C| lines ends with a C: line".to_owned());
        }
        let next = Self::new(&self.dialog.file);
        let dialog = std::mem::replace(self, next).dialog;
        if dialog.turns.is_empty() {
            let empty = dialog.settings.is_empty() && dialog.title.is_empty();
            return if empty { Ok(()) } else { Err("a dialogue without turns".to_owned()) };
        }
        if dialog.title.is_empty() {
            return Err("a dialogue begins with a comment that says what it tells".to_owned());
        }
        dialogs.push(dialog);
        Ok(())
    }
}

/// Splits `*N: text`: the number, the mark, and the text after one space.
fn split<'a>(rest: &'a str, marks: &[char]) -> Result<(usize, char, &'a str), String> {
    let at = rest.find(marks).ok_or("a colon is missing")?;
    let mark = if rest[at..].starts_with('|') { '|' } else { ':' };
    let times = match rest[..at].strip_prefix('*') {
        Some(number) => number.parse().ok().filter(|times| (1..=REPEAT_MAX).contains(times)),
        None if at == 0 => Some(1),
        None => None,
    };
    let times = times.ok_or_else(|| format!("a repeated line is `C*N:`, N from 1 to {REPEAT_MAX}"))?;
    let text = &rest[at + 1..];
    Ok((times, mark, text.strip_prefix(' ').unwrap_or(text)))
}

fn is_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Dialog>, String> {
        Dialog::parse(Path::new("f"), text).map_err(|error| error.to_string())
    }

    fn sent(dialog: &Dialog) -> Vec<Vec<u8>> {
        let octets = |turn: &Turn| match &turn.act {
            Act::Send(octets) => Some(octets.clone()),
            _ => None,
        };
        dialog.turns.iter().filter_map(octets).collect()
    }

    #[test]
    fn a_group_is_one_write() {
        let dialogs = parse("# t\nC| RSET\nC*2| NOOP\nC: QUIT\nC: a<LF>\\\n").unwrap();
        assert_eq!(sent(&dialogs[0]), [b"RSET\r\nNOOP\r\nNOOP\r\nQUIT\r\n".to_vec(), b"a\n".to_vec()]);
    }

    #[test]
    fn a_file_holds_several_connections() {
        let dialogs = parse("# one\n@ a 1\n@ a 2\n@ b\nS: 220 *\n\n===\n# two\n# more\nS: <closed>\n").unwrap();
        assert_eq!(dialogs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["f:1: one", "f:8: two"]);
        assert_eq!((dialogs[0].setting("a"), dialogs[0].setting("b")), (Some("2"), Some("")));
        assert!(dialogs[1].settings().is_empty());
    }

    #[test]
    fn mistakes_are_found_where_they_are() {
        for (text, error) in [
            ("# t\nX: a\n", "f:2: a line begins with C:, C|, S:, @, # or ==="),
            ("# t\nC a\n", "f:2: a colon is missing"),
            ("# t\nC*0: a\n", "f:2: a repeated line is `C*N:`, N from 1 to 100000"),
            ("# t\nS: a\n@ b\n", "f:3: settings stand before the first turn"),
            ("# t\nC| a\nS: b\n", "f:3: a group of C| lines ends with a C: line"),
            ("# t\nC| a\n", "f:2: a group of C| lines ends with a C: line"),
            ("# t\nS: <closed>\nC: a\n", "f:3: nothing follows <closed>"),
            ("S: a\n", "f:1: a dialogue begins with a comment that says what it tells"),
            ("# t\n", "f:1: a dialogue without turns"),
        ] {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }
}
