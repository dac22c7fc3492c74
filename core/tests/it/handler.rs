//! The data handler: duplicates, batches, spill, quarantine, and what is withheld.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use car_core::handler::{Batch, DataHandler, Header, Options, Validator};
use car_core::record::{Deletion, Records};
use car_schema::edges::{AssetIpaddress, AssetVulnerability, IpaddressMacaddress};
use car_schema::vertices::{Asset, Ipaddress, Macaddress};
use car_schema::{Model, Report, Source, import_schema};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::support::{CarMock, FullOnly, Order, Setup, asset, records, soon};

fn options(folder: &Path) -> Options {
    Options {
        rows_per_batch: 10,
        memory_budget: 1 << 20,
        spill_folder: Some(folder.join("spill")),
        keep_spill: false,
        quarantine: folder.join("quarantine.jsonl"),
        deltas: true,
        scopes: false,
    }
}

fn handler(options: Options) -> DataHandler {
    let source = Source {
        key: "s".to_owned(),
        ..Source::default()
    };
    let report = Report {
        key: Some("r".to_owned()),
        timestamp: 1.0,
        ..Report::default()
    };
    let validator = Validator::compile(&import_schema(&Model::core())).unwrap();
    let header = Header::new(&source, &report).unwrap();
    DataHandler::new(header, Model::core(), validator, options)
}

/// Takes everything out, as the engine does.
fn drain(handler: &mut DataHandler, mut batches: Vec<Batch>) -> Vec<Batch> {
    batches.extend(handler.flush());
    batches.extend(handler.take_repeated());
    handler.start_edges().unwrap();
    while handler.has_edges() {
        while let Some(batch) = handler.next_edges().unwrap() {
            batches.push(batch);
        }
        batches.extend(handler.flush());
        batches.extend(handler.take_repeated());
    }
    batches
}

fn rows(batch: &Batch) -> Vec<Value> {
    let envelope: Value = serde_json::from_slice(&batch.body).unwrap();
    envelope[&batch.collection].as_array().unwrap().clone()
}

/// Rows with few identities, so that most come again, sometimes as they were.
fn repeating(random: &mut StdRng, count: usize) -> Vec<Records> {
    (0..count)
        .map(|_| {
            let mut page = Records::new();
            for _ in 0..random.random_range(1..8) {
                let (id, other) = (random.random_range(0..12), random.random_range(0..4));
                let content = random.random_range(0..3);
                if random.random_bool(0.5) {
                    let mut asset = asset(&id.to_string());
                    asset.risk = Some(f64::from(content));
                    page.emit(&asset);
                } else {
                    let mut edge = AssetVulnerability::new(id.to_string(), other.to_string());
                    edge.risk_score = Some(f64::from(content));
                    page.emit(&edge);
                }
            }
            page
        })
        .collect()
}

/// What the graph has to be: the last row of each identity.
fn last_rows(pages: &[Records]) -> BTreeMap<String, f64> {
    let mut last = BTreeMap::new();
    for row in pages.iter().flat_map(Records::rows) {
        let json: Value = serde_json::from_slice(row.json).unwrap();
        let (key, content) = match json["external_id"].as_str() {
            Some(id) => (id.to_owned(), json["risk"].as_f64()),
            None => (
                format!(
                    "{} -> {}",
                    json["_from_external_id"].as_str().unwrap(),
                    json["_to_external_id"].as_str().unwrap()
                ),
                json["risk_score"].as_f64(),
            ),
        };
        last.insert(key, content.unwrap());
    }
    last
}

#[tokio::test]
async fn the_last_row_wins_in_whatever_order_imports_are_applied() {
    for seed in 0..10 {
        let mut random = StdRng::seed_from_u64(seed);
        let pages = repeating(&mut random, 60);
        let expected = last_rows(&pages);
        let emitted: usize = pages.iter().map(Records::len).sum();
        let car = CarMock::start().await.order(Order::Shuffled(seed));
        let setup = Setup::new(&car).with(|options| {
            options.page_rows = random.random_range(1..5);
            options.sends = 4;
            options.memory_budget = random.random_range(0..2000);
        });
        let done = soon(setup.run(FullOnly::new().scope("all", pages))).await;
        assert_eq!(done.report.exit_code, 0, "{seed} {:?}", done.failure);
        let graph: BTreeMap<String, f64> = car
            .graph()
            .into_iter()
            .map(|((_, key), row)| {
                let content = row.get("risk").or(row.get("risk_score")).unwrap();
                (key, content.as_f64().unwrap())
            })
            .collect();
        assert_eq!(graph, expected, "{seed}");
        let totals = done.report.totals();
        assert_eq!(totals.sent, expected.len() as u64, "{seed}: each row once");
        assert_eq!(
            totals.sent + totals.merged + totals.duplicate,
            emitted as u64,
            "{seed}: none is lost from sight"
        );
    }
}

