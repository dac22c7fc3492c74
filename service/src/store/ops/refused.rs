//! Imports that were refused: kept for a while, so that people can see what a connector sends.

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::super::value::Row;
use super::{now, source};
use crate::error::Result;

/// Refused imports that are kept of each source.
pub(crate) const KEPT: usize = 50;

/// Longest text of an error that is kept, in characters.
const LONGEST: usize = 2_000;

/// Writes down that an import was refused.
pub(crate) struct Refuse {
    /// A name for it.
    pub(crate) id: String,
    /// The source, where the import tells. Those of unknown sources are kept together.
    pub(crate) source: Option<String>,
    /// Code of the error.
    pub(crate) code: &'static str,
    /// Its text.
    pub(crate) message: String,
}

#[async_trait]
impl Operation for Refuse {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        let source = match &self.source {
            Some(key) => source::find(conn, key).await?.map(|source| source.pk),
            None => None,
        };
        let source = source.unwrap_or_default();
        let message: String = self.message.chars().take(LONGEST).collect();
        conn.execute(
            "INSERT INTO imports (id, source, at, row_count, code, error) \
             VALUES ($1, $2, $3, 0, $4, $5)"
                .into(),
            vec![
                self.id.into(),
                source.into(),
                now().into(),
                self.code.into(),
                message.into(),
            ],
        )
        .await?;
        let sql = format!(
            "DELETE FROM imports WHERE code IS NOT NULL AND source = $1 AND id NOT IN \
             (SELECT id FROM imports WHERE code IS NOT NULL AND source = $1 \
             ORDER BY at DESC, id DESC LIMIT {KEPT})"
        );
        conn.execute(sql, vec![source.into()]).await?;
        Ok(())
    }
}

/// An import that was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Refused {
    /// Its name.
    pub(crate) id: String,
    /// The source, where it is known.
    pub(crate) source: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub(crate) at: i64,
    /// Code of the error.
    pub(crate) code: String,
    /// Its text.
    pub(crate) error: String,
}

/// Reads the latest refused imports, newest first.
pub(crate) async fn list(conn: &mut dyn Conn, limit: usize) -> Result<Vec<Refused>> {
    let sql = format!(
        "SELECT i.id, (SELECT key FROM sources WHERE pk = i.source), i.at, i.code, i.error \
         FROM imports i WHERE i.code IS NOT NULL ORDER BY i.at DESC, i.id DESC LIMIT {limit}"
    );
    let rows = conn.fetch(sql, Vec::new()).await?;
    Ok(rows.iter().map(decode).collect())
}

fn decode(row: &Row) -> Refused {
    let text = |index| row.str(index).unwrap_or_default().to_owned();
    Refused {
        id: text(0),
        source: row.str(1).map(str::to_owned),
        at: row.int(2).unwrap_or_default(),
        code: text(3),
        error: text(4),
    }
}
