//! What results and counters are worth.

use std::fmt;

use wasmail_guest::{Counters, PluginResults, ResultList};

use crate::Points;

/// One rule, taken apart.
#[derive(Debug)]
pub(crate) struct Rule {
    plugin: String,
    list: ResultList,
    /// None for every text.
    text: Option<String>,
    points: i64,
}

impl Rule {
    /// Reads `plugin list` or `plugin list text`.
    pub(crate) fn parse(key: &str, points: i64) -> Result<Self, String> {
        let mut parts = key.splitn(3, ' ');
        let plugin = parts.next().filter(|plugin| !plugin.is_empty());
        let (Some(plugin), Some(list)) = (plugin, parts.next()) else {
            return Err(format!("rules.{key}: expected a plugin and a list, such as `helo-checks fail`"));
        };
        let list = parse_list(list)
            .ok_or_else(|| format!("rules.{key}: `{list}` is none of the lists pass, fail, msg, skip and err"))?;
        Ok(Self { plugin: plugin.to_owned(), list, text: parts.next().map(str::to_owned), points })
    }

    /// What a plugin's results are worth by this rule.
    pub(crate) fn points(&self, results: &PluginResults) -> i64 {
        if results.plugin != self.plugin {
            return 0;
        }
        let list = list(results, self.list);
        let count = match &self.text {
            Some(text) => list.iter().filter(|entry| *entry == text).count(),
            None => list.len(),
        };
        times(self.points, count)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.plugin, name(self.list))?;
        self.text.iter().try_for_each(|text| write!(f, " {text}"))
    }
}

const LISTS: [(ResultList, &str); 5] = [
    (ResultList::Pass, "pass"),
    (ResultList::Fail, "fail"),
    (ResultList::Msg, "msg"),
    (ResultList::Skip, "skip"),
    (ResultList::Err, "err"),
];

fn parse_list(text: &str) -> Option<ResultList> {
    LISTS.into_iter().find(|(_, name)| *name == text).map(|(list, _)| list)
}

fn name(list: ResultList) -> &'static str {
    LISTS.into_iter().find(|(known, _)| *known == list).map_or("", |(_, name)| name)
}

fn list(results: &PluginResults, list: ResultList) -> &[String] {
    match list {
        ResultList::Pass => &results.pass,
        ResultList::Fail => &results.fail,
        ResultList::Msg => &results.msg,
        ResultList::Skip => &results.skip,
        ResultList::Err => &results.err,
    }
}

/// What the host's counters are worth.
pub(crate) fn of_counters(points: &Points, counters: &Counters) -> i64 {
    let counted = [
        (points.errors, counters.errors),
        (points.rejected_recipients, counters.recipients.rejected),
        (points.rejected_messages, counters.messages.rejected),
        (points.accepted_messages, counters.messages.accepted),
    ];
    counted.into_iter().map(|(points, count)| times(points, count as usize)).sum()
}

/// A million points at most, and what is counted is bounded by the host: the product stays far from the end of `i64`.
fn times(points: i64, count: usize) -> i64 {
    points.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The difference as the contract takes it. Exact: scores are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "scores are far below 2^53")]
pub(crate) fn difference(score: i64, before: i64) -> f64 {
    (score - before) as f64
}