#[test]
fn rows_of_one_identity_never_travel_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..20 {
        let mut handler = handler(options(folder.path()));
        let mut flight: Vec<Batch> = Vec::new();
        let check = |flight: &mut Vec<Batch>| {
            let mut seen = std::collections::HashSet::new();
            for row in flight.drain(..).flat_map(|batch| rows(&batch)) {
                let id = (
                    row["external_id"].clone(),
                    row["_from_external_id"].clone(),
                    row["_to_external_id"].clone(),
                );
                assert!(seen.insert(format!("{id:?}")), "{id:?}");
            }
        };
        for page in repeating(&mut random, 30) {
            flight.extend(handler.take("all", &page).unwrap());
        }
        flight.extend(handler.flush());
        check(&mut flight);
        flight.extend(handler.take_repeated());
        check(&mut flight);
        handler.start_edges().unwrap();
        while handler.has_edges() {
            while let Some(batch) = handler.next_edges().unwrap() {
                flight.push(batch);
            }
            flight.extend(handler.flush());
            check(&mut flight);
            flight.extend(handler.take_repeated());
            check(&mut flight);
        }
    }
}

#[test]
fn spilled_edges_are_the_same_as_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let pages = repeating(&mut random, 200);
    let run = |memory_budget| {
        let mut handler = handler(Options {
            memory_budget,
            ..options(folder.path())
        });
        let mut batches = Vec::new();
        for page in &pages {
            batches.extend(handler.take("all", page).unwrap());
        }
        let mut last = BTreeMap::new();
        for row in drain(&mut handler, batches).iter().flat_map(rows) {
            if let Some(from) = row["_from_external_id"].as_str() {
                last.insert((from.to_owned(), row["_to_external_id"].to_string()), row);
            }
        }
        (last, handler.counts(), handler.spilled())
    };
    let (memory, counts, spilled) = run(64 << 20);
    assert_eq!(spilled, 0);
    for budget in [0, 100, 5000] {
        let (disk, counts_disk, spilled) = run(budget);
        assert!(spilled > 0, "{budget}");
        assert_eq!(disk, memory, "{budget}");
        assert_eq!(counts_disk, counts, "{budget}");
    }
}

#[test]
fn batches_are_bounded_by_rows_and_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut handler = handler(Options {
        rows_per_batch: 3,
        memory_budget: 256 << 20,
        ..options(folder.path())
    });
    let mut page = Records::new();
    for (n, length) in [10, 100_000, 3_000_000, 10, 5_000_000, 10]
        .into_iter()
        .cycle()
        .take(12)
        .enumerate()
    {
        let mut asset = asset(&n.to_string());
        asset.description = Some("x".repeat(length));
        page.emit(&asset);
        page.emit(&AssetVulnerability::new(n.to_string(), "v").with("x", "x".repeat(length)));
    }
    let full = handler.take("all", &page).unwrap();
    let batches = drain(&mut handler, full);
    let mut counted = BTreeMap::new();
    for batch in &batches {
        let rows = rows(batch);
        assert_eq!(rows.len() as u64, batch.rows);
        assert!(rows.len() <= 3);
        assert!(
            batch.body.len() <= (4 << 20) + 4096 || rows.len() == 1,
            "{} bytes in {} rows",
            batch.body.len(),
            rows.len()
        );
        *counted.entry(batch.collection.as_str()).or_insert(0) += rows.len();
    }
    assert_eq!(
        counted,
        BTreeMap::from([("asset", 12), ("asset_vulnerability", 12)])
    );
}

#[test]
fn rows_that_come_again_ask_for_a_barrier_before_they_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let budget = 64 << 10;
    let mut handler = handler(Options {
        memory_budget: budget,
        ..options(folder.path())
    });
    let (mut barriers, mut merged) = (0, 0);
    for round in 0..50 {
        for n in 0..100 {
            let mut asset = asset(&n.to_string());
            asset.description = Some(format!("{round} {}", "x".repeat(500)));
            handler.take("all", &records(&[&asset])).unwrap();
            if handler.needs_barrier() {
                handler.flush();
                let rows: usize = handler
                    .take_repeated()
                    .iter()
                    .map(|batch| batch.body.len())
                    .sum();
                assert!(rows < budget, "{rows} bytes were kept");
                assert!(!handler.needs_barrier());
                barriers += 1;
            }
            merged += u64::from(round > 0);
        }
    }
    assert!(barriers > 50, "{barriers}");
    assert_eq!(handler.counts()["asset"].merged, merged);
}

