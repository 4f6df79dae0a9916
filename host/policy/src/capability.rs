//! Lines that plugins add to the answer to EHLO (RFC 5321 §4.1.1.1).

/// Lines that plugins may add in all. A client reads them all before it can send anything.
pub(crate) const CAPABILITIES_MAX: usize = 32;
/// Octets of one: a reply line has 512 with code and CRLF (RFC 5321 §4.5.3.1.5).
const LINE_MAX: usize = 500;
/// Extensions that change how the host reads what follows: whoever announces them has to keep the promise.
const OF_THE_HOST: [&str; 18] = [
    "PIPELINING",
    "SIZE",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
    "STARTTLS",
    "AUTH",
    "CHUNKING",
    "BINARYMIME",
    "DSN",
    "REQUIRETLS",
    "LIMITS",
    "FUTURERELEASE",
    "MT-PRIORITY",
    "PRDR",
    "BURL",
    "DELIVERBY",
    "ETRN",
];

/// Checks a line: a keyword of letters, digits and hyphens, then parameters of printable ASCII.
pub(crate) fn check(line: &str) -> Result<(), &'static str> {
    let mut words = line.split(' ');
    let keyword = words.next().unwrap_or_default();
    let first = keyword.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if !first || !keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
        return Err("a capability begins with a keyword of letters, digits and hyphens");
    }
    if !words.all(|word| !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_graphic())) {
        return Err("the parameters of a capability are printable ASCII, one space apart");
    }
    if line.len() > LINE_MAX {
        return Err("a capability has at most 500 octets");
    }
    if OF_THE_HOST.iter().any(|own| keyword.eq_ignore_ascii_case(own)) {
        return Err("only the host can offer this extension");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_a_keyword_with_parameters() {
        for line in ["XCUSTOM", "X-CUSTOM a=1 b", "NO-SOLICITING net.example:ADV"] {
            assert_eq!(check(line), Ok(()), "{line}");
        }
        for line in ["", " X", "-X", "X  a", "X a ", "X\r\n250 AUTH", "X \u{fc}", "X_Y", &"X".repeat(501)] {
            assert!(check(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_changes_how_the_host_reads_is_the_hosts_to_offer() {
        for line in ["AUTH PLAIN", "starttls", "CHUNKING", "SIZE 1"] {
            assert_eq!(check(line), Err("only the host can offer this extension"), "{line}");
        }
    }
}
