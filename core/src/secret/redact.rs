//! Takes secrets out of texts that others wrote.
//!
//! [`Secret`] keeps a value from being printed by us. A server's error page, a
//! library's message, or a source's record can still repeat what we sent, often
//! encoded; logs, errors and reports pass through here before they leave.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

use super::{REDACTED, Secret};

/// Shorter secrets, in characters, are not looked for in texts.
const MIN_CHARS: usize = 4;

/// Replaces the secrets of a run by `[secret]` in any text.
///
/// A secret is found as it is, trimmed, escaped as in JSON or in Rust's debug
/// output, percent-encoded in any way (`%2F`, `%2f`, more or fewer characters
/// encoded, `+` for a space), and in base64 of either alphabet at any offset,
/// so that the header of HTTP basic authentication is covered too. Secrets that
/// touch or overlap become one `[secret]`.
///
/// **Secrets of fewer than 4 characters are not replaced**: they occur in
/// ordinary words, and taking them out would shred every text and show by the
/// holes what they are. Encodings not named above are not seen.
///
/// The patterns live in memory as long as this value and are not overwritten
/// when it is dropped; make one per run, and share it by reference or `Arc`.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Looked for in the text as it is.
    plain: Vec<Pattern>,
    /// Looked for in the text with its percent-encoding undone.
    decoded: Vec<Pattern>,
}

#[derive(Clone)]
struct Pattern {
    finder: Finder<'static>,
    /// Part of an encoded text, whose neighbour characters hold a few bits of
    /// the secret too: they are replaced with it.
    within_base64: bool,
}

impl Redactor {
    /// Makes a filter for these secrets.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut texts = Vec::new();
        let mut encoded = Vec::new();
        let mut decoded = Vec::new();
        for secret in secrets {
            let value = secret.expose();
            for form in [value, value.trim()] {
                if form.chars().count() < MIN_CHARS {
                    continue;
                }
                texts.push(form.to_owned());
                texts.push(json_escaped(form));
                texts.push(form.escape_debug().to_string());
                encoded.extend(base64_cores(form));
                decoded.push(form.to_owned());
                decoded.push(form.replace(' ', "+"));
            }
        }
        let mut plain = patterns(texts, false);
        plain.extend(patterns(encoded, true));
        Self {
            plain,
            decoded: patterns(decoded, false),
        }
    }

    /// Takes the secrets out of every text in a document.
    pub fn redact_json(&self, value: &mut serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.redact(text) {
                    *text = redacted;
                }
            }
            Value::Array(values) => {
                for value in values {
                    self.redact_json(value);
                }
            }
            Value::Object(map) => {
                for value in map.values_mut() {
                    self.redact_json(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Gives `text` without the secrets; borrowed when there are none in it.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = Vec::new();
        for pattern in &self.plain {
            pattern.find_in(text.as_bytes(), |range| found.push(range));
        }
        if !self.decoded.is_empty() && memchr::memchr(b'%', text.as_bytes()).is_some() {
            let (bytes, origins) = percent_decoded(text);
            let origin = |at: usize| origins.get(at).copied().unwrap_or(text.len());
            for pattern in &self.decoded {
                pattern.find_in(&bytes, |range| {
                    found.push(origin(range.start)..origin(range.end))
                });
            }
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_by_key(|range| range.start);
        Cow::Owned(without(text, &found))
    }

    /// Tells whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("patterns", &self.plain.len())
            .finish_non_exhaustive()
    }
}

impl Pattern {
    fn find_in(&self, text: &[u8], mut report: impl FnMut(Range<usize>)) {
        for start in self.finder.find_iter(text) {
            let end = start + self.finder.needle().len();
            if self.within_base64 {
                let is_base64 = |at: usize| {
                    text.get(at).is_some_and(|byte| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
                    })
                };
                let before = start.checked_sub(1).filter(|at| is_base64(*at));
                report(before.unwrap_or(start)..if is_base64(end) { end + 1 } else { end });
            } else {
                report(start..end);
            }
        }
    }
}

