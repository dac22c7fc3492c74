//! The token for wiping the tenant. It is kept in the database, so that any service on it takes
//! what another one gave out.

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::{now, set_meta};
use crate::error::Result;

/// Remembers a token instead of the last one.
pub(crate) struct KeepToken {
    /// Hash of the token.
    pub(crate) hash: String,
    /// Milliseconds since 1970 until when it can be used.
    pub(crate) until: i64,
}

#[async_trait]
impl Operation for KeepToken {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        set_meta(
            conn,
            "clear_token",
            &format!("{} {}", self.until, self.hash),
        )
        .await
    }
}

/// Forgets the token, and returns its hash where it could still be used.
pub(crate) struct TakeToken;

#[async_trait]
impl Operation for TakeToken {
    type Output = Option<String>;

    async fn apply(self, conn: &mut dyn Conn) -> Result<Option<String>> {
        let sql = "DELETE FROM meta WHERE name = 'clear_token' RETURNING value";
        let rows = conn.fetch(sql.into(), Vec::new()).await?;
        let kept = rows.first().and_then(|row| row.str(0)?.split_once(' '));
        Ok(kept
            .filter(|(until, _)| until.parse().is_ok_and(|until: i64| now() <= until))
            .map(|(_, hash)| hash.to_owned()))
    }
}