#[test]
fn not_a_number_is_rejected_and_not_sent_as_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut handler = handler(options(folder.path()));
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut asset = asset("1");
        asset.risk = Some(number);
        handler.take("all", &records(&[&asset])).unwrap();
    }
    assert!(handler.flush().is_empty());
    assert_eq!(handler.rejects(), (3, 3));
    let path = handler.quarantine().unwrap().path().unwrap().to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        text.matches("`risk` must be a number, is null").count(),
        3,
        "{text}"
    );
}

#[test]
fn edges_of_a_rejected_vertex_are_withheld_at_either_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut handler = handler(options(folder.path()));
    let mut bad = Ipaddress::new("10.0.0.1");
    bad.name = Some("not an address".to_owned());
    let mut late = asset("late");
    late.risk = Some(11.0);
    let page = records(&[
        &IpaddressMacaddress::new("10.0.0.1", "01:23:45:67:89:ab"),
        &AssetIpaddress::new("1", "10.0.0.1"),
        &AssetIpaddress::new("1", "10.0.0.2"),
        &AssetIpaddress::new("never emitted", "10.0.0.2"),
        &AssetIpaddress::new("late", "10.0.0.2"),
        &AssetIpaddress::new("early", "10.0.0.2"),
        &bad,
        &Ipaddress::new("10.0.0.2"),
        &Macaddress::new("01:23:45:67:89:ab"),
        // An asset with the name of the rejected address is not the address.
        &asset("10.0.0.1"),
        &AssetIpaddress::new("10.0.0.1", "10.0.0.2"),
        // Rejected first and then right: it is there. Right first: it was there.
        &late,
        &asset("late"),
        &asset("early"),
        &Asset {
            risk: Some(11.0),
            ..asset("early")
        },
    ]);
    let full = handler.take("all", &page).unwrap();
    let edges: Vec<String> = drain(&mut handler, full)
        .iter()
        .flat_map(rows)
        .filter_map(|row| Some(row["_from_external_id"].as_str()?.to_owned()))
        .collect();
    assert_eq!(edges, ["1", "never emitted", "late", "early", "10.0.0.1"]);
    let counts = handler.counts();
    assert_eq!(counts["asset_ipaddress"].withheld, 1);
    assert_eq!(counts["ipaddress_macaddress"].withheld, 1);
    assert_eq!(counts["ipaddress"].rejected, 1);
    assert_eq!(counts["asset"].rejected, 2);
}

#[test]
fn the_quarantine_is_private_even_where_a_file_was() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    std::fs::write(&options.quarantine, "of the last run").unwrap();
    std::fs::set_permissions(&options.quarantine, std::fs::Permissions::from_mode(0o644)).unwrap();
    let path = options.quarantine.clone();
    let mut handler = handler(options);
    assert_eq!(handler.quarantine().unwrap().path(), None);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "of the last run");
    handler
        .take(
            "all",
            &records(&[&Asset {
                risk: Some(11.0),
                ..asset("a\"b\né")
            }]),
        )
        .unwrap();
    assert_eq!(handler.quarantine().unwrap().path(), Some(path.as_path()));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let line: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(line["row"]["external_id"], "a\"b\né");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_row_that_no_service_takes_is_rejected_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut handler = handler(options(folder.path()));
    let mut page = Records::new();
    page.emit(&Asset {
        description: Some("x".repeat(33 << 20)),
        ..asset("1")
    });
    assert!(handler.take("all", &page).unwrap().is_empty());
    assert!(handler.flush().is_empty());
    assert_eq!(handler.rejects(), (1, 1));
    let path = handler.quarantine().unwrap().path().unwrap().to_owned();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("is larger than 32 MiB"));
}

#[test]
fn what_was_emitted_is_known_and_what_was_not_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut handler = handler(options(folder.path()));
    let page = records(&[
        &asset("1"),
        &Asset {
            risk: Some(11.0),
            ..asset("bad")
        },
        &AssetVulnerability::new("1", "v"),
    ]);
    let full = handler.take("all", &page).unwrap();
    drain(&mut handler, full);
    for (deletion, emitted) in [
        (Deletion::vertex("asset", "1"), true),
        (Deletion::vertex("asset", "2"), false),
        (Deletion::vertex("asset", "bad"), false),
        (Deletion::vertex("user", "1"), false),
        (Deletion::edge("asset_vulnerability", "1", "v"), true),
        (Deletion::edge("asset_vulnerability", "v", "1"), false),
        (Deletion::edge("asset_ipaddress", "1", "v"), false),
    ] {
        assert_eq!(handler.was_emitted(&deletion), emitted, "{deletion:?}");
    }
}

#[test]
fn a_page_after_the_vertices_is_an_error_and_not_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let mut handler = handler(options(folder.path()));
    handler.start_edges().unwrap();
    let late = records(&[&AssetVulnerability::new("1", "v")]);
    assert!(handler.take("all", &late).is_err());
}
