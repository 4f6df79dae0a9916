//! Whether a verdict about delivery can be followed.

use std::collections::HashSet;
use std::net::IpAddr;

use wasmail_mail::Domain;

use super::{Consignment, Exchange, Said, Verdict};
use crate::{Fault, Grant, Grants, Rejected};

/// Octets of one line of text: more than any reply has (RFC 5321 §4.5.3.1.5).
const LINE_MAX: usize = 512;
/// Lines that are said of one recipient.
const LINES_MAX: usize = 100;
/// Servers that a plugin may name for a domain: no more are tried.
const EXCHANGES_MAX: usize = 10;
/// Octets of a host's name.
const HOST_MAX: usize = 255;

/// # Errors
/// The fault that it is.
pub(super) fn check(
    verdict: &Verdict,
    consignment: &Consignment,
    grants: Grants,
    routes: &[String],
) -> Result<(), Fault> {
    match verdict {
        Verdict::Next | Verdict::Delay(_) | Verdict::Bounce(None) => Ok(()),
        Verdict::Bounce(Some(text)) => line(text).map_err(bad),
        Verdict::Route(name) => {
            granted(grants, Grant::Route)?;
            if routes.contains(name) { Ok(()) } else { Err(bad(no_route(name, routes))) }
        }
        Verdict::Done(said) => {
            granted(grants, Grant::TakeMessages)?;
            done(said, consignment.targets.len()).map_err(bad)
        }
        Verdict::Exchanges(exchanges) => {
            granted(grants, Grant::Route)?;
            if exchanges.len() > EXCHANGES_MAX {
                return Err(bad(format!("more than {EXCHANGES_MAX} exchanges")));
            }
            exchanges.iter().try_for_each(exchange).map_err(bad)
        }
        Verdict::Silence => granted(grants, Grant::TakeMessages),
    }
}

fn bad(why: String) -> Fault {
    Fault::BadAnswer(format!("verdict: {why}"))
}

fn granted(grants: Grants, grant: Grant) -> Result<(), Fault> {
    if grants.has(grant) { Ok(()) } else { Err(Rejected::NotGranted(grant).into()) }
}

fn no_route(name: &str, routes: &[String]) -> String {
    match routes {
        [] => format!("route {name:?}: no route is configured"),
        _ => format!("route {name:?}: there is no such route; there are: {}", routes.join(", ")),
    }
}

fn done(said: &[Said], targets: usize) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (at, answer) in said.iter().enumerate() {
        let bad = |why: &str| Err(format!("answer {at}: {why}"));
        if answer.target >= targets {
            return bad(&format!("there are {targets} targets, and none {}", answer.target));
        }
        if !seen.insert(answer.target) {
            return bad(&format!("of target {} something is said already", answer.target));
        }
        let Some(code) = answer.code else { return bad("there is no code: 2yz, 4yz or 5yz says what became of it") };
        if !matches!(code, 200..=299 | 400..=599) {
            return bad(&format!("the code {code} is none of 2yz, 4yz and 5yz"));
        }
        if answer.enhanced.is_some_and(|enhanced| u16::from(enhanced.class()) != code / 100) {
            return bad("the enhanced status code does not fit the code");
        }
        if answer.lines.len() > LINES_MAX {
            return bad(&format!("more than {LINES_MAX} lines"));
        }
        answer.lines.iter().try_for_each(|text| line(text)).map_err(|why| format!("answer {at}: {why}"))?;
        if let Some(host) = &answer.host
            && (host.len() > HOST_MAX || host.chars().any(char::is_control))
        {
            return bad("the host is no name");
        }
    }
    Ok(())
}

fn exchange(exchange: &Exchange) -> Result<(), String> {
    let host = &exchange.host;
    let is_address = host.parse::<IpAddr>().is_ok();
    let is_name = || Domain::parse(host).is_ok_and(|domain| !domain.is_literal() && domain.is_ascii());
    match exchange.port {
        _ if !is_address && !is_name() => {
            Err(format!("exchange {host:?}: neither a host name in ASCII nor an address"))
        }
        Some(0) => Err(format!("exchange {host:?}: there is no port 0")),
        _ => Ok(()),
    }
}

fn line(text: &str) -> Result<(), String> {
    if text.len() > LINE_MAX {
        return Err(format!("a line has more than {LINE_MAX} octets"));
    }
    if text.chars().any(char::is_control) {
        return Err("a line holds a control character".to_owned());
    }
    Ok(())
}
