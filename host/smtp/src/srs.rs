//! The Sender Rewriting Scheme: mail from others that we send on has a reverse-path of ours, which leads back to theirs.
//!
//! Whoever forwards mail is none of the servers that the sender's domain names by SPF (RFC 7208 appendix D.3). So the message goes on
//! from `SRS0=HASH=TT=their.domain=them@our.domain`; when a notification comes for that address, and it is one that we have made and not
//! too old, it goes to `them@their.domain`. Of a message that was rewritten before, only the first forwarder's address is kept
//! (`SRS1=HASH=first.forwarder==HASH=TT=…@our.domain`), so it grows no more. As <https://www.libsrs2.net/srs/srs.pdf> has it.

use std::fmt;
use std::time::SystemTime;

use data_encoding::BASE32_NOPAD;
use ring::hmac;
use wasmail_mail::{Domain, ForwardPath, Mailbox, ReversePath};

/// Characters of a code: 40 bits, so that guessing takes longer than a key is used.
const CODE_LEN: usize = 8;
/// Days are counted by two characters of 5 bits.
const DAYS: u64 = 1 << 10;
const DAY_SECONDS: u64 = 24 * 3600;
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Writes and reads such addresses.
#[derive(Clone)]
pub struct Srs {
    domain: Domain,
    keys: Vec<hmac::Key>,
    max_age: u64,
}

/// Without the keys.
impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srs").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// Why an address of our domain leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOurs {
    /// It is none that we have made.
    Forged,
    /// We have made it, too long ago.
    TooOld,
}

impl Srs {
    /// How long an address is good when nothing is said, in days: longer than any server tries to deliver.
    pub const MAX_AGE: u64 = 21;

    /// For addresses at `domain`. The first secret makes them; those of all are known again. There must be one.
    #[must_use]
    pub fn new(domain: Domain, secrets: &[impl AsRef<[u8]>], max_age: u64) -> Self {
        let keys = secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref())).collect();
        Self { domain, keys, max_age: max_age.min(DAYS - 1) }
    }

    /// The reverse-path with which a message goes on; none when it can go as it is, or no path can be made of its own: it is null, ours
    /// already, quoted, or too long.
    #[must_use]
    pub fn forward(&self, reverse_path: &ReversePath, now: SystemTime) -> Option<ReversePath> {
        let mailbox = reverse_path.mailbox()?;
        let (local, domain) = (mailbox.local_part(), mailbox.domain());
        if *domain == self.domain || local.starts_with('"') {
            return None;
        }
        let tagged = match (tag(local), &local.get(4..)) {
            (Some(0), Some(rest)) => self.again(&format!("{domain}={rest}"))?,
            (Some(1), Some(rest)) => self.again(rest.get(1..)?.split_once('=')?.1)?,
            _ => {
                let text = format!("{}={domain}={local}", stamp(day(now)));
                format!("SRS0={}={text}", self.code(&text)?)
            }
        };
        ReversePath::parse(&format!("<{tagged}@{}>", self.domain)).ok()
    }

    /// Where a notification for this address goes; none when it is not of this kind.
    ///
    /// # Errors
    /// When it looks like one, and is not good.
    pub fn reverse(&self, path: &ForwardPath, now: SystemTime) -> Option<Result<ForwardPath, NotOurs>> {
        let mailbox = path.mailbox().filter(|mailbox| *mailbox.domain() == self.domain)?;
        let local = mailbox.local_part();
        let kind = tag(local)?;
        Some(self.original(kind, local, now).and_then(|text| {
            let mailbox = Mailbox::parse(&text).map_err(|_| NotOurs::Forged)?;
            ForwardPath::parse(&format!("<{mailbox}>")).map_err(|_| NotOurs::Forged)
        }))
    }

    fn original(&self, kind: u8, local: &str, now: SystemTime) -> Result<String, NotOurs> {
        let (code, text) = local[4..].get(1..).and_then(|rest| rest.split_once('=')).ok_or(NotOurs::Forged)?;
        if !self.keys.iter().any(|key| is_same(code, &code_of(key, text))) {
            return Err(NotOurs::Forged);
        }
        if kind == 1 {
            let (forwarder, rest) = text.split_once('=').ok_or(NotOurs::Forged)?;
            return Ok(format!("SRS0{rest}@{forwarder}"));
        }
        let (stamped, address) = text.split_once('=').ok_or(NotOurs::Forged)?;
        let (domain, local) = address.split_once('=').ok_or(NotOurs::Forged)?;
        let made = days(stamped).ok_or(NotOurs::Forged)?;
        let age = (day(now) + DAYS - made) % DAYS;
        // Clocks of several servers differ.
        let is_young = age <= self.max_age || age == DAYS - 1;
        if is_young { Ok(format!("{local}@{domain}")) } else { Err(NotOurs::TooOld) }
    }

    /// A path that somebody has rewritten before us: `text` names that first one and what it made.
    fn again(&self, text: &str) -> Option<String> {
        Some(format!("SRS1={}={text}", self.code(text)?))
    }

    fn code(&self, text: &str) -> Option<String> {
        self.keys.first().map(|key| code_of(key, text))
    }
}

