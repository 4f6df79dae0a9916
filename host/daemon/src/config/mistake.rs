//! What is wrong, collected: an operator wants to hear of all of it at once.

use std::fmt;

use super::place::{KeyPath, Sources};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The server does not start.
    Mistake,
    /// The server starts, and the operator should know.
    Warning,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) severity: Severity,
    /// The key; empty when the text is no TOML.
    pub(crate) at: KeyPath,
    /// File and line, where that is known better than the key says.
    pub(crate) place: Option<String>,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Notes a mistake.
    pub(crate) fn add(&mut self, at: &KeyPath, what: impl fmt::Display) {
        self.push(Severity::Mistake, at, what.to_string(), None);
    }

    /// Notes a mistake and what to do about it.
    pub(crate) fn add_with_help(&mut self, at: &KeyPath, what: impl fmt::Display, help: impl fmt::Display) {
        self.push(Severity::Mistake, at, what.to_string(), Some(help.to_string()));
    }

    /// Notes something dangerous that is allowed all the same.
    pub(crate) fn warn(&mut self, at: &KeyPath, what: impl fmt::Display, help: impl fmt::Display) {
        self.push(Severity::Warning, at, what.to_string(), Some(help.to_string()));
    }

    /// Notes that the text itself cannot be read.
    pub(crate) fn add_syntax(&mut self, place: String, what: impl fmt::Display) {
        let (at, what) = (KeyPath::default(), what.to_string());
        self.0.push(Mistake { severity: Severity::Mistake, at, place: Some(place), what, help: None });
    }

    fn push(&mut self, severity: Severity, at: &KeyPath, what: String, help: Option<String>) {
        let mistake = Mistake { severity, at: at.clone(), place: None, what, help };
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    /// Whether nothing keeps the server from starting.
    pub(crate) fn none(&self) -> bool {
        self.count(Severity::Mistake) == 0
    }

    /// How many there are of one kind.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.of(severity).count()
    }

    /// Those of one kind, in the order found.
    pub(crate) fn of(&self, severity: Severity) -> impl Iterator<Item = &Mistake> {
        self.0.iter().filter(move |mistake| mistake.severity == severity)
    }

    /// All of them, each with its place, one paragraph each.
    pub(crate) fn report(&self, sources: &Sources) -> String {
        self.0.iter().map(|mistake| mistake.paragraph(sources)).collect()
    }
}

impl Mistake {
    fn paragraph(&self, sources: &Sources) -> String {
        let severity = match self.severity {
            Severity::Mistake => "error",
            Severity::Warning => "warning",
        };
        let place = self.place.clone().unwrap_or_else(|| sources.place(&self.at));
        let key = if self.at.0.is_empty() { String::new() } else { format!("{}: ", self.at) };
        // What plugins and parsers say may have several lines; they stay below their first one.
        let what = self.what.trim_end().replace('\n', "\n    ");
        let help = self.help.iter().map(|help| format!("  help: {help}\n")).collect::<String>();
        format!("{severity}: {place}: {key}{what}\n{help}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_says_where_what_and_what_to_do() {
        let mut mistakes = Mistakes::default();
        mistakes.add_with_help(&KeyPath::of(&["server", "nam"]), "unknown key", "did you mean `name`?");
        mistakes.warn(&KeyPath::of(&["spool"]), "dangerous", "don't");
        let report = mistakes.report(&Sources::default());
        assert_eq!(
            report,
            "error: embedded defaults: server.nam: unknown key\n  help: did you mean `name`?\n\
             warning: embedded defaults: spool: dangerous\n  help: don't\n"
        );
        assert!(!mistakes.none());
    }

    #[test]
    fn a_warning_keeps_nothing_from_starting_and_nothing_is_said_twice() {
        let mut mistakes = Mistakes::default();
        mistakes.warn(&KeyPath::of(&["a"]), "b", "c");
        mistakes.warn(&KeyPath::of(&["a"]), "b", "c");
        assert!(mistakes.none());
        assert_eq!(mistakes.count(Severity::Warning), 1);
    }
}
