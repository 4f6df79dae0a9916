//! What the attribute's code calls. Not for authors.

use std::cell::OnceCell;
use std::panic;

use crate::{Plugin, json, log};

/// Makes panics visible: the operator's log gets the message before the component traps.
pub fn log_panics() {
    panic::set_hook(Box::new(|info| log::error(&info.to_string())));
}

/// Makes the plugin from the binding's configuration and keeps it.
///
/// # Errors
/// A sentence for the operator that names the key.
pub fn configure<P: Plugin>(place: &OnceCell<P>, json: &str) -> Result<(), String> {
    let plugin = make(json)?;
    place.set(plugin).map_err(|_| "configured twice".to_owned())
}

/// The plugin that was configured.
///
/// # Panics
/// When it was not: the host calls `configure` before any hook.
pub fn get<P: Plugin>(place: &OnceCell<P>) -> &P {
    place.get().expect("configured before any hook")
}

/// Makes a plugin from JSON.
///
/// # Errors
/// A sentence for the operator that names the key.
pub fn make<P: Plugin>(json: &str) -> Result<P, String> {
    let config = json::read(if json.is_empty() { "{}" } else { json }).map_err(|mistake| mistake.to_string())?;
    P::configure(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, NoConfig};
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Lists {
        names: Vec<String>,
    }

    #[crate::plugin]
    impl Plugin for Lists {
        type Config = Self;
    }

    #[derive(Debug, Default)]
    struct Plain;

    #[crate::plugin(name = "plain", needs = ["relaying"], reads_results = ["*"])]
    impl Plugin for Plain {}

    #[test]
    fn a_mistake_in_the_configuration_is_named_by_its_key() {
        assert_eq!(make(r#"{"names":["a"]}"#), Ok(Lists { names: vec!["a".into()] }));
        let error = |json| make::<Lists>(json).unwrap_err();
        assert_eq!(error(r#"{"names":["a",5]}"#), "names[1]: a whole number where a string is expected");
        assert_eq!(error(r#"{"nmaes":[]}"#), "nmaes: unknown field `nmaes`, expected `names`");
        assert_eq!(error("{}"), "missing field `names`");
    }

    #[test]
    fn a_plugin_without_configuration_takes_no_key() {
        assert!(make::<Plain>("{}").is_ok());
        assert!(make::<Plain>("").is_ok());
        assert!(make::<Plain>(r#"{"word":1}"#).unwrap_err().starts_with("word: unknown field"));
        let NoConfig {} = NoConfig::default();
    }

    #[test]
    fn the_manifest_says_what_the_attribute_was_told() {
        let Manifest { name, version, needs, reads_results, reads_notes, config_schema, .. } = Plain::manifest();
        assert_eq!((name.as_str(), version.as_str()), ("plain", env!("CARGO_PKG_VERSION")));
        assert_eq!((needs, reads_results), (vec!["relaying".to_owned()], vec!["*".to_owned()]));
        assert_eq!((reads_notes, config_schema), (vec![], None));
        assert_eq!(Lists::manifest().name, "wasmail-guest");
    }

    #[test]
    fn a_plugin_is_configured_once() {
        let place = OnceCell::new();
        configure::<Lists>(&place, r#"{"names":[]}"#).unwrap();
        assert_eq!(get(&place), &Lists { names: vec![] });
        assert_eq!(configure::<Lists>(&place, r#"{"names":[]}"#), Err("configured twice".to_owned()));
    }
}
