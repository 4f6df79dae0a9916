//! What a message says beyond its octets.
//!
//! [`view`] reads single header fields: text with its encoded words decoded, addresses, dates, message-ids, media types.
//! A [`Scanner`] is fed the body once, in pieces of any size, and makes a [`Tree`] of its parts: offsets and lengths, never
//! content, so that memory does not grow with the message. A [`Decoder`] undoes the transfer encoding of one part, as a stream.
//!
//! [`edit`] replaces and removes parts and puts banners into texts; what comes of it are splices of the body.
//!
//! Nothing in here reads anything by itself: octets are handed in. Every input has an answer; malformed ones too.

mod content;
mod decode;
pub mod edit;
mod scan;
mod tree;
pub mod view;

pub use content::{ContentFields, Encoding};
pub use decode::Decoder;
pub use scan::Scanner;
pub use tree::{DEPTH_MAX, PART_HEADER_MAX, PARTS_MAX, Part, Passed, Place, Tree};
