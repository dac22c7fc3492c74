//! Asks the service which edges a source has at given vertices.

use car_schema::Collection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Method};
use super::client::{CarClient, parse, to_json};
use crate::failure::{Failure, FailureKind};

/// Vertices that are asked for in one call.
const VERTICES_PER_CALL: usize = 100;

/// Edges that one answer may have.
const EDGES_PER_CALL: usize = 1000;

/// Which end of an edge a vertex is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Where it starts.
    From,
    /// Where it ends.
    To,
}

#[derive(Deserialize)]
struct QueryAnswer {
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<Value>,
}

impl CarClient {
    /// Returns the edges of a collection that a source has at vertices, as the external ids or
    /// natural keys of both ends.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall); and when the service cannot answer
    /// queries.
    pub async fn edges_at(
        &self,
        source: &str,
        edges: &Collection,
        end: End,
        vertices: &[String],
    ) -> Result<Vec<(String, String)>, Failure> {
        let Some((from, to)) = edges.ends() else {
            return Ok(Vec::new());
        };
        let (from, to) = (
            format!("{}_id", from.collection),
            format!("{}_id", to.collection),
        );
        let asked = if end == End::From { &from } else { &to };
        let name = edges.name.as_ref();
        let query = format!(
            "query($source: String, $ids: [String!], $offset: Int) {{ \
             {name}(where: {{source: {{_eq: $source}}, {asked}: {{_in: $ids}}}}, \
             order_by: [{{{from}: asc}}, {{{to}: asc}}], limit: {EDGES_PER_CALL}, offset: $offset) \
             {{ {from} {to} }} }}"
        );
        let prefix = format!("{source}/");
        let mut found = Vec::new();
        for some in vertices.chunks(VERTICES_PER_CALL) {
            let ids: Vec<String> = some.iter().map(|id| format!("{prefix}{id}")).collect();
            let mut offset = 0;
            loop {
                let variables = json!({ "source": source, "ids": ids, "offset": offset });
                let call = Call::new("query edges", Method::Post, "query")
                    .v3()
                    .body(to_json(&json!({ "query": query, "variables": variables }))?);
                let answer = self.calls.call(&call).await?;
                let answer: QueryAnswer = parse(&call, &answer)?;
                let rows = rows(&answer, name)?;
                let plain = |row: &Value, field: &str| {
                    let id = row.get(field)?.as_str()?;
                    Some(id.strip_prefix(&prefix).unwrap_or(id).to_owned())
                };
                found.extend(
                    rows.iter()
                        .filter_map(|row| Some((plain(row, &from)?, plain(row, &to)?))),
                );
                offset += rows.len();
                if rows.len() < EDGES_PER_CALL {
                    break;
                }
            }
        }
        Ok(found)
    }
}

fn rows<'a>(answer: &'a QueryAnswer, name: &str) -> Result<&'a Vec<Value>, Failure> {
    let rows = answer
        .data
        .as_ref()
        .and_then(|data| data.get(name)?.as_array());
    match (answer.errors.first(), rows) {
        (None, Some(rows)) => Ok(rows),
        (error, _) => {
            let why = error
                .and_then(|error| error.get("message")?.as_str())
                .unwrap_or("the answer has no rows");
            Err(Failure::new(
                FailureKind::CarRejected,
                "the CAR service does not tell which edges there are",
            )
            .with("collection", name)
            .because(why.to_owned()))
        }
    }
}
