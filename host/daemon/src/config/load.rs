//! Layers: embedded defaults below the file below the environment.

use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat};
use serde_json::Value;
use toml::de::DeTable;

use super::mistake::Mistakes;
use super::place::{KeyPath, Segment, Sources, line_of};

/// Every key with its default, its unit and its reason. It is what runs when no file is given, and so it is true.
pub(crate) const REFERENCE: &str = include_str!("../../reference.toml");

/// What environment variables that set something begin with; two underscores stand between keys.
pub(crate) const PREFIX: &str = "WASMAIL__";

/// Merges the layers. None when a layer cannot be read, which the mistakes then say.
pub(crate) fn merge(
    path: Option<&Path>,
    environment: &[(String, String)],
    mistakes: &mut Mistakes,
) -> (Sources, Option<Value>) {
    let mut sources = Sources::default();
    if let Some(path) = path {
        let Some(text) = read(path, mistakes) else { return (sources, None) };
        sources.file = Some((path.to_owned(), text));
    }
    let text = sources.file.as_ref().map(|(_, text)| text.as_str());
    let merged = layers(text, environment, &mut sources.environment, mistakes);
    (sources, merged)
}

/// Reads the file, and finds all that is wrong with its syntax.
fn read(path: &Path, mistakes: &mut Mistakes) -> Option<String> {
    let place = path.display().to_string();
    let octets = match std::fs::read(path) {
        Ok(octets) => octets,
        Err(error) => {
            mistakes.add_syntax(place, format!("cannot be read: {error}"));
            return None;
        }
    };
    let Ok(text) = String::from_utf8(octets) else {
        mistakes.add_syntax(place, "is not UTF-8 text");
        return None;
    };
    let (_, errors) = DeTable::parse_recoverable(&text);
    for error in &errors {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        mistakes.add_syntax(format!("{place}:{line}"), error.message());
    }
    errors.is_empty().then_some(text)
}

fn layers(
    file: Option<&str>,
    environment: &[(String, String)],
    set: &mut std::collections::BTreeMap<KeyPath, String>,
    mistakes: &mut Mistakes,
) -> Option<Value> {
    let mut builder = Config::builder().add_source(File::from_str(REFERENCE, FileFormat::Toml));
    if let Some(text) = file {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    for (variable, text) in environment.iter().filter(|(variable, _)| variable.starts_with(PREFIX)) {
        let at = key_path(variable);
        builder = match builder.clone().set_override(at.to_string(), value_of(text)) {
            Ok(builder) => builder,
            Err(_) => {
                mistakes.add_syntax(variable.clone(), "names no key; write WASMAIL__SECTION__KEY");
                return None;
            }
        };
        set.insert(at, variable.clone());
    }
    let built = builder.build().and_then(Config::try_deserialize::<Value>);
    built.map_err(|error| mistakes.add_syntax("configuration".to_owned(), error)).ok()
}

/// `WASMAIL__LISTENER__0__ADDRESS` is `listener[0].address`.
fn key_path(variable: &str) -> KeyPath {
    let names = variable[PREFIX.len()..].split("__").map(str::to_ascii_lowercase);
    KeyPath(names.map(|name| name.parse().map_or(Segment::Key(name), Segment::Index)).collect())
}

/// A value as TOML would write it, and anything else as text.
fn value_of(text: &str) -> config::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    let value = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.and_then(config::Value::try_from_toml).unwrap_or_else(|| text.into())
}

trait FromToml: Sized {
    fn try_from_toml(value: toml::Value) -> Option<Self>;
}

impl FromToml for config::Value {
    fn try_from_toml(value: toml::Value) -> Option<Self> {
        Some(match value {
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(flag) => flag.into(),
            toml::Value::String(text) => text.into(),
            toml::Value::Datetime(_) => return None,
            toml::Value::Array(list) => list.into_iter().map(Self::try_from_toml).collect::<Option<Vec<_>>>()?.into(),
            toml::Value::Table(table) => {
                let entries = table.into_iter().map(|(key, value)| Some((key, Self::try_from_toml(value)?)));
                entries.collect::<Option<config::Map<String, Self>>>()?.into()
            }
        })
    }
}

