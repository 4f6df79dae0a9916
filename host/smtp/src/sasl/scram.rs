//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): the password is never shown, and what the server keeps of it cannot be
//! shown in its place. With PLUS the proof is bound to the TLS connection that it came by (RFC 9266).

use std::fmt;
use std::num::NonZeroU32;

use data_encoding::{BASE64, BASE64_NOPAD};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use super::CREDENTIAL_MAX;

/// Octets of a hash, and of the keys.
const LEN: usize = digest::SHA256_OUTPUT_LEN;
/// Longest nonce of a client's that is taken, in octets: they send some 30.
const NONCE_MAX: usize = 256;

/// What a server keeps of a password (RFC 5802 section 3).
///
/// As text it is what RFC 5803 writes into LDAP: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    stored_key: [u8; LEN],
    server_key: [u8; LEN],
}

impl ScramVerifier {
    /// How often new passwords are hashed: the client does it, at each session, and a telephone takes a tenth of a second.
    pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

    /// The verifier of a password, which is in the form of RFC 4013.
    #[must_use]
    pub fn new(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; LEN];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut salted);
        let key = hmac_of(&salted, b"Client Key");
        let stored_key = hash(&key);
        Self { salt: salt.to_vec(), iterations, stored_key, server_key: hmac_of(&salted, b"Server Key") }
    }

    /// One that no password has, for a user who is not there: it looks like any other, and is the same for the same user and `secret`.
    #[must_use]
    pub fn decoy(user: &str, secret: &[u8]) -> Self {
        let salt = hmac_of(secret, user.as_bytes());
        let random = |what: &[u8]| hmac_of(&salt, &[secret, what].concat());
        Self {
            salt: salt[..16].to_vec(),
            iterations: Self::ITERATIONS,
            stored_key: random(b"stored"),
            server_key: random(b"server"),
        }
    }

    /// Reads its text; none when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (hashed, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = hashed.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text.as_bytes()).ok()?.try_into().ok();
        Some(Self {
            salt: BASE64.decode(salt.as_bytes()).ok().filter(|salt| !salt.is_empty())?,
            iterations: iterations.parse().ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, stored, server) = (&self.salt, &self.stored_key, &self.server_key);
        let iterations = self.iterations;
        let [salt, stored, server] = [salt.as_slice(), stored, server].map(|octets| BASE64.encode(octets));
        write!(f, "SCRAM-SHA-256${iterations}:{salt}${stored}:{server}")
    }
}

/// Without the keys: with one of them anybody can play the server.
impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// An exchange on the server's side.
pub(super) struct Scram {
    /// The binding to the connection, for PLUS.
    binding: Option<Vec<u8>>,
    /// Whether PLUS is offered, too: a client that would rather use it must have seen that.
    plus_is_offered: bool,
    stage: Stage,
}

enum Stage {
    /// Nothing has been said.
    First,
    /// The client has said who it is.
    Named(First),
    /// It has to prove it.
    Challenged { first: First, verifier: ScramVerifier, nonce: String, server_first: String },
    /// It has, and has to hear that we are who we are.
    Proven(String),
    /// It makes no more sense.
    Over,
}

/// The client's first message.
struct First {
    gs2_header: String,
    bare: String,
    user: String,
    nonce: String,
}

/// What a message of the client's comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The client is to be sent this.
    Challenge(String),
    /// The verifier of this user is wanted.
    Wanted(String),
    /// It is this user.
    Proven(String),
    /// It is not who it says it is.
    Refused,
    /// It wants to act for another.
    ForAnother,
    /// It makes no sense.
    Malformed,
}

impl Scram {
    /// Plain SCRAM, or with a `binding` PLUS.
    pub(super) fn new(binding: Option<Vec<u8>>, plus_is_offered: bool) -> Self {
        Self { binding, plus_is_offered, stage: Stage::First }
    }

