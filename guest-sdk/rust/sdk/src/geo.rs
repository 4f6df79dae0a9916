//! Where an address is, by databases that the operator names. It needs the grant `geo`; what is promised is said in `wit/geo.wit`.
//!
//! ```no_run
//! use wasmail_guest::geo;
//!
//! let place = geo::lookup("192.0.2.1")?;
//! let is_abroad = place.is_some_and(|place| place.country_code() != Some("DE"));
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively there is no database: a test says with [`pretend`] what is known.

use crate::Failure;
pub use crate::bindings::wasmail::policy::geo::{Coordinates, Division, Place};

/// What is known of an address; none when no database has it.
///
/// # Errors
/// When it is not granted, is no address, the quota is used up, or the operator has named no database.
pub fn lookup(address: &str) -> Result<Option<Place>, Failure> {
    host::lookup(address)
}

impl Place {
    /// Nothing is known: for tests, to be filled in.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            continent: None,
            country: None,
            registered_country: None,
            subdivisions: Vec::new(),
            city: None,
            postal_code: None,
            coordinates: None,
            time_zone: None,
            as_number: None,
            as_organization: None,
        }
    }

    /// Only the country is known: for tests.
    #[must_use]
    pub fn in_country(code: &str) -> Self {
        Self { country: Some(Division { code: code.to_owned(), name: None }), ..Self::unknown() }
    }

    /// The country in which it is, such as `DE`.
    #[must_use]
    pub fn country_code(&self) -> Option<&str> {
        self.country.as_ref().map(|country| country.code.as_str())
    }
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::geo as host;

#[cfg(not(target_family = "wasm"))]
pub use host::pretend;

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;

    use super::{Failure, Place};

    type Answers = Box<dyn Fn(&str) -> Result<Option<Place>, Failure>>;

    thread_local! {
        static ANSWERS: RefCell<Answers> = RefCell::new(Box::new(|_| Err(Failure::NotGranted)));
    }

    /// Says what is known from now on in this thread: for unit tests. Before, nothing is granted.
    pub fn pretend(answers: impl Fn(&str) -> Result<Option<Place>, Failure> + 'static) {
        ANSWERS.with(|place| *place.borrow_mut() = Box::new(answers));
    }

    pub(super) fn lookup(address: &str) -> Result<Option<Place>, Failure> {
        ANSWERS.with(|answers| answers.borrow()(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_says_what_is_known() {
        assert_eq!(lookup("192.0.2.1"), Err(Failure::NotGranted));
        pretend(|address| Ok((address == "192.0.2.1").then(|| Place::in_country("DE"))));
        assert_eq!(lookup("192.0.2.1").unwrap().unwrap().country_code(), Some("DE"));
        assert_eq!(lookup("192.0.2.2"), Ok(None));
    }
}
