//! Who asks, and what that one may.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use parking_lot::Mutex;
use wasmail_tenants::{Author, Failure, Scope, TenantName, token_id};

use crate::Shared;
use crate::problem::Problem;

/// Guesses from one address in a minute: whoever mistypes has a few, and 256 bits need more.
const GUESSES: u32 = 20;
/// Requests by one token in a minute.
const REQUESTS: u32 = 1_200;
/// Addresses and tokens that are remembered; whoever comes on top is counted with the others that nobody knows.
const REMEMBERED: usize = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Who has shown a token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) scope: Scope,
    token: String,
    from: IpAddr,
    at: u64,
}

/// The other end of a connection, as the listener tells the handlers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Counts by the minute.
pub(crate) struct Counts<K>(Mutex<HashMap<K, (Instant, u32)>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: std::hash::Hash + Eq> Counts<K> {
    /// Counts one more; the time to wait when there were too many.
    fn count(&self, key: K, most: u32, now: Instant) -> Option<Duration> {
        let mut counts = self.0.lock();
        if counts.len() >= REMEMBERED {
            counts.retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
        }
        let (since, count) = counts.entry(key).or_insert((now, 0));
        if now.duration_since(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        (*count > most).then(|| MINUTE.saturating_sub(now.duration_since(*since)))
    }

    fn is_over(&self, key: &K, most: u32, now: Instant) -> Option<Duration> {
        let counts = self.0.lock();
        let (since, count) = counts.get(key)?;
        let left = MINUTE.checked_sub(now.duration_since(*since))?;
        (*count >= most).then_some(left)
    }
}

/// What the guard remembers.
#[derive(Default)]
pub(crate) struct Guard {
    guesses: Counts<IpAddr>,
    requests: Counts<String>,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>();
        let from = peer.map_or(IpAddr::from([0; 4]), |Peer(address)| address.ip());
        let now = Instant::now();
        if let Some(wait) = shared.guard.guesses.is_over(&from, GUESSES, now) {
            return Err(too_many("Too many wrong tokens came from your address", wait));
        }
        let Some(shown) = shown(parts) else {
            return Err(unauthorized("the request has no token: send `Authorization: Bearer wml_…`"));
        };
        let at = millis(SystemTime::now());
        let found = match token_id(shown) {
            Some(id) => match shared.registry.token(&id).await {
                Ok((token, hash)) => token.is_shown(&hash, shown, at).then_some(token),
                Err(Failure::Refused(_)) => None,
                Err(failure) => return Err(failure.into()),
            },
            None => None,
        };
        let Some(token) = found else {
            shared.guard.guesses.count(from, u32::MAX, now);
            return Err(unauthorized("the token is unknown, revoked or expired"));
        };
        if let Some(wait) = shared.guard.requests.count(token.id.to_string(), REQUESTS, now) {
            return Err(too_many("Too many requests came with your token", wait));
        }
        Ok(Self { scope: token.scope, token: token.id.to_string(), from, at })
    }
}

fn shown(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(detail: &str) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Who are you?", detail);
    problem.header(header::WWW_AUTHENTICATE, "Bearer realm=\"wasmail\"")
}

fn too_many(title: &'static str, wait: Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    let detail = format!("try again in {seconds} s");
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many", title, detail);
    problem.header(header::RETRY_AFTER, seconds.to_string())
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Caller {
    /// Who it is, for the audit log.
    pub(crate) fn author(&self) -> Author {
        Author { who: self.token.clone(), from: Some(self.from), at: self.at }
    }

    pub(crate) const fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// A tenant's name in a path. Of another tenant's things its token learns nothing, not even that they are there.
    pub(crate) fn reads(&self, tenant: &str) -> Result<TenantName, Problem> {
        let not_there = || Problem::not_found(format!("there is no tenant `{tenant}`"));
        let name: TenantName = tenant.parse().map_err(|_| not_there())?;
        if self.scope.sees(&name) { Ok(name) } else { Err(not_there()) }
    }

    /// The same, to change something.
    pub(crate) fn writes(&self, tenant: &str) -> Result<TenantName, Problem> {
        let name = self.reads(tenant)?;
        self.may_write()?;
        Ok(name)
    }

    /// What is the operator's own.
    pub(crate) fn is_operator(&self) -> Result<(), Problem> {
        if self.scope.tenant().is_none() {
            return Ok(());
        }
        Err(forbidden("this is the operator's; your token is one tenant's"))
    }

    /// The same, to change something.
    pub(crate) fn operates(&self) -> Result<(), Problem> {
        self.is_operator()?;
        self.may_write()
    }

    fn may_write(&self) -> Result<(), Problem> {
        if self.scope.writes() { Ok(()) } else { Err(forbidden("your token may only read")) }
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "Your token does not allow this", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_of_a_minute() {
        let (counts, now) = (Counts::<u8>::default(), Instant::now());
        assert!((0..3).all(|_| counts.count(1, 3, now).is_none()));
        assert_eq!(counts.count(1, 3, now + MINUTE / 3), Some(MINUTE * 2 / 3));
        assert!(counts.count(2, 3, now).is_none() && counts.count(1, 3, now + MINUTE).is_none());
    }
}
