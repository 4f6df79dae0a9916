//! What a plugin's answers depend on and what they may change, as its author declares it.
//!
//! Two plugins at one hook may be asked at the same time when the later one reads nothing that the earlier one writes:
//! it would then see the same question if they were asked one by one. Writes never stand in each other's way, for
//! answers are applied in order whoever is ready first.

use std::fmt;

use crate::{Mutation, Rejected};

/// A fact that plugins can change, beside notes and results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fact {
    /// Whether the client may send to anywhere.
    Relaying,
    /// The client's name.
    RemoteHost,
    /// The reverse-path and its parameters.
    ReversePath,
    /// The recipients, with the one that RCPT asks about.
    Recipients,
    /// Header and body of the message.
    Message,
    /// Where the message goes: route, quarantine.
    Delivery,
    /// Which plugins are skipped. Everybody depends on it.
    Skips,
}

impl Fact {
    /// All facts.
    pub const ALL: [Self; 7] = [
        Self::Relaying,
        Self::RemoteHost,
        Self::ReversePath,
        Self::Recipients,
        Self::Message,
        Self::Delivery,
        Self::Skips,
    ];

    /// The name as it stands in WIT.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relaying => "relaying",
            Self::RemoteHost => "remote-host",
            Self::ReversePath => "reverse-path",
            Self::Recipients => "recipients",
            Self::Message => "message",
            Self::Delivery => "delivery",
            Self::Skips => "skips",
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts(u8);

impl Facts {
    /// Whether the fact is in the set.
    #[must_use]
    pub const fn has(self, fact: Fact) -> bool {
        self.0 & (1 << fact as u8) != 0
    }

    /// The facts in the set.
    pub fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.into_iter().filter(move |fact| self.has(*fact))
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<Fact> for Facts {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        Self(facts.into_iter().fold(0, |bits, fact| bits | 1 << fact as u8))
    }
}

/// What a plugin depends on and what it may change. It always writes its own results, and never those of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Footprint {
    /// JSON Pointers of the notes that it is shown.
    pub reads_notes: Vec<String>,
    /// Bindings whose results it is shown; `*` stands for all.
    pub reads_results: Vec<String>,
    /// Other facts that its answers depend on.
    pub reads: Facts,
    /// JSON Pointers of the notes that it may set or remove, with all below them, in both scopes.
    pub writes_notes: Vec<String>,
    /// Other facts that it may change.
    pub writes: Facts,
}

impl Footprint {
    /// Whether an answer of this plugin, bound under `name`, can change what `later` is shown.
    #[must_use]
    pub fn shows(&self, name: &str, later: &Self) -> bool {
        let notes = self.writes_notes.iter().any(|written| later.reads_notes.iter().any(|read| touch(written, read)));
        let results = later.reads_results.iter().any(|read| read == "*" || read == name);
        notes || results || self.writes.meets(later.reads) || self.writes.has(Fact::Skips)
    }

    /// Whether it may make this change.
    pub(crate) fn covers(&self, mutation: &Mutation) -> Result<(), Undeclared> {
        match touched(mutation) {
            Touched::Nothing => Ok(()),
            Touched::Note(pointer) if self.writes_notes.iter().any(|written| covers(written, pointer)) => Ok(()),
            Touched::Note(pointer) => Err(Undeclared::Note(pointer.to_owned())),
            Touched::Fact(fact) if self.writes.has(fact) => Ok(()),
            Touched::Fact(fact) => Err(Undeclared::Fact(fact)),
        }
    }

    /// Whether it may make all of these changes.
    pub(crate) fn check(&self, mutations: &[Mutation]) -> Result<(), Rejected> {
        mutations.iter().enumerate().try_for_each(|(at, mutation)| {
            let undeclared = |why: Undeclared| Rejected::Mutation { at, name: mutation.name(), why: why.into() };
            self.covers(mutation).map_err(undeclared)
        })
    }
}

/// A change that the plugin's manifest does not announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undeclared {
    /// To a note.
    Note(String),
    /// To something else.
    Fact(Fact),
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(pointer) => {
                write!(f, "the manifest's footprint does not say that it writes the note {pointer:?}")
            }
            Self::Fact(fact) => write!(f, "the manifest's footprint does not say that it writes `{fact}`"),
        }
    }
}

/// What a mutation changes that another plugin can see.
enum Touched<'a> {
    /// Nothing, or only the plugin's own results.
    Nothing,
    Note(&'a str),
    Fact(Fact),
}

