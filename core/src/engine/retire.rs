//! Retiring single rows, for imports of changes and batches of tasks.

use std::collections::BTreeMap;

use car_schema::{Collection, Model};

use crate::car::CarClient;
use crate::failure::{Failure, FailureKind};
use crate::record::Deletion;

/// Who has rows retired.
pub(super) trait Retires: Send {
    /// Fails when there is no time for another step.
    fn check(&self) -> Result<(), Failure>;

    /// Learns that rows of a collection are retired.
    fn retired(&mut self, collection: &str, rows: u64);
}

/// Retires what is gone: edges first, because those of a vertex go with it.
pub(super) async fn retire(
    car: &CarClient,
    source: &str,
    model: &Model,
    deletions: impl Iterator<Item = Deletion>,
    whose: &mut impl Retires,
) -> Result<(), Failure> {
    let mut vertices: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut edges = Vec::new();
    for deletion in deletions {
        match deletion {
            Deletion::Vertex { collection, key } => {
                vertices.entry(collection).or_default().push(key);
            }
            Deletion::Edge {
                collection,
                from,
                to,
            } => edges.push((collection, from, to)),
        }
    }
    if !edges.is_empty() {
        let retire = car.features().await?.edge_deletion;
        for (collection, from, to) in edges {
            whose.check()?;
            car.delete_edge(source, &collection, (&from, &to), retire)
                .await?;
            whose.retired(&collection, 1);
        }
    }
    for (collection, keys) in vertices {
        whose.check()?;
        let Some(identity) = model.get(&collection).and_then(Collection::identity) else {
            return Err(Failure::new(
                FailureKind::General,
                "the connector deletes from a collection that is not in the model",
            )
            .with("collection", collection));
        };
        car.delete_vertices(source, &collection, identity, &keys)
            .await?;
        whose.retired(&collection, keys.len() as u64);
    }
    Ok(())
}
