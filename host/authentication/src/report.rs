//! What was found out, as `Authentication-Results` tells it (RFC 8601 section 2.7, RFC 8616, RFC 8617 section 10).

use std::net::IpAddr;

use wasmail_mail::MethodResult;

use crate::{Arc, Dkim, Dmarc, Spf, Verdict};

/// What was found out so far about one message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Results<'a> {
    /// About HELO and the reverse-path.
    pub spf: Option<(&'a Spf, &'a Spf)>,
    /// About each signature.
    pub dkim: Option<&'a [Dkim]>,
    /// About the author's domain.
    pub dmarc: Option<&'a Dmarc>,
    /// About the chain.
    pub arc: Option<&'a Arc>,
    /// The client that sent it, which the chain is told with.
    pub ip: Option<IpAddr>,
}

impl Results<'_> {
    /// The results in the order in which one reads them.
    #[must_use]
    pub fn told(&self) -> Vec<MethodResult> {
        let mut told = Vec::new();
        if let Some((helo, mail_from)) = self.spf {
            told.push(spf(mail_from, "smtp.mailfrom", &mail_from.sender));
            told.push(spf(helo, "smtp.helo", &helo.domain));
        }
        match self.dkim {
            Some([]) => told.push(result("dkim", "none", None)),
            Some(signatures) => told.extend(signatures.iter().map(dkim)),
            None => {}
        }
        told.extend(self.dmarc.map(dmarc));
        told.extend(self.arc.map(|arc| of_arc(arc, self.ip)));
        told
    }
}

fn result(method: &'static str, result: &'static str, reason: Option<&'static str>) -> MethodResult {
    MethodResult { method, result, reason, properties: Vec::new() }
}

fn spf(told: &Spf, property: &'static str, identity: &str) -> MethodResult {
    let mut line = result("spf", told.result.as_str(), told.problem);
    line.properties.push((property, identity.to_owned()));
    line
}

fn dkim(told: &Dkim) -> MethodResult {
    let mut line = result("dkim", told.verdict.as_str(), told.problem);
    let properties = [
        ("header.d", told.domain.clone()),
        ("header.i", told.identity.clone()),
        ("header.s", told.selector.clone()),
        ("header.a", told.algorithm.map(str::to_owned)),
        ("header.b", told.signature.clone()),
    ];
    line.properties.extend(properties.into_iter().filter_map(|(name, value)| Some((name, value?))));
    line
}

fn dmarc(told: &Dmarc) -> MethodResult {
    let mut line = result("dmarc", told.verdict.as_str(), told.problem);
    line.properties.extend(told.domain.clone().map(|domain| ("header.from", domain)));
    line.properties.extend(told.policy.map(|policy| ("policy.dmarc", policy.as_str().to_owned())));
    line
}

fn of_arc(told: &Arc, ip: Option<IpAddr>) -> MethodResult {
    // The RFC knows three results: what cannot be known now has not passed.
    let keyword = match told.verdict {
        Verdict::None => "none",
        Verdict::Pass => "pass",
        _ => "fail",
    };
    let mut line = result("arc", keyword, told.problem);
    line.properties.extend(ip.map(|ip| ("smtp.remote-ip", ip.to_string())));
    line
}
