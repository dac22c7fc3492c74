//! Settings of installed connectors at rest: sealed with a key from the settings of the process,
//! where there is one. Whoever has the file and not the key reads names and tasks, and no settings.

use std::sync::Arc;

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::Rng as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;
use crate::tasks::{ConnectorRow, ConnectorStore, TaskError};

/// What sealed settings begin with: settings themselves are an object, never a text.
const MARK: &str = "sealed:1:";
/// What the key is hashed with, so that it opens nothing else.
const PURPOSE: &[u8] = b"settings of installed connectors, 1:";
/// Shortest key, in characters.
const SHORTEST: usize = 32;
const NONCE: usize = 12;
const TAG: usize = 16;

/// A store whose settings are sealed on their way in and opened on their way out.
pub(crate) struct SealedStore {
    store: Arc<dyn ConnectorStore>,
    key: Option<Aes256Gcm>,
}

impl SealedStore {
    /// Makes it of a store and a key. Without a key, settings are kept as they are.
    ///
    /// # Errors
    ///
    /// When the key is too short to be one.
    pub(crate) fn new(
        store: Arc<dyn ConnectorStore>,
        key: Option<&Secret>,
    ) -> Result<Self, Failure> {
        let cipher = |key: &Secret| {
            if key.expose().chars().count() < SHORTEST {
                return Err(Failure::new(
                    FailureKind::InvalidParameter,
                    format!("`--settings-key` is shorter than {SHORTEST} characters"),
                )
                .hint("take one that nobody guesses: `openssl rand -base64 32`"));
            }
            let mut hash = Sha256::new();
            hash.update(PURPOSE);
            hash.update(key.expose().as_bytes());
            let hash = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
            Ok(Aes256Gcm::new(&(*hash).into()))
        };
        let key = key.map(cipher).transpose()?;
        Ok(Self { store, key })
    }

    /// Seals what was kept before there was a key.
    ///
    /// # Errors
    ///
    /// When settings were sealed with another key, or with one where there is none now.
    pub(crate) async fn seal_all(&self) -> Result<(), TaskError> {
        let rows = self.connectors().await?;
        let Some(_) = &self.key else { return Ok(()) };
        let stored = self.store.connectors().await?;
        for (row, stored) in rows.into_iter().zip(stored) {
            let open = |value: &Value| !value.is_string() && !value.is_null();
            if open(&stored.settings) || stored.pending.as_ref().is_some_and(open) {
                self.put(row).await?;
            }
        }
        Ok(())
    }

    fn seal(&self, name: &str, settings: &Value) -> Result<Value, TaskError> {
        let Some(key) = &self.key else {
            return Ok(settings.clone());
        };
        let mut nonce = [0_u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let mut content = Zeroizing::new(settings.to_string().into_bytes());
        // Bound to its name, so that settings cannot be put under another one.
        let tag = key
            .encrypt_inout_detached(
                &Nonce::<U12>::from(nonce),
                name.as_bytes(),
                content.as_mut_slice().into(),
            )
            .map_err(|_| sealed(name, "they cannot be sealed"))?;
        let parts = [&nonce[..], &tag[..], &content[..]].concat();
        Ok(format!("{MARK}{}", STANDARD_NO_PAD.encode(parts)).into())
    }

    fn open(&self, name: &str, settings: &Value) -> Result<Value, TaskError> {
        let Some(text) = settings.as_str().and_then(|text| text.strip_prefix(MARK)) else {
            return Ok(settings.clone());
        };
        let Some(key) = &self.key else {
            return Err(sealed(name, "there is no key to open them with"));
        };
        let broken = || sealed(name, "they were sealed with another key, or changed since");
        let parts = STANDARD_NO_PAD.decode(text).map_err(|_| broken())?;
        let (nonce, rest) = parts.split_at_checked(NONCE).ok_or_else(broken)?;
        let (tag, content) = rest.split_at_checked(TAG).ok_or_else(broken)?;
        let nonce = Nonce::<U12>::try_from(nonce).map_err(|_| broken())?;
        let tag = Tag::try_from(tag).map_err(|_| broken())?;
        let mut content = Zeroizing::new(content.to_vec());
        key.decrypt_inout_detached(&nonce, name.as_bytes(), content.as_mut_slice().into(), &tag)
            .map_err(|_| broken())?;
        serde_json::from_slice(&content).map_err(|_| broken())
    }

    fn both(
        &self,
        mut row: ConnectorRow,
        turn: impl Fn(&str, &Value) -> Result<Value, TaskError>,
    ) -> Result<ConnectorRow, TaskError> {
        row.settings = turn(&row.name, &row.settings)?;
        let pending = row.pending.as_ref().map(|pending| turn(&row.name, pending));
        row.pending = pending.transpose()?;
        Ok(row)
    }
}

#[async_trait]
impl ConnectorStore for SealedStore {
    async fn connectors(&self) -> Result<Vec<ConnectorRow>, TaskError> {
        let rows = self.store.connectors().await?;
        rows.into_iter()
            .map(|row| self.both(row, |name, settings| self.open(name, settings)))
            .collect()
    }

