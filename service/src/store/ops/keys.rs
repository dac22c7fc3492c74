//! API keys, of whose passwords only a salted hash is kept.

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::now;
use crate::auth::StoredKey;
use crate::error::Result;

/// Reads all keys.
pub(crate) async fn all(conn: &mut dyn Conn) -> Result<Vec<StoredKey>> {
    let rows = conn
        .fetch(
            "SELECT key, salt, hash FROM keys ORDER BY key".into(),
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
        conn.execute(
            "INSERT INTO keys (key, salt, hash, role, created) VALUES ($1, $2, $3, 'admin', $4)"
                .into(),
            vec![
                self.0.key.into(),
                self.0.salt.into(),
                self.0.hash.into(),
                now().into(),
            ],
        )
        .await?;
        Ok(())
    }
}
