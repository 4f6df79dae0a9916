//! The addresses that mail of others goes on from: read once, at the start.

use std::io;
use std::path::Path;
use std::sync::Arc;

use wasmail_mail::Domain;
use wasmail_smtp::Srs;

use crate::config::{KeyPath, Mistakes, Settings};

/// Fewer octets can be guessed.
const SECRET_MIN: usize = 16;
const HELP: &str = "`openssl rand -base64 32 > srs.secrets` makes one";

/// Who makes such addresses, where the operator wants them; what is wrong is said.
pub(crate) fn load(settings: &Settings, mistakes: &mut Mistakes) -> Option<Arc<Srs>> {
    let (at, srs) = (KeyPath::of(&["srs"]), &settings.srs);
    let (domain, path) = match (&srs.domain, &srs.secrets) {
        (Some(domain), Some(path)) => (domain, path),
        (None, None) => return None,
        (Some(_), None) => {
            mistakes.add_with_help(&at.key("secrets"), "missing: without a secret anybody makes such addresses", HELP);
            return None;
        }
        (None, Some(_)) => {
            mistakes.add(&at.key("domain"), "missing: the addresses need a domain of yours");
            return None;
        }
    };
    let domain = Domain::parse(domain).map_err(|error| mistakes.add(&at.key("domain"), error)).ok();
    let found = secrets(path);
    let found = found.map_err(|error| {
        mistakes.add_with_help(&at.key("secrets"), format!("{}: {error}", path.display()), HELP);
    });
    Some(Arc::new(Srs::new(domain?, &found.ok()?, srs.max_age)))
}

fn secrets(path: &Path) -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match lines.iter().position(|line| line.len() < SECRET_MIN) {
        _ if lines.is_empty() => Err(io::Error::other("there is no secret in it")),
        Some(at) => Err(io::Error::other(format!("secret {} has fewer than {SECRET_MIN} characters", at + 1))),
        None => Ok(lines),
    }
}
