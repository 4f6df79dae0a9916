//! The header of the PROXY protocol.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmail_smtp::proxy::{HEADER_MAX, Header, parse};

fuzz_target!(|octets: &[u8]| {
    match parse(octets) {
        Header::Whole(proxied, end) => {
            assert!(end <= octets.len() && end <= HEADER_MAX);
            // Neither what comes behind it nor how it was cut changes a header.
            assert_eq!(parse(&octets[..end]), Header::Whole(proxied, end));
            assert!((0..end).all(|cut| parse(&octets[..cut]) == Header::Begun));
        }
        Header::Begun => assert!(octets.len() < HEADER_MAX),
        Header::None => {}
    }
});
