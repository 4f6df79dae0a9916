//! The reference says the truth: every key, its default, and nothing more.

use std::collections::BTreeSet;

use super::decode::Decode;
use super::load::REFERENCE;
use super::place::{KeyPath, Segment};
use super::settings::Settings;
use super::{Loaded, Severity};

/// The reference with the keys behind a `#` in force.
fn uncommented() -> String {
    let is_key = |line: &str| {
        let key = line.split(" = ").next().filter(|key| *key != line).unwrap_or("");
        !key.is_empty()
            && key.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
    };
    let line = |line: &'static str| match line.strip_prefix("# ") {
        Some(rest) if is_key(rest) || rest.starts_with("[[") => rest,
        _ => line,
    };
    REFERENCE.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The keys that a text sets, lists as if they had one element, and without what is in plugins' own tables.
fn keys(text: &str) -> BTreeSet<String> {
    fn walk(value: &toml::Value, at: &KeyPath, into: &mut BTreeSet<String>) {
        let is_free = at.to_string() == "plugin[0].config"
            || at.to_string() == "plugin[0].secrets"
            || at.to_string() == "listener[0].limits";
        match value {
            toml::Value::Table(table) if !is_free => table.iter().for_each(|(key, value)| {
                into.insert(at.key(key).to_string());
                walk(value, &at.key(key), into);
            }),
            toml::Value::Array(list) => {
                list.iter().filter(|value| value.is_table()).for_each(|value| walk(value, &at.index(0), into));
            }
            _ => {}
        }
    }
    let table = toml::from_str(text).expect("the reference is TOML");
    let mut found = BTreeSet::new();
    walk(&toml::Value::Table(table), &KeyPath::default(), &mut found);
    found
}

fn load(text: &str) -> Loaded {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), text).expect("it can be written");
    Loaded::read(Some(file.path()), &[])
}

#[test]
fn the_reference_is_good_and_warns_of_nothing() {
    let mut loaded = Loaded::read(None, &[]);
    let settings = loaded.settings.take().expect("it decodes");
    super::warn(&settings, &mut loaded.mistakes);
    assert_eq!(loaded.report(), "");
}

#[test]
fn the_reference_names_every_key_and_no_other() {
    let mut known = Vec::new();
    Settings::keys(&KeyPath::default(), &mut known);
    let known: BTreeSet<_> = known.iter().map(ToString::to_string).collect();
    assert_eq!(keys(&uncommented()), known);
}

#[test]
fn the_keys_behind_a_hash_are_good_too() {
    let loaded = load(&uncommented());
    assert_eq!(loaded.report(), "");
    assert_eq!(loaded.mistakes.count(Severity::Mistake), 0);
}

#[test]
fn every_key_is_explained() {
    let mut above = "";
    for line in REFERENCE.lines() {
        let is_setting = line.split_once(" = ").is_some_and(|(key, _)| !key.starts_with('#') && !key.contains(' '));
        // The first of the plugins explains the keys of all of them.
        let is_repeated = ["name", "module", "grants"].iter().any(|key| line.starts_with(key));
        assert!(!is_setting || is_repeated || above.starts_with('#'), "no comment above: {line}");
        above = line;
    }
}

#[test]
fn what_a_file_leaves_out_is_as_the_reference_says() {
    let (embedded, empty) = (Loaded::read(None, &[]), load(""));
    let (embedded, empty) = (embedded.settings.expect("good"), empty.settings.expect("good"));
    assert_eq!(format!("{:?}", embedded.limits), format!("{:?}", empty.limits));
    assert_eq!(embedded.listener.len(), empty.listener.len());
}

#[test]
fn the_defaults_are_those_of_the_rooms_below() {
    let settings = Loaded::read(None, &[]).settings.expect("good");
    assert_eq!(settings.limits.for_session(), wasmail_smtp::Limits::default());
    let spool = wasmail_spool::Options::default();
    assert_eq!(crate::paths::spool_options(&settings), spool);
}

#[test]
fn an_entry_of_a_list_has_the_same_defaults_as_the_reference() {
    let loaded = load(
        "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n[[plugin]]\nname = \"relay\"\nmodule = \"builtin:relay\"\n",
    );
    let (given, embedded) = (loaded.settings.expect("good"), Loaded::read(None, &[]).settings.expect("good"));
    assert_eq!(given.listener[0].line_endings, embedded.listener[0].line_endings);
    let (given, embedded) = (&given.plugin[0], &embedded.plugin[0]);
    assert_eq!(
        (given.enabled, given.on_fault, given.instance),
        (embedded.enabled, embedded.on_fault, embedded.instance)
    );
    assert!(KeyPath::of(&["a"]).0 == [Segment::Key("a".into())]);
}
