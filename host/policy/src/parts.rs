//! The parts of a message whose body lies elsewhere: read once for all plugins, and only when one of them asks.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use wasmail_mail::{Field, HeaderSection};
use wasmail_mime::{Decoder, Encoding, PART_HEADER_MAX, Part, Scanner, Tree};

use crate::Body;

/// Octets that are read of a body at a time: few calls for a large one, and little memory for a small one.
const CHUNK: usize = 128 * 1024;
/// Fields that say how the body is to be read.
const STRUCTURAL: [&str; 3] = ["Content-Type", "Content-Transfer-Encoding", "Content-Disposition"];

/// What is known of a message's parts. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Parts(Arc<Mutex<Option<Known>>>);

#[derive(Debug)]
struct Known {
    /// The fields that the tree was made with: plugins may edit them.
    fields: Vec<Field>,
    tree: Arc<Tree>,
}

impl Parts {
    /// The tree of a message. The first one who asks waits until the body has been read; two who ask at the same time
    /// may both read it.
    ///
    /// # Errors
    /// When the body cannot be read back.
    pub async fn tree(&self, header: &HeaderSection, body: &dyn Body) -> io::Result<Arc<Tree>> {
        let fields = structural(header);
        if let Some(tree) = self.known(&fields) {
            return Ok(tree);
        }
        let tree = Arc::new(scan(&fields, body).await?);
        let known = Known { fields, tree: Arc::clone(&tree) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(tree)
    }

    fn known(&self, fields: &[Field]) -> Option<Arc<Tree>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.fields == fields).map(|known| Arc::clone(&known.tree))
    }
}

fn structural(header: &HeaderSection) -> Vec<Field> {
    let counts = |field: &&Field| STRUCTURAL.iter().any(|name| field.is(name));
    header.fields().iter().filter(counts).cloned().collect()
}

async fn scan(fields: &[Field], body: &dyn Body) -> io::Result<Tree> {
    let mut scanner = Scanner::new(fields);
    let mut offset = 0;
    loop {
        let chunk = body.read_at(offset, CHUNK).await?;
        if chunk.is_empty() {
            return Ok(scanner.finish());
        }
        offset += chunk.len() as u64;
        scanner.push(&chunk);
    }
}

/// The header section of a part that is not the root, as far as it is heeded.
///
/// # Errors
/// When the body cannot be read back.
pub async fn header_of(part: &Part, body: &dyn Body) -> io::Result<HeaderSection> {
    let Range { start, end } = part.place.header..part.place.content.start;
    let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX).min(PART_HEADER_MAX);
    let octets = body.read_at(start, len).await?;
    let mut section = HeaderSection::default();
    // The last line may have been cut off.
    let lines = octets.split_inclusive(|octet| *octet == b'\n').filter(|line| line.ends_with(b"\n"));
    let _all = lines.into_iter().all(|line| section.push_line(line));
    Ok(section)
}

/// Reads the decoded content of a part. Going on is cheap; going back begins anew.
#[derive(Debug)]
pub struct Content {
    encoding: Encoding,
    raw: Range<u64>,
    decoder: Decoder,
    /// Where the next octets before decoding are.
    next: u64,
    /// Where the first octet of `ready` is in the decoded content.
    at: u64,
    ready: Vec<u8>,
}

impl Content {
    /// At the beginning of a part.
    #[must_use]
    pub fn new(part: &Part) -> Self {
        let (encoding, raw) = (part.encoding.clone(), part.place.content.clone());
        Self { decoder: Decoder::new(&encoding), next: raw.start, at: 0, ready: Vec::new(), encoding, raw }
    }

    /// Reads at most `len` octets from `offset` of the decoded content; fewer near its end, none past it.
    ///
    /// # Errors
    /// When the body cannot be read back.
    pub async fn read(&mut self, body: &dyn Body, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if offset < self.at {
            (self.decoder, self.next, self.at) = (Decoder::new(&self.encoding), self.raw.start, 0);
            self.ready.clear();
        }
        loop {
            self.pass_over(offset);
            let enough = self.at == offset && self.ready.len() >= len;
            if enough || !self.decode_more(body).await? {
                break;
            }
        }
        self.pass_over(offset);
        let len = if self.at == offset { len.min(self.ready.len()) } else { 0 };
        Ok(self.ready[..len].to_vec())
    }

