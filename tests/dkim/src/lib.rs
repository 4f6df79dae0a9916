//! See `tests/signatures.rs`: signatures over octets that nobody edited still verify.
