//! ARC: what those who handled a message on its way found out about it (RFC 8617).

use std::io;

use wasmail_mail::{Field, HeaderSection};

use crate::Verdict;
use crate::dkim::{
    BodyHashes, Canonical, KeyError, Message, Signature, algorithm, filled, find_key, key_name, own_field, selector,
    signed_fields, signing_domain, turn,
};
use crate::dns::{Dns, all_texts};
use crate::tags::Tags;

/// Sets that a chain may have (RFC 8617 section 4.2.1); each costs a question to the DNS.
pub const ARC_SETS_MAX: u32 = 50;

/// What was found out about the chain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arc {
    /// The result: none without a chain.
    pub verdict: Verdict,
    /// The number of the last set; 0 without a chain.
    pub instance: u32,
    /// The domain that has sealed last (`d`), in lower case.
    pub sealer: Option<String>,
    /// Why it did not pass.
    pub problem: Option<&'static str>,
}

const SEAL: &str = "ARC-Seal";
const SIGNATURE: &str = "ARC-Message-Signature";
const RESULTS: &str = "ARC-Authentication-Results";

/// Judges the chain of a message (section 5.2): all seals, and the last signature.
///
/// # Errors
/// When the body cannot be read back.
pub async fn arc(dns: &dyn Dns, message: Message<'_>) -> io::Result<Arc> {
    let mut told = Arc::default();
    let sets = match sets(message.header) {
        Ok(sets) => sets,
        Err(why) => return Ok(Arc { verdict: Verdict::Fail, problem: Some(why), ..told }),
    };
    // Without a last one there is none.
    let Some(last) = sets.last() else { return Ok(told) };
    told.instance = u32::try_from(sets.len()).unwrap_or(u32::MAX);
    told.sealer = Some(last.seal.domain.clone());
    let outcome = judge(dns, message, &sets).await?;
    (told.verdict, told.problem) =
        outcome.map_or_else(|(verdict, why)| (verdict, Some(why)), |()| (Verdict::Pass, None));
    Ok(told)
}

type Judged = Result<(), (Verdict, &'static str)>;

async fn judge(dns: &dyn Dns, message: Message<'_>, sets: &[Set<'_>]) -> io::Result<Judged> {
    let Some(last) = sets.last() else { return Ok(Ok(())) };
    for (at, set) in sets.iter().enumerate() {
        let right = if at == 0 { "none" } else { "pass" };
        if set.seal.chain != right {
            return Ok(Err((Verdict::Fail, "a seal says that the chain is broken")));
        }
    }
    let signature = match Tags::parse(last.signature.raw_value()).and_then(|tags| Signature::of_arc(&tags)) {
        Ok(signature) => signature,
        Err(why) => return Ok(Err((Verdict::Fail, why))),
    };
    let mut names = vec![key_name(&signature.selector, &signature.domain)];
    names.extend(sets.iter().map(|set| key_name(&set.seal.selector, &set.seal.domain)));
    let mut keys = all_texts(dns, names).await.into_iter().map(find_key);
    let mut verify = |how, signed: &[u8], by: &[u8]| {
        // As many were asked for as there are signatures.
        let key = keys.next().unwrap_or(Err((Verdict::Fail, "there is no key")));
        let key =
            key.map_err(|(verdict, why)| (if verdict == Verdict::TempError { verdict } else { Verdict::Fail }, why))?;
        match key.verify(how, signed, by) {
            Ok(true) => Ok(()),
            Ok(false) => Err((Verdict::Fail, "a signature or a seal is not of this message")),
            Err(KeyError::Weak(why) | KeyError::Unusable(why)) => Err((Verdict::Fail, why)),
        }
    };
    let signed = signed_fields(&signature, message.header, last.signature);
    if let Err(why) = verify(signature.algorithm, &signed, &signature.signature) {
        return Ok(Err(why));
    }
    for (at, set) in sets.iter().enumerate() {
        turn().await;
        if let Err(why) = verify(set.seal.algorithm, &sealed(&sets[..=at]), &set.seal.signature) {
            return Ok(Err(why));
        }
    }
    let hashes = BodyHashes::of(message.body, &[&signature]).await?;
    Ok(hashes.judge(&signature).map_err(|(_, why)| (Verdict::Fail, why)))
}

