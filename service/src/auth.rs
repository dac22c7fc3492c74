//! Who may call, and what: keys with passwords and roles, and tokens.
//!
//! Passwords that the service makes have 256 random bits, so a salted SHA-256 is enough to keep
//! them and cheap enough to check with every call. Fixed credentials from the command line are
//! never stored.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::ops::keys;

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

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// Import and query, as these sources only.
    Connector(Vec<String>),
    /// Query.
    Consumer,
}

impl Role {
    /// Returns the name that is stored.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Connector(_) => "connector",
            Self::Consumer => "consumer",
        }
    }

    /// Reads a stored role. An unknown one may do the least.
    pub(crate) fn from_stored(name: &str, sources: Option<&str>) -> Self {
        match name {
            "admin" => Self::Admin,
            "connector" => Self::Connector(
                sources
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default(),
            ),
            _ => Self::Consumer,
        }
    }

    /// Refuses what is not this role's own source.
    ///
    /// # Errors
    ///
    /// 403 for a connector's key that names another source, and for a consumer's key.
    pub(crate) fn check_source(&self, source: &str) -> Result<()> {
        match self {
            Self::Admin => Ok(()),
            Self::Connector(sources) if sources.iter().any(|own| own == source) => Ok(()),
            Self::Connector(_) => Err(forbidden(&format!(
                "this key may not act for source `{source}`"
            ))),
            Self::Consumer => Err(forbidden("this key may only query")),
        }
    }

    /// Refuses calls that the role may never make; those that depend on the body are checked
    /// where it is read.
    ///
    /// # Errors
    ///
    /// 403.
    pub(crate) fn check_call(&self, method: &Method, path: &str) -> Result<()> {
        let call = path
            .strip_prefix("/api/car/")
            .unwrap_or_else(|| path.trim_start_matches('/'));
        let reads = method == Method::GET || method == Method::HEAD || call == "v3/query";
        let administers = ["v3/clearDb", "v3/DataRetentionPolicy", "metrics"]
            .iter()
            .any(|prefix| call.starts_with(prefix))
            || (call.starts_with("v3/carSchema") && method == Method::DELETE);
        match self {
            Self::Admin => Ok(()),
            _ if administers => Err(forbidden("this call needs the key of an admin")),
            Self::Consumer if !reads => Err(forbidden("this key may only query")),
            Self::Connector(_) | Self::Consumer => Ok(()),
        }
    }
}

pub(crate) fn forbidden(reason: &str) -> Error {
    Error::new(StatusCode::FORBIDDEN, "forbidden", reason)
}

/// What is kept of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    pub(crate) key: String,
    pub(crate) salt: String,
    pub(crate) hash: String,
    pub(crate) role: Role,
}

impl StoredKey {
    pub(crate) fn new(credentials: &Credentials, role: Role) -> Self {
        let salt = random(16);
        Self {
            key: credentials.key.clone(),
            hash: salted(&salt, &credentials.password),
            salt,
            role,
        }
    }

    fn accepts(&self, password: &str) -> bool {
        equal(&salted(&self.salt, password), &self.hash)
    }
}

/// Returns what may be kept of a token.
pub(crate) fn token_hash(token: &str) -> String {
    STANDARD.encode(Sha256::digest(token))
}

fn salted(salt: &str, password: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("{salt}:{password}")))
}

/// Compares without telling by time where the texts differ.
pub(crate) fn equal(a: &str, b: &str) -> bool {
    Sha256::digest(a)
        .as_slice()
        .ct_eq(Sha256::digest(b).as_slice())
        .into()
}

/// How long a change of the stored keys may go unnoticed.
const FRESH: Duration = Duration::from_secs(5);

/// Failures from one address within [`WINDOW`] after which it has to wait.
const FAILURES: u32 = 30;

/// How long failures are remembered.
const WINDOW: Duration = Duration::from_secs(60);

/// Most addresses whose failures are remembered.
const ADDRESSES: usize = 10_000;

/// All who may call.
#[derive(Debug, Default)]
pub(crate) struct Access {
    fixed: Vec<Credentials>,
    tokens: Vec<Token>,
    stored: RwLock<Stored>,
    failures: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

#[derive(Debug, Default)]
struct Stored {
    keys: Arc<Vec<StoredKey>>,
    read: Option<Instant>,
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
    pub(crate) fn new(fixed: Option<Credentials>, token: Option<String>) -> Self {
        Self {
            fixed: fixed.into_iter().collect(),
            tokens: token.map(Token).into_iter().collect(),
            ..Self::default()
        }
    }

