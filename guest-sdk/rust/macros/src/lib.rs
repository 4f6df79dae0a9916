//! The attribute macro behind wasmail-guest.

mod args;
mod expand;
mod hooks;

use proc_macro::TokenStream;
use syn::{ItemImpl, parse_macro_input};

/// Makes a component out of `impl Plugin for X`: exports the hooks whose methods are there, and no others.
///
/// It writes `manifest` from Cargo's `name` (without the prefix `wasmail-plugin-`), `version` and `description`, and from
/// these arguments, all optional:
///
/// - `name`, `version`, `description`: texts in place of Cargo's;
/// - `reads_notes = ["/karma/score"]`: JSON Pointers of the notes to see;
/// - `reads_results = ["*"]`: plugins whose results to see, `*` for all;
/// - `needs = ["relaying"]`: grants without which the plugin cannot do its work;
/// - `footprint(reads = ["recipients"], writes = ["message"], writes_notes = ["/karma"])`: what else the answers depend on
///   and what they change, so that the host may ask the plugin at the same time as others; `footprint` alone: nothing;
/// - `config_schema = include_str!("../config.schema.json")`: JSON Schema of the configuration.
///
/// A missing `type Config` means that there is none. A missing `configure` makes the plugin by `From<Config>` (so that
/// `type Config = Self` just works), or by `Default` when there is no configuration.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as args::Arguments);
    let item = parse_macro_input!(item as ItemImpl);
    expand::expand(&arguments, item).unwrap_or_else(|error| error.to_compile_error()).into()
}
