//! The incremental import: only what changed, and the graph ends as a full import would make it.

use car_core::report::{Mode, Outcome};
use car_testkit::{ReferenceSource, Service, cases};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::edit::{Edit, edits, one_of_each};
use crate::expected;
use crate::support::{Pair, SOURCE, reading};

/// Asserts that incremental runs made the graph that a full import makes from nothing, and that
/// another full import changes nothing.
async fn assert_as_good_as_full(pair: &Pair) {
    pair.assert_in_step("after incremental imports").await;
    let graph = pair.graph().await;

    let fresh = Service::start().await;
    let first = reading(&pair.source.url()).into_service(&fresh.url(), SOURCE);
    drop(first.run().await.with_code(0));
    fresh
        .graph(SOURCE)
        .await
        .assert_is(&graph, "a full import into a new service");

    let again = pair
        .connector()
        .args(&["--full", "--approve-deletions"])
        .run()
        .await
        .with_code(0);
    assert_eq!(again.report().mode, Some(Mode::Full));
    pair.graph()
        .await
        .assert_is(&graph, "a full import into the same service");
}

fn sent(ended: &car_testkit::Ended) -> Vec<(&str, u64)> {
    let counts = ended.report().collections.iter();
    counts
        .filter(|(_, counts)| counts.sent > 0)
        .map(|(name, counts)| (name.as_str(), counts.sent))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_object_is_sent_and_nothing_else() {
    let pair = Pair::start(5).await;
    pair.import().await;
    pair.source
        .change("assets", 3, &json!({ "risk": 9.5, "description": null }))
        .await;
    let ended = pair.import().await;
    assert_eq!(ended.report().mode, Some(Mode::Incremental));
    assert_eq!(ended.report().outcome, Outcome::Complete);
    assert_eq!(sent(&ended), [("asset", 1), ("site_asset", 1)]);
    assert_as_good_as_full(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cross_reference_that_changes_changes_the_vulnerabilities_with_it() {
    let pair = Pair::start(3).await;
    pair.import().await;
    pair.source
        .change("xrefproperties", 1, &json!({ "value": "CWE-9999" }))
        .await;
    pair.import().await;
    assert_as_good_as_full(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_take_away_just_what_was_deleted() {
    let pair = Pair::start(6).await;
    pair.import().await;
    let before = pair.graph().await;
    for collection in [
        "vulnerabilities",
        "mac_addresses",
        "ip_addresses",
        "hosts",
        "apps",
    ] {
        pair.source.delete(collection, 2).await;
    }
    pair.source.delete("assets", 4).await;
    let ended = pair.import().await;
    // Objects that lost a link count as changed; the others are not sent.
    for untouched in ["asset", "site", "port"] {
        assert!(
            !sent(&ended).iter().any(|(name, _)| *name == untouched),
            "{untouched}"
        );
    }
    let retired = |name: &str| ended.report().collections[name].retired;
    for vertex in [
        "vulnerability",
        "macaddress",
        "ipaddress",
        "hostname",
        "application",
        "asset",
    ] {
        assert_eq!(retired(vertex), 1, "{vertex}");
    }
    let after = pair.graph().await;
    assert!(after.len() < before.len());
    assert_as_good_as_full(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_name_natural_keys_by_the_key_itself() {
    // Row numbers that differ from the keys, and keys that look like row numbers of others.
    let pair = Pair::start(0).await;
    for (collection, field, keys) in [
        ("ip_addresses", "address", ["10.0.0.1", "10.0.0.2"]),
        (
            "mac_addresses",
            "address",
            ["02:00:00:00:00:01", "02:00:00:00:00:02"],
        ),
        ("hosts", "host_name", ["2", "1"]),
    ] {
        for key in keys {
            pair.source.add(collection, &json!({ field: key })).await;
        }
    }
    pair.import().await;
    for collection in ["ip_addresses", "mac_addresses", "hosts"] {
        pair.source.delete(collection, 1).await;
    }
    pair.import().await;
    let graph = pair.graph().await;
    assert_eq!(
        graph.identities("ipaddress").collect::<Vec<_>>(),
        ["10.0.0.2"]
    );
    assert_eq!(
        graph.identities("macaddress").collect::<Vec<_>>(),
        ["02:00:00:00:00:02"]
    );
    assert_eq!(graph.identities("hostname").collect::<Vec<_>>(), ["1"]);
    assert_as_good_as_full(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_taken_away_leaves_both_ends() {
    let pair = Pair::start(3).await;
    pair.import().await;
    let before = pair.graph().await;
    assert!(before.has_edge("application_port", "2", "1"));
    assert!(before.has_edge("asset_application", "1", "2"));
    assert!(before.has_edge("site_asset", "1", "3"));
    pair.source
        .change("apps", 2, &json!({ "ports": [], "assets": [2] }))
        .await;
    pair.source
        .change("assets", 3, &json!({ "site": null }))
        .await;
    pair.import().await;
    let graph = pair.graph().await;
    assert!(!graph.has_edge("application_port", "2", "1"));
    assert!(!graph.has_edge("asset_application", "1", "2"));
    assert!(graph.has_edge("asset_application", "2", "2"));
    assert!(!graph.has_edge("site_asset", "1", "3"));
    assert_eq!(graph.len(), before.len() - 2);
    assert_as_good_as_full(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_is_a_deletion_and_a_new_vertex_with_all_edges() {
    let pair = Pair::start(2).await;
    pair.import().await;
    pair.source
        .change("ip_addresses", 1, &json!({ "address": "10.9.9.9" }))
        .await;
    pair.source
        .change("vulnerabilities", 1, &json!({ "external_id": "renamed" }))
        .await;
    pair.source
        .change(
            "mac_addresses",
            2,
            &json!({ "address": "02:00:00:00:00:99" }),
        )
        .await;
    pair.import().await;
    assert_as_good_as_full(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_no_longer_knows_the_save_point_is_imported_in_full() {
    let pair = Pair::start(3).await;
    pair.import().await;
    // The same connection now leads to another database, as after a restore.
    let other = ReferenceSource::start(4).await;
    let moved = reading(&other.url()).into_service(&pair.service.url(), SOURCE);
    let ended = moved.run().await.with_code(0);
    let report = ended.report();
    assert_eq!(report.mode, Some(Mode::Full));
    assert!(
        report.why.contains("cannot tell what changed"),
        "{}",
        report.why
    );
    let expected = expected::graph(&other).await;
    pair.graph()
        .await
        .assert_is(&expected, "after moving to another database");
    assert_eq!(
        report.save_point.as_deref(),
        Some(other.state().await.as_str())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_come_in_pages() {
    let pair = Pair::start(5).await;
    pair.import().await;
    for pk in 1..=5 {
        pair.source
            .change("assets", pk, &json!({ "risk": 1 }))
            .await;
        pair.source.delete("hosts", pk).await;
        pair.source
            .change("apps", pk, &json!({ "assets": [], "version": "9" }))
            .await;
    }
    let ended = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "2")
        .run()
        .await
        .with_code(0);
    assert!(ended.report().pages > 5, "{} pages", ended.report().pages);
    assert_as_good_as_full(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_collection_is_followed_through_additions_changes_links_and_deletions() {
    let pair = Pair::start(3).await;
    pair.import().await;
    for edits in one_of_each() {
        for edit in &edits {
            edit.apply(&pair.source).await;
        }
        let ended = pair.import().await;
        assert_eq!(ended.report().mode, Some(Mode::Incremental));
        pair.assert_in_step(&format!("after {edits:?}")).await;
    }
    assert_as_good_as_full(&pair).await;
}

/// Whatever happens to the source between runs, the graph follows.
#[test]
fn random_changes_leave_the_graph_of_a_full_import() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let service = runtime.block_on(Service::start());
    let config = Config {
        cases: cases(12),
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let rounds = (
        prop::collection::vec(edits(), 1..4),
        prop_oneof![Just("3"), Just("2000")],
    );
    let number = std::cell::Cell::new(0);
    let tested = TestRunner::new(config).run(&rounds, |(rounds, page)| {
        number.set(number.get() + 1);
        let name = format!("case-{}", number.get());
        runtime.block_on(follow(&service, &name, &rounds, page));
        Ok(())
    });
    if let Err(error) = tested {
        panic!("{error}");
    }
}

/// Imports after each round of changes, then in full under another name and again in full.
async fn follow(service: &Service, name: &str, rounds: &[Vec<Edit>], page: &str) {
    let source = ReferenceSource::start(3).await;
    let import = |name: &str| {
        let connector = reading(&source.url()).into_service(&service.url(), name);
        connector.env("CONFIGURATION_PARAMETER_PAGE_SIZE", page)
    };
    drop(import(name).run().await.with_code(0));
    for edits in rounds {
        for edit in edits {
            edit.apply(&source).await;
        }
        let ended = import(name).run().await.with_code(0);
        assert_eq!(ended.report().mode, Some(Mode::Incremental));
        let expected = expected::graph(&source).await;
        service
            .graph(name)
            .await
            .assert_is(&expected, "after an incremental import");
    }
    let graph = service.graph(name).await;
    let fresh = format!("{name}-fresh");
    drop(import(&fresh).run().await.with_code(0));
    service
        .graph(&fresh)
        .await
        .assert_is(&graph, "a full import from nothing");
    let again = import(name)
        .args(&["--full", "--approve-deletions"])
        .run()
        .await
        .with_code(0);
    assert_eq!(again.report().mode, Some(Mode::Full));
    service
        .graph(name)
        .await
        .assert_is(&graph, "a full import of what is there");
}
