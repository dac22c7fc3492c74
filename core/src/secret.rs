//! Secret values: a type that never prints, the files they come from, and a
//! filter that takes them out of texts.
//!
//! A password that is a `String` ends in a log sooner or later: through
//! `Debug` of a settings struct, through an error that quotes its input, or
//! through a report. [`Secret`] makes the careless ways impossible,
//! [`Redactor`] catches texts that others made (an error page that repeats the
//! request, for example), and [`SecretFiles`] reads the encrypted files in
//! which a platform hands secrets over.

mod files;
mod jwe;
mod redact;

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use files::{MAX_SECRET_FILE_BYTES, SecretFileError, SecretFiles};
#[cfg(feature = "fuzzing")]
pub(crate) use jwe::open_token;
pub use jwe::{KeyError, TokenError};
pub use redact::Redactor;

/// What stands in a text instead of a secret.
pub const REDACTED: &str = "[secret]";

/// A text value that never prints.
///
/// `Debug` and `Serialize` give `[secret]`; there is no `Display`, so that it
/// cannot be formatted by accident. The memory is overwritten when the value is
/// dropped (copies that a parser or the operating system made before are out of
/// reach). Equality takes the same time wherever two values of the same length
/// differ; the length itself is not hidden.
///
/// A `clap` argument of this type needs `hide_env_values = true`: help texts
/// print the value of an environment variable before this type sees it.
///
/// ```
/// # use car_core::secret::Secret;
/// let password = Secret::from("correct horse");
/// assert_eq!(format!("{password:?}"), "[secret]");
/// assert_eq!(password.expose(), "correct horse");
/// ```
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Gives the value itself, the only way out.
    ///
    /// Call it at the last moment, where the value leaves the process for its
    /// purpose: in an authentication header, a login body, a signing key. Never
    /// keep the result in a struct, and never hand it to anything that formats,
    /// logs, reports, or stores it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Tells whether there is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::from(value.to_owned())
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(value: &str) -> Result<Self, Infallible> {
        Ok(Self::from(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for text, a parser writes its own error about a number, and quotes it.
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// Reads text only, and refuses the rest without quoting it: the default
/// messages of serde repeat the number or flag they met, which here would be
/// the secret.
struct SecretVisitor;

impl SecretVisitor {
    fn refuse<E: de::Error>(kind: &str) -> Result<Secret, E> {
        Err(E::custom(format_args!(
            "a secret must be text, found {kind}; put the value in quotes"
        )))
    }
}

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret as text")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Secret, E> {
        Ok(Secret::from(value))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Secret, E> {
        Ok(Secret::from(value))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Self::refuse("true or false")
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Self::refuse("a number")
    }

    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<Secret, E> {
        Self::refuse("bytes")
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Secret")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "password", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema, PartialEq)]
    struct Settings {
        user: String,
        password: Secret,
        token: Option<Secret>,
    }

    #[test]
    fn printing_and_serialising_hide_the_value() {
        let settings = Settings {
            user: "ada".into(),
            password: Secret::from("hunter22"),
            token: Some(Secret::from("tok-123456")),
        };
        let debug = format!("{settings:?} {settings:#?}");
        let json = serde_json::to_string(&settings).unwrap();
        for text in [&debug, &json] {
            assert!(text.contains("ada") && text.contains(REDACTED), "{text}");
            assert!(
                !text.contains("hunter22") && !text.contains("tok-123456"),
                "{text}"
            );
        }
    }

    #[test]
    fn text_is_read_and_exposed() {
        let settings: Settings =
            serde_json::from_str(r#"{"user":"ada","password":"p\u00e4ss","token":null}"#).unwrap();
        assert_eq!(settings.password.expose(), "päss");
        assert_eq!(settings.token, None);
        let parsed: Secret = "from a flag".parse().unwrap();
        assert_eq!(parsed.expose(), "from a flag");
        assert!(Secret::default().is_empty() && !parsed.is_empty());
    }

    #[test]
    fn a_refused_value_is_not_quoted() {
        for value in [
            "4711471147114711",
            "-4711471147",
            "47114711.4711",
            "[\"4711471147\"]",
        ] {
            let json = format!(r#"{{"user":"ada","password":{value}}}"#);
            let error = serde_json::from_str::<Settings>(&json)
                .unwrap_err()
                .to_string();
            assert!(!error.contains("4711"), "{error}");
            assert!(error.contains("text"), "{error}");
        }
        let error = serde_json::from_str::<Secret>("true")
            .unwrap_err()
            .to_string();
        assert!(error.contains("put the value in quotes"), "{error}");
    }

    #[test]
    fn equality_follows_the_text() {
        assert_eq!(Secret::from("same"), Secret::from("same"));
        assert_ne!(Secret::from("same"), Secret::from("sama"));
        assert_ne!(Secret::from("same"), Secret::from("same "));
    }

    #[test]
    fn the_schema_marks_it_as_a_password() {
        let schema = serde_json::to_value(schemars::schema_for!(Settings)).unwrap();
        let password = &schema["properties"]["password"];
        assert_eq!(password["type"], "string");
        assert_eq!(password["format"], "password");
        assert_eq!(password["writeOnly"], true);
    }

    #[test]
    fn a_command_line_takes_it_and_its_errors_do_not_quote_it() {
        use clap::Parser;

        #[derive(Debug, clap::Parser)]
        struct Flags {
            #[arg(long, env = "CAR_SECRET_TEST_UNSET", hide_env_values = true)]
            password: Secret,
        }

        let flags = Flags::try_parse_from(["x", "--password", "hunter22"]).unwrap();
        assert_eq!(flags.password.expose(), "hunter22");
        assert!(!format!("{flags:?}").contains("hunter22"));
        let error = Flags::try_parse_from(["x", "--password=hunter22", "--more"]).unwrap_err();
        assert!(!error.to_string().contains("hunter22"), "{error}");
    }

    #[test]
    fn yaml_gives_text_and_refuses_a_number_without_quoting_it() {
        let settings: Settings = serde_yaml::from_str("user: ada\npassword: '0047'\n").unwrap();
        assert_eq!(settings.password.expose(), "0047");
        let settings: Settings =
            serde_yaml::from_str("user: ada\npassword: |\n  a\n  b\n").unwrap();
        assert_eq!(settings.password.expose(), "a\nb\n");
        for value in [
            "47114711",
            "4711.4711",
            "0x4711471",
            "[4711, 4711]",
            "{a: 4711}",
        ] {
            let yaml = format!("user: ada\npassword: {value}\n");
            let error = serde_yaml::from_str::<Settings>(&yaml)
                .unwrap_err()
                .to_string();
            assert!(!error.contains("4711") && error.contains("text"), "{error}");
        }
    }
}
