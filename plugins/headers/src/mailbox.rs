//! Address lists as RFC 5322 section 3.4 writes them: display names, comments, groups.

/// How many mailboxes a field holds; none when it holds none or one of them is malformed.
pub(crate) fn count(value: &str) -> Option<usize> {
    let mut list = List::default();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if list.is_literal() => list.keep_pair(c, chars.next()?),
            _ => list.take(c)?,
        }
    }
    list.end()
}

/// Where we are in a list.
#[derive(Default)]
struct List {
    count: usize,
    /// What stands outside angle brackets: a display name, or an address of its own.
    outside: String,
    /// What stands between angle brackets.
    inside: Option<String>,
    in_brackets: bool,
    in_quotes: bool,
    comments: usize,
}

impl List {
    /// Whether a backslash takes the meaning from the character behind it.
    fn is_literal(&self) -> bool {
        self.in_quotes || self.comments > 0
    }

    fn keep(&mut self, c: char) {
        match &mut self.inside {
            Some(inside) if self.in_brackets => inside.push(c),
            _ => self.outside.push(c),
        }
    }

    fn keep_pair(&mut self, backslash: char, c: char) {
        if self.comments == 0 {
            self.keep(backslash);
            self.keep(c);
        }
    }

    fn take(&mut self, c: char) -> Option<()> {
        match c {
            '(' if !self.in_quotes => self.comments += 1,
            ')' if self.comments > 0 => self.comments -= 1,
            _ if self.comments > 0 => {}
            '"' => {
                self.in_quotes = !self.in_quotes;
                self.keep(c);
            }
            _ if self.in_quotes => self.keep(c),
            '<' if self.inside.is_some() => return None,
            '<' => {
                self.inside = Some(String::new());
                self.in_brackets = true;
            }
            '>' if !self.in_brackets => return None,
            '>' => self.in_brackets = false,
            ',' | ';' if !self.in_brackets => self.finish()?,
            // What stood before was a group's name.
            ':' if !self.in_brackets && !self.outside.contains('[') => self.outside.clear(),
            _ => self.keep(c),
        }
        Some(())
    }

    /// Ends one mailbox. Nothing between two commas is an obsolete form that means nothing (RFC 5322 section 4.4).
    fn finish(&mut self) -> Option<()> {
        let outside = std::mem::take(&mut self.outside);
        let address = match self.inside.take() {
            Some(inside) => inside,
            None if outside.trim().is_empty() => return Some(()),
            None => outside,
        };
        self.count += 1;
        is_address(address.trim()).then_some(())
    }

    fn end(mut self) -> Option<usize> {
        if self.in_quotes || self.in_brackets || self.comments > 0 {
            return None;
        }
        self.finish()?;
        Some(self.count).filter(|count| *count > 0)
    }
}

/// Whether this is `local-part@domain`. Dots in odd places of the local part are let pass: such addresses exist.
fn is_address(text: &str) -> bool {
    let Some((local_part, domain)) = text.rsplit_once('@') else { return false };
    is_local_part(local_part.trim_end()) && is_domain(domain.trim_start())
}

fn is_local_part(text: &str) -> bool {
    let quoted = text.len() > 2 && text.starts_with('"') && text.ends_with('"');
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '"' | '[' | ']' | '\\');
    quoted || (!text.is_empty() && !text.contains(bad))
}

fn is_domain(text: &str) -> bool {
    if text.starts_with('[') {
        return text.len() > 2 && text.ends_with(']');
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '[' | ']' | '\\');
    !text.contains(bad) && text.split('.').all(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mailboxes_are_counted_in_all_their_forms() {
        for (value, mailboxes) in [
            ("user@example.org", 1),
            ("  <user@example.org>  ", 1),
            ("Joe Doe <joe@example.org>", 1),
            ("\"Doe, Joe\" <joe@example.org>", 1),
            ("\"a \\\" b\" <joe@example.org>", 1),
            ("joe@example.org (Joe, the (real) one)", 1),
            ("\"odd@local\"@example.org", 1),
            ("user@[192.0.2.1]", 1),
            ("user@[IPv6:2001:db8::1]", 1),
            ("=?utf-8?q?J=C3=B6e?= <joe@example.org>", 1),
            ("J\u{f6}e <j\u{f6}e@ex\u{e4}mple.org>", 1),
            ("a@example.org, B <b@example.org>", 2),
            ("Authors: a@example.org, b@example.org;", 2),
            (", a@example.org,", 1),
            ("docomo..user.@example.org", 1),
        ] {
            assert_eq!(count(value), Some(mailboxes), "{value}");
        }
    }

    #[test]
    fn what_holds_no_address_is_malformed() {
        for value in [
            "",
            "nobody",
            "<>",
            "Joe Doe",
            "Joe <joe>",
            "user@",
            "@example.org",
            "user@example..org",
            "two words@example.org",
            "a@b@example.org",
            "Joe <joe@example.org",
            "joe@example.org>",
            "<a@example.org> <b@example.org>",
            "\"open <joe@example.org>",
            "joe@example.org (open",
            "nobody:;",
            "\"ends with a backslash \\",
        ] {
            assert_eq!(count(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,60}", close in r#"[a@.<>(),:;" \\\[\]]{0,40}"#) {
            let _ = (count(&text), count(&close));
        }

        #[test]
        fn a_name_in_quotes_hides_nothing(name in "[ -~&&[^\"\\\\]]{0,20}") {
            let value = format!("\"{name}\" <joe@example.org>");
            prop_assert_eq!(count(&value), Some(1));
        }
    }
}
