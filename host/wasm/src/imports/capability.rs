//! The interface `capability`: why something that a guest asked for is not there.

use wasmail_services::Failure;

use crate::bindings::wasmail::policy::capability as wit;
use crate::state::State;

impl wit::Host for State {}

impl From<Failure> for wit::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotGranted => Self::NotGranted,
            Failure::QuotaExceeded(setting) => Self::QuotaExceeded(setting.to_owned()),
            Failure::TimedOut => Self::TimedOut,
            Failure::Unavailable(why) => Self::Unavailable(why),
            Failure::Invalid(why) => Self::Invalid(why),
        }
    }
}
