//! The interface `geo`.

use wasmail_services::Failure;
use wasmail_services::geo::{Coordinates, Division, Place};

use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::geo as wit;
use crate::state::State;

impl wit::Host for State {
    fn lookup(&mut self, address: String) -> wasmtime::Result<Result<Option<wit::Place>, WitFailure>> {
        self.count_host_call()?;
        let Self { capabilities, used, .. } = self;
        let place = match &capabilities.geo {
            Some(geo) => geo.lookup(&mut used.geo, &address),
            None => Err(Failure::NotGranted),
        };
        Ok(place.map(|place| place.map(Into::into)).map_err(Into::into))
    }
}

impl From<Place> for wit::Place {
    fn from(place: Place) -> Self {
        Self {
            continent: place.continent.map(Into::into),
            country: place.country.map(Into::into),
            registered_country: place.registered_country.map(Into::into),
            subdivisions: place.subdivisions.into_iter().map(Into::into).collect(),
            city: place.city,
            postal_code: place.postal_code,
            coordinates: place.coordinates.map(Into::into),
            time_zone: place.time_zone,
            as_number: place.as_number,
            as_organization: place.as_organization,
        }
    }
}

impl From<Division> for wit::Division {
    fn from(Division { code, name }: Division) -> Self {
        Self { code, name }
    }
}

impl From<Coordinates> for wit::Coordinates {
    fn from(Coordinates { latitude, longitude, accuracy_radius }: Coordinates) -> Self {
        Self { latitude, longitude, accuracy_radius }
    }
}
