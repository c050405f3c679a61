//! Admission: under which deadline, at which moment and on which rung a request is to be answered.

use std::time::{Duration, Instant};

use upnext_common::clock::Clock;
use upnext_common::deadline::Deadline;
use upnext_common::tier::Tier;
use upnext_http::Problem;
use upnext_http::axum::http::HeaderMap;

const DEADLINE: &str = "x-upnext-deadline-ms";
const ENVOY_DEADLINE: &str = "x-envoy-expected-rq-timeout-ms";
const GRPC_DEADLINE: &str = "grpc-timeout";
const AS_OF: &str = "x-upnext-as-of-ms";
const TIER: &str = "x-upnext-tier";
/// gRPC allows at most eight digits before the unit.
const GRPC_DIGITS_MAX: usize = 8;

/// The rungs that can be forced; the others are not made by themselves.
pub(crate) const FORCEABLE: [Tier; 4] = [Tier::Full, Tier::Session, Tier::Trending, Tier::Static];

/// What the headers of a request say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) admitted: Instant,
    pub(crate) deadline: Deadline,
    /// The moment at which everything is evaluated: now, or what the caller set.
    pub(crate) now_ms: i64,
    pub(crate) forced: Option<Tier>,
}

/// What the configuration says about admission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionRules {
    pub(crate) deadline: Duration,
    pub(crate) allow_as_of: bool,
}

/// Reads the headers.
///
/// # Errors
/// A 400 problem for a header that is not understood or, where `serve.allow_as_of` is off, not honoured.
pub(crate) fn admit(
    headers: &HeaderMap,
    rules: AdmissionRules,
    clock: &Clock,
) -> Result<Admission, Problem> {
    let admitted = clock.instant();
    let mut deadline = Deadline::after(admitted, rules.deadline);
    for budget in [
        milliseconds(headers, DEADLINE)?,
        milliseconds(headers, ENVOY_DEADLINE)?,
        grpc_timeout(headers)?,
    ]
    .into_iter()
    .flatten()
    {
        deadline = deadline.within(admitted, budget);
    }
    let as_of_ms = as_of(headers, rules)?;
    Ok(Admission {
        admitted,
        deadline,
        now_ms: as_of_ms.unwrap_or_else(|| clock.now_ms()),
        forced: forced_tier(headers, rules)?,
    })
}

/// `X-Upnext-As-Of-Ms`, where it is honoured.
///
/// # Errors
/// A 400 problem when it is not a time, or not honoured.
pub(crate) fn as_of(headers: &HeaderMap, rules: AdmissionRules) -> Result<Option<i64>, Problem> {
    let Some(value) = text(headers, AS_OF)? else { return Ok(None) };
    if !rules.allow_as_of {
        return Err(not_honoured(AS_OF));
    }
    match value.parse::<i64>() {
        Ok(ms) if ms >= 0 => Ok(Some(ms)),
        Ok(_) | Err(_) => Err(not_understood(AS_OF, value, "milliseconds since the epoch")),
    }
}

fn forced_tier(headers: &HeaderMap, rules: AdmissionRules) -> Result<Option<Tier>, Problem> {
    let Some(value) = text(headers, TIER)? else { return Ok(None) };
    if !rules.allow_as_of {
        return Err(not_honoured(TIER));
    }
    match Tier::from_name(value).filter(|tier| FORCEABLE.contains(tier)) {
        Some(tier) => Ok(Some(tier)),
        None => Err(not_understood(TIER, value, "full, session, trending or static")),
    }
}

fn milliseconds(headers: &HeaderMap, name: &str) -> Result<Option<Duration>, Problem> {
    let Some(value) = text(headers, name)? else { return Ok(None) };
    match value.parse() {
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => Err(not_understood(name, value, "milliseconds as a whole number")),
    }
}

/// `grpc-timeout`: up to eight digits and a unit out of H M S m u n.
fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = text(headers, GRPC_DEADLINE)? else { return Ok(None) };
    let complaint = || not_understood(GRPC_DEADLINE, value, "digits and a unit, for example 100m");
    let unit = value.chars().last().filter(char::is_ascii).ok_or_else(complaint)?;
    let digits = &value[..value.len() - 1];
    if digits.len() > GRPC_DIGITS_MAX {
        return Err(complaint());
    }
    let amount: u64 = digits.parse().map_err(|_| complaint())?;
    let budget = match unit {
        'H' => Duration::from_secs(amount * 3_600),
        'M' => Duration::from_secs(amount * 60),
        'S' => Duration::from_secs(amount),
        'm' => Duration::from_millis(amount),
        'u' => Duration::from_micros(amount),
        'n' => Duration::from_nanos(amount),
        _ => return Err(complaint()),
    };
    Ok(Some(budget))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(not_understood(name, "(not text)", "plain text")),
    }
}

fn not_understood(name: &str, value: &str, expected: &str) -> Problem {
    let detail = format!("header {name}: `{value}` is not understood, expected {expected}");
    Problem::bad_request("invalid_header", detail)
}

fn not_honoured(name: &str) -> Problem {
    let detail = format!(
        "header {name} is honoured only with serve.allow_as_of = true: it is for evaluation and replay"
    );
    Problem::bad_request("as_of_not_allowed", detail)
}

#[cfg(test)]
mod tests;
