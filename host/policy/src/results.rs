//! Results: what each plugin found, for the plugins after it and for the log. Haraka's `results`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::ResultList;
use crate::notes::{depth_within, octets};

/// Octets that one plugin may record in one scope.
const OCTETS_MAX: usize = 16 * 1024;
/// Octets in a key.
const KEY_MAX: usize = 64;
/// Nesting of a value.
const DEPTH_MAX: usize = 16;

/// What one plugin recorded in one scope.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PluginResults {
    /// Tests that passed.
    pub pass: Vec<String>,
    /// Tests that failed.
    pub fail: Vec<String>,
    /// Remarks.
    pub msg: Vec<String>,
    /// Tests that were not run, and why.
    pub skip: Vec<String>,
    /// What went wrong in the plugin.
    pub err: Vec<String>,
    /// Further keys that the plugin chose.
    pub extra: Map<String, Value>,
}

impl PluginResults {
    /// The list of this name.
    #[must_use]
    pub fn list(&self, list: ResultList) -> &[String] {
        match list {
            ResultList::Pass => &self.pass,
            ResultList::Fail => &self.fail,
            ResultList::Msg => &self.msg,
            ResultList::Skip => &self.skip,
            ResultList::Err => &self.err,
        }
    }

    fn list_mut(&mut self, list: ResultList) -> &mut Vec<String> {
        match list {
            ResultList::Pass => &mut self.pass,
            ResultList::Fail => &mut self.fail,
            ResultList::Msg => &mut self.msg,
            ResultList::Skip => &mut self.skip,
            ResultList::Err => &mut self.err,
        }
    }

    /// One line for a human: the text under the key `human` if the plugin set one, else what it recorded, list by list, then
    /// its keys, without those that begin with `_`. Haraka's `collate`. It may hold any character.
    #[must_use]
    pub fn summary(&self) -> String {
        if let Some(Value::String(human)) = self.extra.get("human") {
            return human.clone();
        }
        let named = |list: ResultList| (list.name(), self.list(list));
        let lists = ResultList::ALL.map(named).into_iter().filter(|(_, texts)| !texts.is_empty());
        let lists = lists.map(|(name, texts)| format!("{name}: {}", texts.join(", ")));
        let keys = self.extra.iter().filter(|(key, _)| !key.starts_with('_'));
        let keys = keys.map(|(key, value)| match value {
            Value::String(text) => format!("{key}: {text}"),
            value => format!("{key}: {value}"),
        });
        lists.chain(keys).collect::<Vec<_>>().join("; ")
    }

    fn octets(&self) -> usize {
        let lists = [&self.pass, &self.fail, &self.msg, &self.skip, &self.err];
        let texts: usize = lists.into_iter().flatten().map(|text| text.len() + 3).sum();
        texts + self.extra.iter().map(|(key, value)| key.len() + octets(value)).sum::<usize>()
    }
}

/// The results of one scope, by plugin.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Results {
    plugins: BTreeMap<String, PluginResults>,
}

impl Results {
    /// What one plugin recorded.
    #[must_use]
    pub fn get(&self, plugin: &str) -> Option<&PluginResults> {
        self.plugins.get(plugin)
    }

    /// All plugins that recorded something, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PluginResults)> {
        self.plugins.iter().map(|(name, results)| (name.as_str(), results))
    }

    /// Appends to one of the five lists.
    ///
    /// # Errors
    /// When the plugin has recorded too much.
    pub fn add(&mut self, plugin: &str, list: ResultList, text: String) -> Result<(), ResultError> {
        self.change(plugin, |results| {
            results.list_mut(list).push(text);
            Ok(())
        })
    }

    /// Adds a number to a key; one that is missing counts as 0.
    ///
    /// # Errors
    /// When the key is malformed or holds something else, or the sum is no finite number.
    pub fn incr(&mut self, plugin: &str, key: &str, by: f64) -> Result<(), ResultError> {
        self.change(plugin, |results| {
            let place = entry(results, key, json!(0))?;
            let sum = place.as_f64().ok_or(ResultError::NotANumber)? + by;
            // Whole numbers stay whole, so that a count reads as one.
            #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number that i64 holds")]
            let whole = (sum.fract() == 0.0 && sum.abs() < 9e15).then_some(sum as i64);
            *place = match whole {
                Some(whole) => json!(whole),
                None => Value::Number(serde_json::Number::from_f64(sum).ok_or(ResultError::NotANumber)?),
            };
            Ok(())
        })
    }

    /// Appends a value to the list under a key.
    ///
    /// # Errors
    /// When the key is malformed or holds something else.
    pub fn push(&mut self, plugin: &str, key: &str, value: Value) -> Result<(), ResultError> {
        self.change(plugin, |results| match entry(results, key, json!([]))? {
            Value::Array(list) => {
                list.push(value);
                Ok(())
            }
            _ => Err(ResultError::NotAList),
        })
    }

    /// Sets a key.
    ///
    /// # Errors
    /// When the key is malformed.
    pub fn set(&mut self, plugin: &str, key: &str, value: Value) -> Result<(), ResultError> {
        self.change(plugin, |results| {
            *entry(results, key, Value::Null)? = value;
            Ok(())
        })
    }

    fn change(
        &mut self,
        plugin: &str,
        change: impl FnOnce(&mut PluginResults) -> Result<(), ResultError>,
    ) -> Result<(), ResultError> {
        let results = match self.plugins.get_mut(plugin) {
            Some(results) => results,
            None => self.plugins.entry(plugin.to_owned()).or_default(),
        };
        change(results)?;
        let deep = results.extra.values().any(|value| !depth_within(value, DEPTH_MAX));
        if deep || results.octets() > OCTETS_MAX { Err(ResultError::Full) } else { Ok(()) }
    }
}

