//! Retiring one edge, whose vertices live on.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::super::layout::Layout;
use super::retire::close_rows;
use super::{check_state, source};
use crate::error::{Error, Result};

/// Retires the edge between two vertices of a source.
pub(crate) struct RetireEdge {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// The source.
    pub(crate) source: String,
    /// The edge collection.
    pub(crate) collection: String,
    /// Identity of the vertex where the edge starts.
    pub(crate) from: String,
    /// Identity of the vertex where it ends.
    pub(crate) to: String,
}

#[async_trait]
impl Operation for RetireEdge {
    type Output = BTreeMap<String, u64>;

    async fn apply(self, conn: &mut dyn Conn) -> Result<Self::Output> {
        check_state(conn, self.model).await?;
        let table = self
            .layout
            .get(&self.collection)
            .filter(|table| table.is_edge())
            .ok_or_else(|| {
                Error::not_found(
                    "unknown_collection",
                    format!("there is no edge collection `{}`", self.collection),
                )
            })?;
        let Some(source) = source::lock(conn, &self.source).await? else {
            return Err(source::unknown(&self.source));
        };
        let condition = "\"_source\" = $2 AND \"_from\" = $3 AND \"_to\" = $4";
        let args = vec![
            source.pk.into(),
            self.from.as_str().into(),
            self.to.as_str().into(),
        ];
        let count = close_rows(conn, table, condition, args).await?;
        Ok(BTreeMap::from([(self.collection, count)]))
    }
}
