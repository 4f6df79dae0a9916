//! Reading what the host gave: notes, results, addresses.

use std::net::IpAddr;

use serde::de::DeserializeOwned;

use crate::{
    AuthAttempt, Connection, Consignment, Credentials, Note, Parameter, PluginResults, Recipient, Transaction,
    UserPassword, UserToken, json,
};

macro_rules! reads {
    ($record:ident) => {
        impl $record {
            /// The note at a JSON Pointer, one that the manifest's `reads_notes` names; none when there is none or it is
            /// no `T`.
            #[must_use]
            pub fn note<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
                note(&self.notes, pointer)
            }

            /// What a plugin recorded, one that the manifest's `reads_results` names; none when it recorded nothing.
            #[must_use]
            pub fn results(&self, plugin: &str) -> Option<&PluginResults> {
                self.results.iter().find(|results| results.plugin == plugin)
            }
        }
    };
}

reads!(Connection);
reads!(Transaction);

impl Consignment {
    /// The note at a JSON Pointer, one that the manifest's `reads_notes` names; none when there was none or it is no `T`.
    #[must_use]
    pub fn note<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        note(&self.notes, pointer)
    }
}

fn note<T: DeserializeOwned>(notes: &[Note], pointer: &str) -> Option<T> {
    let note = notes.iter().find(|note| note.pointer == pointer)?;
    json::read(&note.value).ok()
}

impl AuthAttempt {
    /// The user's name and the password; none without the grant `credentials`, or when it is a token.
    #[must_use]
    pub fn password(&self) -> Option<(&str, &str)> {
        match &self.credentials {
            Some(Credentials::Password(UserPassword { user, password })) => Some((user, password)),
            Some(Credentials::Token(_)) | None => None,
        }
    }

    /// The user's name and the token (RFC 7628); none without the grant `credentials`, or when it is a password.
    #[must_use]
    pub fn token(&self) -> Option<(&str, &str)> {
        match &self.credentials {
            Some(Credentials::Token(UserToken { user, token })) => Some((user, token)),
            Some(Credentials::Password(_)) | None => None,
        }
    }
}

impl PluginResults {
    /// A further key that the plugin chose; none when there is none or it is no `T`.
    #[must_use]
    pub fn extra<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let (_, value) = self.extra.iter().find(|(name, _)| name == key)?;
        json::read(value).ok()
    }

    /// Whether the plugin recorded that this test failed.
    #[must_use]
    pub fn failed(&self, test: &str) -> bool {
        self.fail.iter().any(|text| text == test)
    }

    /// Whether the plugin recorded that this test passed.
    #[must_use]
    pub fn passed(&self, test: &str) -> bool {
        self.pass.iter().any(|text| text == test)
    }
}

impl Connection {
    /// The client's address.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.remote.ip.parse().ok()
    }

    /// The argument of HELO or EHLO; empty before the greeting.
    #[must_use]
    pub fn greeting(&self) -> &str {
        self.hello.as_ref().map_or("", |hello| &hello.host)
    }
}

impl Transaction {
    /// The domain of the reverse-path; none of the null path.
    #[must_use]
    pub fn sender_domain(&self) -> Option<&str> {
        domain_of(&self.reverse_path)
    }

    /// The value of a parameter of MAIL, empty if it came without one; case means nothing in the keyword.
    #[must_use]
    pub fn parameter(&self, keyword: &str) -> Option<&str> {
        parameter(&self.parameters, keyword)
    }
}

impl Recipient {
    /// The domain; none of the bare `postmaster`.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        domain_of(&self.address)
    }

    /// What stands before the `@`, quotes included.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(local_part, _)| local_part)
    }

    /// The value of a parameter of RCPT, empty if it came without one; case means nothing in the keyword.
    #[must_use]
    pub fn parameter(&self, keyword: &str) -> Option<&str> {
        parameter(&self.parameters, keyword)
    }
}

/// A quoted local part may hold an `@`, a domain may not: the last one counts.
fn domain_of(address: &str) -> Option<&str> {
    address.rsplit_once('@').map(|(_, domain)| domain)
}

fn parameter<'a>(parameters: &'a [Parameter], keyword: &str) -> Option<&'a str> {
    let parameter = parameters.iter().find(|parameter| parameter.keyword.eq_ignore_ascii_case(keyword))?;
    Some(parameter.value.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_the_type_that_is_asked_for() {
        let c = Connection::example().with_note("/karma/score", -2.5);
        assert_eq!(c.note::<f64>("/karma/score"), Some(-2.5));
        assert_eq!(c.note::<String>("/karma/score"), None);
        assert_eq!(c.note::<f64>("/karma"), None);
    }

    #[test]
    fn the_last_at_sign_divides_an_address() {
        let r = Recipient::example("\"a@b\"@example.test");
        assert_eq!((r.local_part(), r.domain()), ("\"a@b\"", Some("example.test")));
        let bare = Recipient::example("postmaster");
        assert_eq!((bare.local_part(), bare.domain()), ("postmaster", None));
    }
}
