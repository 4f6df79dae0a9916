//! Mailboxes and paths (RFC 5321 §4.1.2, RFC 6531 §3.3).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest path we take, in octets, angle brackets included (RFC 5321 §4.5.3.1.3).
const PATH_MAX: usize = 256;
/// Longest local part, in octets: as long as the path allows. Every server must take 64 (RFC 5321 §4.5.3.1.1), and should take what it
/// can: senders of lists, and forwarders that rewrite (SRS), use more.
const LOCAL_PART_MAX: usize = 250;
/// Longest domain, in octets (RFC 5321 §4.5.3.1.2).
const DOMAIN_MAX: usize = 255;
/// Longest label of a domain name, in octets (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// The part of a mailbox after the `@`, or the argument of EHLO: a name or an address literal (RFC 5321 §4.1.3).
///
/// A name is kept as it was written; comparison ignores ASCII case (RFC 5321 §2.4).
#[derive(Debug, Clone)]
pub struct Domain(String);

impl Domain {
    /// Parses a domain name or an address literal in brackets.
    ///
    /// U-labels (RFC 6531) are taken: whether the transaction allows them is the session's to say, see
    /// [`Domain::is_ascii`].
    ///
    /// # Errors
    /// Says what is wrong: an empty label, one that is too long, a character that no domain has, a bad literal.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > DOMAIN_MAX {
            return Err(AddressError::DomainTooLong);
        }
        match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(literal) => check_literal(literal)?,
            None => check_name(text)?,
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an address literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// Whether every octet is ASCII, so that no SMTPUTF8 is needed (RFC 6531 §3.1).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Domain {}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_literal(literal: &str) -> Result<(), AddressError> {
    let good = match literal.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => literal[5..].parse::<Ipv6Addr>().is_ok(),
        _ => literal.parse::<Ipv4Addr>().is_ok(),
    };
    if good { Ok(()) } else { Err(AddressError::BadLiteral) }
}

fn check_name(name: &str) -> Result<(), AddressError> {
    for label in name.split('.') {
        if label.is_empty() {
            return Err(AddressError::EmptyLabel);
        }
        if label.len() > LABEL_MAX {
            return Err(AddressError::LabelTooLong);
        }
        // Underscores are no letters of a host name, but mail from such hosts is common and harmless.
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && !c.is_control());
        if !label.chars().all(good) || label.starts_with('-') || label.ends_with('-') {
            return Err(AddressError::BadDomain);
        }
    }
    Ok(())
}

/// A mailbox, `local-part@domain` (RFC 5321 §4.1.2).
///
/// The local part is kept as it was written, quotes included; it is compared octet by octet, for only its owner may
/// say what is equal (RFC 5321 §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    local_part: String,
    domain: Domain,
}

impl Mailbox {
    /// Parses `local-part@domain`, without angle brackets.
    ///
    /// # Errors
    /// Says which part is malformed or too long.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let at = split_at_sign(text)?;
        let (local_part, domain) = (&text[..at], &text[at + 1..]);
        check_local_part(local_part)?;
        Ok(Self { local_part: local_part.to_owned(), domain: Domain::parse(domain)? })
    }

    /// The local part as it was written, quotes included.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether every octet is ASCII, so that no SMTPUTF8 is needed (RFC 6531 §3.1).
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii() && self.domain.is_ascii()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

/// Finds the `@` that ends the local part: the first one outside quotes.
fn split_at_sign(text: &str) -> Result<usize, AddressError> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'@' if !quoted => return Ok(at),
            _ => {}
        }
    }
    Err(AddressError::NoDomain)
}

fn check_local_part(text: &str) -> Result<(), AddressError> {
    if text.is_empty() {
        return Err(AddressError::EmptyLocalPart);
    }
    if text.len() > LOCAL_PART_MAX {
        return Err(AddressError::LocalPartTooLong);
    }
    let good = match text.strip_prefix('"') {
        Some(rest) => is_quoted_rest(rest),
        None => is_dot_string(text),
    };
    if good { Ok(()) } else { Err(AddressError::BadLocalPart) }
}

