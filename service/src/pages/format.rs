//! Values as people read them.

use serde_json::Value as Json;

use crate::store::ops::now;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Writes a time, given in milliseconds since 1970, as `2026-01-31 12:00:05`, in UTC.
pub(super) fn time(millis: i64) -> String {
    let days = millis.div_euclid(DAY);
    let rest = millis.rem_euclid(DAY);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        rest / HOUR,
        rest % HOUR / MINUTE,
        rest % MINUTE / 1_000
    )
}

/// Turns days since 1970 into a date of the Gregorian calendar.
///
/// Years begin in March here, so that the leap day comes last; 400 of them are one era.
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Writes how long ago a time is.
pub(super) fn age(millis: i64) -> String {
    let past = now().saturating_sub(millis);
    let (count, unit) = match past {
        ..0 => return "in the future".into(),
        0..MINUTE => return "just now".into(),
        MINUTE..HOUR => (past / MINUTE, "minute"),
        HOUR..DAY => (past / HOUR, "hour"),
        DAY.. => (past / DAY, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// Writes how long something took, given in milliseconds.
pub(super) fn duration(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..MINUTE => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        MINUTE..HOUR => format!("{} min {} s", millis / MINUTE, millis % MINUTE / 1_000),
        HOUR.. => format!("{} h {} min", millis / HOUR, millis % HOUR / MINUTE),
    }
}

/// Writes a number with a narrow space between each three digits.
pub(super) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Writes the value of a field on one line.
pub(super) fn value(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(true) => "yes".into(),
        Json::Bool(false) => "no".into(),
        Json::Number(number) => number.to_string(),
        Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written() {
        for (millis, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (1_795_334_459_999, "2026-11-22 08:00:59"),
            (1_798_761_599_000, "2026-12-31 23:59:59"),
            (-1_000, "1969-12-31 23:59:59"),
        ] {
            assert_eq!(time(millis), text);
        }
        for day in (-200_000..200_000).step_by(97).filter(|day| *day >= 0) {
            let text = time(day * DAY);
            assert_eq!(crate::time::parse(&format!("{text}Z")), Some(day * DAY));
        }
    }

    #[test]
    fn durations_and_numbers_are_written() {
        for (millis, text) in [
            (0, "0 ms"),
            (1_250, "1.2 s"),
            (61_000, "1 min 1 s"),
            (2 * HOUR + 61_000, "2 h 1 min"),
        ] {
            assert_eq!(duration(millis), text);
        }
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1\u{202f}000"),
            (-12_345_678, "-12\u{202f}345\u{202f}678"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn ages_are_written() {
        assert_eq!(age(now() - 90 * MINUTE), "1 hour ago");
        assert_eq!(age(now() - 3 * DAY - HOUR), "3 days ago");
        assert_eq!(age(now() + DAY), "in the future");
    }
}
