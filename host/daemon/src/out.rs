//! Lines for the person at the terminal. A reader that has gone away, such as `head`, is no error.

use std::io::Write;

/// Writes a line to standard output.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::line(&mut std::io::stdout(), format_args!($($text)*))
    };
}

/// Writes a line to standard error.
macro_rules! say_error {
    ($($text:tt)*) => {
        $crate::out::line(&mut std::io::stderr(), format_args!($($text)*))
    };
}

pub(crate) use {say, say_error};

pub(crate) fn line(to: &mut impl Write, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(to, "{text}").and_then(|()| to.flush());
}

/// Text from elsewhere, with nothing in it that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    let show = |letter: char| match letter {
        '\n' | '\t' => letter.to_string(),
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    text.chars().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_commanded() {
        assert_eq!(plain("a\u{1b}[31m\tb\nc\u{9b}"), "a\\u{1b}[31m\tb\nc\\u{9b}");
    }
}
