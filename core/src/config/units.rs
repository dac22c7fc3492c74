//! Values with units, as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use thiserror::Error;

/// Why a value with a unit was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    /// It is no size.
    #[error("expected a size such as `64MiB`, `2GiB` or a number of bytes")]
    Size,
    /// It is no time.
    #[error("expected a time such as `30s`, `500ms`, `2m` or `1h`")]
    Time,
    /// It is no share.
    #[error("expected a share from 0 to 1, such as `0.05`, or a percentage such as `5%`")]
    Share,
    /// It is no limit.
    #[error("expected a share such as `5%` or `0.05`, or a whole number such as `50`")]
    Limit,
}

/// A number of bytes, written `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text);
        let unit = match unit {
            "" | "B" => 1,
            unit => SIZE_UNITS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|(_, bytes)| *bytes)
                .ok_or(UnitError::Size)?,
        };
        let number: u64 = number.parse().map_err(|_| UnitError::Size)?;
        number.checked_mul(unit).map(Self).ok_or(UnitError::Size)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |bytes: &u64| self.0 != 0 && self.0.is_multiple_of(*bytes);
        match SIZE_UNITS.iter().find(|(_, bytes)| fits(bytes)) {
            Some((name, bytes)) => write!(f, "{}{name}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A length of time, written `30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text);
        let unit = match unit {
            "" => 1_000,
            unit => TIME_UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, millis)| *millis)
                .ok_or(UnitError::Time)?,
        };
        let number: u64 = number.parse().map_err(|_| UnitError::Time)?;
        // A wait without an end is not offered: a forgotten 0 would be one.
        match number.checked_mul(unit) {
            Some(millis) if millis > 0 => Ok(Self(Duration::from_millis(millis))),
            _ => Err(UnitError::Time),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (name, unit) in TIME_UNITS {
            if millis.is_multiple_of(u128::from(unit)) {
                return write!(f, "{}{name}", millis / u128::from(unit));
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A share of a whole, from 0 to 1, written `0.05` or `5%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, scale) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent.trim(), 100.0),
            None => (text.trim(), 1.0),
        };
        let share = number.parse::<f64>().map_err(|_| UnitError::Share)? / scale;
        // Not a number is in no range.
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(UnitError::Share)
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much may be wrong: a share of all, written `5%` or `0.05`, or a number, written `50`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// A share of all, from 0 to 1.
    Share(f64),
    /// A number.
    Count(u64),
}

impl Limit {
    /// Tells whether `part` of `all` is within the limit.
    #[must_use]
    pub fn allows(self, part: u64, all: u64) -> bool {
        match self {
            Self::Count(most) => part <= most,
            #[expect(
                clippy::cast_precision_loss,
                reason = "a share needs no more precision"
            )]
            Self::Share(most) => part == 0 || part as f64 / all.max(1) as f64 <= most,
        }
    }
}

impl FromStr for Limit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text.trim().parse() {
            Ok(count) => Ok(Self::Count(count)),
            Err(_) => match text.parse() {
                Ok(Share(share)) => Ok(Self::Share(share)),
                Err(_) => Err(UnitError::Limit),
            },
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Without what a product of such numbers has in its last places.
            Self::Share(share) => write!(f, "{}%", (share * 1e6).round() / 1e4),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// Splits a number from the unit behind it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ByteSize")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?([KMG]i?B|B)?$" })
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Span")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h)?$" })
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Limit")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "pattern": "^[0-9]+([.][0-9]+)? ?%?$" })
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Share")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("64 mib", 64 << 20, "64MiB"),
            ("1500", 1500, "1500"),
            ("2000B", 2000, "2KB"),
            ("0", 0, "0"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string(), written, "{text}");
        }
        for text in ["", "MiB", "64MX", "-1", "1.5GiB", "99999999999GiB"] {
            assert_eq!(text.parse::<ByteSize>(), Err(UnitError::Size), "{text}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        for (text, millis, written) in [
            ("30s", 30_000, "30s"),
            ("90", 90_000, "90s"),
            ("120 s", 120_000, "2m"),
            ("5ms", 5, "5ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(millis), "{text}");
            assert_eq!(span.to_string(), written, "{text}");
        }
        for text in ["", "0", "0s", "3d", "-3s", "99999999999999999h"] {
            assert_eq!(text.parse::<Span>(), Err(UnitError::Time), "{text}");
        }
    }

    #[test]
    fn limits_are_shares_or_numbers() {
        for (text, limit, written) in [
            ("5%", Limit::Share(0.05), "5%"),
            ("0.05", Limit::Share(0.05), "5%"),
            ("100%", Limit::Share(1.0), "100%"),
            ("0", Limit::Count(0), "0"),
            ("1", Limit::Count(1), "1"),
            ("50", Limit::Count(50), "50"),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
            assert_eq!(limit.to_string(), written, "{text}");
        }
        for text in ["", "1.1", "-1", "101%", "many"] {
            assert_eq!(text.parse::<Limit>(), Err(UnitError::Limit), "{text}");
        }
        let limits = [Limit::Count(2), Limit::Share(0.5), Limit::Count(0)];
        let allows = |part, all| limits.map(|limit| limit.allows(part, all));
        assert_eq!(allows(0, 0), [true, true, true]);
        assert_eq!(allows(2, 4), [true, true, false]);
        assert_eq!(allows(3, 4), [false, false, false]);
        assert_eq!(allows(3, 100), [false, true, false]);
    }

    #[test]
    fn shares_are_from_nothing_to_all() {
        assert_eq!("5%".parse(), Ok(Share(0.05)));
        assert_eq!("1".parse(), Ok(Share(1.0)));
        for text in ["", "1.1", "-0.1", "NaN", "inf", "101%"] {
            assert_eq!(text.parse::<Share>(), Err(UnitError::Share), "{text}");
        }
    }
}
