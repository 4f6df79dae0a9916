//! Guests' text on its way to people.

/// At most `max` octets of a guest's text, with control characters escaped: it can neither fake a line of the log nor
/// steer a terminal.
pub(crate) fn escaped(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let from = out.len();
        if is_safe(c) {
            out.push(c)
        } else {
            out.extend(c.escape_default())
        }
        if out.len() > max {
            out.truncate(from);
            out.push('…');
            break;
        }
    }
    out
}

/// Printable, and not one of the characters that turn the direction of text (Unicode bidirectional controls).
fn is_safe(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_can_neither_fake_a_line_nor_steer_a_terminal() {
        assert_eq!(escaped("a\r\nb\u{1b}[2J\0", 100), "a\\r\\nb\\u{1b}[2J\\u{0}");
        assert_eq!(escaped("bücher \u{202e}txt", 100), "bücher \\u{202e}txt");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(escaped("üüü", 5), "üü…");
        assert_eq!(escaped("üüü", 6), "üüü");
    }
}