    /// Drops what was decoded and lies before the offset.
    fn pass_over(&mut self, offset: u64) {
        let passed = (offset - self.at).min(self.ready.len() as u64);
        self.ready.drain(..passed as usize);
        self.at += passed;
    }

    /// Returns false at the end.
    async fn decode_more(&mut self, body: &dyn Body) -> io::Result<bool> {
        let left = self.raw.end.saturating_sub(self.next);
        if left == 0 {
            let before = self.ready.len();
            self.decoder.finish(&mut self.ready);
            return Ok(self.ready.len() > before);
        }
        let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let octets = body.read_at(self.next, len).await?;
        if octets.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.next += octets.len() as u64;
        self.decoder.push(&octets, &mut self.ready);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::BoxFuture;
    use crate::fixture::block_on;

    /// A body that counts how often it is read.
    struct Counted(Vec<u8>, AtomicUsize);

    impl Body for Counted {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let octets = rest[..rest.len().min(len)].to_vec();
            Box::pin(async { Ok(octets) })
        }
    }

    fn body(octets: impl Into<Vec<u8>>) -> Counted {
        Counted(octets.into(), AtomicUsize::new(0))
    }

    fn header(fields: &[(&str, &str)]) -> HeaderSection {
        let mut section = HeaderSection::default();
        fields.iter().for_each(|(name, value)| section.append(Field::new(name, value).unwrap()));
        section
    }

    #[test]
    fn the_body_is_read_once_until_the_fields_that_matter_change() {
        let parts = Parts::default();
        let body = body("--b\r\nX-A: 1\r\n\r\none\r\n--b--\r\n");
        let mixed = header(&[("Content-Type", "multipart/mixed; boundary=b"), ("Subject", "x")]);
        let tree = block_on(parts.tree(&mixed, &body)).unwrap();
        assert_eq!(tree.parts.len(), 2);
        let reads = body.1.load(Ordering::Relaxed);
        let mut more = mixed.clone();
        more.append(Field::new("X-Seen", "yes").unwrap());
        assert!(Arc::ptr_eq(&tree, &block_on(parts.clone().tree(&more, &body)).unwrap()));
        assert_eq!(body.1.load(Ordering::Relaxed), reads);
        let plain = header(&[("Content-Type", "text/plain")]);
        assert_eq!(block_on(parts.tree(&plain, &body)).unwrap().parts.len(), 1);

        let fields = block_on(header_of(&tree.parts[1], &body)).unwrap();
        assert_eq!(fields.fields()[0].value(), "1");
    }

    #[test]
    fn content_is_read_in_any_order_and_going_on_is_cheap() {
        let text: String = (0..100_000).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        let quoted: String = text.chars().map(|c| format!("={:02X}", c as u32)).collect();
        let body = body(quoted);
        let header = header(&[("Content-Transfer-Encoding", "quoted-printable")]);
        let tree = block_on(Parts::default().tree(&header, &body)).unwrap();
        let mut content = Content::new(&tree.parts[0]);
        let mut read = |offset, len| String::from_utf8(block_on(content.read(&body, offset, len)).unwrap()).unwrap();
        assert_eq!(read(0, 3), "abc");
        assert_eq!(read(3, 3), "def");
        assert_eq!(read(99_998, 10), text[99_998..]);
        assert_eq!(read(26, 2), "ab");
        assert_eq!(read(100_000, 10), "");
        assert_eq!(read(500_000, 10), "");
        let before = body.1.load(Ordering::Relaxed);
        assert_eq!(read(0, 1), "a");
        (1..20_000).for_each(|at| assert_eq!(read(at, 1).as_bytes()[0], text.as_bytes()[at as usize]));
        assert_eq!(body.1.load(Ordering::Relaxed), before + 1);
    }
}
