//! Scopes: a sweep takes only what every scope that could still have it was read without.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Client, Harness, Kind, available, envelope};

const SESSION: &str = "full-import-in-progress";

fn asset(id: &str) -> Value {
    json!({ "external_id": id, "name": id })
}

fn edge(from: &str, to: &str) -> Value {
    json!({ "_from_external_id": from, "_to_external_id": to })
}

/// Posts rows that were read in a scope.
async fn report(client: &Client, source: &str, scope: &str, rows: Value) {
    let mut body = envelope(source, rows);
    body["report"]["scope"] = scope.into();
    client.post("imports", body).await.expect(200);
}

async fn list(client: &Client, source: &str, scopes: &[&str]) {
    let body = json!({ "complete_scopes": scopes });
    let path = format!("source/{source}/{SESSION}");
    client.patch(&path, body).await.expect(200);
}

async fn preview(client: &Client, source: &str) -> Value {
    let path = format!("source/{source}/{SESSION}");
    client.get(&path).await.expect(200)
}

async fn a_sweep_takes_only_rows_of_complete_scopes(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let features = client.get("v3/health").await.expect(200);
    assert_eq!(features["features"]["scopes"], true);
    report(
        client,
        "s",
        "a",
        json!({ "asset": [asset("a1"), asset("both")] }),
    )
    .await;
    report(
        client,
        "s",
        "b",
        json!({ "asset": [asset("b1"), asset("both")] }),
    )
    .await;
    client
        .import("s", json!({ "asset": [asset("none")] }))
        .await;
    client.open("s").await;
    assert_eq!(preview(client, "s").await["scopes"], json!(["a", "b"]));
    assert_eq!(
        preview(client, "s").await["would_retire"],
        json!({ "asset": 4 })
    );
    list(client, "s", &["a", "unheard of"]).await;
    assert_eq!(
        preview(client, "s").await["would_retire"],
        json!({ "asset": 1 })
    );
    // The later list counts.
    list(client, "s", &[]).await;
    assert_eq!(preview(client, "s").await["would_retire"], json!({}));
    list(client, "s", &["a"]).await;
    // A session that is gone on with keeps its list; a new one has none.
    let path = format!("source/s/{SESSION}?resume=true");
    client.post(&path, json!({})).await.expect(200);
    assert_eq!(
        preview(client, "s").await["would_retire"],
        json!({ "asset": 1 })
    );
    client.open("s").await;
    assert_eq!(
        preview(client, "s").await["would_retire"],
        json!({ "asset": 4 })
    );
    list(client, "s", &["a"]).await;
    assert_eq!(client.close("s").await["status"], "COMPLETE");
    assert_eq!(client.ids("asset").await, ["b1", "both", "none"]);
    // `both` still counts as being in `a`; with both complete it goes.
    client.open("s").await;
    list(client, "s", &["b"]).await;
    client.close("s").await;
    assert_eq!(client.ids("asset").await, ["both", "none"]);
    client.open("s").await;
    list(client, "s", &["a", "b"]).await;
    client.close("s").await;
    assert_eq!(client.ids("asset").await, ["none"]);
    assert_eq!(preview(client, "s").await["scopes"], json!([]));
    // The list ended with its session.
    client.open("s").await;
    client.close("s").await;
    assert_eq!(client.ids("asset").await, Vec::<String>::new());
}

async fn a_changed_row_stays_in_its_scopes_and_a_returned_one_does_not(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let named = |name: &str| json!({ "asset": [{ "external_id": "x", "name": name }] });
    report(client, "s", "a", named("one")).await;
    report(client, "s", "b", named("two")).await;
    client.open("s").await;
    list(client, "s", &["b"]).await;
    client.close("s").await;
    assert_eq!(client.ids("asset").await, ["x"]);
    // Patched by a consumer, it is still in both.
    client
        .patch("asset?external_id=x", json!({ "name": "three" }))
        .await
        .expect(200);
    assert_eq!(preview(client, "s").await["scopes"], json!(["a", "b"]));
    client
        .delete("source/s/asset?external_ids=x")
        .await
        .expect(200);
    report(client, "s", "b", named("four")).await;
    assert_eq!(preview(client, "s").await["scopes"], json!(["b"]));
    client.open("s").await;
    list(client, "s", &["b"]).await;
    client.close("s").await;
    assert_eq!(client.ids("asset").await, Vec::<String>::new());
}

