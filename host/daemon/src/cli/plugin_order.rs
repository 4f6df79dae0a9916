//! `wasmail plugin order`: who is asked at each hook, and why in this order.

use std::fmt::Write;

use miette::IntoDiagnostic;
use wasmail_policy::{Binding, Chain, Hook, outbound};

use super::ConfigArgs;
use super::check;
use crate::config::{Listener, Loaded};
use crate::out::say;
use crate::paths;
use crate::plugins::{self, LoadedPlugin};

/// Loads the plugins as a server would, and prints each listener's chain.
pub(crate) fn run(args: &ConfigArgs) -> miette::Result<()> {
    let mut loaded = Loaded::read_here(args.config.as_deref());
    let runtime = tokio::runtime::Runtime::new().into_diagnostic()?;
    // A cache that is there saves minutes with large guests; looking makes none.
    let cache = loaded.settings.as_ref().map(paths::cache).filter(|dir| dir.exists());
    let plugins = runtime.block_on(plugins::load(&mut loaded, cache.as_deref(), None));
    check::report(&loaded)?;
    let Some(settings) = &loaded.settings else { return Ok(()) };
    let chains = settings.listener.iter().map(|listener| {
        let chain = plugins.in_order(listener.plugins.as_deref());
        text(listener, &chain)
    });
    let judges = delivery(&plugins.in_order(settings.delivery.plugins.as_deref()));
    let chains = chains.chain(judges);
    say!("{}", chains.collect::<Vec<_>>().join("\n").trim_end());
    Ok(())
}

/// The chain of delivery, hook by hook, if anybody takes part in it.
fn delivery(chain: &[&LoadedPlugin]) -> Option<String> {
    let asked = outbound::Chain::new(chain.iter().map(|plugin| plugin.binding()).collect(), Vec::new());
    let mut text = "delivery: one by one\n".to_owned();
    let mut some = false;
    for hook in outbound::Hook::ALL.into_iter().filter(|hook| asked.listens(*hook)) {
        let names: Vec<_> = asked.at(hook).map(|binding| binding.name.to_string()).collect();
        let all = if hook.reaches_all() { "  (all of them)" } else { "" };
        let _ = writeln!(text, "  {:<21} {}{all}", hook.name(), names.join(", "));
        some = true;
    }
    some.then_some(text)
}

/// One listener's chain, hook by hook.
fn text(listener: &Listener, chain: &[&LoadedPlugin]) -> String {
    let why = if listener.plugins.is_some() { "as the listener lists them" } else { "as the configuration lists them" };
    let mut text = format!("{}: by priority, then {why}\n", listener.name);
    let asked = Chain::new(chain.iter().map(|plugin| plugin.binding()).collect());
    let name = |binding: &Binding| chain.iter().find(|plugin| plugin.name == binding.name).map(|plugin| name(plugin));
    let mut together = false;
    for hook in Hook::ALL.into_iter().filter(|hook| asked.listens(*hook)) {
        let groups = asked.groups(hook).map(|group| group.filter_map(name).collect::<Vec<_>>());
        let groups: Vec<_> =
            groups.inspect(|group| together |= group.len() > 1).map(|group| group.join(" + ")).collect();
        let all = if hook.reaches_all() { "  (all of them)" } else { "" };
        let _ = writeln!(text, "  {:<21} {}{all}", hook.name(), groups.join(", "));
    }
    if together {
        text.push_str("  (a + b: asked at the same time, for neither depends on the other; a's answer counts first)\n");
    }
    if chain.is_empty() {
        text.push_str("  nobody is asked, so all recipients are refused\n");
    }
    text
}

/// A plugin's name, with its priority where it has one.
fn name(plugin: &LoadedPlugin) -> String {
    match plugin.priority {
        0 => plugin.name.to_string(),
        priority => format!("{} ({priority:+})", plugin.name),
    }
}
