//! Vertices that are identified by what they are, and that edges may name by external id.

use std::collections::HashMap;

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::layout::Table;
use super::json_texts;
use crate::error::Result;

/// Keys of vertices by external id, where the two differ.
///
/// What is not known is kept as given: for most sources both are the same text.
pub(crate) struct Keys(HashMap<String, String>);

impl Keys {
    /// Asks for the keys of vertices of a source.
    pub(crate) async fn find<'a>(
        conn: &mut dyn Conn,
        vertex: &Table,
        source: i64,
        external_ids: impl Iterator<Item = &'a str> + Send,
    ) -> Result<Self> {
        let ids: Vec<&str> = external_ids.collect();
        if ids.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let sql = format!(
            "SELECT external_id, \"_id\" FROM {} WHERE \"_source\" = $1 AND external_id IN {} \
             AND external_id <> \"_id\"",
            quote(&vertex.current()),
            conn.dialect().texts(2)
        );
        let found = conn
            .fetch(sql, vec![source.into(), json_texts(ids)])
            .await?;
        Ok(Self(
            found
                .iter()
                .filter_map(|row| Some((row.str(0)?.to_owned(), row.str(1)?.to_owned())))
                .collect(),
        ))
    }

    /// Replaces external ids by keys, and tells whether there was any to replace.
    pub(crate) fn name<'a>(&self, ends: impl Iterator<Item = &'a mut String>) -> bool {
        let mut moved = false;
        for end in ends {
            if let Some(key) = self.0.get(end.as_str()) {
                end.clone_from(key);
                moved = true;
            }
        }
        moved
    }
}
