//! What content is by its first octets.

use crate::{Decoder, Encoding};

/// Octets of decoded content that are looked at. All magic numbers that are told apart lie in there.
const SNIFFED: usize = 4_096;

/// Gathers the first octets of a part's content.
pub(super) struct Sniffer {
    decoder: Decoder,
    octets: Vec<u8>,
}

impl Sniffer {
    pub(super) fn new(encoding: &Encoding) -> Self {
        Self { decoder: Decoder::new(encoding), octets: Vec::new() }
    }

    pub(super) fn push(&mut self, mut content: &[u8]) {
        while self.octets.len() < SNIFFED && !content.is_empty() {
            let (now, later) = content.split_at(content.len().min(SNIFFED));
            self.decoder.push(now, &mut self.octets);
            content = later;
        }
    }

    /// A media type, where the octets are typical of one.
    pub(super) fn detected(&self) -> Option<&'static str> {
        // Older Office documents, Outlook messages and installers are files of this kind.
        const COMPOUND_FILE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
        let known = infer::get(&self.octets).map(|kind| kind.mime_type());
        known.or_else(|| self.octets.starts_with(COMPOUND_FILE).then_some("application/x-ole-storage"))
    }
}