/// The directory that relative paths are counted from: the configuration file's, else the current one.
pub(crate) fn base(file: Option<&Path>) -> PathBuf {
    file.and_then(Path::parent).map_or_else(PathBuf::new, Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(file: &str, environment: &[(&str, &str)]) -> (Option<Value>, String) {
        let path = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(path.path(), file).expect("it can be written");
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut mistakes = Mistakes::default();
        let (sources, value) = merge(Some(path.path()), &environment, &mut mistakes);
        let place = path.path().display().to_string();
        (value, mistakes.report(&sources).replace(&place, "w.toml"))
    }

    #[test]
    fn the_file_is_laid_over_the_defaults_key_by_key() {
        let (value, report) = merged("[server]\nhostname = \"a.test\"\n", &[]);
        let value = value.expect(&report);
        assert_eq!(value["server"]["hostname"], "a.test");
        assert_eq!(value["server"]["data_dir"], "wasmail-data");
    }

    #[test]
    fn a_list_replaces_the_default_whole() {
        let (value, report) = merged("plugin = []\n", &[]);
        assert_eq!(value.expect(&report)["plugin"], serde_json::json!([]));
    }

    #[test]
    fn the_environment_is_laid_over_both() {
        let variables = [
            ("WASMAIL__SERVER__HOSTNAME", "b.test"),
            ("WASMAIL__LISTENER__0__ADDRESS", "0.0.0.0:25"),
            ("WASMAIL__CONNECTIONS__TOTAL", "7"),
            ("WASMAIL__SPOOL__SYNC", "false"),
            ("WASMAIL__DNS__SERVERS", "[\"127.0.0.1:53\"]"),
            ("WASMAIL__LOG__LEVEL", "info,wasmail_server=debug"),
            ("HOME", "unrelated"),
        ];
        let (value, report) = merged("[server]\nhostname = \"a.test\"\n", &variables);
        let value = value.expect(&report);
        assert_eq!(value["server"]["hostname"], "b.test");
        assert_eq!(value["listener"][0]["address"], "0.0.0.0:25");
        assert_eq!(value["listener"][0]["name"], "smtp");
        assert_eq!(value["connections"]["total"], 7);
        assert_eq!(value["spool"]["sync"], false);
        assert_eq!(value["dns"]["servers"][0], "127.0.0.1:53");
        assert_eq!(value["log"]["level"], "info,wasmail_server=debug");
    }

    #[test]
    fn a_plugins_own_keys_are_left_as_they_are() {
        let file =
            "[[plugin]]\nname = \"a\"\nmodule = \"b\"\n[plugin.config]\n\"x.y[0]\" = 1\nUpper = { n = [1.5, true] }\n";
        let (value, report) = merged(file, &[]);
        let config = &value.expect(&report)["plugin"][0]["config"];
        assert_eq!(config, &serde_json::json!({ "x.y[0]": 1, "Upper": { "n": [1.5, true] } }));
    }

    #[test]
    fn every_mistake_of_syntax_is_shown_with_its_line() {
        let (value, report) = merged("[server]\nhostname = \n\n[log]\nlevel = info\nx = 'a\n", &[]);
        assert!(value.is_none());
        assert!(report.contains("error: w.toml:2: "), "{report}");
        assert!(report.contains("error: w.toml:5: "), "{report}");
        assert!(report.contains("error: w.toml:6: "), "{report}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let mut mistakes = Mistakes::default();
        let (sources, value) = merge(Some(Path::new("no/such.toml")), &[], &mut mistakes);
        assert!(value.is_none());
        assert!(mistakes.report(&sources).starts_with("error: no/such.toml: cannot be read: "), "{mistakes:?}");
    }
}
