//! With files that are written here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mmdb_writer::{Value, Writer};

use super::*;
use crate::Failure;

/// A value of a database from a few words.
fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn named(key: &str, code: &str, name: &str) -> Value {
    map([(key, text(code)), ("names", map([("en", text(name)), ("de", text("anders"))]))])
}

fn database(path: &Path, records: Vec<(&str, Value)>) {
    let mut writer = Writer::new("Test");
    for (net, value) in records {
        writer.insert_value(net.parse::<ipnet::IpNet>().unwrap(), value).unwrap();
    }
    // A file that is replaced is never half there.
    let new = path.with_extension("new");
    std::fs::write(&new, writer.to_bytes().unwrap()).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn cities(path: &Path, country: &str) {
    let berlin = map([
        ("continent", named("code", "EU", "Europe")),
        ("country", named("iso_code", country, "Germany")),
        ("registered_country", map([("iso_code", text("FR"))])),
        ("subdivisions", Value::Array(vec![named("iso_code", "BE", "State of Berlin")])),
        ("city", map([("names", map([("en", text("Berlin"))])), ("geoname_id", Value::U32(2_950_159))])),
        ("postal", map([("code", text("10178"))])),
        (
            "location",
            map([
                ("latitude", Value::Double(52.52)),
                ("longitude", Value::Double(13.4)),
                ("accuracy_radius", Value::U16(20)),
                ("time_zone", text("Europe/Berlin")),
            ]),
        ),
    ]);
    database(path, vec![("192.0.2.0/24", berlin.clone()), ("2001:db8::/32", berlin)]);
}

fn systems(path: &Path) {
    let system = map([
        ("autonomous_system_number", Value::U32(64_496)),
        ("autonomous_system_organization", text("Example Net")),
        ("country", named("iso_code", "XX", "Nowhere")),
    ]);
    database(path, vec![("192.0.2.0/25", system.clone()), ("198.51.100.0/24", system)]);
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        cities(&files.path("city"), "DE");
        systems(&files.path("asn"));
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name).with_extension("mmdb")
    }

    fn open(&self, check_interval: Duration) -> Arc<Databases> {
        let files = vec![self.path("city"), self.path("asn")];
        Databases::open(&DatabasesConfig { files, check_interval }).unwrap()
    }
}

fn client(databases: &Arc<Databases>) -> Client {
    Client::new(Some(Arc::clone(databases)), Quota::default())
}

fn country(client: &Client) -> String {
    client.lookup(&mut 0, "192.0.2.1").unwrap().unwrap().country.unwrap().code
}

#[test]
fn what_several_databases_know_is_put_together() {
    let client = client(&Files::new().open(Duration::MAX));
    let place = client.lookup(&mut 0, "192.0.2.1").unwrap().unwrap();
    let division = |code: &str, name: &str| Division { code: code.to_owned(), name: Some(name.to_owned()) };
    let expected = Place {
        continent: Some(division("EU", "Europe")),
        // The first one is believed.
        country: Some(division("DE", "Germany")),
        registered_country: Some(Division { code: "FR".to_owned(), name: None }),
        subdivisions: vec![division("BE", "State of Berlin")],
        city: Some("Berlin".to_owned()),
        postal_code: Some("10178".to_owned()),
        coordinates: Some(Coordinates { latitude: 52.52, longitude: 13.4, accuracy_radius: Some(20) }),
        time_zone: Some("Europe/Berlin".to_owned()),
        as_number: Some(64_496),
        as_organization: Some("Example Net".to_owned()),
    };
    assert_eq!(place, expected);
    assert_eq!(client.lookup(&mut 0, "::ffff:192.0.2.1").unwrap().as_ref(), Some(&expected));
    let upper = client.lookup(&mut 0, "192.0.2.200").unwrap().unwrap();
    assert_eq!((upper.city.as_deref(), upper.as_number), (Some("Berlin"), None));
    let v6 = client.lookup(&mut 0, "2001:db8::1").unwrap().unwrap();
    assert_eq!(v6.time_zone.as_deref(), Some("Europe/Berlin"));
    let other = client.lookup(&mut 0, "198.51.100.1").unwrap().unwrap();
    assert_eq!((other.country.unwrap().code.as_str(), other.city), ("XX", None));
    assert_eq!(client.lookup(&mut 0, "203.0.113.1"), Ok(None));
}

#[test]
fn what_cannot_be_answered_is_told() {
    let client = client(&Files::new().open(Duration::MAX));
    for bad in ["", "example.org", "192.0.2.1:25", "192.0.2.0/24", "\r\n"] {
        assert!(matches!(client.lookup(&mut 0, bad), Err(Failure::Invalid(_))), "{bad}");
    }
    let mut used = 0;
    (0..100).for_each(|_| drop(client.lookup(&mut used, "192.0.2.1").unwrap()));
    assert_eq!(client.lookup(&mut used, "192.0.2.1"), Err(Failure::QuotaExceeded("geo.lookups")));
    let without = Client::new(None, Quota::default());
    assert!(
        matches!(without.lookup(&mut 0, "192.0.2.1"), Err(Failure::Unavailable(why)) if why.contains("geo.databases"))
    );
}

#[test]
fn a_file_has_to_be_a_database() {
    let files = Files::new();
    let good = std::fs::read(files.path("city")).unwrap();
    let flat = files.path("flat");
    database(&flat, vec![("192.0.2.0/24", map([("country", text("DE"))]))]);
    let flat = std::fs::read(flat).unwrap();
    for (octets, told) in [
        (None, "cannot be read"),
        (Some(b"".to_vec()), "no database of the format mmdb"),
        (Some(good[..good.len() / 2].to_vec()), "no database of the format mmdb"),
        (Some(flat), "not the records"),
    ] {
        let path = files.path("broken");
        if let Some(octets) = octets {
            std::fs::write(&path, octets).unwrap();
        }
        let config = DatabasesConfig { files: vec![files.path("city"), path], check_interval: Duration::MAX };
        let (at, error) = Databases::open(&config).unwrap_err();
        let error = error.to_string();
        assert!(at == 1 && error.contains("broken.mmdb") && error.contains(told), "{error}");
    }
}

#[test]
fn a_file_that_has_changed_is_read_anew_unless_it_is_broken() {
    let files = Files::new();
    let databases = files.open(Duration::MAX);
    let client = client(&databases);
    assert_eq!(country(&client), "DE");
    cities(&files.path("city"), "AT");
    assert_eq!(country(&client), "DE", "not without being told to");
    databases.refresh();
    assert_eq!(country(&client), "AT");
    std::fs::write(files.path("city"), "half a fi").unwrap();
    databases.refresh();
    assert_eq!(country(&client), "AT");
    std::fs::remove_file(files.path("city")).unwrap();
    databases.refresh();
    databases.refresh();
    assert_eq!(country(&client), "AT");
    cities(&files.path("city"), "CH");
    databases.refresh();
    assert_eq!(country(&client), "CH");
}

#[tokio::test]
async fn questions_have_the_files_looked_after() {
    let files = Files::new();
    let client = client(&files.open(Duration::ZERO));
    cities(&files.path("city"), "AT");
    let began = Instant::now();
    while country(&client) != "AT" {
        assert!(began.elapsed() < Duration::from_secs(20), "it is still the old one");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
