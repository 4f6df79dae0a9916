//! Refuses mail from listed senders. A start: change it into what you need.

use wasmail_guest::prelude::*;

/// What the operator writes below `[plugin.config]`. A key that is not here is reported by name when the server starts.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses whose mail is refused; case means nothing.
    pub senders: Vec<String>,
}

/// The plugin. It lives as long as its instance, which the server may drop at any moment: what must last belongs into
/// notes.
pub struct {{type}} {
    /// In lower case.
    senders: Vec<String>,
}

#[plugin(config_schema = include_str!("../config.schema.json"))]
impl Plugin for {{type}} {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        if let Some(at) = config.senders.iter().position(|sender| !sender.contains('@')) {
            return Err(format!("senders[{at}]: `{}` is no address", config.senders[at]));
        }
        let senders = config.senders.iter().map(|sender| sender.to_lowercase()).collect();
        Ok(Self { senders })
    }

    fn mail(&self, _: &Connection, t: &Transaction) -> ReplyingOutcome {
        if self.senders.contains(&t.reverse_path.to_lowercase()) {
            return ReplyingOutcome::deny("We take no mail from you").with_status("5.7.1");
        }
        ReplyingOutcome::next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hooks are plain functions over plain records.
    #[test]
    fn a_listed_sender_is_refused_in_any_case() {
        let plugin = {{type}}::configure(Config { senders: vec!["Pest@example.org".into()] }).unwrap();
        let says = |sender: &str| plugin.mail(&Connection::example(), &Transaction::example(sender));
        assert!(!says("pest@EXAMPLE.org").is_next());
        assert!(says("friend@example.org").is_next());
    }

    /// Run it with UPDATE_SCHEMA=1 after a change of `Config`.
    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