fn entry<'a>(results: &'a mut PluginResults, key: &str, missing: Value) -> Result<&'a mut Value, ResultError> {
    let reserved = ["pass", "fail", "msg", "skip", "err"].contains(&key);
    if key.is_empty() || key.len() > KEY_MAX || reserved {
        return Err(ResultError::Key);
    }
    Ok(results.extra.entry(key).or_insert(missing))
}

/// Why a result cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultError {
    /// The key is empty, longer than 64 octets, or the name of one of the five lists.
    Key,
    /// The key holds no number, or the sum is none.
    NotANumber,
    /// The key holds no list.
    NotAList,
    /// The plugin would have recorded more than 16 KiB, or nested more than 16 levels deep.
    Full,
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "a result's key has 1 to 64 octets and is not pass, fail, msg, skip or err",
            Self::NotANumber => "the result is not a number",
            Self::NotAList => "the result is not a list",
            Self::Full => "the plugin's results of this scope would exceed 16 KiB or 16 levels",
        })
    }
}

impl std::error::Error for ResultError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_by_plugin() {
        let mut results = Results::default();
        results.add("helo-checks", ResultList::Fail, "bare-ip".into()).unwrap();
        results.incr("karma", "score", -2.0).unwrap();
        results.incr("karma", "score", 0.5).unwrap();
        results.push("karma", "why", json!("bare-ip")).unwrap();
        results.set("karma", "mood", json!({"a": 1})).unwrap();
        assert_eq!(results.get("helo-checks").unwrap().fail, ["bare-ip"]);
        let karma = &results.get("karma").unwrap().extra;
        assert_eq!(Value::Object(karma.clone()), json!({"score": -1.5, "why": ["bare-ip"], "mood": {"a": 1}}));
    }

    #[test]
    fn a_plugins_results_are_one_line_for_a_human() {
        let mut results = Results::default();
        results.add("karma", ResultList::Fail, "bare-ip".into()).unwrap();
        results.add("karma", ResultList::Fail, "no-tld".into()).unwrap();
        results.add("karma", ResultList::Pass, "rdns".into()).unwrap();
        results.incr("karma", "score", -2.0).unwrap();
        results.set("karma", "_seen", json!(["a"])).unwrap();
        results.set("karma", "mood", json!("bad")).unwrap();
        let line = |results: &Results| results.get("karma").unwrap().summary();
        assert_eq!(line(&results), "pass: rdns; fail: bare-ip, no-tld; mood: bad; score: -2");
        results.set("karma", "human", json!("a bad day")).unwrap();
        assert_eq!(line(&results), "a bad day");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut results = Results::default();
        assert_eq!(results.set("p", "pass", json!(1)), Err(ResultError::Key));
        assert_eq!(results.set("p", "", json!(1)), Err(ResultError::Key));
        results.set("p", "text", json!("a")).unwrap();
        assert_eq!(results.incr("p", "text", 1.0), Err(ResultError::NotANumber));
        assert_eq!(results.push("p", "text", json!(1)), Err(ResultError::NotAList));
        assert_eq!(results.incr("p", "n", f64::NAN), Err(ResultError::NotANumber));
        assert_eq!(results.add("p", ResultList::Msg, "x".repeat(20_000)), Err(ResultError::Full));
    }
}
