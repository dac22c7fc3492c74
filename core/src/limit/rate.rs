//! A rate as people write it: `50/s`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use thiserror::Error;

/// Requests in a time, written `50/s`, `3000/m` or `100/h`; a plain number is by the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests.
    pub requests: u32,
    /// In this time.
    pub time: Duration,
    unit: &'static str,
}

/// Why a rate was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a rate such as `50/s`, `3000/m` or `100/h`, from 1 to 1 000 000 requests")]
pub struct RateError;

const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (requests, unit) = text.split_once('/').unwrap_or((text, "s"));
        let (unit, seconds) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or(RateError)?;
        let requests: u32 = requests.trim().parse().map_err(|_| RateError)?;
        if !(1..=1_000_000).contains(&requests) {
            return Err(RateError);
        }
        Ok(Self {
            requests,
            time: Duration::from_secs(seconds),
            unit,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.unit)
    }
}

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Rate")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(/ ?[smh])?$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for (text, requests, seconds, written) in [
            ("50/s", 50, 1, "50/s"),
            ("50", 50, 1, "50/s"),
            ("3000 / m", 3000, 60, "3000/m"),
            ("100/h", 100, 3600, "100/h"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(
                (rate.requests, rate.time.as_secs()),
                (requests, seconds),
                "{text}"
            );
            assert_eq!(rate.to_string(), written);
        }
        for text in ["", "0", "0/s", "5/d", "-1/s", "1.5", "2000000/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
        }
    }
}