async fn edges_have_scopes_and_go_with_their_vertices(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let vertices = json!({
        "asset": [asset("a"), asset("b")],
        "vulnerability": [asset("v")],
    });
    report(client, "s", "vertices", vertices).await;
    let edges = json!({ "asset_vulnerability": [edge("a", "v"), edge("b", "v")] });
    report(client, "s", "edges", edges).await;
    client.open("s").await;
    let rows = json!({ "asset": [asset("a")], "vulnerability": [asset("v")] });
    report(client, "s", "vertices", rows).await;
    list(client, "s", &["vertices"]).await;
    // `a -> v` may still be there; `b -> v` cannot be without `b`.
    let expected = json!({ "asset": 1, "asset_vulnerability": 1 });
    assert_eq!(preview(client, "s").await["would_retire"], expected);
    client.close("s").await;
    assert_eq!(
        client.ids("asset_vulnerability").await,
        ["asset/a vulnerability/v"]
    );
}

async fn names_of_scopes_are_only_names(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let long = "é".repeat(512);
    let names = [
        "'; DROP TABLE scopes; --",
        "\u{1F980} [\"x\"]",
        " ",
        long.as_str(),
    ];
    for (number, name) in names.iter().enumerate() {
        let rows = json!({ "asset": [asset(&format!("x{number}"))] });
        report(client, "s", name, rows).await;
    }
    let known = preview(client, "s").await["scopes"].clone();
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(known, json!(sorted));
    client.open("s").await;
    list(client, "s", &names[..1]).await;
    client.close("s").await;
    assert_eq!(client.ids("asset").await, ["x1", "x2", "x3"]);
    for bad in [String::new(), "é".repeat(513), "a\0b".to_owned()] {
        let mut body = envelope("s", json!({ "asset": [asset("bad")] }));
        body["report"]["scope"] = bad.as_str().into();
        let answer = client.post("imports", body).await;
        assert_eq!(answer.code(400), "invalid_envelope");
        client.open("s").await;
        let path = format!("source/s/{SESSION}");
        let answer = client
            .patch(&path, json!({ "complete_scopes": [bad] }))
            .await;
        assert_eq!(answer.code(400), "invalid_scope");
    }
}

async fn a_row_in_more_scopes_than_are_remembered_is_in_all(kind: Kind) {
    let harness = Harness::ready(kind).await;
    let client = &harness.client;
    let names: Vec<String> = (0..258)
        .map(|number| format!("scope {number:03}"))
        .collect();
    report(client, "s", "another", json!({ "asset": [asset("y")] })).await;
    for name in &names {
        report(client, "s", name, json!({ "asset": [asset("shared")] })).await;
    }
    let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
    client.open("s").await;
    list(client, "s", &all).await;
    assert_eq!(preview(client, "s").await["would_retire"], json!({}));
    all.insert(0, "another");
    assert_eq!(preview(client, "s").await["scopes"], json!(all));
    list(client, "s", &all).await;
    client.close("s").await;
    assert_eq!(client.ids("asset").await, Vec::<String>::new());
}

crate::support::store_suite! {
    a_sweep_takes_only_rows_of_complete_scopes,
    a_changed_row_stays_in_its_scopes_and_a_returned_one_does_not,
    edges_have_scopes_and_go_with_their_vertices,
    names_of_scopes_are_only_names,
    a_row_in_more_scopes_than_are_remembered_is_in_all,
}

/// Scopes of the random runs.
const SCOPES: [&str; 3] = ["one", "two", "three"];

/// A row: an asset, or an edge from an asset to the only vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Asset(u8),
    Edge(u8),
}

#[derive(Debug, Clone)]
enum Step {
    /// Rows with their version, read in a scope or outside of any.
    Report(Option<usize>, Vec<(Id, u8)>),
    /// The run stopped in the middle: the next one goes on, or begins anew.
    Open {
        resume: bool,
    },
    /// The scopes that were read to their end.
    Complete(BTreeSet<usize>),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let id = prop_oneof![(0..5_u8).prop_map(Id::Asset), (0..5_u8).prop_map(Id::Edge)];
    let rows = proptest::collection::vec((id, 0..2_u8), 1..6);
    prop_oneof![
        8 => (proptest::option::weighted(0.85, 0..3_usize), rows)
            .prop_map(|(scope, rows)| Step::Report(scope, rows)),
        3 => any::<bool>().prop_map(|resume| Step::Open { resume }),
        3 => proptest::collection::btree_set(0..3_usize, 0..4).prop_map(Step::Complete),
        3 => Just(Step::Close),
    ]
}

#[derive(Debug, Default)]
struct Part {
    rows: BTreeMap<Id, (BTreeSet<usize>, bool)>,
    open: bool,
    complete: Option<BTreeSet<usize>>,
}

impl Part {
    fn stale(&self, id: Id) -> bool {
        let (scopes, seen) = &self.rows[&id];
        let allowed = match &self.complete {
            None => true,
            Some(complete) => !scopes.is_empty() && scopes.is_subset(complete),
        };
        !seen && allowed
    }

