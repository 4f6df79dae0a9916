//! SASL mechanisms (RFC 4422) as the server speaks them in AUTH (RFC 4954).
//!
//! What a client shows is taken apart here and judged by policy. Nothing of it is ever printed.

mod bearer;
mod scram;

use data_encoding::BASE64;
use wasmail_mail::Tls;
use wasmail_policy::{Credentials, Secret};

use scram::Scram;
pub use scram::ScramVerifier;

/// Longest line of an exchange, CRLF included (RFC 4954 §4).
pub(crate) const LINE_MAX: usize = 12_288;
/// Longest user name and password, in octets: what RFC 4616 §2 has every server take.
const CREDENTIAL_MAX: usize = 255;
/// `Username:` and `Password:`, as clients of LOGIN look for them (draft-murchison-sasl-login-00).
const USERNAME: &str = "VXNlcm5hbWU6";
const PASSWORD: &str = "UGFzc3dvcmQ6";

/// A way to prove who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 7677, bound to the TLS connection (RFC 9266): nobody between can pass it on.
    ScramSha256Plus,
    /// RFC 7677: the password is not shown.
    ScramSha256,
    /// RFC 4616: user and password in one response.
    Plain,
    /// User and password one after the other; never a standard, and what some clients insist on.
    Login,
    /// RFC 7628: a token that somebody else has given to the user.
    OauthBearer,
    /// The same as it was before the standard.
    Xoauth2,
    /// RFC 4422 appendix A: the certificate that the client has shown.
    External,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::Plain,
        Self::Login,
        Self::OauthBearer,
        Self::Xoauth2,
        Self::External,
    ];
    /// Those for which passwords are enough, wherever they are kept.
    pub const USUAL: [Self; 2] = [Self::Plain, Self::Login];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
            Self::External => "EXTERNAL",
        }
    }

    /// The mechanism of this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Whether a connection has what it needs.
    pub(crate) fn is_possible(self, tls: Option<&Tls>) -> bool {
        match self {
            Self::ScramSha256Plus => tls.is_some_and(|tls| tls.exporter.is_some()),
            Self::External => tls.is_some_and(|tls| !tls.names.is_empty()),
            Self::ScramSha256 | Self::Plain | Self::Login | Self::OauthBearer | Self::Xoauth2 => true,
        }
    }
}

/// An exchange that is not at its end.
pub(crate) struct Exchange {
    mechanism: Mechanism,
    stage: Stage,
}

enum Stage {
    Simple,
    /// LOGIN: what the client has said so far.
    User(String),
    Scram(Box<Scram>),
    /// EXTERNAL: whom the certificate names.
    Names(Vec<String>),
}

/// The user's name is nobody's business.
impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

/// Where a response has brought the exchange.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The next challenge, in base64.
    Challenge(String),
    /// The client has shown everything, and somebody has to judge it.
    Shown(Credentials),
    /// The verifier of this user is wanted: call [`Exchange::verifier`].
    Wanted(String),
    /// The client has proved to be this user.
    Proven(String),
    /// It is not who it says it is.
    Refused,
    /// The response makes no sense.
    Malformed,
    /// The client wants to act for another than it shows to be.
    ForAnother,
}

impl Exchange {
    /// An exchange on a connection that has what the mechanism needs; `plus_is_offered` says whether SCRAM with binding is.
    pub(crate) fn new(mechanism: Mechanism, tls: Option<&Tls>, plus_is_offered: bool) -> Self {
        let stage = match mechanism {
            Mechanism::ScramSha256 => Stage::Scram(Box::new(Scram::new(None, plus_is_offered))),
            Mechanism::ScramSha256Plus => {
                let exporter = tls.and_then(|tls| tls.exporter).unwrap_or_default();
                Stage::Scram(Box::new(Scram::new(Some(exporter.to_vec()), plus_is_offered)))
            }
            Mechanism::External => Stage::Names(tls.map(|tls| tls.names.clone()).unwrap_or_default()),
            Mechanism::Plain | Mechanism::Login | Mechanism::OauthBearer | Mechanism::Xoauth2 => Stage::Simple,
        };
        Self { mechanism, stage }
    }

