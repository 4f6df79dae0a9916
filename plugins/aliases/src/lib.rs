//! Gives mail for one address to others, here or elsewhere. See README.md.

use std::collections::{BTreeMap, BTreeSet};

use wasmail_guest::prelude::*;

/// Addresses that one recipient may become: a list of more is a mailing list, which needs other manners (RFC 5321 section 3.9.2).
const ADDRESSES_MAX: usize = 100;
/// Aliases of aliases.
const DEPTH_MAX: usize = 10;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By address, or by `@domain` for all others of a domain: the addresses that have the mail instead, of which `@domain` keeps
    /// the local part. Case means nothing.
    pub aliases: BTreeMap<String, Vec<String>>,
    /// What divides a local part from a detail behind it: `info+news@` is then as `info@`, unless it has an alias of its own.
    #[serde(default = "plus")]
    pub separator: Option<char>,
}

#[allow(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn plus() -> Option<char> {
    Some('+')
}

/// The plugin.
pub struct Aliases {
    /// In lower case.
    aliases: BTreeMap<String, Vec<String>>,
    separator: Option<char>,
}

#[plugin(needs = ["accept-recipients", "edit-recipients"], config_schema = include_str!("../config.schema.json"))]
impl Plugin for Aliases {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let mut aliases = BTreeMap::new();
        for (alias, targets) in config.aliases {
            check(&alias, &targets).map_err(|why| format!("aliases.{alias:?}: {why}"))?;
            aliases.insert(alias.to_lowercase(), targets);
        }
        let plugin = Self { aliases, separator: config.separator };
        for alias in plugin.aliases.keys().filter(|alias| !alias.starts_with('@')) {
            plugin.targets(alias).map_err(|why| format!("aliases.{alias:?}: {why}"))?;
        }
        Ok(plugin)
    }

    fn rcpt(&self, _: &Connection, _: &Transaction, r: &Recipient) -> ReplyingOutcome {
        if self.find(&r.address).is_some() { ReplyingOutcome::accept() } else { ReplyingOutcome::next() }
    }

    fn data_post(&self, _: &Connection, t: &Transaction, _: &Message) -> Outcome {
        let mut there: BTreeSet<String> = t.recipients.iter().map(|r| r.address.to_lowercase()).collect();
        let (mut outcome, mut spare) = (Outcome::next(), Vec::new());
        for (position, recipient) in t.recipients.iter().enumerate() {
            let Some(targets) = self.find(&recipient.address).and_then(|_| self.targets(&recipient.address).ok())
            else {
                continue;
            };
            let stays = targets.iter().any(|target| target.eq_ignore_ascii_case(&recipient.address));
            // Who has the mail already does not get it twice.
            let mut new = targets.iter().filter(|target| there.insert(target.to_lowercase()));
            match (stays, new.next()) {
                (false, Some(first)) => outcome = outcome.rewrite_recipient(position, first),
                (false, None) => spare.push(position),
                (true, Some(first)) => outcome = outcome.add_recipient(first),
                (true, None) => {}
            }
            outcome = new.fold(outcome, Outcome::add_recipient);
            let text = format!("{} to {}", recipient.address, targets.join(", "));
            outcome = outcome.msg(Scope::Transaction, text);
        }
        // The last one first: the ones behind move up.
        spare.into_iter().rev().fold(outcome, Outcome::remove_recipient)
    }
}

impl Aliases {
    /// What an address is an alias for: by itself, without its detail, or as all of its domain.
    fn find(&self, address: &str) -> Option<Vec<String>> {
        let lower = address.to_lowercase();
        let (local, domain) = lower.rsplit_once('@')?;
        let plain = self
            .separator
            .and_then(|separator| local.split_once(separator))
            .map(|(name, _)| format!("{name}@{domain}"));
        let all = format!("@{domain}");
        let found =
            [Some(lower.clone()), plain, Some(all)].into_iter().flatten().find_map(|name| self.aliases.get(&name))?;
        let (local, _) = address.rsplit_once('@')?;
        let whole = |target: &String| if target.starts_with('@') { format!("{local}{target}") } else { target.clone() };
        Some(found.iter().map(whole).collect())
    }

