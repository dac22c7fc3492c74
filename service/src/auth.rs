//! Who may call: keys with passwords, and tokens.
//!
//! Passwords that the service makes have 256 random bits, so a salted SHA-256 is enough to keep
//! them and cheap enough to check with every call. Fixed credentials from the command line are
//! never stored.

use std::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

/// A key with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The key.
    pub key: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Makes a key and a password that nobody can guess.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            key: format!("car-{}", random(9)),
            password: random(32),
        }
    }
}

/// Returns random bytes as text without characters that need escaping.
pub(crate) fn random(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    rand::rng().fill_bytes(&mut buffer);
    URL_SAFE_NO_PAD.encode(buffer)
}

/// What is kept of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) key: String,
    pub(crate) salt: String,
    pub(crate) hash: String,
}

impl StoredKey {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        let salt = random(16);
        Self {
            key: credentials.key.clone(),
            hash: salted(&salt, &credentials.password),
            salt,
        }
    }

    fn accepts(&self, password: &str) -> bool {
        equal(&salted(&self.salt, password), &self.hash)
    }
}

fn salted(salt: &str, password: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("{salt}:{password}")))
}

/// Compares without telling by time where the texts differ.
fn equal(a: &str, b: &str) -> bool {
    Sha256::digest(a)
        .as_slice()
        .ct_eq(Sha256::digest(b).as_slice())
        .into()
}

/// All who may call.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) fixed: Vec<Credentials>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) stored: Vec<StoredKey>,
}

/// A bearer of this may call.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Access {
    /// Checks the credentials of a call.
    ///
    /// # Errors
    ///
    /// 401, the same for an unknown key and a wrong password.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<()> {
        let value = headers
            .get(header::AUTHORIZATION)
            .ok_or_else(|| refused("the call has no Authorization header"))?;
        // Passwords may have any letters, so the header is UTF-8, not only ASCII.
        let value = std::str::from_utf8(value.as_bytes())
            .map_err(|_| refused("the Authorization header is not text"))?;
        let (scheme, rest) = value
            .split_once(' ')
            .ok_or_else(|| refused("the Authorization header has one word; two are needed"))?;
        let rest = rest.trim();
        let accepted = if scheme.eq_ignore_ascii_case("basic") {
            let text = STANDARD
                .decode(rest)
                .ok()
                // Some clients, Python's requests among them, write Latin-1.
                .map(|bytes| {
                    String::from_utf8(bytes).unwrap_or_else(|error| {
                        error.as_bytes().iter().copied().map(char::from).collect()
                    })
                })
                .ok_or_else(|| refused("the Authorization header is not valid base64"))?;
            text.split_once(':')
                .is_some_and(|(key, password)| self.accepts(key, password))
        } else if scheme.eq_ignore_ascii_case("car-token") {
            self.accepts_token(rest)
        } else {
            return Err(refused(
                "the Authorization header is neither `Basic` nor `car-token`",
            ));
        };
        if accepted {
            Ok(())
        } else {
            Err(refused("key, password or token is wrong"))
        }
    }

    fn accepts(&self, key: &str, password: &str) -> bool {
        let fixed = self
            .fixed
            .iter()
            .any(|fixed| equal(&fixed.key, key) & equal(&fixed.password, password));
        let stored = self
            .stored
            .iter()
            .any(|stored| equal(&stored.key, key) & stored.accepts(password));
        fixed || stored
    }

    /// Takes a fixed token, or a key and its password joined by a dot.
    fn accepts_token(&self, token: &str) -> bool {
        self.tokens.iter().any(|known| equal(&known.0, token))
            || token
                .split_once('.')
                .is_some_and(|(key, password)| self.accepts(key, password))
    }
}

fn refused(reason: &str) -> Error {
    Error::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        format!("{reason}; send `Authorization: Basic` with key and password, or `car-token`"),
    )
}