fn touched(mutation: &Mutation) -> Touched<'_> {
    match mutation {
        Mutation::SetNote { pointer, .. } | Mutation::RemoveNote { pointer, .. } => Touched::Note(pointer),
        Mutation::AddResult { .. }
        | Mutation::IncrResult { .. }
        | Mutation::PushResult { .. }
        | Mutation::SetResult { .. }
        | Mutation::Delay(_)
        | Mutation::AddCapability(_) => Touched::Nothing,
        Mutation::SetRelaying(_) => Touched::Fact(Fact::Relaying),
        Mutation::SetRemoteHost(_) => Touched::Fact(Fact::RemoteHost),
        Mutation::AddHeader { .. }
        | Mutation::PrependHeader { .. }
        | Mutation::ReplaceHeader { .. }
        | Mutation::RemoveHeader { .. }
        | Mutation::AddBanner(_)
        | Mutation::ReplacePart { .. }
        | Mutation::RemovePart { .. } => Touched::Fact(Fact::Message),
        Mutation::AddRecipient(_) | Mutation::RemoveRecipient { .. } | Mutation::RewriteRecipient { .. } => {
            Touched::Fact(Fact::Recipients)
        }
        Mutation::SetReversePath(_) => Touched::Fact(Fact::ReversePath),
        Mutation::SetRoute(_) | Mutation::Quarantine(_) => Touched::Fact(Fact::Delivery),
        Mutation::SkipPlugin(_) => Touched::Fact(Fact::Skips),
    }
}

/// Whether one pointer is the other, or leads to something in it.
fn covers(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether writing at one pointer can change what is read at the other. Who removes an element of an array moves those
/// behind it, so that the whole array counts as written.
fn touch(written: &str, read: &str) -> bool {
    let array = written.match_indices('/').find(|(at, _)| is_index(&written[at + 1..]));
    let written = array.map_or(written, |(at, _)| &written[..at]);
    covers(written, read) || covers(read, written)
}

fn is_index(rest: &str) -> bool {
    let token = rest.split('/').next().unwrap_or_default();
    token == "-" || token.parse::<usize>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn writes_notes(pointers: &[&str]) -> Footprint {
        Footprint { writes_notes: texts(pointers), ..Footprint::default() }
    }

    fn reads_notes(pointers: &[&str]) -> Footprint {
        Footprint { reads_notes: texts(pointers), ..Footprint::default() }
    }

    #[test]
    fn a_note_is_seen_from_above_and_from_below() {
        for (written, read, seen) in [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a/b", "/a", true),
            ("/a", "/ab", false),
            ("/a/b", "/a/c", false),
            ("/list/0", "/list/1", true),
            ("/list/-", "/list/1/x", true),
            ("/list/0/x", "/other", false),
            ("/0", "/1", true),
        ] {
            assert_eq!(writes_notes(&[written]).shows("p", &reads_notes(&[read])), seen, "{written} then {read}");
        }
    }

    #[test]
    fn results_are_seen_by_name_and_skips_by_everybody() {
        let plain = Footprint::default();
        let reads = |name| Footprint { reads_results: texts(&[name]), ..Footprint::default() };
        assert!(plain.shows("p", &reads("p")) && plain.shows("p", &reads("*")));
        assert!(!plain.shows("p", &reads("q")) && !plain.shows("p", &plain));
        let skips = Footprint { writes: [Fact::Skips].into_iter().collect(), ..Footprint::default() };
        assert!(skips.shows("p", &plain));
        let facts = |facts: &[Fact]| facts.iter().copied().collect::<Facts>();
        let writer = Footprint { writes: facts(&[Fact::Relaying, Fact::Message]), ..Footprint::default() };
        let reader = |fact| Footprint { reads: facts(&[fact]), ..Footprint::default() };
        assert!(writer.shows("p", &reader(Fact::Message)) && !writer.shows("p", &reader(Fact::Recipients)));
    }

    #[test]
    fn what_was_not_declared_may_not_be_changed() {
        let footprint = writes_notes(&["/mine"]);
        let note = |pointer: &str| Mutation::RemoveNote { scope: Scope::Connection, pointer: pointer.into() };
        assert_eq!(
            footprint.check(&[note("/mine"), note("/mine/too"), Mutation::Delay(std::time::Duration::ZERO)]),
            Ok(())
        );
        let error = footprint.check(&[note("/mine"), note("/mined")]).unwrap_err();
        let said = "mutation 1 (remove-note): the manifest's footprint does not say that it writes the note \"/mined\"";
        assert_eq!(error.to_string(), said);
        assert!(footprint.check(&[Mutation::SetRelaying(true)]).is_err());
    }

    #[test]
    fn the_facts_fit_their_set() {
        let all: Facts = Fact::ALL.into_iter().collect();
        assert_eq!(all.iter().count(), Fact::ALL.len());
        for (at, fact) in Fact::ALL.into_iter().enumerate() {
            assert_eq!(fact as usize, at);
        }
    }
}
