//! Extensions of the model, kept with the tables that they need.

use std::sync::Arc;

use async_trait::async_trait;
use car_schema::Extension;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::super::layout::Layout;
use super::setup::ensure_tables;
use super::{set_meta, state_for_change};
use crate::error::{Error, Result};

/// Reads all extensions.
pub(crate) async fn all(conn: &mut dyn Conn) -> Result<Vec<Extension>> {
    let rows = conn
        .fetch(
            "SELECT key, owner, version, schema FROM extensions ORDER BY key".into(),
            Vec::new(),
        )
        .await?;
    rows.into_iter()
        .map(|row| {
            let text = |index| row.str(index).unwrap_or_default().to_owned();
            let schema = serde_json::from_str(row.str(3).unwrap_or_default())
                .map_err(|error| Error::internal("read a stored extension", error))?;
            Ok(Extension {
                key: text(0),
                owner: text(1),
                version: text(2),
                schema,
            })
        })
        .collect()
}

/// Stores an extension, or takes one away, and brings the tables in line.
pub(crate) struct ChangeExtension {
    /// Version of the model that the change was checked against.
    pub(crate) model: i64,
    /// The tables after the change.
    pub(crate) layout: Arc<Layout>,
    /// The extension's key.
    pub(crate) key: String,
    /// The new extension; `None` takes it away.
    pub(crate) extension: Option<Extension>,
}

#[async_trait]
impl Operation for ChangeExtension {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        let state = state_for_change(conn).await?;
        if state.model != self.model {
            return Err(Error::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                super::MODEL_CHANGED,
                "the schema was changed by another call at the same time; try again",
            ));
        }
        conn.execute(
            "DELETE FROM extensions WHERE key = $1".into(),
            vec![self.key.as_str().into()],
        )
        .await?;
        if let Some(extension) = self.extension {
            let schema = serde_json::to_string(&extension.schema)
                .map_err(|error| Error::internal("write the extension", error))?;
            conn.execute(
                "INSERT INTO extensions (key, owner, version, schema) VALUES ($1, $2, $3, $4)"
                    .into(),
                vec![
                    self.key.into(),
                    extension.owner.into(),
                    extension.version.into(),
                    schema.into(),
                ],
            )
            .await?;
        }
        if state.created {
            ensure_tables(conn, &self.layout).await?;
        }
        set_meta(conn, "model", &self.model.saturating_add(1).to_string()).await
    }
}
