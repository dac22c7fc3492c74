//! The full import: everything, to the last edge.

use car_core::report::{Mode, Outcome};
use car_testkit::ReferenceSource;

use crate::expected;
use crate::support::Pair;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_import_makes_the_graph_what_the_source_has() {
    let pair = Pair::start(40).await;
    let ended = pair.import().await;
    pair.assert_in_step("after a full import").await;

    let report = ended.report();
    assert_eq!(report.mode, Some(Mode::Full));
    assert_eq!(report.outcome, Outcome::Complete);
    assert!(
        report.scopes.iter().all(|scope| scope.complete),
        "{:?}",
        report.scopes
    );
    assert!(!report.session_open);
    assert_eq!(
        report.save_point.as_deref(),
        Some(pair.source.state().await.as_str())
    );
    assert_eq!(
        pair.service.save_point("reference").await,
        report.save_point
    );
    assert_eq!(ended.left_in_tmp, Vec::<String>::new());
    assert_eq!(ended.stdout, "");

    // 25 objects per asset and 3 that they share.
    let graph = pair.graph().await;
    assert_eq!(graph.len(), 40 * 25 + 3);
    let sent = report
        .collections
        .iter()
        .map(|(name, counts)| (name.clone(), counts.sent));
    assert_eq!(
        sent.collect::<std::collections::BTreeMap<_, _>>(),
        graph.counts()
    );
    let totals = report.totals();
    assert_eq!(
        (
            totals.rejected,
            totals.withheld,
            totals.merged,
            totals.retired
        ),
        (0, 0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn this_machine_and_300_made_assets_are_imported_to_the_last_edge() {
    let pair = Pair::start(300).await;
    pair.source.load_this_machine().await;
    let ended = pair.import().await;
    let expected = expected::graph(&pair.source).await;
    let graph = pair.graph().await;
    graph.assert_is(&expected, "after a full import");
    assert!(graph.len() > 300 * 25, "{graph:?}");
    let report = ended.report();
    for (collection, count) in graph.counts() {
        assert_eq!(report.collections[&collection].sent, count, "{collection}");
    }
    assert_eq!(report.totals().sent, graph.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vulnerability_of_the_reference_data_is_lost() {
    let pair = Pair::start(30).await;
    pair.import().await;
    let vulnerabilities = pair.source.all("vulnerabilities").await;
    let graph = pair.graph().await;
    assert_eq!(graph.identities("vulnerability").count(), 60);
    for vulnerability in vulnerabilities {
        let id = vulnerability["external_id"].as_str().unwrap();
        let fields = graph.get("vulnerability", id).unwrap();
        let references = fields["xref_properties"]["CWE"].as_array().unwrap();
        assert_eq!(references.len(), 2, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_without_changes_sends_nothing() {
    let pair = Pair::start(5).await;
    pair.import().await;
    let before = pair.graph().await;
    let ended = pair.import().await;
    let report = ended.report();
    assert_eq!(report.mode, Some(Mode::Incremental));
    assert_eq!(report.outcome, Outcome::Unchanged);
    assert_eq!(ended.calls("post import"), 0, "{:?}", report.calls);
    assert_eq!(report.totals(), Default::default());
    pair.graph()
        .await
        .assert_is(&before, "after a run without changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_full_import_leaves_an_identical_graph() {
    let pair = Pair::start(5).await;
    pair.import().await;
    let before = pair.graph().await;
    let ended = pair.connector().args(&["--full"]).run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Full));
    pair.graph()
        .await
        .assert_is(&before, "after a second full import");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connections_of_one_service_do_not_touch_each_other() {
    let pair = Pair::start(3).await;
    pair.import().await;
    let before = pair.graph().await;
    let other = ReferenceSource::start(2).await;
    let second = crate::support::reading(&other.url()).into_service(&pair.service.url(), "other");
    drop(second.run().await.with_code(0));
    pair.graph().await.assert_is(&before, "the first source");
    let expected = expected::graph(&other).await;
    pair.service
        .graph("other")
        .await
        .assert_is(&expected, "the second source");
}