    /// What closing the session retires.
    fn gone(&self) -> BTreeSet<Id> {
        let goes = |id: Id| match id {
            Id::Asset(_) => self.stale(id),
            Id::Edge(from) => {
                let from = Id::Asset(from);
                self.stale(id) || (self.rows.contains_key(&from) && self.stale(from))
            }
        };
        self.rows.keys().copied().filter(|id| goes(*id)).collect()
    }
}

async fn run(client: &Client, source: &str, steps: Vec<Step>) {
    let mut part = Part::default();
    // The source must be there for the calls that need one.
    client.import(source, json!({})).await;
    for step in steps {
        match step {
            Step::Report(scope, rows) => {
                let row = |(id, version): &(Id, u8)| match id {
                    Id::Asset(id) => (
                        "asset",
                        json!({ "external_id": format!("x{id}"), "name": format!("n{version}") }),
                    ),
                    Id::Edge(id) => (
                        "asset_vulnerability",
                        json!({ "_from_external_id": format!("x{id}"), "_to_external_id": "v", "risk_score": version }),
                    ),
                };
                let mut by_collection: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
                for (collection, row) in rows.iter().map(row) {
                    by_collection.entry(collection).or_default().push(row);
                }
                match scope {
                    Some(scope) => {
                        report(client, source, SCOPES[scope], json!(by_collection)).await;
                    }
                    None => drop(client.import(source, json!(by_collection)).await),
                }
                for (id, _) in rows {
                    let (scopes, seen) = part.rows.entry(id).or_default();
                    scopes.extend(scope);
                    *seen = true;
                }
            }
            Step::Open { resume } => {
                let path = format!("source/{source}/{SESSION}?resume={resume}");
                client.post(&path, json!({})).await.expect(200);
                if !(resume && part.open) {
                    part.open = true;
                    part.complete = None;
                    part.rows.values_mut().for_each(|(_, seen)| *seen = false);
                }
            }
            Step::Complete(scopes) if part.open => {
                let names: Vec<&str> = scopes.iter().map(|&scope| SCOPES[scope]).collect();
                list(client, source, &names).await;
                part.complete = Some(scopes);
            }
            Step::Close if part.open => {
                let gone = part.gone();
                let assets = gone.iter().filter(|id| matches!(id, Id::Asset(_))).count();
                let mut expected = json!({});
                for (name, count) in [
                    ("asset", assets),
                    ("asset_vulnerability", gone.len() - assets),
                ] {
                    if count > 0 {
                        expected[name] = count.into();
                    }
                }
                assert_eq!(preview(client, source).await["would_retire"], expected);
                assert_eq!(client.close(source).await["status"], "COMPLETE");
                part.rows.retain(|id, _| !gone.contains(id));
                part.open = false;
                part.complete = None;
            }
            Step::Complete(_) | Step::Close => continue,
        }
        check(client, source, &part).await;
    }
}

/// Compares the graph with the model.
async fn check(client: &Client, source: &str, part: &Part) {
    let mut found = BTreeSet::new();
    for (collection, field) in [("asset", "external_id"), ("asset_vulnerability", "_from")] {
        let path = format!("{collection}?source={source}");
        for row in client.get(&path).await.expect(200).as_array().unwrap() {
            let id = row[field].as_str().unwrap();
            let id = id.trim_start_matches("asset/x").trim_start_matches('x');
            let id = id.parse().unwrap();
            found.insert(match field {
                "_from" => Id::Edge(id),
                _ => Id::Asset(id),
            });
        }
    }
    let expected: BTreeSet<Id> = part.rows.keys().copied().collect();
    assert_eq!(found, expected);
    let known: BTreeSet<&str> = part
        .rows
        .values()
        .flat_map(|(scopes, _)| scopes.iter().map(|&scope| SCOPES[scope]))
        .collect();
    assert_eq!(preview(client, source).await["scopes"], json!(known));
}

fn against_the_model(kind: Kind, cases: u32) {
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
    let harness = runtime.block_on(Harness::ready(kind));
    let number = std::cell::Cell::new(0_u32);
    proptest!(config, |(steps in proptest::collection::vec(step(), 1..20))| {
        // Sources do not meet, so one service serves all cases.
        number.set(number.get() + 1);
        let source = format!("s{}", number.get());
        runtime.block_on(run(&harness.client, &source, steps));
    });
}

#[test]
fn the_sweep_is_what_the_model_says_sqlite() {
    against_the_model(Kind::Sqlite, 64);
}

#[test]
fn the_sweep_is_what_the_model_says_postgres() {
    against_the_model(Kind::Postgres, 24);
}
