//! Random imports, sessions and deletions, against a graph of a few lines that cannot be wrong.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use crate::support::{Harness, Kind, available};

const SOURCES: [&str; 2] = ["s", "t"];

#[derive(Debug, Clone)]
enum Step {
    Import {
        source: usize,
        assets: Vec<(u8, u8)>,
        vulnerabilities: Vec<u8>,
        edges: Vec<(u8, u8)>,
    },
    Open(usize),
    Close(usize),
    DeleteAsset {
        source: usize,
        ids: Vec<u8>,
    },
    DeleteVulnerability {
        source: usize,
        ids: Vec<u8>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..6_u8;
    let ids = || proptest::collection::vec(0..6_u8, 1..4);
    prop_oneof![
        6 => (
            0..2_usize,
            proptest::collection::vec((id.clone(), 0..3_u8), 0..5),
            proptest::collection::vec(id.clone(), 0..4),
            proptest::collection::vec((id.clone(), id), 0..6),
        )
            .prop_map(|(source, assets, vulnerabilities, edges)| Step::Import {
                source, assets, vulnerabilities, edges,
            }),
        2 => (0..2_usize).prop_map(Step::Open),
        2 => (0..2_usize).prop_map(Step::Close),
        1 => (0..2_usize, ids()).prop_map(|(source, ids)| Step::DeleteAsset { source, ids }),
        1 => (0..2_usize, ids()).prop_map(|(source, ids)| Step::DeleteVulnerability { source, ids }),
    ]
}

/// What one source has: names of assets, vulnerabilities, edges, each with whether the open
/// session has seen it.
#[derive(Debug, Default)]
struct Part {
    known: bool,
    open: bool,
    assets: BTreeMap<u8, (u8, bool)>,
    vulnerabilities: BTreeMap<u8, bool>,
    edges: BTreeMap<(u8, u8), bool>,
}

impl Part {
    fn drop_asset(&mut self, id: u8) {
        if self.assets.remove(&id).is_some() {
            self.edges.retain(|(from, _), _| *from != id);
        }
    }

    fn drop_vulnerability(&mut self, id: u8) {
        if self.vulnerabilities.remove(&id).is_some() {
            self.edges.retain(|(_, to), _| *to != id);
        }
    }

    fn forget(&mut self) {
        self.assets.values_mut().for_each(|(_, seen)| *seen = false);
        self.vulnerabilities
            .values_mut()
            .for_each(|seen| *seen = false);
        self.edges.values_mut().for_each(|seen| *seen = false);
    }

    fn sweep(&mut self) {
        let gone: Vec<u8> = self
            .assets
            .iter()
            .filter(|(_, (_, seen))| !seen)
            .map(|(id, _)| *id)
            .collect();
        gone.into_iter().for_each(|id| self.drop_asset(id));
        let gone: Vec<u8> = self
            .vulnerabilities
            .iter()
            .filter(|(_, seen)| !**seen)
            .map(|(id, _)| *id)
            .collect();
        gone.into_iter().for_each(|id| self.drop_vulnerability(id));
        self.edges.retain(|_, seen| *seen);
        self.open = false;
    }
}

async fn run(kind: Kind, steps: Vec<Step>) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let mut parts = [Part::default(), Part::default()];
    let join = |ids: &[u8]| {
        ids.iter()
            .map(|id| format!("x{id}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    for step in steps {
        match step {
            Step::Import {
                source,
                assets,
                vulnerabilities,
                edges,
            } => {
                let part = &mut parts[source];
                client.import(SOURCES[source], json!({
                    "asset": assets.iter().map(|(id, name)| json!({ "external_id": format!("x{id}"), "name": format!("n{name}") })).collect::<Vec<_>>(),
                    "vulnerability": vulnerabilities.iter().map(|id| json!({ "external_id": format!("x{id}"), "name": "v" })).collect::<Vec<_>>(),
                    "asset_vulnerability": edges.iter().map(|(from, to)| json!({ "_from_external_id": format!("x{from}"), "_to_external_id": format!("x{to}") })).collect::<Vec<_>>(),
                })).await;
                part.known = true;
                part.assets
                    .extend(assets.into_iter().map(|(id, name)| (id, (name, true))));
                part.vulnerabilities
                    .extend(vulnerabilities.into_iter().map(|id| (id, true)));
                part.edges
                    .extend(edges.into_iter().map(|edge| (edge, true)));
            }
            Step::Open(source) => {
                client.open(SOURCES[source]).await;
                parts[source].known = true;
                parts[source].open = true;
                parts[source].forget();
            }
            Step::Close(source) => {
                let state = client.close(SOURCES[source]).await;
                let expected = if parts[source].open {
                    "COMPLETE"
                } else {
                    "ERROR"
                };
                assert_eq!(state["status"], expected);
                if parts[source].open {
                    parts[source].sweep();
                }
            }
            Step::DeleteAsset { source, ids } => {
                let path = format!(
                    "source/{}/asset?external_ids={}",
                    SOURCES[source],
                    join(&ids)
                );
                let status = client.delete(&path).await.status.as_u16();
                assert_eq!(status, if parts[source].known { 200 } else { 404 });
                // The edges of a vertex that is not there go too: the caller says it is gone.
                parts[source]
                    .edges
                    .retain(|(from, _), _| !ids.contains(from));
                ids.into_iter().for_each(|id| parts[source].drop_asset(id));
            }
            Step::DeleteVulnerability { source, ids } => {
                let path = format!(
                    "source/{}/vulnerability?keys={}",
                    SOURCES[source],
                    join(&ids)
                );
                let status = client.delete(&path).await.status.as_u16();
                assert_eq!(status, if parts[source].known { 200 } else { 404 });
                parts[source].edges.retain(|(_, to), _| !ids.contains(to));
                ids.into_iter()
                    .for_each(|id| parts[source].drop_vulnerability(id));
            }
        }
        for (part, source) in parts.iter().zip(SOURCES) {
            let rows = client
                .get(&format!("asset?source={source}"))
                .await
                .expect(200);
            let found: BTreeSet<String> = rows
                .as_array()
                .unwrap()
                .iter()
                .map(|row| format!("{} {}", row["external_id"], row["name"]))
                .collect();
            let expected: BTreeSet<String> = part
                .assets
                .iter()
                .map(|(id, (name, _))| format!("\"x{id}\" \"n{name}\""))
                .collect();
            assert_eq!(found, expected);
            let rows = client
                .get(&format!("asset_vulnerability?source={source}"))
                .await
                .expect(200);
            let found: BTreeSet<String> = rows
                .as_array()
                .unwrap()
                .iter()
                .map(|row| format!("{} {}", row["_from"], row["_to"]))
                .collect();
            let expected: BTreeSet<String> = part
                .edges
                .keys()
                .map(|(from, to)| format!("\"asset/x{from}\" \"vulnerability/x{to}\""))
                .collect();
            assert_eq!(found, expected);
        }
    }
}

fn check(kind: Kind, cases: u32) {
    if !available(kind) {
        return;
    }
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..14))| {
        runtime.block_on(run(kind, steps));
    });
}

#[test]
fn the_graph_is_what_was_reported_sqlite() {
    check(Kind::Sqlite, 24);
}

#[test]
fn the_graph_is_what_was_reported_postgres() {
    check(Kind::Postgres, 8);
}