/// Writes `text` with each run of `found` (sorted by start) replaced.
fn without(text: &str, found: &[Range<usize>]) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut kept_to = 0;
    let mut in_run = false;
    for range in found {
        if !in_run || range.start > kept_to {
            // Matches start and end between characters, so `get` gives the
            // text; if it ever did not, losing text is the safe side.
            clean.push_str(text.get(kept_to..range.start).unwrap_or_default());
            clean.push_str(REDACTED);
            in_run = true;
        }
        kept_to = kept_to.max(range.end);
    }
    clean.push_str(text.get(kept_to..).unwrap_or_default());
    clean
}

fn patterns(mut texts: Vec<String>, within_base64: bool) -> Vec<Pattern> {
    texts.sort_unstable();
    texts.dedup();
    let owned = |text: &String| Finder::new(text.as_bytes()).into_owned();
    texts
        .iter()
        .map(|text| Pattern {
            finder: owned(text),
            within_base64,
        })
        .collect()
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default()
        .to_owned()
}

/// The characters of base64 that `text` alone decides, whatever stands before
/// and after it: base64 has six bits a character, so there are three ways to
/// start, in two alphabets.
fn base64_cores(text: &str) -> Vec<String> {
    let mut cores = Vec::new();
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(text.as_bytes());
        let first = (offset * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            cores.extend(engine.encode(&bytes).get(first..end).map(str::to_owned));
        }
    }
    cores
}