    /// How the client authenticates.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.mechanism.name()
    }

    /// The challenge for a client that has sent no initial response.
    pub(crate) fn first_challenge(&self) -> &'static str {
        if self.mechanism == Mechanism::Login { USERNAME } else { "" }
    }

    /// Takes a response in base64.
    pub(crate) fn respond(&mut self, response: &[u8]) -> Progress {
        let decoded = BASE64.decode(response).ok().and_then(|octets| String::from_utf8(octets).ok());
        let Some(text) = decoded else { return Progress::Malformed };
        match std::mem::replace(&mut self.stage, Stage::Simple) {
            Stage::User(user) => self.password(&user, &text),
            Stage::Names(names) => external(&text, names),
            Stage::Scram(mut scram) => {
                let outcome = scram.respond(&text);
                self.stage = Stage::Scram(scram);
                outcome.into()
            }
            Stage::Simple => match self.mechanism {
                Mechanism::Plain => self.plain(&text),
                Mechanism::Login => {
                    self.stage = Stage::User(text);
                    Progress::Challenge(PASSWORD.to_owned())
                }
                Mechanism::OauthBearer => self.token(bearer::oauthbearer(&text)),
                Mechanism::Xoauth2 => self.token(bearer::xoauth2(&text)),
                // These have stages of their own.
                Mechanism::ScramSha256 | Mechanism::ScramSha256Plus | Mechanism::External => Progress::Malformed,
            },
        }
    }

    /// The initial response of the AUTH command: `=` is one that is empty (RFC 4954 §4).
    pub(crate) fn respond_at_once(&mut self, response: &[u8]) -> Progress {
        if response == b"=" { self.respond(b"") } else { self.respond(response) }
    }

    /// The verifier that was wanted; none when there is no such user, and nobody who stands in.
    pub(crate) fn verifier(&mut self, verifier: Option<ScramVerifier>) -> Progress {
        match (&mut self.stage, verifier) {
            (Stage::Scram(scram), Some(verifier)) => scram.verifier(verifier, &scram::random()).into(),
            _ => Progress::Refused,
        }
    }

    fn plain(&self, text: &str) -> Progress {
        let mut parts = text.split('\0');
        let (Some(authorization), Some(user), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Progress::Malformed;
        };
        if !authorization.is_empty() && authorization != user {
            return Progress::ForAnother;
        }
        self.password(user, password)
    }

    fn password(&self, user: &str, password: &str) -> Progress {
        let fits = |text: &str| !text.is_empty() && text.len() <= CREDENTIAL_MAX && !text.contains('\0');
        // The user's name goes into logs and a header field.
        if !fits(user) || user.chars().any(char::is_control) || !fits(password) {
            return Progress::Malformed;
        }
        self.shown(user.to_owned(), Secret::Password(password.to_owned()))
    }

    fn token(&self, shown: Option<(String, String)>) -> Progress {
        shown.map_or(Progress::Malformed, |(user, token)| self.shown(user, Secret::Token(token)))
    }

    fn shown(&self, user: String, secret: Secret) -> Progress {
        Progress::Shown(Credentials { mechanism: self.mechanism.name(), user, secret })
    }
}

/// What a client is told whose token was refused, in base64, and an exchange in which it has the last word; none for other
/// mechanisms.
pub(crate) fn token_refused(mechanism: &str) -> Option<(Exchange, String)> {
    let mechanism = Mechanism::parse(mechanism)?;
    let told = match mechanism {
        Mechanism::OauthBearer => bearer::REFUSED_OAUTHBEARER,
        Mechanism::Xoauth2 => bearer::REFUSED_XOAUTH2,
        _ => return None,
    };
    Some((Exchange { mechanism, stage: Stage::Simple }, BASE64.encode(told.as_bytes())))
}

/// A client that names itself must be named by its certificate; one that does not is the first whom that names.
fn external(text: &str, names: Vec<String>) -> Progress {
    match names.into_iter().find(|name| text.is_empty() || name == text) {
        Some(name) => Progress::Proven(name),
        None => Progress::ForAnother,
    }
}

