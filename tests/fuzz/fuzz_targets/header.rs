//! A header section, and the fields that policy would put into it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmail_mail::{Field, HeaderSection};

fuzz_target!(|octets: &[u8]| {
    let mut section = HeaderSection::default();
    let mut taken = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if !section.push_line(line) {
            break;
        }
        taken += line.len();
    }
    assert_eq!(&section.to_octets()[..section.len()], &octets[..taken], "octets were lost or made up");
    for field in section.fields() {
        assert!(!field.name().is_empty());
        let _ = field.value();
    }
    if let Some((name, value)) = std::str::from_utf8(octets).ok().and_then(|text| text.split_once(':')) {
        check_made(name, value);
    }
});

/// A field that we make is one field, and its lines fit.
fn check_made(name: &str, value: &str) {
    let Ok(field) = Field::new(name, value) else { return };
    let mut section = HeaderSection::default();
    for line in field.raw().split_inclusive(|octet| *octet == b'\n') {
        assert!(line.ends_with(b"\r\n") && line.len() <= 1000);
        assert!(section.push_line(line));
    }
    assert_eq!(section.fields().len(), 1);
}