    pub(super) fn respond(&mut self, message: &str) -> Outcome {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::First => self.first(message),
            Stage::Challenged { first, verifier, nonce, server_first } => {
                self.last(message, &first, &verifier, &nonce, &server_first)
            }
            Stage::Proven(user) if message.is_empty() => Outcome::Proven(user),
            Stage::Proven(_) | Stage::Named(_) | Stage::Over => Outcome::Malformed,
        }
    }

    /// The client's first message: `n,,n=user,r=nonce`.
    fn first(&mut self, message: &str) -> Outcome {
        let mut parts = message.splitn(3, ',');
        let (Some(flag), Some(authorization), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Outcome::Malformed;
        };
        match (flag, &self.binding) {
            ("n", None) | ("p=tls-exporter", Some(_)) => {}
            // It believes that we cannot do PLUS: somebody has taken it out of the list (RFC 5802 section 6).
            ("y", None) if self.plus_is_offered => return Outcome::Refused,
            ("y", None) => {}
            _ => return Outcome::Malformed,
        }
        let mut attributes = bare.split(',');
        let user = attributes.next().and_then(|user| user.strip_prefix("n=")).and_then(unescaped);
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r=")).filter(|nonce| is_nonce(nonce));
        let (Some(user), Some(nonce)) = (user, nonce) else { return Outcome::Malformed };
        if user.is_empty() || user.len() > CREDENTIAL_MAX || user.chars().any(char::is_control) {
            return Outcome::Malformed;
        }
        match authorization.strip_prefix("a=").map(unescaped) {
            None if authorization.is_empty() => {}
            // GNU SASL writes it when there is none.
            Some(Some(other)) if other.is_empty() || other == user => {}
            Some(Some(_)) => return Outcome::ForAnother,
            None | Some(None) => return Outcome::Malformed,
        }
        let gs2_header = format!("{flag},{authorization},");
        let first = First { gs2_header, bare: bare.to_owned(), user: user.clone(), nonce: nonce.to_owned() };
        self.stage = Stage::Named(first);
        Outcome::Wanted(user)
    }

    /// The verifier that was wanted; `random` is the server's part of the nonce.
    pub(super) fn verifier(&mut self, verifier: ScramVerifier, random: &str) -> Outcome {
        let Stage::Named(first) = std::mem::replace(&mut self.stage, Stage::Over) else { return Outcome::Malformed };
        let nonce = format!("{}{random}", first.nonce);
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        self.stage = Stage::Challenged { first, verifier, nonce, server_first: server_first.clone() };
        Outcome::Challenge(server_first)
    }

    /// The client's final message: `c=biws,r=nonce,p=proof`.
    fn last(&mut self, message: &str, first: &First, verifier: &ScramVerifier, nonce: &str, said: &str) -> Outcome {
        let Some((without_proof, proof)) = message.rsplit_once(",p=") else { return Outcome::Malformed };
        let mut attributes = without_proof.split(',');
        let bound = attributes.next().and_then(|bound| bound.strip_prefix("c="));
        let (Some(bound), Some(theirs)) = (bound, attributes.next().and_then(|nonce| nonce.strip_prefix("r="))) else {
            return Outcome::Malformed;
        };
        let proof = BASE64.decode(proof.as_bytes()).ok().and_then(|proof| <[u8; LEN]>::try_from(proof).ok());
        let (Ok(bound), Some(proof)) = (BASE64.decode(bound.as_bytes()), proof) else { return Outcome::Malformed };
        let expected = [first.gs2_header.as_bytes(), self.binding.as_deref().unwrap_or_default()].concat();
        if bound != expected || theirs != nonce {
            return Outcome::Refused;
        }
        let exchange = format!("{},{said},{without_proof}", first.bare);
        let signature = hmac_of(&verifier.stored_key, exchange.as_bytes());
        let mut key = proof;
        key.iter_mut().zip(signature).for_each(|(octet, other)| *octet ^= other);
        if !is_same(&hash(&key), &verifier.stored_key) {
            return Outcome::Refused;
        }
        self.stage = Stage::Proven(first.user.clone());
        let signature = hmac_of(&verifier.server_key, exchange.as_bytes());
        Outcome::Challenge(format!("v={}", BASE64.encode(&signature)))
    }
}

