//! Secret files as a platform mounts them, with tokens that Python's jwcrypto
//! made.

mod folder;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use car_core::secret::{KeyError, Secret, SecretFileError, SecretFiles, TokenError};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

/// What `fixtures/jwe/make.py` writes.
#[derive(Deserialize)]
struct Made {
    keys: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    key: String,
    token: String,
    text: Option<String>,
}

impl Made {
    fn kept() -> Self {
        serde_json::from_str(include_str!("fixtures/jwe/cases.json")).unwrap()
    }

    fn case(&self, name: &str) -> &Case {
        self.cases.iter().find(|case| case.name == name).unwrap()
    }

    /// Reads a folder that holds just this token and this key.
    fn read(&self, key: &str, token: &str) -> Result<Secret, SecretFileError> {
        let dir = folder(&self.keys[key].to_string(), &[("PASSWORD", token)]);
        SecretFiles::read(dir.path()).map(|mut secrets| secrets.remove("PASSWORD").unwrap())
    }

    fn check_all(&self) {
        for case in &self.cases {
            match (self.read(&case.key, &case.token), &case.text) {
                (Ok(secret), Some(text)) => assert_eq!(secret.expose(), text, "{}", case.name),
                (Err(_), None) => {}
                (Ok(_), None) => panic!("`{}` must be refused", case.name),
                (Err(error), Some(_)) => panic!("`{}`: {}", case.name, chain(&error)),
            }
        }
    }
}

fn folder(key: &str, files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".jwk")).unwrap();
    fs::write(dir.path().join(".jwk/key.jwk"), key).unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

/// The error as a user could ever see it: every message and the debug form.
fn chain(error: &SecretFileError) -> String {
    let mut text = format!("{error} / {error:?} / {}", error.hint());
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text} / {cause}");
        source = cause.source();
    }
    text
}

fn token_error(result: Result<Secret, SecretFileError>) -> TokenError {
    match result {
        Err(SecretFileError::Token { file, source }) => {
            assert!(file.ends_with("PASSWORD"), "{}", file.display());
            source
        }
        other => panic!("expected a token error, got {other:?}"),
    }
}

fn key_error(key: &str) -> KeyError {
    let made = Made::kept();
    let dir = folder(key, &[("PASSWORD", &made.case("A256KW A256GCM").token)]);
    match SecretFiles::read(dir.path()) {
        Err(error @ SecretFileError::Key { .. }) => {
            assert!(error.path().ends_with(".jwk/key.jwk"));
            let SecretFileError::Key { source, .. } = error else {
                unreachable!()
            };
            source
        }
        other => panic!("expected a key error, got {other:?}"),
    }
}

#[test]
fn tokens_that_jwcrypto_made_open() {
    let made = Made::kept();
    assert!(made.cases.len() > 40, "{} cases", made.cases.len());
    made.check_all();
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "settings of the test run, not of the product"
)]
fn tokens_that_jwcrypto_makes_now_open() {
    let Some(python) = std::env::var_os("CAR_TEST_PYTHON") else {
        let ci = std::env::var_os("CI").is_some_and(|ci| ci != "false" && ci != "0");
        assert!(
            !ci,
            "CAR_TEST_PYTHON must name a Python with jwcrypto in CI"
        );
        eprintln!("SKIPPED: set CAR_TEST_PYTHON to a Python that has jwcrypto");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/jwe/make.py");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let run = Command::new(python)
            .arg(script)
            .arg("--all")
            .stdin(Stdio::null())
            .output();
        sender.send(run)
    });
    let run = receiver
        .recv_timeout(Duration::from_secs(120))
        .unwrap()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let made: Made = serde_json::from_slice(&run.stdout).unwrap();
    assert!(made.cases.len() > 80, "{} cases", made.cases.len());
    made.check_all();
}