    /// The addresses in the end. One that names itself stays.
    fn targets(&self, address: &str) -> Result<Vec<String>, String> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        self.expand(address, DEPTH_MAX, &mut seen, &mut found)?;
        Ok(found)
    }

    fn expand(
        &self,
        address: &str,
        depth: usize,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<String>,
    ) -> Result<(), String> {
        let known = !seen.insert(address.to_lowercase());
        match self.find(address).filter(|_| !known) {
            None if found.iter().any(|other| other.eq_ignore_ascii_case(address)) => Ok(()),
            None if found.len() == ADDRESSES_MAX => Err(format!("it becomes more than {ADDRESSES_MAX} addresses")),
            None => {
                found.push(address.to_owned());
                Ok(())
            }
            Some(_) if depth == 0 => Err(format!("aliases of aliases, more than {DEPTH_MAX} deep")),
            Some(targets) => targets.iter().try_for_each(|target| self.expand(target, depth - 1, seen, found)),
        }
    }
}

fn check(alias: &str, targets: &[String]) -> Result<(), String> {
    check_address(alias)?;
    if targets.is_empty() {
        return Err("there is nobody to have the mail".to_owned());
    }
    targets.iter().try_for_each(|target| check_address(target))
}

/// Finds the mistakes that would make an entry match nothing, or no address.
fn check_address(address: &str) -> Result<(), String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,".contains(c);
    match address.rsplit_once('@') {
        None => Err(format!("`{address}` is no address: there is no @")),
        Some((_, domain)) if domain.is_empty() || address.chars().any(odd) => Err(format!("`{address}` is no address")),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::rt;

    fn aliases(json: &str) -> Aliases {
        rt::make(json).unwrap()
    }

    #[test]
    fn an_alias_leads_to_its_addresses_in_the_end() {
        let plugin = aliases(
            r#"{"aliases": {"info@a.test": ["team@a.test", "x@b.test"], "Team@A.test": ["y@b.test", "X@b.test"],
                "@old.test": ["@a.test"], "keeps@a.test": ["keeps@a.test", "copy@b.test"]}}"#,
        );
        assert_eq!(plugin.targets("Info@a.TEST").unwrap(), ["y@b.test", "X@b.test"]);
        assert_eq!(plugin.targets("info+news@a.test").unwrap(), ["y@b.test", "X@b.test"]);
        assert_eq!(plugin.targets("Somebody@old.test").unwrap(), ["Somebody@a.test"]);
        assert_eq!(plugin.targets("team@old.test").unwrap(), ["y@b.test", "X@b.test"]);
        assert_eq!(plugin.targets("keeps@a.test").unwrap(), ["keeps@a.test", "copy@b.test"]);
        assert!(plugin.find("other@a.test").is_none() && plugin.find("postmaster").is_none());
    }

    #[test]
    fn who_has_the_mail_already_does_not_get_it_twice() {
        let plugin = aliases(r#"{"aliases": {"one@a.test": ["x@b.test"], "two@a.test": ["x@b.test", "y@b.test"]}}"#);
        let recipients = ["x@b.test", "one@a.test", "two@a.test"].map(Recipient::example).to_vec();
        let t = Transaction { recipients, ..Transaction::example("s@c.test") };
        let outcome = plugin.data_post(&Connection::example(), &t, &Message::example(""));
        let wanted = Outcome::next()
            .msg(Scope::Transaction, "one@a.test to x@b.test")
            .rewrite_recipient(2, "y@b.test")
            .msg(Scope::Transaction, "two@a.test to x@b.test, y@b.test")
            .remove_recipient(1);
        assert_eq!(outcome, wanted);
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json: &str| rt::make::<Aliases>(json).err().unwrap();
        assert_eq!(error("{}"), "missing field `aliases`");
        assert_eq!(error(r#"{"aliases": {"a": ["b@c.test"]}}"#), "aliases.\"a\": `a` is no address: there is no @");
        assert_eq!(error(r#"{"aliases": {"a@b.test": []}}"#), "aliases.\"a@b.test\": there is nobody to have the mail");
        assert!(error(r#"{"aliases": {"a@b.test": ["x y@c.test"]}}"#).contains("`x y@c.test` is no address"));
        let deep: Vec<_> = (0..12).map(|n| format!("\"a{n}@b.test\": [\"a{}@b.test\"]", n + 1)).collect();
        assert!(error(&format!("{{\"aliases\": {{{}}}}}", deep.join(","))).contains("more than 10 deep"));
        let many: Vec<_> = (0..101).map(|n| format!("\"x{n}@c.test\"")).collect();
        assert!(error(&format!("{{\"aliases\": {{\"a@b.test\": [{}]}}}}", many.join(","))).contains("more than 100"));
    }

    #[test]
    fn a_ring_ends_where_it_began() {
        let plugin = aliases(r#"{"aliases": {"a@b.test": ["c@b.test"], "c@b.test": ["a@b.test"]}}"#);
        assert_eq!(plugin.targets("a@b.test").unwrap(), ["a@b.test"]);
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