/// `Atom *("." Atom)` (RFC 5321 §4.1.2), with UTF-8 (RFC 6531 §3.3).
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// What follows the opening quote of a `Quoted-string`, closing quote included.
fn is_quoted_rest(rest: &str) -> bool {
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return chars.as_str().is_empty(),
            '\\' if !matches!(chars.next(), Some(' '..='~')) => return false,
            '\\' => {}
            c if c.is_control() => return false,
            _ => {}
        }
    }
    false
}

/// Where failure notices go: the argument of `MAIL FROM` (RFC 5321 §4.1.2).
///
/// `Null` is the empty path `<>` of notifications (§4.5.5). We never bounce to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`.
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Parses a path in angle brackets; a source route is checked and dropped (RFC 5321 appendix C).
    ///
    /// # Errors
    /// Says what is malformed.
    pub fn parse(path: &str) -> Result<Self, AddressError> {
        match inside_brackets(path)? {
            "" => Ok(Self::Null),
            inner => Mailbox::parse(without_source_route(inner)?).map(Self::Mailbox),
        }
    }

    /// The mailbox, unless this is the null path.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// The address without brackets; empty for the null path.
    #[must_use]
    pub fn address(&self) -> String {
        self.mailbox().map(Mailbox::to_string).unwrap_or_default()
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Where a message goes: the argument of `RCPT TO` (RFC 5321 §4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, in any case, which every server must take (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// Parses a path in angle brackets; a source route is checked and dropped (RFC 5321 appendix C).
    ///
    /// # Errors
    /// Says what is malformed; the null path is no forward-path.
    pub fn parse(path: &str) -> Result<Self, AddressError> {
        match inside_brackets(path)? {
            "" => Err(AddressError::EmptyPath),
            inner if inner.eq_ignore_ascii_case("postmaster") => Ok(Self::Postmaster),
            inner => Mailbox::parse(without_source_route(inner)?).map(Self::Mailbox),
        }
    }

    /// The mailbox, unless this is the bare postmaster.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Postmaster => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// The address without brackets, `postmaster` for the bare postmaster.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Postmaster => "postmaster".to_owned(),
            Self::Mailbox(mailbox) => mailbox.to_string(),
        }
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

fn inside_brackets(path: &str) -> Result<&str, AddressError> {
    if path.len() > PATH_MAX {
        return Err(AddressError::PathTooLong);
    }
    path.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).ok_or(AddressError::NoBrackets)
}

/// Drops `@one.example,@two.example:` after checking it: we must accept it and should ignore it (RFC 5321 §4.1.1.3).
fn without_source_route(inner: &str) -> Result<&str, AddressError> {
    if !inner.starts_with('@') {
        return Ok(inner);
    }
    let (route, mailbox) = inner.split_once(':').ok_or(AddressError::BadSourceRoute)?;
    for hop in route.split(',') {
        let name = hop.strip_prefix('@').ok_or(AddressError::BadSourceRoute)?;
        Domain::parse(name)?;
    }
    Ok(mailbox)
}

/// Why an address or path is refused. The text is fit for a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// No angle brackets around the path.
    NoBrackets,
    /// `RCPT TO:<>`.
    EmptyPath,
    /// More than 256 octets.
    PathTooLong,
    /// No `@` outside quotes.
    NoDomain,
    /// Nothing before the `@`.
    EmptyLocalPart,
    /// More than 64 octets before the `@`.
    LocalPartTooLong,
    /// A character that needs quotes, or quotes that don't close.
    BadLocalPart,
    /// More than 255 octets after the `@`.
    DomainTooLong,
    /// Two dots in a row, or a dot at an end.
    EmptyLabel,
    /// A label of more than 63 octets.
    LabelTooLong,
    /// A character that no domain name has.
    BadDomain,
    /// Brackets that hold no IP address.
    BadLiteral,
    /// A source route that does not parse.
    BadSourceRoute,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBrackets => "path must be in angle brackets",
            Self::EmptyPath => "empty path",
            Self::PathTooLong => "path too long",
            Self::NoDomain => "address has no domain",
            Self::EmptyLocalPart => "empty local part",
            Self::LocalPartTooLong => "local part too long",
            Self::BadLocalPart => "malformed local part",
            Self::DomainTooLong => "domain too long",
            Self::EmptyLabel => "empty label in domain",
            Self::LabelTooLong => "label in domain too long",
            Self::BadDomain => "malformed domain",
            Self::BadLiteral => "malformed address literal",
            Self::BadSourceRoute => "malformed source route",
        })
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_and_odd_paths_are_taken() {
        for path in [
            "<a@example.org>",
            "<\"a b@c\"@example.org>",
            "<\"a\\\"b\"@example.org>",
            "<a@[192.0.2.1]>",
            "<a@[IPv6:2001:db8::1]>",
            "<j\u{fc}rgen@b\u{fc}cher.example>",
            "<a%b@example.org>",
            "<a@my_host.example>",
        ] {
            assert_eq!(ForwardPath::parse(path).map(|p| p.to_string()), Ok(path.to_owned()));
        }
    }

    #[test]
    fn a_source_route_is_dropped() {
        let path = ForwardPath::parse("<@one.example,@two.example:joe@three.example>").unwrap();
        assert_eq!(path.to_string(), "<joe@three.example>");
        assert_eq!(ForwardPath::parse("<@one.example:>"), Err(AddressError::NoDomain));
        assert_eq!(ForwardPath::parse("<@one.example>"), Err(AddressError::BadSourceRoute));
    }

    #[test]
    fn postmaster_needs_no_domain() {
        assert_eq!(ForwardPath::parse("<PostMaster>"), Ok(ForwardPath::Postmaster));
        assert_eq!(ReversePath::parse("<postmaster>"), Err(AddressError::NoDomain));
    }

    #[test]
    fn the_null_path_is_a_reverse_path_only() {
        assert_eq!(ReversePath::parse("<>"), Ok(ReversePath::Null));
        assert_eq!(ForwardPath::parse("<>"), Err(AddressError::EmptyPath));
    }

    #[test]
    fn malformed_paths_say_what_is_wrong() {
        for (path, error) in [
            ("a@b", AddressError::NoBrackets),
            ("<a@b", AddressError::NoBrackets),
            ("<a>", AddressError::NoDomain),
            ("<@>", AddressError::BadSourceRoute),
            ("<a@>", AddressError::EmptyLabel),
            ("<a@b..c>", AddressError::EmptyLabel),
            ("<a@b.>", AddressError::EmptyLabel),
            ("<a..b@c>", AddressError::BadLocalPart),
            ("<a b@c>", AddressError::BadLocalPart),
            ("<\"a@c>", AddressError::NoDomain),
            ("<\"a\u{0}\"@c>", AddressError::BadLocalPart),
            ("<a@-b>", AddressError::BadDomain),
            ("<a@b@c>", AddressError::BadDomain),
            ("<a@[1.2.3]>", AddressError::BadLiteral),
            ("<a@[::1]>", AddressError::BadLiteral),
        ] {
            assert_eq!(ForwardPath::parse(path), Err(error), "{path}");
        }
        assert_eq!(ForwardPath::parse(&format!("<{}@b>", "x".repeat(251))), Err(AddressError::LocalPartTooLong));
        assert_eq!(ForwardPath::parse(&format!("<a@{}>", "x".repeat(64))), Err(AddressError::LabelTooLong));
        assert_eq!(ForwardPath::parse(&format!("<{}>", "x".repeat(256))), Err(AddressError::PathTooLong));
    }

    #[test]
    fn domains_compare_without_case_and_local_parts_with_it() {
        let parse = |text| Mailbox::parse(text).unwrap();
        assert_eq!(parse("a@Example.ORG"), parse("a@example.org"));
        assert_ne!(parse("A@example.org"), parse("a@example.org"));
    }

    proptest! {
        #[test]
        fn whatever_parses_prints_and_parses_the_same(text in "<.{0,40}@?.{0,20}>") {
            if let Ok(path) = ForwardPath::parse(&text) {
                prop_assert_eq!(ForwardPath::parse(&path.to_string()), Ok(path.clone()));
                prop_assert!(!path.to_string().contains(['\r', '\n', '\0']));
            }
        }
    }
}
