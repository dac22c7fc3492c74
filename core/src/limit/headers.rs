//! What a source says about its limits in the headers of an answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;

/// A reset that is larger than this is a time since 1970 and not a number of seconds from now.
const A_TIME: u64 = 1_000_000_000;

/// Returns how long no request should be made.
pub(super) fn pause(status: u16, headers: &HeaderMap) -> Option<Duration> {
    let asked = matches!(status, 429 | 503)
        .then(|| crate::http::retry_after(headers))
        .flatten();
    asked.or_else(|| exhausted(headers))
}

/// Returns the time until there are requests again, if there are none left.
fn exhausted(headers: &HeaderMap) -> Option<Duration> {
    // `RateLimit: limit=50, remaining=0, reset=7`, and `RateLimit: "default";r=0;t=7`.
    if let Some(text) = headers
        .get("ratelimit")
        .and_then(|value| value.to_str().ok())
    {
        let field = |names: [&str; 2]| {
            text.split([',', ';'])
                .filter_map(|part| part.trim().split_once('='))
                .find(|(name, _)| names.contains(name))
                .and_then(|(_, value)| value.trim().parse::<u64>().ok())
        };
        if field(["remaining", "r"]) == Some(0) {
            return field(["reset", "t"]).map(from_now);
        }
    }
    ["ratelimit", "x-ratelimit", "x-rate-limit"]
        .into_iter()
        .find_map(|prefix| {
            let number = |name: &str| {
                let value = headers.get(format!("{prefix}-{name}"))?.to_str().ok()?;
                // Some send fractions of a second.
                let (whole, _) = value.split_once('.').unwrap_or((value, ""));
                whole.trim().parse::<u64>().ok()
            };
            match number("remaining") {
                Some(0) => number("reset").map(from_now),
                _ => None,
            }
        })
}

fn from_now(reset: u64) -> Duration {
    if reset < A_TIME {
        return Duration::from_secs(reset);
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_secs(reset).saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn seconds(status: u16, headers: &[(&str, &str)]) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        pause(status, &map).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_pause_is_what_the_source_asks_for() {
        for (status, headers, pause) in [
            (429, &[("retry-after", "7")][..], Some(7)),
            (503, &[("retry-after", "7")], Some(7)),
            // Of a redirect, say: not about rates.
            (301, &[("retry-after", "7")], None),
            (
                200,
                &[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")],
                Some(9),
            ),
            (
                200,
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9.5")],
                Some(9),
            ),
            (
                200,
                &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "9")],
                None,
            ),
            (200, &[("x-rate-limit-remaining", "0")], None),
            (
                200,
                &[("ratelimit", "limit=5, remaining=0, reset=3")],
                Some(3),
            ),
            (200, &[("ratelimit", "\"default\";r=0;t=3")], Some(3)),
            (200, &[("ratelimit", "\"default\";r=4;t=3")], None),
            (429, &[("ratelimit", "nonsense")], None),
            (200, &[], None),
        ] {
            assert_eq!(seconds(status, headers), pause, "{headers:?}");
        }
    }

    #[test]
    fn a_reset_may_be_a_time() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let later = (now + Duration::from_secs(600)).as_secs().to_string();
        let pause = seconds(
            200,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", &later),
            ],
        );
        assert!((500..=600).contains(&pause.unwrap()), "{pause:?}");
        let gone = seconds(
            200,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1000000001"),
            ],
        );
        assert_eq!(gone, Some(0));
    }
}