impl From<scram::Outcome> for Progress {
    fn from(outcome: scram::Outcome) -> Self {
        match outcome {
            scram::Outcome::Challenge(text) => Self::Challenge(BASE64.encode(text.as_bytes())),
            scram::Outcome::Wanted(user) => Self::Wanted(user),
            scram::Outcome::Proven(user) => Self::Proven(user),
            scram::Outcome::Refused => Self::Refused,
            scram::Outcome::ForAnother => Self::ForAnother,
            scram::Outcome::Malformed => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn new(mechanism: Mechanism) -> Exchange {
        Exchange::new(mechanism, None, false)
    }

    fn respond(mechanism: Mechanism, responses: &[&[u8]]) -> Progress {
        let mut exchange = new(mechanism);
        let mut progress = Progress::Malformed;
        for response in responses {
            progress = exchange.respond(BASE64.encode(response).as_bytes());
        }
        progress
    }

    fn shown(mechanism: &'static str, user: &str, password: &str) -> Progress {
        Progress::Shown(Credentials { mechanism, user: user.into(), secret: Secret::Password(password.into()) })
    }

    #[test]
    fn plain_is_one_response() {
        let plain = |response: &[u8]| respond(Mechanism::Plain, &[response]);
        // The example of RFC 4616 §4.
        assert_eq!(plain(b"\0tim\0tanstaaftanstaaf"), shown("PLAIN", "tim", "tanstaaftanstaaf"));
        assert_eq!(plain(b"tim\0tim\0x"), shown("PLAIN", "tim", "x"));
        assert_eq!(plain(b"Ursel\0Kurt\0xipj3plmq"), Progress::ForAnother);
        for response in
            [b"".as_slice(), b"\0", b"\0tim", b"\0tim\0", b"\0\0x", b"\0tim\0x\0", b"\0\xff\0x", b"\0t\nm\0x"]
        {
            assert_eq!(plain(response), Progress::Malformed, "{response:?}");
        }
        assert_eq!(plain(&[b"\0tim\0".as_slice(), &[b'x'; 256]].concat()), Progress::Malformed);
    }

    #[test]
    fn login_asks_twice() {
        assert_eq!(new(Mechanism::Login).first_challenge(), BASE64.encode(b"Username:"));
        assert_eq!(respond(Mechanism::Login, &[b"tim"]), Progress::Challenge(PASSWORD.into()));
        assert_eq!(respond(Mechanism::Login, &[b"tim", b"secret"]), shown("LOGIN", "tim", "secret"));
        assert_eq!(respond(Mechanism::Login, &[b"", b"secret"]), Progress::Malformed);
    }

    #[test]
    fn the_certificate_says_who_a_client_of_external_is() {
        let names = || vec!["tim@example.test".to_owned(), "eva@example.test".to_owned()];
        let proven = |name: &str| Progress::Proven(name.to_owned());
        assert_eq!(external("", names()), proven("tim@example.test"));
        assert_eq!(external("eva@example.test", names()), proven("eva@example.test"));
        assert_eq!(external("joe@example.test", names()), Progress::ForAnother);
        assert_eq!(external("", Vec::new()), Progress::ForAnother);
        assert!(!Mechanism::External.is_possible(None) && !Mechanism::ScramSha256Plus.is_possible(None));
    }

    #[test]
    fn what_is_no_base64_is_malformed() {
        for response in ["*", "AHRpbQB", "AHRpbQB4 ", "\u{fc}"] {
            assert_eq!(new(Mechanism::Plain).respond(response.as_bytes()), Progress::Malformed);
        }
        assert_eq!(new(Mechanism::Plain).respond_at_once(b"="), Progress::Malformed);
        assert_eq!(new(Mechanism::Login).respond_at_once(b"="), Progress::Challenge(PASSWORD.into()));
    }

    #[test]
    fn what_is_printed_has_no_secret() {
        let Progress::Shown(credentials) = respond(Mechanism::Plain, &[b"\0tim\0hush"]) else { panic!("not shown") };
        let printed = format!("{credentials:?}");
        assert!(!printed.contains("hush") && !printed.contains("tim"), "{printed}");
    }

    proptest! {
        #[test]
        fn no_response_is_too_odd(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            for mechanism in Mechanism::ALL {
                let mut exchange = new(mechanism);
                exchange.respond(&octets);
                exchange.respond(BASE64.encode(&octets).as_bytes());
            }
        }
    }
}
