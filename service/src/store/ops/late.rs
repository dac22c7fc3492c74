//! Vertices that come after edges which name them by external id: the edges then get their key.

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::layout::{Layout, Table};
use super::super::value::Value;
use super::{json_ints, json_pairs, now};
use crate::error::Result;

/// Names the edges at vertices by the keys of these. `names` has external id and key of each
/// vertex that was written, where the two differ.
pub(crate) async fn name_edges(
    conn: &mut dyn Conn,
    layout: &Layout,
    vertex: &Table,
    source: i64,
    names: &[(String, String)],
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let pairs = json_pairs(names.iter().map(|(id, key)| (id.as_str(), key.as_str())));
    for edge in layout.edges() {
        let Some((from, to)) = &edge.ends else {
            continue;
        };
        for (end, near, far) in [(from, "_from", "_to"), (to, "_to", "_from")] {
            if *end == vertex.name {
                rename(conn, vertex, edge, (near, far), source, &pairs).await?;
            }
        }
    }
    Ok(())
}

async fn rename(
    conn: &mut dyn Conn,
    vertex: &Table,
    edge: &Table,
    (near, far): (&str, &str),
    source: i64,
    pairs: &Value,
) -> Result<()> {
    let list = conn.dialect().pairs(2);
    let (current, old) = (quote(&edge.current()), quote(&edge.old()));
    // A text can be the external id of one vertex and the key of another: then it is the key.
    let sql = format!(
        "SELECT e.\"_pk\" FROM {list} p CROSS JOIN {current} e \
         WHERE e.\"_source\" = $1 AND e.\"{near}\" = p.a AND NOT EXISTS \
         (SELECT 1 FROM {} v WHERE v.\"_id\" = p.a AND v.\"_source\" = $1)",
        quote(&vertex.current())
    );
    let found = conn.fetch(sql, vec![source.into(), pairs.clone()]).await?;
    let edges: Vec<i64> = found.iter().filter_map(|row| row.int(0)).collect();
    if edges.is_empty() {
        return Ok(());
    }
    let edges = json_ints(&edges);
    let columns = edge.column_list();
    let sql = format!(
        "INSERT INTO {old} ({columns}, \"_t2\") SELECT {columns}, \
         CASE WHEN \"_t1\" > $1 THEN \"_t1\" ELSE $1 END FROM {current} WHERE \"_pk\" IN {}",
        conn.dialect().ints(2)
    );
    conn.execute(sql, vec![now().into(), edges.clone()]).await?;
    // Where the edge was also reported by the key, that one stays.
    let sql = format!(
        "DELETE FROM {current} WHERE \"_pk\" IN {} AND EXISTS \
         (SELECT 1 FROM {list} p CROSS JOIN {current} o WHERE p.a = {current}.\"{near}\" \
         AND o.\"{near}\" = p.b AND o.\"{far}\" = {current}.\"{far}\" AND o.\"_source\" = $1)",
        conn.dialect().ints(3)
    );
    let args = vec![source.into(), pairs.clone(), edges.clone()];
    conn.execute(sql, args).await?;
    let sql = format!(
        "UPDATE {current} SET \"{near}\" = p.b, \"_t1\" = $1 FROM {list} p \
         WHERE \"{near}\" = p.a AND \"_pk\" IN {}",
        conn.dialect().ints(3)
    );
    conn.execute(sql, vec![now().into(), pairs.clone(), edges])
        .await?;
    Ok(())
}