    /// Makes the next call read the stored keys again.
    pub(crate) fn forget(&self) {
        let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
        stored.read = None;
    }

    /// Returns the stored keys; they are read again when they are too old.
    async fn stored(&self, store: &Store) -> Result<Arc<Vec<StoredKey>>> {
        {
            let stored = self.stored.read().unwrap_or_else(PoisonError::into_inner);
            if stored.read.is_some_and(|read| read.elapsed() < FRESH) {
                return Ok(Arc::clone(&stored.keys));
            }
        }
        let keys = {
            let mut conn = store.read().await?;
            Arc::new(keys::all(conn.as_mut()).await?)
        };
        let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
        stored.keys = Arc::clone(&keys);
        stored.read = Some(Instant::now());
        Ok(keys)
    }

    /// Checks the credentials of a call.
    ///
    /// # Errors
    ///
    /// 401, the same for an unknown key and a wrong password; 429 for an address that failed
    /// too often.
    pub(crate) async fn check(
        &self,
        store: &Store,
        headers: &HeaderMap,
        from: Option<IpAddr>,
    ) -> Result<Role> {
        if let Some(from) = from {
            self.check_failures(from)?;
        }
        let result = self.role(store, headers).await;
        if let (Err(error), Some(from)) = (&result, from)
            && error.status() == StatusCode::UNAUTHORIZED
            && headers.contains_key(header::AUTHORIZATION)
        {
            self.note_failure(from);
        }
        result
    }

    fn check_failures(&self, from: IpAddr) -> Result<()> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get(&from) {
            Some((count, since)) if *count >= FAILURES && since.elapsed() < WINDOW => {
                Err(Error::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_failures",
                    "too many calls with wrong credentials came from this address; wait a minute",
                ))
            }
            _ => Ok(()),
        }
    }

    fn note_failure(&self, from: IpAddr) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ADDRESSES {
            failures.retain(|_, (_, since)| since.elapsed() < WINDOW);
        }
        if failures.len() < ADDRESSES {
            let (count, since) = failures.entry(from).or_insert((0, Instant::now()));
            if since.elapsed() >= WINDOW {
                (*count, *since) = (0, Instant::now());
            }
            *count = count.saturating_add(1);
        }
    }

    async fn role(&self, store: &Store, headers: &HeaderMap) -> Result<Role> {
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
        let role = if scheme.eq_ignore_ascii_case("basic") {
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
            match text.split_once(':') {
                Some((key, password)) => self.role_of(store, key, password).await?,
                None => None,
            }
        } else if scheme.eq_ignore_ascii_case("car-token") {
            self.role_of_token(store, rest).await?
        } else {
            return Err(refused(
                "the Authorization header is neither `Basic` nor `car-token`",
            ));
        };
        role.ok_or_else(|| refused("key, password or token is wrong"))
    }

    async fn role_of(&self, store: &Store, key: &str, password: &str) -> Result<Option<Role>> {
        let fixed = self
            .fixed
            .iter()
            .any(|fixed| equal(&fixed.key, key) & equal(&fixed.password, password));
        if fixed {
            return Ok(Some(Role::Admin));
        }
        let stored = self.stored(store).await?;
        Ok(stored
            .iter()
            .find(|stored| equal(&stored.key, key) & stored.accepts(password))
            .map(|stored| stored.role.clone()))
    }

    /// Takes a fixed token, or a key and its password joined by a dot.
    async fn role_of_token(&self, store: &Store, token: &str) -> Result<Option<Role>> {
        if self.tokens.iter().any(|known| equal(&known.0, token)) {
            return Ok(Some(Role::Admin));
        }
        match token.split_once('.') {
            Some((key, password)) => self.role_of(store, key, password).await,
            None => Ok(None),
        }
    }
}

/// Returns the name of the key that a call which was let through came with, for the log.
pub(crate) fn caller(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    let (scheme, rest) = text
        .and_then(|text| text.split_once(' '))
        .unwrap_or_default();
    let key = if scheme.eq_ignore_ascii_case("basic") {
        let text = STANDARD.decode(rest.trim()).unwrap_or_default();
        let key = text.split(|byte| *byte == b':').next().unwrap_or_default();
        String::from_utf8_lossy(key).into_owned()
    } else {
        // A token that is no key with its password is a secret as a whole.
        rest.trim()
            .split_once('.')
            .map_or("token", |(key, _)| key)
            .to_owned()
    };
    key.chars().take(100).collect()
}

fn refused(reason: &str) -> Error {
    Error::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        format!("{reason}; send `Authorization: Basic` with key and password, or `car-token`"),
    )
}
