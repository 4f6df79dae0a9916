//! DMARC: whether the author's domain stands behind a message, and what it wants done otherwise (RFC 7489).

use wasmail_mail::HeaderSection;
use wasmail_mime::view;

use crate::dns::{Dns, Unanswered, texts};
use crate::domain::{is_within, organisational, usual};
use crate::tags::Tags;
use crate::{Dkim, Spf, SpfResult, Verdict};

#[cfg(test)]
mod tests;

/// What the domain owner wants done with a message that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disposition {
    /// Nothing.
    #[default]
    None,
    /// It is suspicious.
    Quarantine,
    /// It is refused.
    Reject,
}

impl Disposition {
    /// The keyword of the RFC.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Quarantine, Self::Reject].into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    /// One step milder, for what a percentage leaves out (section 6.6.4).
    const fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dmarc {
    /// The result: none where no policy is published.
    pub verdict: Verdict,
    /// The author's domain, from the field From, in lower case.
    pub domain: Option<String>,
    /// Its organisational domain.
    pub organisational_domain: Option<String>,
    /// What is published for such messages; none where nothing is.
    pub policy: Option<Disposition>,
    /// What to do with this one: nothing when it passes, and milder for those that the percentage leaves out.
    pub disposition: Disposition,
    /// The percentage of failing messages that the policy is for.
    pub percent: u8,
    /// SPF passes for a domain that is aligned with the author's.
    pub spf_aligned: bool,
    /// A signature passes of a domain that is aligned with the author's.
    pub dkim_aligned: bool,
    /// Why it is not judged.
    pub problem: Option<&'static str>,
}

/// Judges a message by what SPF found out about its reverse-path, and DKIM about its signatures. `lot` is from 0 to 99, and decides
/// whether a message belongs to those that a percentage leaves out.
pub async fn dmarc(dns: &dyn Dns, header: &HeaderSection, spf: &Spf, dkim: &[Dkim], lot: u8) -> Dmarc {
    let domain = match author(header) {
        Ok(domain) => domain,
        Err(why) => return Dmarc { verdict: Verdict::PermError, problem: Some(why), ..Dmarc::default() },
    };
    let org = organisational(&domain).to_owned();
    let told = Dmarc { domain: Some(domain.clone()), organisational_domain: Some(org.clone()), ..Dmarc::default() };
    let (policy, of_parent) = match discover(dns, &domain, &org).await {
        Ok(Some(found)) => found,
        Ok(None) => return told,
        Err(Unanswered) => {
            return Dmarc { verdict: Verdict::TempError, problem: Some("the DNS does not answer"), ..told };
        }
    };
    let wanted = if of_parent { policy.of_subdomains } else { policy.of_domain };
    let aligned = |other: &str, strict: bool| if strict { other == domain } else { organisational(other) == org };
    let of_spf = usual(&spf.domain).is_some_and(|of_spf| aligned(&of_spf, policy.strict_spf));
    let of_dkim = |verdict: Verdict| {
        let mut signatures = dkim.iter().filter(move |told| told.verdict == verdict);
        signatures.any(|told| told.domain.as_ref().is_some_and(|of_dkim| aligned(of_dkim, policy.strict_dkim)))
    };
    let spf_aligned = of_spf && spf.result == SpfResult::Pass;
    let dkim_aligned = of_dkim(Verdict::Pass);
    let unknown = (of_spf && spf.result == SpfResult::TempError) || of_dkim(Verdict::TempError);
    let verdict = match (spf_aligned || dkim_aligned, unknown) {
        (true, _) => Verdict::Pass,
        (false, true) => Verdict::TempError,
        (false, false) => Verdict::Fail,
    };
    let problem = (verdict == Verdict::TempError).then_some("the DNS does not answer");
    let disposition = match verdict {
        Verdict::Fail if lot < policy.percent => wanted,
        Verdict::Fail => wanted.milder(),
        _ => Disposition::None,
    };
    Dmarc {
        verdict,
        policy: Some(wanted),
        disposition,
        percent: policy.percent,
        spf_aligned,
        dkim_aligned,
        problem,
        ..told
    }
}

/// The one domain of the authors (section 6.6.1). What has none or several cannot be judged; that is said, so that nobody takes it for
/// a domain without a policy.
pub(crate) fn author(header: &HeaderSection) -> Result<String, &'static str> {
    let mut fields = header.named("From");
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err("there is not exactly one From");
    };
    let mut author: Option<String> = None;
    for address in view::addresses(field) {
        let Some(address) = address.address else { continue };
        let domain = address.rsplit_once('@').and_then(|(_, domain)| usual(domain));
        let domain = domain.ok_or("From has an address without a domain")?;
        if author.as_ref().is_some_and(|known| *known != domain) {
            return Err("From has several domains");
        }
        author = Some(domain);
    }
    author.ok_or("From has no address")
}

/// What a domain publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Policy {
    of_domain: Disposition,
    of_subdomains: Disposition,
    strict_spf: bool,
    strict_dkim: bool,
    percent: u8,
}

/// The policy for a domain, and whether it is the organisational domain's for one below it (section 6.6.3).
async fn discover(dns: &dyn Dns, domain: &str, org: &str) -> Result<Option<(Policy, bool)>, Unanswered> {
    for (at, name) in [domain, org].into_iter().enumerate() {
        let records = texts(dns, &format!("_dmarc.{name}")).await?;
        let mut policies = records.iter().filter(|record| record.starts_with(b"v=DMARC1"));
        match (policies.next(), policies.next()) {
            (Some(record), None) => return Ok(Policy::parse(record).map(|policy| (policy, at > 0))),
            // Two of them are none, and the search ends.
            (Some(_), Some(_)) => return Ok(None),
            (None, _) if !is_within(domain, org) || domain == org => return Ok(None),
            (None, _) => {}
        }
    }
    Ok(None)
}

impl Policy {
    /// None for a record that is none (section 6.3).
    fn parse(record: &[u8]) -> Option<Self> {
        let tags = Tags::parse(record).ok()?;
        if tags.first() != Some("v") || tags.get("v") != Some("DMARC1") {
            return None;
        }
        let reports = || tags.get("rua").is_some_and(|rua| rua.to_ascii_lowercase().contains("mailto:"));
        let of_domain = tags.get("p").and_then(Disposition::parse);
        let of_subdomains = match tags.get("sp") {
            Some(policy) => Disposition::parse(policy),
            None => of_domain,
        };
        // A policy that nobody can read is none, where reports are wanted all the same (section 6.6.3).
        let (of_domain, of_subdomains) = match (of_domain, of_subdomains) {
            (Some(of_domain), Some(of_subdomains)) => (of_domain, of_subdomains),
            _ if reports() => (Disposition::None, Disposition::None),
            _ => return None,
        };
        let strict = |tag| tags.get(tag).is_some_and(|mode| mode.eq_ignore_ascii_case("s"));
        let percent = tags.number("pct").ok().flatten().and_then(|percent| u8::try_from(percent).ok());
        let percent = percent.filter(|percent| *percent <= 100).unwrap_or(100);
        Some(Self { of_domain, of_subdomains, strict_spf: strict("aspf"), strict_dkim: strict("adkim"), percent })
    }
}
