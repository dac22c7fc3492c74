//! Who may call: programs by the key, browsers by a session that began with the key.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use rand::Rng as _;
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(8 * 60 * 60);
/// Most sessions at a time; the oldest ends when there are more.
const MOST: usize = 100;
/// Name of the cookie.
const COOKIE: &str = "connector_session";

/// Makes a key that nobody guesses: 64 hexadecimal digits.
pub(crate) fn random_key() -> Secret {
    Secret::from(random())
}

fn random() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who may call.
pub(super) struct Access {
    key: Secret,
    sessions: Mutex<HashMap<String, Session>>,
}

struct Session {
    token: String,
    began: Instant,
}

impl Access {
    pub(super) fn new(key: Secret) -> Self {
        Self {
            key,
            sessions: Mutex::default(),
        }
    }

    /// Returns whether a text is the key.
    pub(super) fn is_key(&self, text: &str) -> bool {
        text.as_bytes().ct_eq(self.key.expose().as_bytes()).into()
    }

    /// Returns whether a call carries the key.
    pub(super) fn has_key(&self, headers: &HeaderMap) -> bool {
        let value = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '));
        value.is_some_and(|(scheme, key)| {
            scheme.eq_ignore_ascii_case("bearer") && self.is_key(key.trim())
        })
    }

    /// Begins a session; returns its cookie.
    pub(super) fn begin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let secret = random();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.began.elapsed() < LIFE);
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.began);
            if let Some(oldest) = oldest.map(|(secret, _)| secret.clone()) {
                sessions.remove(&oldest);
            }
        }
        let session = Session {
            token: random(),
            began: Instant::now(),
        };
        sessions.insert(secret.clone(), session);
        cookie(&secret, LIFE.as_secs(), headers)
    }

    /// Returns what the forms of a call's session carry, `None` without a session.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<String> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(secret(headers)?)?;
        (session.began.elapsed() < LIFE).then(|| session.token.clone())
    }

    /// Ends the session of a call; returns what makes the browser forget the cookie.
    pub(super) fn end(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if let Some(secret) = secret(headers) {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.remove(secret);
        }
        cookie("", 0, headers)
    }
}

/// Finds the secret among the cookies of a call.
fn secret(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// Writes a cookie that scripts cannot read and other sites cannot have sent.
fn cookie(secret: &str, age: u64, headers: &HeaderMap) -> Option<HeaderValue> {
    // A proxy in front that speaks TLS says so; then the cookie must never go without.
    let secure = headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{COOKIE}={secret}; Path=/ui; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"
    ))
    .ok()
}