/// Whether the local part is of the scheme: 0 or 1.
fn tag(local: &str) -> Option<u8> {
    let prefix = local.get(..4)?;
    if !matches!(local.as_bytes().get(4), Some(b'=' | b'+' | b'-')) {
        return None;
    }
    match prefix {
        _ if prefix.eq_ignore_ascii_case("SRS0") => Some(0),
        _ if prefix.eq_ignore_ascii_case("SRS1") => Some(1),
        _ => None,
    }
}

/// Case is lost on the way: neither texts nor codes have any.
fn code_of(key: &hmac::Key, text: &str) -> String {
    let tag = hmac::sign(key, text.to_lowercase().as_bytes());
    BASE32_NOPAD.encode(tag.as_ref())[..CODE_LEN].to_ascii_lowercase()
}

fn is_same(one: &str, other: &str) -> bool {
    let differ = |all, (a, b): (u8, u8)| all | (a.to_ascii_lowercase() ^ b);
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, differ) == 0
}

fn day(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()) / DAY_SECONDS % DAYS
}

fn stamp(day: u64) -> String {
    [day / 32, day % 32].map(|digit| char::from(DIGITS[digit as usize])).iter().collect()
}

fn days(stamp: &str) -> Option<u64> {
    let digit = |octet: u8| DIGITS.iter().position(|known| *known == octet.to_ascii_lowercase()).map(|at| at as u64);
    match stamp.as_bytes() {
        [high, low] => Some(digit(*high)? * 32 + digit(*low)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY_SECONDS + 5)
    }

    fn srs(domain: &str) -> Srs {
        Srs::new(Domain::parse(domain).unwrap(), &["a secret"], Srs::MAX_AGE)
    }

    fn forwarded(srs: &Srs, from: &str, now: SystemTime) -> String {
        let path = srs.forward(&ReversePath::parse(&format!("<{from}>")).unwrap(), now);
        path.and_then(|path| path.mailbox().map(ToString::to_string)).unwrap_or_default()
    }

    fn reversed(srs: &Srs, to: &str, now: SystemTime) -> Option<Result<String, NotOurs>> {
        let path = srs.reverse(&ForwardPath::parse(&format!("<{to}>")).unwrap(), now)?;
        Some(path.map(|path| path.mailbox().unwrap().to_string()))
    }

    #[test]
    fn what_goes_on_leads_back() {
        let srs = srs("us.example");
        let address = forwarded(&srs, "Them+tag@their.example", at(20_000));
        assert!(address.starts_with("SRS0=") && address.ends_with("=their.example=Them+tag@us.example"), "{address}");
        assert_eq!(reversed(&srs, &address, at(20_021)), Some(Ok("Them+tag@their.example".to_owned())));
        // Case may be lost on the way.
        assert_eq!(reversed(&srs, &address.to_lowercase(), at(20_001)), Some(Ok("them+tag@their.example".to_owned())));
        assert_eq!(reversed(&srs, &address, at(20_022)), Some(Err(NotOurs::TooOld)));
        assert_eq!(reversed(&srs, &address.replace("their", "other"), at(20_000)), Some(Err(NotOurs::Forged)));
        assert_eq!(reversed(&srs, "SRS0=x@us.example", at(20_000)), Some(Err(NotOurs::Forged)));
        assert_eq!(reversed(&srs, "srs0-fan@us.example", at(20_000)), Some(Err(NotOurs::Forged)));
        for other in ["somebody@us.example", "SRS0=x@their.example", "srs@us.example"] {
            assert_eq!(reversed(&srs, other, at(20_000)), None, "{other}");
        }
    }

    #[test]
    fn what_stays_as_it_is() {
        let srs = srs("us.example");
        assert_eq!(forwarded(&srs, "a@US.example", at(1)), "");
        assert_eq!(forwarded(&srs, "\"a b\"@their.example", at(1)), "");
        assert_eq!(srs.forward(&ReversePath::Null, at(1)), None);
    }

    #[test]
    fn a_chain_of_forwarders_leads_back_one_after_the_other() {
        let (first, second, third) = (srs("one.example"), srs("two.example"), srs("three.example"));
        let one = forwarded(&first, "a@their.example", at(7));
        let two = forwarded(&second, &one, at(7));
        let three = forwarded(&third, &two, at(7));
        assert!(two.starts_with("SRS1=") && two.contains("=one.example=="), "{two}");
        assert_eq!(three.len(), two.len() + 2, "it grows no more: {three}");
        // The third one's goes to the first one at once.
        assert_eq!(reversed(&third, &three, at(8)), Some(Ok(one.clone())));
        assert_eq!(reversed(&second, &two, at(8)), Some(Ok(one.clone())));
        assert_eq!(reversed(&first, &one, at(8)), Some(Ok("a@their.example".to_owned())));
    }

    #[test]
    fn a_new_secret_leaves_the_old_addresses_good() {
        let old = srs("us.example");
        let address = forwarded(&old, "a@their.example", at(7));
        let domain = || Domain::parse("us.example").unwrap();
        let new = Srs::new(domain(), &["new", "a secret"], Srs::MAX_AGE);
        assert!(matches!(reversed(&new, &address, at(7)), Some(Ok(_))));
        assert_ne!(forwarded(&new, "a@their.example", at(7)), address);
        let other = Srs::new(domain(), &["new"], Srs::MAX_AGE);
        assert_eq!(reversed(&other, &address, at(7)), Some(Err(NotOurs::Forged)));
    }

    #[test]
    fn days_go_round() {
        let srs = srs("us.example");
        let address = forwarded(&srs, "a@their.example", at(DAYS - 1));
        assert!(matches!(reversed(&srs, &address, at(DAYS + 5)), Some(Ok(_))));
        assert_eq!(reversed(&srs, &address, at(DAYS + 500)), Some(Err(NotOurs::TooOld)));
    }

    proptest! {
        #[test]
        fn nothing_that_others_make_up_is_good(local in "[!-~]{1,60}", day in 0u64..30_000) {
            let Ok(path) = ForwardPath::parse(&format!("<SRS0={local}@us.example>")) else { return Ok(()) };
            prop_assert!(!matches!(srs("us.example").reverse(&path, at(day)), Some(Ok(_))));
        }

        #[test]
        fn every_plain_sender_is_found_again(local in "[a-z0-9=+-]{1,30}", day in 0u64..30_000) {
            let (srs, from) = (srs("us.example"), format!("{local}@their.example"));
            let address = forwarded(&srs, &from, at(day));
            if tag(&local).is_none() {
                prop_assert_eq!(reversed(&srs, &address, at(day + 3)), Some(Ok(from)));
            }
        }
    }
}
