//! What is known of an address: as databases have it, and as plugins are told.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is known of the place of an address. Each field may be unknown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// Such as `EU`.
    pub continent: Option<Division>,
    /// Where it is: ISO 3166-1 alpha-2.
    pub country: Option<Division>,
    /// Where its network is registered.
    pub registered_country: Option<Division>,
    /// ISO 3166-2 without the country, the largest first.
    pub subdivisions: Vec<Division>,
    /// Name in English.
    pub city: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// About where.
    pub coordinates: Option<Coordinates>,
    /// Name in the IANA time zone database.
    pub time_zone: Option<String>,
    /// Number of the autonomous system.
    pub as_number: Option<u32>,
    /// Whose that is.
    pub as_organization: Option<String>,
}

/// A continent, country or part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    /// Its code.
    pub code: String,
    /// Its name in English, where the database has that.
    pub name: Option<String>,
}

/// Degrees, and how far off they may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coordinates {
    /// North of the equator.
    pub latitude: f64,
    /// East of Greenwich.
    pub longitude: f64,
    /// Kilometres around them.
    pub accuracy_radius: Option<u16>,
}

/// A record of a database, as those of MaxMind and most others have it: city, country and AS in one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Record {
    continent: Named,
    country: Named,
    registered_country: Named,
    subdivisions: Vec<Named>,
    city: Named,
    postal: Postal,
    location: Location,
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<String>,
}

/// Continents have a `code`, everything else an `iso_code`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Named {
    code: Option<String>,
    iso_code: Option<String>,
    names: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Postal {
    code: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
    accuracy_radius: Option<u16>,
    time_zone: Option<String>,
}

impl Named {
    /// The name in English, the language of the codes.
    fn name(&mut self) -> Option<String> {
        self.names.remove("en")
    }

    fn division(mut self) -> Option<Division> {
        let code = self.iso_code.take().or(self.code.take())?;
        Some(Division { code, name: self.name() })
    }
}

impl Place {
    /// Adds what a record knows and this does not.
    pub(super) fn add(&mut self, mut record: Record) {
        let location = record.location;
        let coordinates = location.latitude.zip(location.longitude);
        let accuracy_radius = location.accuracy_radius;
        let coordinates = coordinates.map(|(latitude, longitude)| Coordinates { latitude, longitude, accuracy_radius });
        or(&mut self.continent, record.continent.division());
        or(&mut self.country, record.country.division());
        or(&mut self.registered_country, record.registered_country.division());
        if self.subdivisions.is_empty() {
            self.subdivisions = record.subdivisions.into_iter().filter_map(Named::division).collect();
        }
        or(&mut self.city, record.city.name());
        or(&mut self.postal_code, record.postal.code);
        or(&mut self.coordinates, coordinates);
        or(&mut self.time_zone, location.time_zone);
        or(&mut self.as_number, record.autonomous_system_number);
        or(&mut self.as_organization, record.autonomous_system_organization);
    }
}

fn or<T>(known: &mut Option<T>, told: Option<T>) {
    if known.is_none() {
        *known = told;
    }
}
