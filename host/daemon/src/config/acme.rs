//! What types alone cannot say about certificates from an ACME server.

use std::collections::HashSet;

use wasmail_mail::Domain;

use super::mistake::Mistakes;
use super::place::KeyPath;
use super::settings::{Acme, ListenerTls, Settings};

/// Most certificates: each is an order, and an ACME server counts them.
const CERTIFICATES_MAX: usize = 50;
/// Most names of one certificate: Let's Encrypt takes no more.
const NAMES_MAX: usize = 100;

impl Acme {
    /// The names of each certificate, in lower case.
    pub(crate) fn names(&self, hostname: &str) -> Vec<Vec<String>> {
        let lower = |names: &Vec<String>| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        match &self.names {
            Some(all) => all.iter().map(lower).collect(),
            None => vec![vec![hostname.to_ascii_lowercase()]],
        }
    }
}

/// Checks the section.
pub(super) fn validate(settings: &Settings, mistakes: &mut Mistakes) {
    let (acme, at) = (&settings.acme, KeyPath::of(&["acme"]));
    let files = acme.roots.is_some() || acme.external_account.is_some();
    if !acme.agreed && (acme.names.is_some() || files || !acme.contact.is_empty()) {
        let help = "read the terms of service of the ACME server, then write agreed = true";
        mistakes.add_with_help(&at.key("agreed"), "is not true: no certificate is asked for", help);
    }
    for (position, contact) in acme.contact.iter().enumerate() {
        let is_good = contact.bytes().all(|octet| octet.is_ascii_graphic());
        if !is_good || !contact.strip_prefix("mailto:").is_some_and(|address| address.contains('@')) {
            let help = "write mailto: and an address, such as \"mailto:postmaster@example.org\"";
            mistakes.add_with_help(&at.key("contact").index(position), format!("`{contact}` is no contact"), help);
        }
    }
    let url = wasmail_services::http::check_url(&acme.directory);
    if let Err(why) = url {
        mistakes.add(&at.key("directory"), format!("`{}` is no URL of a directory: {why}", acme.directory));
    } else if !acme.directory.starts_with("https://") {
        mistakes.add(&at.key("directory"), "must begin with https:// (RFC 8555 section 6.1)");
    }
    names(acme, &at.key("names"), mistakes);
    if acme.agreed {
        listeners(settings, &at, mistakes);
    }
}

fn names(acme: &Acme, at: &KeyPath, mistakes: &mut Mistakes) {
    let all = acme.names.as_deref().unwrap_or_default();
    if acme.names.is_some() && all.is_empty() {
        mistakes.add(at, "is empty: leave it out for one certificate with server.hostname");
    }
    if all.len() > CERTIFICATES_MAX {
        mistakes.add(at, format!("has more than {CERTIFICATES_MAX} certificates"));
    }
    let mut firsts = HashSet::new();
    for (index, names) in all.iter().enumerate() {
        let at = at.index(index);
        if !(1..=NAMES_MAX).contains(&names.len()) {
            mistakes.add(&at, format!("a certificate has 1 to {NAMES_MAX} names"));
        }
        // It names the file.
        if let Some(first) = names.first().filter(|first| !firsts.insert(first.to_ascii_lowercase())) {
            mistakes.add(&at.index(0), format!("another certificate has {first} as its first name, too"));
        }
        for (position, text) in names.iter().enumerate() {
            if let Err(why) = name(text) {
                mistakes.add(&at.index(position), format!("`{text}` {why}"));
            }
        }
    }
}

/// Whether a name can be in a certificate that is got by http-01.
fn name(text: &str) -> Result<(), &'static str> {
    if text.starts_with("*.") {
        return Err("is a wildcard, which needs a challenge of another type than http-01");
    }
    match Domain::parse(text) {
        Ok(domain) if domain.is_literal() || !domain.is_ascii() => Err("is no host name in ASCII"),
        // Their last part may not be a number, and they have letters, digits and hyphens alone.
        Ok(_) if text.parse::<std::net::IpAddr>().is_ok() => Err("is an address"),
        Ok(_) => Ok(()),
        Err(_) => Err("is no host name"),
    }
}

/// Whether somebody shows the certificates, and nobody else has the socket.
fn listeners(settings: &Settings, at: &KeyPath, mistakes: &mut Mistakes) {
    if settings.listener.iter().all(|listener| listener.tls() == ListenerTls::Off) {
        mistakes.add(at, "no listener speaks TLS, so nobody would see the certificates");
    }
    let listen = settings.acme.listen;
    if let Some(other) =
        settings.listener.iter().find(|other| other.address.tcp() == Some(listen) && listen.port() != 0)
    {
        mistakes.add(&at.key("listen"), format!("the listener `{}` has {listen} already", other.name));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Loaded;

    const GOOD: &str = "[acme]\nagreed = true\ncontact = [\"mailto:a@example.org\"]\n";

    fn report(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), text).expect("it can be written");
        Loaded::read(Some(file.path()), &[]).report()
    }

    #[test]
    fn to_agree_is_enough_and_all_that_is_needed() {
        assert_eq!(report("[acme]\nagreed = true\n"), "");
        assert_eq!(report(&format!("{GOOD}names = [[\"MX.example.org\", \"mail.example.org\"]]\n")), "");
        let settings = Loaded::read(None, &[]).settings.expect("the reference is good");
        assert!(!settings.acme.agreed);
        assert_eq!(settings.acme.names("MX.example.org"), [["mx.example.org"]]);
        let said = report("[acme]\nnames = [[\"mx.example.org\"]]\n");
        assert!(said.contains("acme.agreed: is not true") && said.contains("terms of service"), "{said}");
    }

    #[test]
    fn what_no_server_would_take_is_found_before_it_is_asked() {
        for (line, why) in [
            ("names = []", "acme.names: is empty"),
            ("names = [[]]", "acme.names[0]: a certificate has 1 to 100 names"),
            ("names = [[\"*.example.org\"]]", "acme.names[0][0]: `*.example.org` is a wildcard"),
            ("names = [[\"a.example\"], [\"A.example\"]]", "acme.names[1][0]: another certificate has A.example"),
            ("names = [[\"a.example\", \"b c\"]]", "acme.names[0][1]: `b c` is no host name"),
            ("names = [[\"../../etc\"]]", "acme.names[0][0]: `../../etc` is no host name"),
            ("names = [[\"[192.0.2.1]\"]]", "acme.names[0][0]: `[192.0.2.1]` is no host name in ASCII"),
            ("names = [[\"192.0.2.1\"]]", "acme.names[0][0]: `192.0.2.1` is"),
            ("names = [[\"m\u{fc}nchen.example\"]]", "is no host name in ASCII"),
            ("directory = \"http://ca.example/dir\"", "acme.directory: must begin with https://"),
            ("directory = \"ca.example\"", "acme.directory: `ca.example` is no URL"),
            ("listen = \"127.0.0.1:2525\"", "acme.listen: the listener `smtp` has 127.0.0.1:2525 already"),
        ] {
            let said = report(&format!("{GOOD}{line}\n"));
            assert!(said.contains(why), "{line}: {said}");
        }
        let said = report("[acme]\nagreed = true\ncontact = [\"a@example.org\"]\n");
        assert!(said.contains("acme.contact[0]: `a@example.org` is no contact"), "{said}");
        let off = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\ntls = \"off\"\n";
        let said = report(&format!("{off}{GOOD}"));
        assert!(said.contains("acme: no listener speaks TLS"), "{said}");
    }
}
