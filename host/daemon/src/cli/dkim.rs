//! `wasmail dkim`: what the DNS must have for the keys that sign.

use crate::cli::ConfigArgs;
use crate::cli::check::report;
use crate::config::Loaded;
use crate::dkim;
use crate::out::say;

/// Octets of one text in a zone file (RFC 1035 section 3.3).
const TEXT_MAX: usize = 255;

/// Prints the records as a zone file has them.
pub(crate) fn run(args: &ConfigArgs) -> miette::Result<()> {
    let mut loaded = Loaded::read_here(args.config.as_deref());
    let keys = match loaded.settings.clone() {
        Some(settings) => dkim::load(&settings, &mut loaded.mistakes),
        None => Vec::new(),
    };
    report(&loaded)?;
    for key in &keys {
        say!("{}. IN TXT {}", key.name(), quoted(&key.record()));
    }
    if keys.is_empty() {
        say!("There is no [[dkim]]: nothing is signed.");
    }
    Ok(())
}

/// The texts of one record; a verifier puts them together again.
fn quoted(record: &str) -> String {
    let texts = record.as_bytes().chunks(TEXT_MAX).map(|text| format!("\"{}\"", String::from_utf8_lossy(text)));
    texts.collect::<Vec<_>>().join(" ")
}