/// One handler's three fields.
struct Set<'a> {
    results: &'a Field,
    signature: &'a Field,
    seal_field: &'a Field,
    seal: Seal,
}

/// What a seal says (section 4.1.3).
struct Seal {
    algorithm: crate::dkim::Algorithm,
    signature: Vec<u8>,
    domain: String,
    selector: String,
    chain: String,
}

impl Seal {
    fn parse(field: &Field) -> Result<Self, &'static str> {
        let tags = Tags::parse(field.raw_value())?;
        // What a seal covers is fixed; one that says otherwise is refused.
        if tags.get("h").is_some() || tags.get("bh").is_some() {
            return Err("a seal says what it covers");
        }
        Ok(Self {
            algorithm: algorithm(&tags)?,
            signature: filled(&tags, "b").ok_or("b is missing or malformed")?,
            domain: signing_domain(&tags)?,
            selector: selector(&tags)?,
            chain: tags.get("cv").ok_or("cv is missing")?.to_ascii_lowercase(),
        })
    }
}

/// The sets in order, from 1 without a gap, each complete (section 5.2, steps 1 to 3).
fn sets(header: &HeaderSection) -> Result<Vec<Set<'_>>, &'static str> {
    let (seals, signatures, results) =
        (numbered(header, SEAL)?, numbered(header, SIGNATURE)?, numbered(header, RESULTS)?);
    if seals.len() != signatures.len() || seals.len() != results.len() {
        return Err("a set is not complete");
    }
    let mut sets = Vec::new();
    for ((seal_field, signature), results) in seals.into_iter().zip(signatures).zip(results) {
        sets.push(Set { results, signature, seal_field, seal: Seal::parse(seal_field)? });
    }
    Ok(sets)
}

/// The fields of a name in the order of their numbers.
fn numbered<'a>(header: &'a HeaderSection, name: &'a str) -> Result<Vec<&'a Field>, &'static str> {
    let mut fields = Vec::new();
    for field in header.named(name) {
        let number = instance(field).filter(|number| (1..=ARC_SETS_MAX).contains(number));
        fields.push((number.ok_or("a set has no number from 1 to 50")?, field));
    }
    fields.sort_by_key(|(number, _)| *number);
    let gapless = fields.iter().zip(1..).all(|((number, _), expected)| *number == expected);
    if gapless {
        Ok(fields.into_iter().map(|(_, field)| field).collect())
    } else {
        Err("the numbers of the sets have gaps")
    }
}

/// The tag `i`. In the results it is the first thing, and what follows is no list of tags (section 4.1.1).
fn instance(field: &Field) -> Option<u32> {
    let value = field.value().into_owned();
    let of_tags = Tags::parse(field.raw_value()).ok().and_then(|tags| tags.number("i").ok().flatten());
    let number = of_tags.or_else(|| {
        let (first, _) = value.split_once(';')?;
        let (name, number) = first.split_once('=')?;
        let number = number.trim();
        let plain = name.trim() == "i" && number.bytes().all(|octet| octet.is_ascii_digit());
        plain.then(|| number.parse().ok()).flatten()
    });
    number.and_then(|number| u32::try_from(number).ok())
}

/// What the last of these seals covers: all sets so far, relaxed, itself without its value (section 5.1.1).
fn sealed(sets: &[Set<'_>]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (at, set) in sets.iter().enumerate() {
        Canonical::Relaxed.field(set.results.raw(), &mut octets);
        Canonical::Relaxed.field(set.signature.raw(), &mut octets);
        if at + 1 < sets.len() {
            Canonical::Relaxed.field(set.seal_field.raw(), &mut octets);
        } else {
            own_field(Canonical::Relaxed, set.seal_field.raw(), &mut octets);
        }
    }
    octets
}
