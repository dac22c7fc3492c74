//! API keys, of whose passwords only a salted hash is kept.

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::super::value::{Row, Value};
use super::{now, state_for_change};
use crate::auth::{Role, StoredKey};
use crate::error::Result;

/// Columns of a key.
const COLUMNS: &str = "SELECT key, salt, hash, role, sources, created FROM keys";

/// Reads all keys.
pub(crate) async fn all(conn: &mut dyn Conn) -> Result<Vec<StoredKey>> {
    let rows = conn
        .fetch(format!("{COLUMNS} ORDER BY key"), Vec::new())
        .await?;
    Ok(rows.iter().map(|row| decode(row).key).collect())
}

/// A key, and when it was made.
#[derive(Debug, Clone)]
pub(crate) struct StoredSince {
    /// The key.
    pub(crate) key: StoredKey,
    /// Milliseconds since 1970.
    pub(crate) created: i64,
}

/// Reads keys in their order, from the one after a key on.
pub(crate) async fn page(
    conn: &mut dyn Conn,
    after: &str,
    most: usize,
) -> Result<Vec<StoredSince>> {
    let sql = format!("{COLUMNS} WHERE key > $1 ORDER BY key LIMIT {most}");
    let rows = conn.fetch(sql, vec![after.into()]).await?;
    Ok(rows.iter().map(decode).collect())
}

/// Reads one key.
pub(crate) async fn one(conn: &mut dyn Conn, key: &str) -> Result<Option<StoredSince>> {
    let sql = format!("{COLUMNS} WHERE key = $1");
    let rows = conn.fetch(sql, vec![key.into()]).await?;
    Ok(rows.first().map(decode))
}

fn decode(row: &Row) -> StoredSince {
    let text = |index| row.str(index).unwrap_or_default().to_owned();
    StoredSince {
        key: StoredKey {
            key: text(0),
            salt: text(1),
            hash: text(2),
            role: Role::from_stored(row.str(3).unwrap_or_default(), row.str(4)),
        },
        created: row.int(5).unwrap_or_default(),
    }
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