#[test]
fn refused_tokens_say_why() {
    let made = Made::kept();
    let refusal = |name: &str| {
        let case = made.case(name);
        token_error(made.read(&case.key, &case.token))
    };
    assert_eq!(refusal("not text"), TokenError::NotText);
    assert_eq!(
        refusal("unpacks too far"),
        TokenError::TooLarge { most: 1 << 20 }
    );
    assert_eq!(
        refusal("made with a password"),
        TokenError::PasswordBased {
            alg: "PBES2-HS256+A128KW".into()
        }
    );
    assert!(matches!(
        refusal("several recipients, none of them"),
        TokenError::KeySize {
            needs: 128,
            found: 256,
            ..
        }
    ));
}

#[test]
fn space_around_a_token_and_padding_in_a_key_do_not_count() {
    let made = Made::kept();
    let case = made.case("dir A128GCM");
    let padded = {
        let mut key = made.keys[&case.key].clone();
        key["k"] = format!("{}==", key["k"].as_str().unwrap()).into();
        format!("\n{key}\n")
    };
    let dir = folder(&padded, &[("PASSWORD", &format!("  {}\r\n\n", case.token))]);
    let secrets = SecretFiles::read(dir.path()).unwrap();
    assert_eq!(secrets["PASSWORD"].expose(), case.text.as_deref().unwrap());
}

#[test]
fn another_key_does_not_open() {
    let made = Made::kept();
    let mut other = Made::kept();
    for key in other.keys.values_mut() {
        if let Some(text) = key["k"].as_str() {
            // The same length, with the first character changed.
            let first = if text.starts_with('A') { "B" } else { "A" };
            key["k"] = format!("{first}{}", &text[1..]).into();
        }
    }
    for (name, expected) in [
        ("A256KW A256CBC-HS512", TokenError::WrongKey),
        ("A256GCMKW A128GCM", TokenError::WrongKey),
        ("dir A256GCM", TokenError::Altered),
        ("dir A256CBC-HS512", TokenError::Altered),
    ] {
        let case = made.case(name);
        assert_eq!(
            token_error(other.read(&case.key, &case.token)),
            expected,
            "{name}"
        );
    }
    let case = made.case("A256KW A256GCM");
    for (key, found) in [("rsa2048", "RSA"), ("p256", "EC P-256")] {
        assert_eq!(
            token_error(made.read(key, &case.token)),
            TokenError::KeyKind {
                alg: "A256KW".into(),
                needs: "oct",
                found
            }
        );
    }
    assert_eq!(
        token_error(made.read("oct128", &case.token)),
        TokenError::KeySize {
            name: "A256KW".into(),
            needs: 256,
            found: 128
        }
    );
}

#[test]
fn a_changed_token_never_opens() {
    let made = Made::kept();
    let mut changed = 0;
    for case in made
        .cases
        .iter()
        .filter(|case| case.text.is_some() && !case.token.starts_with('{'))
    {
        let parts: Vec<&str> = case.token.split('.').collect();
        for (index, part) in parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty())
        {
            // Its first character, its middle one, and one character less.
            let middle = part.len() / 2;
            for (from, to) in [(0, 1), (middle, middle + 1)] {
                let swapped = if &part[from..to] == "A" { "B" } else { "A" };
                let part = format!("{}{swapped}{}", &part[..from], &part[to..]);
                changed += refused(&made, case, &parts, index, &part);
            }
            changed += refused(&made, case, &parts, index, &part[..part.len() - 1]);
            changed += refused(&made, case, &parts, index, "");
        }
    }
    assert!(changed > 500, "{changed} changes tried");
}

fn refused(made: &Made, case: &Case, parts: &[&str], index: usize, part: &str) -> usize {
    let mut parts = parts.to_vec();
    parts[index] = part;
    let result = made.read(&case.key, &parts.join("."));
    assert!(
        result.is_err(),
        "`{}` opened with part {index} changed",
        case.name
    );
    1
}