    async fn put(&self, row: ConnectorRow) -> Result<(), TaskError> {
        let row = self.both(row, |name, settings| self.seal(name, settings))?;
        self.store.put(row).await
    }

    async fn delete(&self, name: &str) -> Result<(), TaskError> {
        self.store.delete(name).await
    }
}

fn sealed(name: &str, why: &'static str) -> TaskError {
    TaskError::Sealed {
        connector: name.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tasks::{Phase, SqliteEngine};

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn row(name: &str) -> ConnectorRow {
        ConnectorRow {
            name: name.to_owned(),
            provider: "kind".to_owned(),
            settings: json!({ "password": "hush-hush" }),
            phase: Phase::Updating,
            pending: Some(json!({ "password": "hush-again" })),
            error: None,
            incarnation: 1,
            created_at: 1,
            updated_at: 1,
        }
    }

    fn with(store: &Arc<SqliteEngine>, key: Option<&str>) -> SealedStore {
        let key = key.map(Secret::from);
        SealedStore::new(Arc::clone(store) as _, key.as_ref()).unwrap()
    }

    fn bytes(folder: &std::path::Path) -> Vec<u8> {
        let files = std::fs::read_dir(folder).unwrap();
        files
            .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn settings_are_sealed_with_the_key_and_open_with_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tasks.db");
        let store = Arc::new(SqliteEngine::open(&file).await.unwrap());
        let sealed = with(&store, Some(KEY));
        sealed.put(row("a")).await.unwrap();
        assert_eq!(sealed.connectors().await.unwrap(), [row("a")]);
        let text = String::from_utf8_lossy(&bytes(folder.path())).into_owned();
        assert!(text.contains(MARK) && !text.contains("hush"));

        let another = "another key with thirty-two characters";
        for (key, why) in [(None, "no key"), (Some(another), "another key")] {
            let error = with(&store, key).seal_all().await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            let failure = Failure::from(error);
            assert_eq!(failure.kind(), FailureKind::InvalidParameter);
        }
        let mut moved = store.connectors().await.unwrap().remove(0);
        "b".clone_into(&mut moved.name);
        store.put(moved).await.unwrap();
        assert!(sealed.connectors().await.is_err(), "under another name");
        crate::tasks::TaskEngine::close(&*store).await.unwrap();
    }

    #[tokio::test]
    async fn settings_from_before_there_was_a_key_are_sealed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tasks.db");
        let store = Arc::new(SqliteEngine::open(&file).await.unwrap());
        with(&store, None).put(row("a")).await.unwrap();
        let sealed = with(&store, Some(KEY));
        sealed.seal_all().await.unwrap();
        let kept = store.connectors().await.unwrap().remove(0);
        assert!(kept.settings.is_string() && kept.pending.unwrap().is_string());
        assert_eq!(sealed.connectors().await.unwrap(), [row("a")]);
        crate::tasks::TaskEngine::close(&*store).await.unwrap();
    }

    #[test]
    fn short_keys_are_refused_and_not_shown() {
        let empty: Arc<dyn ConnectorStore> = Arc::new(Empty);
        let refused = SealedStore::new(empty, Some(&Secret::from("too short")));
        let failure = refused.err().unwrap();
        assert!(!failure.chain().join(" ").contains("too short"));
    }

    struct Empty;

    #[async_trait]
    impl ConnectorStore for Empty {
        async fn connectors(&self) -> Result<Vec<ConnectorRow>, TaskError> {
            Ok(Vec::new())
        }

        async fn put(&self, _: ConnectorRow) -> Result<(), TaskError> {
            Ok(())
        }

        async fn delete(&self, _: &str) -> Result<(), TaskError> {
            Ok(())
        }
    }
}
