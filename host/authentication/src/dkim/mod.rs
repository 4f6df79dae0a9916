//! DKIM: who takes responsibility for a message (RFC 6376).

mod canonical;
mod key;
mod sign;
mod signature;

#[cfg(test)]
mod tests;

use std::io;

use wasmail_mail::{Field, HeaderSection};

use crate::Verdict;
use crate::dns::{BoxFuture, Dns, Unanswered, all_texts};
use crate::tags::Tags;
use canonical::BodyHash;

pub(crate) use canonical::Canonical;
pub(crate) use key::{Key, KeyError};
pub use sign::{CannotSign, PrivateKey, Signer, SigningKey};
pub(crate) use signature::{Algorithm, Signature, algorithm, filled, key_name, selector, signing_domain, unsigned};

/// Signatures of one message that are judged, those on top first: each costs a question to the DNS, and may cost the whole body.
pub const SIGNATURES_MAX: usize = 10;
/// Octets of the body that are read at a time. Hashing them takes less than a millisecond, so nobody waits for it.
const CHUNK: usize = 128 * 1024;

/// The body of a message, read piece by piece.
pub trait Body: Send + Sync {
    /// Reads at most `len` octets from `offset`; fewer near the end, none past it.
    ///
    /// # Errors
    /// When the octets cannot be read back.
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Vec<u8>>>;
}

/// A message as it came.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Its header section.
    pub header: &'a HeaderSection,
    /// Its body.
    pub body: &'a dyn Body,
}

/// What was found out about one signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dkim {
    /// The result.
    pub verdict: Verdict,
    /// The signing domain (`d`), in lower case.
    pub domain: Option<String>,
    /// The selector (`s`).
    pub selector: Option<String>,
    /// For whom it is signed (`i`), as it was written.
    pub identity: Option<String>,
    /// The algorithm (`a`).
    pub algorithm: Option<&'static str>,
    /// Bits of the key, once it was found.
    pub key_bits: Option<u32>,
    /// The owner of the key is only trying (`t=y`).
    pub testing: bool,
    /// The first octets of the signature in base64, which tell it from others (RFC 6008).
    pub signature: Option<String>,
    /// Why it did not pass.
    pub problem: Option<&'static str>,
}

/// Judges the signatures of a message, as many as [`SIGNATURES_MAX`], those on top first.
///
/// # Errors
/// When the body cannot be read back.
pub async fn dkim(dns: &dyn Dns, message: Message<'_>, now: u64) -> io::Result<Vec<Dkim>> {
    let fields: Vec<&Field> = message.header.named("DKIM-Signature").take(SIGNATURES_MAX).collect();
    let mut judged: Vec<Judged<'_>> = fields.iter().map(|field| Judged::begin(field, now)).collect();
    let names = judged.iter().filter_map(Judged::key_name).collect();
    let mut keys = all_texts(dns, names).await.into_iter();
    for judged in &mut judged {
        if judged.is_open() {
            judged.take_key(keys.next().unwrap_or(Err(Unanswered)), message.header);
            turn().await;
        }
    }
    let wanted: Vec<&Signature> = judged.iter().filter_map(Judged::open).collect();
    let hashes = BodyHashes::of(message.body, &wanted).await?;
    Ok(judged.into_iter().map(|judged| judged.finish(&hashes)).collect())
}

/// A signature while it is judged: open as long as nothing speaks against it.
struct Judged<'a> {
    field: &'a Field,
    signature: Option<Signature>,
    told: Dkim,
}

impl<'a> Judged<'a> {
    fn begin(field: &'a Field, now: u64) -> Self {
        let mut told = Dkim::default();
        let signature = Tags::parse(field.raw_value()).and_then(|tags| {
            // What can be told of a malformed one is told, too.
            told.domain = signing_domain(&tags).ok();
            told.selector = selector(&tags).ok();
            told.identity = tags.get("i").map(str::to_owned);
            told.algorithm = algorithm(&tags).ok().map(signature::Algorithm::as_str);
            told.signature = tags.dense("b").map(|b| b.chars().take(8).collect());
            Signature::of_dkim(&tags)
        });
        let mut judged = Self { field, signature: None, told };
        match signature {
            Err(why) => judged.close(Verdict::Neutral, why),
            Ok(signature) if signature.expires.is_some_and(|expires| expires <= now) => {
                judged.close(Verdict::Policy, "it has expired");
            }
            // RFC 8301 section 3.1.
            Ok(signature) if signature.algorithm == signature::Algorithm::RsaSha1 => {
                judged.close(Verdict::Policy, "SHA-1 is not believed");
            }
            Ok(signature) => judged.signature = Some(signature),
        }
        judged
    }

    fn close(&mut self, verdict: Verdict, why: &'static str) {
        (self.told.verdict, self.told.problem, self.signature) = (verdict, Some(why), None);
    }

    fn is_open(&self) -> bool {
        self.signature.is_some()
    }