/// Undoes percent-encoding; with each byte comes where it stood in `text`.
fn percent_decoded(text: &str) -> (Vec<u8>, Vec<usize>) {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut origins = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        origins.push(at);
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (*byte, pair) {
            decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    (decoded, origins)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<Secret> = secrets.iter().copied().map(Secret::from).collect();
        Redactor::new(&secrets)
    }

    #[test]
    fn a_text_without_secrets_is_borrowed() {
        let redactor = redactor(&["hunter22"]);
        assert!(matches!(
            redactor.redact("nothing in it, 100%"),
            Cow::Borrowed(_)
        ));
        assert!(matches!(
            Redactor::default().redact("hunter22"),
            Cow::Borrowed("hunter22")
        ));
        assert!(Redactor::default().is_empty() && !redactor.is_empty());
    }

    #[test]
    fn each_occurrence_is_replaced_and_the_rest_kept() {
        let redactor = redactor(&["hunter22", "päss wörd\n"]);
        for (text, clean) in [
            ("hunter22", "[secret]"),
            ("a hunter22 ü hunter22.", "a [secret] ü [secret]."),
            ("hunter22hunter22", "[secret]"),
            ("got päss wörd, sorry", "got [secret], sorry"),
            ("line päss wörd\nnext", "line [secret]next"),
            ("Hunter22 hunter2", "Hunter22 hunter2"),
        ] {
            assert_eq!(redactor.redact(text), clean);
        }
    }

    #[test]
    fn secrets_that_overlap_become_one() {
        let redactor = redactor(&["abcdef", "defghi", "cde-"]);
        assert_eq!(redactor.redact("<abcdefghi>"), "<[secret]>");
        assert_eq!(redactor.redact("<defghi abcdef>"), "<[secret] [secret]>");
    }

    #[test]
    fn short_secrets_stay() {
        let redactor = redactor(&["abc", "", "äöü", "   x   "]);
        assert_eq!(redactor.redact("abc äöü x"), "abc äöü x");
    }

    #[test]
    fn escaped_forms_are_found() {
        let secret = "say \"no\"\\\tmaybe";
        let redactor = redactor(&[secret]);
        let json = serde_json::json!({ "password": secret }).to_string();
        assert_eq!(redactor.redact(&json), r#"{"password":"[secret]"}"#);
        assert_eq!(redactor.redact(&format!("{secret:?}")), "\"[secret]\"");
    }

    #[test]
    fn percent_encoded_forms_are_found() {
        let redactor = redactor(&["p@ss/wörd +1"]);
        for encoded in [
            "p%40ss%2Fw%C3%B6rd%20%2B1",
            "p%40ss%2fw%c3%b6rd%20%2b1",
            "p@ss/wörd%20+1",
            "p%40ss%2Fw%C3%B6rd+%2B1",
            "%70%40%73%73%2F%77%C3%B6%72%64%20%2B%31",
        ] {
            let text = format!("GET /?q=%zz%4&password={encoded}&ü=%C3%BC HTTP/1.1");
            let clean = "GET /?q=%zz%4&password=[secret]&ü=%C3%BC HTTP/1.1";
            assert_eq!(redactor.redact(&text), clean);
        }
    }

    #[test]
    fn base64_forms_are_found_at_any_offset() {
        let secret = "p@ss~wörd?>";
        let redactor = redactor(&[secret]);
        for user in ["", "u", "us", "use", "user:"] {
            for rest in ["", "\n", "!!", "and more"] {
                let message = format!("{user}{secret}{rest}");
                for encoded in [STANDARD.encode(&message), URL_SAFE.encode(&message)] {
                    let clean = redactor.redact(&encoded).into_owned();
                    let at = clean.find(REDACTED).unwrap();
                    // What is left is at most what encodes the other parts.
                    assert!(at <= user.len() * 4 / 3, "{encoded}: {clean}");
                    let left = clean.len() - at - REDACTED.len();
                    assert!(left <= rest.len() * 4 / 3 + 3, "{encoded}: {clean}");
                }
            }
        }
        let header = format!(
            "authorization: Basic {}",
            STANDARD.encode(format!("key:{secret}"))
        );
        assert_eq!(
            redactor.redact(&header),
            "authorization: Basic a2V5O[secret]=="
        );
    }

    #[test]
    fn printing_it_shows_no_secret() {
        let text = format!("{:?}", redactor(&["hunter22"]));
        assert!(
            !text.contains("hunter") && text.contains("patterns"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn what_is_left_holds_no_secret(
            secrets in proptest::collection::vec("[ab%2+/é\"\\\\]{0,8}", 0..5),
            glue in proptest::collection::vec("[ab%2+/é\"\\\\ ]{0,6}", 6),
            order in proptest::collection::vec(0..5_usize, 6),
        ) {
            let mut text = String::new();
            for (piece, index) in glue.iter().zip(order) {
                text.push_str(piece);
                text.push_str(secrets.get(index).map_or("", String::as_str));
            }
            let values: Vec<Secret> = secrets.iter().map(|text| Secret::from(text.as_str())).collect();
            let clean = Redactor::new(&values).redact(&text).into_owned();
            for secret in secrets.iter().filter(|secret| secret.chars().count() >= MIN_CHARS) {
                for piece in clean.split(REDACTED) {
                    prop_assert!(!piece.contains(secret.as_str()), "{clean:?} holds {secret:?}");
                }
            }
            if secrets.iter().all(|secret| secret.chars().count() < MIN_CHARS) {
                prop_assert_eq!(clean, text);
            }
        }

        #[test]
        fn any_text_passes_and_encoded_secrets_go(
            secret in "\\PC{4,20}",
            before in any::<String>(),
            after in any::<String>(),
        ) {
            let redactor = redactor(&[&secret]);
            let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let json = serde_json::Value::from(secret.as_str()).to_string();
            let base64 = STANDARD.encode(format!("user:{secret}"));
            for form in [secret.clone(), percent, json, base64] {
                let clean = redactor.redact(&format!("{before}{form}{after}")).into_owned();
                prop_assert!(clean.contains(REDACTED), "{form:?} in {clean:?}");
                prop_assert!(
                    clean.split(REDACTED).all(|piece| !piece.contains(&form)),
                    "{form:?} in {clean:?}"
                );
            }
        }
    }
}