/// The server's part of a nonce.
pub(super) fn random() -> String {
    let mut octets = [0; 18];
    // A system without randomness has no TLS either. Should it fail nevertheless, the client's part is there.
    let _ = SystemRandom::new().fill(&mut octets);
    BASE64_NOPAD.encode(&octets)
}

/// Printable ASCII without commas (RFC 5802 section 7).
fn is_nonce(text: &str) -> bool {
    (1..=NONCE_MAX).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

/// A name with `=2C` for a comma and `=3D` for an equals sign; none when there is another one.
fn unescaped(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    name.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (sign, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        name.push(sign);
        name.push_str(rest);
    }
    Some(name)
}

fn hash(octets: &[u8]) -> [u8; LEN] {
    filled(digest::digest(&digest::SHA256, octets).as_ref())
}

fn hmac_of(key: &[u8], octets: &[u8]) -> [u8; LEN] {
    filled(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), octets).as_ref())
}

/// In constant time, as codes are compared.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"comparison");
    hmac::verify(&key, one, hmac::sign(&key, other).as_ref()).is_ok()
}

/// SHA-256 has 32 octets.
fn filled(octets: &[u8]) -> [u8; LEN] {
    let mut array = [0; LEN];
    array.copy_from_slice(octets);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn verifier() -> ScramVerifier {
        let salt = BASE64.decode(SALT.as_bytes()).unwrap();
        ScramVerifier::new("pencil", &salt, NonZeroU32::new(4096).unwrap())
    }

    fn challenge(text: &str) -> Outcome {
        Outcome::Challenge(text.to_owned())
    }

    /// The example of RFC 7677 section 3.
    #[test]
    fn the_exchange_of_the_rfc() {
        let mut scram = Scram::new(None, false);
        assert_eq!(scram.respond("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), Outcome::Wanted("user".into()));
        let first = format!("r=rOprNGfwEbeRWgbNEkqO{NONCE},s={SALT},i=4096");
        assert_eq!(scram.verifier(verifier(), NONCE), challenge(&first));
        let last = format!("c=biws,r=rOprNGfwEbeRWgbNEkqO{NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        assert_eq!(scram.respond(&last), challenge("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert_eq!(scram.respond(""), Outcome::Proven("user".into()));
        assert_eq!(scram.respond(""), Outcome::Malformed);
    }

    /// A client, as the RFC has it.
    fn last(first: &str, server_first: &str, bound: &[u8], password: &str) -> String {
        let bare = first.splitn(3, ',').nth(2).unwrap();
        let nonce = server_first[2..].split(',').next().unwrap();
        let mut salted = [0; LEN];
        let (salt, iterations) = (BASE64.decode(SALT.as_bytes()).unwrap(), NonZeroU32::new(4096).unwrap());
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut salted);
        let key = hmac_of(&salted, b"Client Key");
        let without_proof = format!("c={},r={nonce}", BASE64.encode(bound));
        let signature = hmac_of(&hash(&key), format!("{bare},{server_first},{without_proof}").as_bytes());
        let proof: Vec<u8> = key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        format!("{without_proof},p={}", BASE64.encode(&proof))
    }

    fn ends(scram: &mut Scram, first: &str, bound: &[u8], password: &str) -> Outcome {
        match scram.respond(first) {
            Outcome::Wanted(_) => {}
            other => return other,
        }
        let Outcome::Challenge(said) = scram.verifier(verifier(), NONCE) else { panic!("it was wanted") };
        match scram.respond(&last(first, &said, bound, password)) {
            Outcome::Challenge(_) => scram.respond(""),
            other => other,
        }
    }

    #[test]
    fn the_proof_is_of_one_password_and_one_connection() {
        let plain =
            |first: &str, bound: &[u8], password: &str| ends(&mut Scram::new(None, true), first, bound, password);
        let proven = |user: &str| Outcome::Proven(user.to_owned());
        assert_eq!(plain("n,,n=user,r=x", b"n,,", "pencil"), proven("user"));
        assert_eq!(plain("n,,n=a=2Cb=3Dc,r=x,ext", b"n,,", "pencil"), proven("a,b=c"));
        assert_eq!(plain("n,a=user,n=user,r=x", b"n,a=user,", "pencil"), proven("user"));
        assert_eq!(plain("n,a=,n=user,r=x", b"n,a=,", "pencil"), proven("user"));
        assert_eq!(plain("n,,n=user,r=x", b"n,,", "Pencil"), Outcome::Refused);
        assert_eq!(plain("n,,n=user,r=x", b"y,,", "pencil"), Outcome::Refused);
        // Who has not seen PLUS though it was offered has been lied to.
        assert_eq!(plain("y,,n=user,r=x", b"y,,", "pencil"), Outcome::Refused);
        assert_eq!(ends(&mut Scram::new(None, false), "y,,n=user,r=x", b"y,,", "pencil"), proven("user"));
        let plus = |first: &str, bound: &[u8]| ends(&mut Scram::new(Some(b"EKM".into()), true), first, bound, "pencil");
        assert_eq!(plus("p=tls-exporter,,n=user,r=x", b"p=tls-exporter,,EKM"), proven("user"));
        assert_eq!(plus("p=tls-exporter,,n=user,r=x", b"p=tls-exporter,,other"), Outcome::Refused);
        assert_eq!(plus("p=tls-unique,,n=user,r=x", b""), Outcome::Malformed);
        assert_eq!(plus("n,,n=user,r=x", b"n,,"), Outcome::Malformed);
    }

    #[test]
    fn what_makes_no_sense_is_malformed() {
        for first in [
            "",
            "n",
            "n,,",
            "n,,n=user",
            "n,,r=x,n=user",
            "n,,n=,r=x",
            "n,,n=us=er,r=x",
            "n,,n=user,r=",
            "n,,m=x,n=user,r=x",
            "n,x,n=user,r=x",
            "n,a==,n=user,r=x",
            "x,,n=user,r=x",
            "p=,,n=user,r=x",
            "n,,n=us\ner,r=x",
            "n,,n=user,r=\u{fc}",
        ] {
            assert_eq!(Scram::new(None, false).respond(first), Outcome::Malformed, "{first}");
        }
        assert_eq!(Scram::new(None, false).respond("n,a=eva,n=user,r=x"), Outcome::ForAnother);
        for last in ["", "c=biws,r=x", "c=biws,p=AA==", "c=!,r=x,p=AA==", "c=biws,r=x,p=AA=="] {
            let mut scram = Scram::new(None, false);
            scram.respond("n,,n=user,r=x");
            scram.verifier(verifier(), NONCE);
            assert_eq!(scram.respond(last), Outcome::Malformed, "{last}");
        }
    }

    #[test]
    fn a_verifier_is_a_text() {
        let text = verifier().to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"), "{text}");
        assert_eq!(ScramVerifier::parse(&text), Some(verifier()));
        assert!(!format!("{:?}", verifier()).contains(&text[40..50]));
        for wrong in ["", "SCRAM-SHA-256$0:AA==$AA==:AA==", &text[..text.len() - 4], &text.replace("256", "1")] {
            assert_eq!(ScramVerifier::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_decoy_is_always_the_same_for_the_same_user() {
        let decoy = |user: &str| ScramVerifier::decoy(user, b"secret");
        assert_eq!(decoy("a"), decoy("a"));
        assert_ne!(decoy("a").salt, decoy("b").salt);
        assert_eq!((decoy("a").salt.len(), decoy("a").iterations), (16, ScramVerifier::ITERATIONS));
    }

    proptest! {
        #[test]
        fn no_message_is_too_odd(first in ".{0,60}", last in ".{0,60}") {
            for start in ["", "n,,n=user,r="] {
                let mut scram = Scram::new(None, false);
                if let Outcome::Wanted(_) = scram.respond(&format!("{start}{first}")) {
                    scram.verifier(verifier(), NONCE);
                    prop_assert!(!matches!(scram.respond(&last), Outcome::Proven(_) | Outcome::Challenge(_)));
                }
            }
        }
    }
}
