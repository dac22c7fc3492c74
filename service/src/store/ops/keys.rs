//! API keys, of whose passwords only a salted hash is kept.

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::super::value::Value;
use super::{now, state_for_change};
use crate::auth::{Role, StoredKey};
use crate::error::Result;

/// Reads all keys.
pub(crate) async fn all(conn: &mut dyn Conn) -> Result<Vec<StoredKey>> {
    let rows = conn
        .fetch(
            "SELECT key, salt, hash, role, sources FROM keys ORDER BY key".into(),
            Vec::new(),
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let text = |index| row.str(index).unwrap_or_default().to_owned();
            StoredKey {
                key: text(0),
                salt: text(1),
                hash: text(2),
                role: Role::from_stored(row.str(3).unwrap_or_default(), row.str(4)),
            }
        })
        .collect())
}

/// Stores a key.
pub(crate) struct AddKey(pub(crate) StoredKey);

#[async_trait]
impl Operation for AddKey {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        let sources = match &self.0.role {
            Role::Connector(sources) => {
                Value::Text(serde_json::Value::from(sources.clone()).to_string())
            }
            Role::Admin | Role::Consumer => Value::Null,
        };
        conn.execute(
            "INSERT INTO keys (key, salt, hash, role, sources, created) \
             VALUES ($1, $2, $3, $4, $5, $6)"
                .into(),
            vec![
                self.0.key.into(),
                self.0.salt.into(),
                self.0.hash.into(),
                self.0.role.name().into(),
                sources,
                now().into(),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Stores a key unless there is one already; tells whether it did. Of many services that start
/// on an empty database at once, one does.
pub(crate) struct AddFirstKey(pub(crate) StoredKey);

#[async_trait]
impl Operation for AddFirstKey {
    type Output = bool;

    async fn apply(self, conn: &mut dyn Conn) -> Result<bool> {
        state_for_change(conn).await?;
        if !all(conn).await?.is_empty() {
            return Ok(false);
        }
        AddKey(self.0).apply(conn).await?;
        Ok(true)
    }
}

/// Takes a key away.
pub(crate) struct RevokeKey(pub(crate) String);

#[async_trait]
impl Operation for RevokeKey {
    type Output = bool;

    async fn apply(self, conn: &mut dyn Conn) -> Result<bool> {
        let gone = conn
            .execute(
                "DELETE FROM keys WHERE key = $1".into(),
                vec![self.0.into()],
            )
            .await?;
        Ok(gone > 0)
    }
}
