//! Who is logged in. A session is a random number in a cookie; what it stands for stays here.
//!
//! Sessions live in the memory of one process: a restart ends them, and behind a load balancer
//! a browser has to stay with one replica. The credentials are checked again with every page,
//! so a key that is revoked ends its sessions.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq;

use crate::auth::{Role, random};

/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(8 * 60 * 60);

/// Most sessions at a time; the oldest ends when there are more.
const MOST: usize = 1_000;

/// Name of the cookie.
const COOKIE: &str = "car_session";

/// A session.
#[derive(Clone)]
pub(super) struct Session {
    /// What the log-in form had, as the header that a program would send.
    pub(super) credentials: HeaderValue,
    /// The key, to be shown.
    pub(super) key: String,
    /// What forms of this session carry, so that only its own pages can send them.
    pub(super) form_token: String,
    began: Instant,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Begins a session and returns the secret that its cookie carries.
    pub(super) fn begin(&self, key: &str, credentials: HeaderValue) -> String {
        let secret = random(32);
        let session = Session {
            credentials,
            key: key.to_owned(),
            form_token: random(32),
            began: Instant::now(),
        };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.began.elapsed() < LIFE);
        if sessions.len() >= MOST {
            let oldest = sessions
                .iter()
                .min_by_key(|(_, session)| session.began)
                .map(|(secret, _)| secret.clone());
            if let Some(oldest) = oldest {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(secret.clone(), session);
        secret
    }

    /// Finds the session of a call.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Session> {
        let secret = secret(headers)?;
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions
            .get(secret)
            .filter(|session| session.began.elapsed() < LIFE)
            .cloned()
    }

    /// Ends the session of a call.
    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(secret) = secret(headers) {
            let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.remove(secret);
        }
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

/// Writes the cookie of a session. Scripts cannot read it, other sites cannot have it sent.
pub(super) fn cookie(secret: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    write(secret, LIFE.as_secs(), headers)
}

/// Writes what makes a browser forget the cookie.
pub(super) fn no_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    write("", 0, headers)
}

fn write(secret: &str, age: u64, headers: &HeaderMap) -> Option<HeaderValue> {
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

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    /// The session.
    pub(super) session: Session,
    /// What its key may do.
    pub(super) role: Role,
}

impl Viewer {
    /// Tells whether a form has the token of this session.
    pub(super) fn sent(&self, token: &str) -> bool {
        self.session
            .form_token
            .as_bytes()
            .ct_eq(token.as_bytes())
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(secret: &str) -> HeaderMap {
        let cookie = format!("a=b; {COOKIE}={secret}; c=d");
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookie).unwrap())])
    }

    #[test]
    fn sessions_begin_end_and_never_grow_without_bound() {
        let sessions = Sessions::default();
        let credentials = HeaderValue::from_static("Basic x");
        let first = sessions.begin("k", credentials.clone());
        assert_eq!(sessions.find(&with(&first)).unwrap().key, "k");
        assert!(sessions.find(&with("other")).is_none());
        assert!(sessions.find(&HeaderMap::new()).is_none());
        let second = sessions.begin("k", credentials.clone());
        sessions.end(&with(&second));
        assert!(sessions.find(&with(&second)).is_none());
        for _ in 0..MOST {
            sessions.begin("k", credentials.clone());
        }
        assert!(sessions.find(&with(&first)).is_none());
        assert_eq!(sessions.0.lock().unwrap().len(), MOST);
    }
}
