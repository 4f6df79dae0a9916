//! SASL mechanisms (RFC 4422) as the server speaks them in AUTH (RFC 4954).
//!
//! What a client shows is taken apart here and judged by policy. Nothing of it is ever printed.

use data_encoding::BASE64;
use wasmail_policy::Credentials;

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
    /// RFC 4616: user and password in one response.
    Plain,
    /// User and password one after the other; never a standard, and what some clients insist on.
    Login,
}

impl Mechanism {
    /// All of them, the best first.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// The mechanism of this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }
}

/// An exchange that is not at its end.
pub(crate) struct Exchange {
    mechanism: Mechanism,
    /// LOGIN: what the client has said so far.
    user: Option<String>,
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
    Challenge(&'static str),
    /// The client has shown everything.
    Shown(Credentials),
    /// The response makes no sense.
    Malformed,
    /// The client wants to act for another than it shows to be.
    ForAnother,
}

impl Exchange {
    pub(crate) fn new(mechanism: Mechanism) -> Self {
        Self { mechanism, user: None }
    }

    /// The challenge for a client that has sent no initial response.
    pub(crate) fn first_challenge(&self) -> &'static str {
        match self.mechanism {
            Mechanism::Plain => "",
            Mechanism::Login => USERNAME,
        }
    }

    /// Takes a response in base64.
    pub(crate) fn respond(&mut self, response: &[u8]) -> Progress {
        let decoded = BASE64.decode(response).ok().and_then(|octets| String::from_utf8(octets).ok());
        let Some(text) = decoded else { return Progress::Malformed };
        match self.mechanism {
            Mechanism::Plain => self.plain(&text),
            Mechanism::Login => self.login(text),
        }
    }

    /// The initial response of the AUTH command: `=` is one that is empty (RFC 4954 §4).
    pub(crate) fn respond_at_once(&mut self, response: &[u8]) -> Progress {
        if response == b"=" { self.respond(b"") } else { self.respond(response) }
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
        self.shown(user, password)
    }

    fn login(&mut self, text: String) -> Progress {
        match self.user.take() {
            None => {
                self.user = Some(text);
                Progress::Challenge(PASSWORD)
            }
            Some(user) => self.shown(&user, &text),
        }
    }

    fn shown(&self, user: &str, password: &str) -> Progress {
        let fits = |text: &str| !text.is_empty() && text.len() <= CREDENTIAL_MAX && !text.contains('\0');
        // The user's name goes into logs and a header field.
        if !fits(user) || user.chars().any(char::is_control) || !fits(password) {
            return Progress::Malformed;
        }
        let (user, password) = (user.to_owned(), password.to_owned());
        Progress::Shown(Credentials { mechanism: self.mechanism.name(), user, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn respond(mechanism: Mechanism, responses: &[&[u8]]) -> Progress {
        let mut exchange = Exchange::new(mechanism);
        let mut progress = Progress::Malformed;
        for response in responses {
            progress = exchange.respond(BASE64.encode(response).as_bytes());
        }
        progress
    }

    fn shown(mechanism: &'static str, user: &str, password: &str) -> Progress {
        Progress::Shown(Credentials { mechanism, user: user.into(), password: password.into() })
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
        assert_eq!(Exchange::new(Mechanism::Login).first_challenge(), BASE64.encode(b"Username:"));
        assert_eq!(respond(Mechanism::Login, &[b"tim"]), Progress::Challenge("UGFzc3dvcmQ6"));
        assert_eq!(respond(Mechanism::Login, &[b"tim", b"secret"]), shown("LOGIN", "tim", "secret"));
        assert_eq!(respond(Mechanism::Login, &[b"", b"secret"]), Progress::Malformed);
    }

    #[test]
    fn what_is_no_base64_is_malformed() {
        for response in ["*", "AHRpbQB", "AHRpbQB4 ", "\u{fc}"] {
            assert_eq!(Exchange::new(Mechanism::Plain).respond(response.as_bytes()), Progress::Malformed);
        }
        assert_eq!(Exchange::new(Mechanism::Plain).respond_at_once(b"="), Progress::Malformed);
        assert_eq!(Exchange::new(Mechanism::Login).respond_at_once(b"="), Progress::Challenge(PASSWORD));
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
                let mut exchange = Exchange::new(mechanism);
                exchange.respond(&octets);
                exchange.respond(BASE64.encode(&octets).as_bytes());
            }
        }
    }
}