    fn open(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    fn key_name(&self) -> Option<String> {
        self.open().map(|signature| key_name(&signature.selector, &signature.domain))
    }

    fn take_key(&mut self, records: Result<Vec<Vec<u8>>, Unanswered>, header: &HeaderSection) {
        let Some(signature) = &self.signature else { return };
        let key = match find_key(records) {
            Ok(key) => key,
            Err((verdict, why)) => return self.close(verdict, why),
        };
        (self.told.key_bits, self.told.testing) = (Some(key.bits), key.testing);
        let of_domain = |identity: &String| {
            identity.rsplit_once('@').and_then(|(_, domain)| crate::domain::usual(domain)).as_ref()
                == Some(&signature.domain)
        };
        if key.strict && !signature.identity.as_ref().is_none_or(of_domain) {
            return self.close(Verdict::PermError, "the key is for its own domain only");
        }
        let signed = signed_fields(signature, header, self.field);
        match key.verify(signature.algorithm, &signed, &signature.signature) {
            Ok(true) => {}
            Ok(false) => self.close(Verdict::Fail, "the signature is not of this header"),
            Err(KeyError::Weak(why)) => self.close(Verdict::Policy, why),
            Err(KeyError::Unusable(why)) => self.close(Verdict::PermError, why),
        }
    }

    fn finish(mut self, hashes: &BodyHashes) -> Dkim {
        let Some(signature) = &self.signature else { return self.told };
        match hashes.judge(signature) {
            Ok(()) => self.told.verdict = Verdict::Pass,
            Err((verdict, why)) => self.close(verdict, why),
        }
        self.told
    }
}

/// The key in what the DNS answers: the first record that is one. Several are not forbidden, and nobody says which counts.
pub(crate) fn find_key(records: Result<Vec<Vec<u8>>, Unanswered>) -> Result<Key, (Verdict, &'static str)> {
    let records = records.map_err(|_| (Verdict::TempError, "the DNS does not answer"))?;
    let mut why = "there is no key";
    for record in records.iter().take(SIGNATURES_MAX) {
        match Key::parse(record) {
            Ok(key) => return Ok(key),
            Err(KeyError::Weak(reason) | KeyError::Unusable(reason)) => why = reason,
        }
    }
    Err((Verdict::PermError, why))
}

/// The octets that are signed: the fields that the signature names, then itself.
pub(crate) fn signed_fields(signature: &Signature, header: &HeaderSection, own: &Field) -> Vec<u8> {
    let names = signature.fields.iter().map(String::as_str);
    let mut octets = fields_by_name(header, names, signature.of_header, Some(own));
    own_field(signature.of_header, own.raw(), &mut octets);
    octets
}

/// Fields by their names, of several the lowest first (section 5.4.2). A name without a field left stands for nothing.
fn fields_by_name<'n>(
    header: &HeaderSection,
    names: impl Iterator<Item = &'n str>,
    canonical: Canonical,
    except: Option<&Field>,
) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut used: Vec<(&str, usize)> = Vec::new();
    for name in names {
        let at = used.iter().position(|(known, _)| known.eq_ignore_ascii_case(name)).unwrap_or_else(|| {
            used.push((name, 0));
            used.len() - 1
        });
        let is_other = |field: &&Field| except.is_none_or(|own| !std::ptr::eq(*field, own));
        let mut of_name = header.fields().iter().rev().filter(|field| field.is(name)).filter(is_other);
        if let Some(field) = of_name.nth(used[at].1) {
            used[at].1 += 1;
            canonical.field(field.raw(), &mut octets);
        }
    }
    octets
}

/// Appends a signature's own field: without its value, and without a line end.
pub(crate) fn own_field(canonical: Canonical, raw: &[u8], into: &mut Vec<u8>) {
    canonical.field(&unsigned(raw), into);
    if into.ends_with(b"\r\n") {
        into.truncate(into.len() - 2);
    }
}

/// Hashes of a body in the forms that signatures want, all made while it is read once.
pub(crate) struct BodyHashes(Vec<((Canonical, Option<u64>), canonical::Hashed)>);

impl BodyHashes {
    /// # Errors
    /// When the body cannot be read back.
    pub(crate) async fn of(body: &dyn Body, wanted: &[&Signature]) -> io::Result<Self> {
        let mut hashes: Vec<((Canonical, Option<u64>), BodyHash)> = Vec::new();
        for signature in wanted {
            let form = form(signature);
            if !hashes.iter().any(|(known, _)| *known == form) {
                hashes.push((form, BodyHash::new(form.0, form.1)));
            }
        }
        let mut offset = 0;
        while !hashes.is_empty() {
            let chunk = body.read_at(offset, CHUNK).await?;
            if chunk.is_empty() {
                break;
            }
            offset += chunk.len() as u64;
            for (_, hash) in &mut hashes {
                hash.push(&chunk);
                turn().await;
            }
        }
        Ok(Self(hashes.into_iter().map(|(form, hash)| (form, hash.finish())).collect()))
    }

    /// Whether the body is the one that was signed, and all of it.
    pub(crate) fn judge(&self, signature: &Signature) -> Result<(), (Verdict, &'static str)> {
        let form = form(signature);
        // Every form that is asked about was wanted before.
        let hashed = self.0.iter().find(|(known, _)| *known == form).map(|(_, hashed)| hashed);
        let hashed = hashed.ok_or((Verdict::Neutral, "the body was not hashed"))?;
        if hashed.digest.as_ref() != signature.body_hash.as_slice() {
            return Err((Verdict::Fail, "the body is not the one that was signed"));
        }
        match signature.body_length {
            Some(length) if length > hashed.len => Err((Verdict::Neutral, "l is longer than the body")),
            // What stands behind can be anybody's (RFC 6376 section 8.2).
            Some(length) if length < hashed.len => Err((Verdict::Policy, "not all of the body is signed")),
            _ => Ok(()),
        }
    }
}

fn form(signature: &Signature) -> (Canonical, Option<u64>) {
    (signature.of_body, signature.body_length)
}

/// Lets others have the thread between two pieces of work.
pub(crate) async fn turn() {
    let mut been = false;
    std::future::poll_fn(|task| {
        if std::mem::replace(&mut been, true) {
            return std::task::Poll::Ready(());
        }
        task.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