#[test]
fn what_is_no_token_is_refused_without_quoting_it() {
    let made = Made::kept();
    let json = r#"{"ciphertext":47114711,"hunter22":"hunter22"}"#;
    let huge_number = format!("{{\"ciphertext\":{}}}", "4711".repeat(20));
    for (content, expected) in [
        ("", TokenError::Empty),
        (" \n\n", TokenError::Empty),
        ("hunter22", TokenError::NotAToken),
        ("hunter22.4711.4711.4711", TokenError::NotAToken),
        ("hunter22.4711.4711.4711.4711.4711", TokenError::NotAToken),
        (
            "hunter22!.4711.4711.4711.4711",
            TokenError::Base64 {
                part: "protected header",
            },
        ),
        ("hunter22.4711.4711.4711.4711", TokenError::Header),
        ("....", TokenError::Header),
        (json, TokenError::NotAToken),
        (&huge_number, TokenError::NotAToken),
        ("{}", TokenError::NotAToken),
        (
            "{\"ciphertext\":\"\",\"recipients\":[]}",
            TokenError::Recipients { found: 0, most: 16 },
        ),
    ] {
        let result = made.read("oct256", content);
        let text = chain(result.as_ref().unwrap_err());
        assert!(
            !text.contains("hunter22") && !text.contains("4711"),
            "{text}"
        );
        assert_eq!(token_error(result), expected, "{content}");
    }
}

#[test]
fn keys_that_cannot_be_used_say_why_without_quoting_them() {
    let made = Made::kept();
    let without = |name: &str, member: &str| {
        let mut key = made.keys[name].clone();
        key.as_object_mut().unwrap().remove(member).unwrap();
        key.to_string()
    };
    let with = |name: &str, member: &str, value: &str| {
        let mut key = made.keys[name].clone();
        key[member] = value.into();
        key.to_string()
    };
    let small = with("rsa2048", "n", &"x".repeat(100));
    for (key, expected) in [
        (String::new(), KeyError::NotAKey),
        ("hunter22".into(), KeyError::NotAKey),
        (r#"{"kty":47114711}"#.into(), KeyError::NotAKey),
        (r#"{"k":"hunter22"}"#.into(), KeyError::NotAKey),
        (
            format!(r#"{{"keys":[{}]}}"#, made.keys["oct256"]),
            KeyError::Set,
        ),
        (
            r#"{"kty":"OKP","crv":"X25519","d":"hunter22"}"#.into(),
            KeyError::Unsupported {
                member: "kty",
                value: "OKP".into(),
            },
        ),
        (
            made.keys["p384"].to_string(),
            KeyError::Unsupported {
                member: "crv",
                value: "P-384".into(),
            },
        ),
        (
            with("p256", "crv", "hunter22 in the wrong place"),
            KeyError::Unsupported {
                member: "crv",
                value: "?".into(),
            },
        ),
        (without("oct256", "k"), KeyError::Missing { member: "k" }),
        (without("p256", "crv"), KeyError::Missing { member: "crv" }),
        (without("p256", "d"), KeyError::PublicOnly),
        (without("rsa2048", "d"), KeyError::PublicOnly),
        (without("rsa2048", "p"), KeyError::Missing { member: "p" }),
        (without("rsa2048", "q"), KeyError::Missing { member: "q" }),
        (
            with("oct256", "k", "hunter22 hunter22"),
            KeyError::Base64 { member: "k" },
        ),
        (small, KeyError::RsaSize { bits: 600 }),
        (
            with("rsa2048", "p", "hunter22"),
            KeyError::Invalid { kind: "RSA" },
        ),
        (
            with("rsa2048", "e", "AA"),
            KeyError::Invalid { kind: "RSA" },
        ),
        (
            with("p256", "d", "hunter22"),
            KeyError::Invalid { kind: "EC" },
        ),
    ] {
        let error = key_error(&key);
        let text = format!("{error} / {error:?}");
        assert!(
            !text.contains("hunter22") && !text.contains("4711"),
            "{text}"
        );
        assert_eq!(error, expected);
    }
}
