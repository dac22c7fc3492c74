//! The exact order of requests of each kind of run, and what they carry.

use car_core::FailureKind;
use car_core::record::{Deletion, Records};
use car_core::report::{Mode, Outcome};
use car_schema::GenericVertex;
use car_schema::edges::AssetVulnerability;
use car_schema::vertices::Vulnerability;
use serde_json::json;

use crate::support::{
    Answer, CarMock, Extended, FullOnly, Incremental, SOURCE, Setup, asset, assets, records, run,
    soon,
};

fn vertices() -> Records {
    records(&[&asset("1"), &Vulnerability::new("v", "v")])
}

fn edges() -> Records {
    records(&[&AssetVulnerability::new("1", "v")])
}

/// What every full import asks, from the session on, with one batch of vertices and one of edges.
const FULL: [&str; 13] = [
    "get health", // what can the service do?
    "open session",
    "get job status",
    "get import schema",
    "post import", // source and report
    "get import status",
    "post import", // vertices
    "get import status",
    "post import", // edges
    "get import status",
    "close session",
    "get job status",
    "write save point",
];

#[tokio::test]
async fn a_full_import_asks_in_this_order() {
    let car = CarMock::start().await;
    let source = Extended::new()
        .state("1")
        .scope("assets", [assets(&["1", "2"])])
        .scope("edges", [edges()]);
    let setup = Setup::new(&car).with(|options| options.concurrency = 1);
    let done = setup.run(source).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let mut expected = vec![
        "get extension",
        "post extension",
        "get databases",
        "get source",
    ];
    expected.extend(FULL);
    assert_eq!(car.calls(), expected);
    assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"));
    assert_eq!(done.report.save_point.as_deref(), Some("1"));

    // The report counts what was really asked.
    for (call, count) in &done.report.calls {
        assert_eq!(*count, car.count(call) as u64, "{call}");
    }
    assert_eq!(
        done.report.calls.values().sum::<u64>(),
        expected.len() as u64
    );
    let bytes: usize = car.asked().iter().map(|asked| asked.body.len()).sum();
    assert_eq!(done.report.bytes_sent, bytes as u64);
}

#[tokio::test]
async fn a_forced_full_import_clears_the_save_point_before_the_session() {
    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let source = Incremental::new()
        .state("2")
        .scope("assets", [assets(&["1"])])
        .scope("edges", [edges()]);
    let setup = Setup::new(&car).with(|options| options.force_full = true);
    let done = setup.run(source).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let mut expected = vec![
        "get databases",
        "get source",
        "get health",
        "clear save point",
    ];
    expected.extend(&FULL[1..]);
    assert_eq!(car.calls(), expected);
}

#[tokio::test]
async fn a_connector_without_incremental_import_writes_no_save_point() {
    let car = CarMock::start().await;
    let source = FullOnly::new()
        .scope("assets", [assets(&["1"])])
        .scope("edges", [edges()]);
    let done = run(&car, source).await;
    assert_eq!(done.report.why, "the connector has no incremental import");
    let mut expected = vec!["get databases", "get source"];
    expected.extend(FULL.into_iter().filter(|call| *call != "write save point"));
    assert_eq!(car.calls(), expected);
}

#[tokio::test]
async fn a_new_database_is_made_first() {
    let car = CarMock::start().await.without_database();
    let source = FullOnly::new()
        .scope("assets", [assets(&["1"])])
        .scope("edges", [edges()]);
    let done = run(&car, source).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let start = [
        "get databases",
        "create database",
        "get job status",
        "get databases",
        "get source",
    ];
    assert_eq!(car.calls()[..start.len()], start);
}

#[tokio::test]
async fn an_incremental_import_asks_in_this_order() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, Some("1"))
        .features(json!({ "edge_deletion": true }));
    let mut gone = Records::new();
    gone.delete(Deletion::vertex("asset", "9"));
    gone.delete(Deletion::vertex("ipaddress", "10.0.0.9"));
    gone.delete(Deletion::edge("asset_vulnerability", "9", "v"));
    let source = Extended::new()
        .state("2")
        .changes([assets(&["1"]), edges(), gone]);
    let done = run(&car, source).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(done.report.mode, Some(Mode::Incremental));
    assert_eq!(
        car.calls(),
        [
            "get extension",
            "post extension",
            "get databases",
            "get source",
            "get health",
            "get import schema",
            "post import",
            "get import status",
            "post import",
            "get import status",
            "post import",
            "get import status",
            "delete edge",
            "delete vertices",
            "delete vertices",
            "write save point",
        ]
    );
    let edge = &car.of("delete edge")[0];
    assert_eq!(
        (edge.path.as_str(), edge.query.as_str()),
        ("v2/source/test-source/asset_vulnerability", "from=9&to=v")
    );
}

#[tokio::test]
async fn an_edge_is_deactivated_where_the_service_cannot_retire_edges() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, Some("1"))
        .always("get health", Answer::Status(404));
    let mut gone = Records::new();
    gone.delete(Deletion::edge("asset_ipaddress", "a/9", "10.0.0.1"));
    let done = run(&car, Incremental::new().state("2").changes([gone])).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let edge = &car.of("deactivate edge")[0];
    assert_eq!(edge.path, "v2/asset_ipaddress");
    assert_eq!(edge.query, "source=test-source&from=a%2F9&to=10.0.0.1");
    assert_eq!(edge.json(), json!({ "active": false }));
}

#[tokio::test]
async fn without_a_change_four_questions_and_the_save_point_are_all() {
    let car = CarMock::start().await;
    let source = || Extended::new().state("1").scope("assets", [assets(&["1"])]);
    assert_eq!(run(&car, source()).await.report.exit_code, 0);
    let graph = car.graph();
    car.forget();
    let done = run(&car, source()).await;
    assert_eq!(done.report.outcome, Outcome::Unchanged);
    assert_eq!(
        car.calls(),
        [
            "get extension",
            "get databases",
            "get source",
            "get health",
            "write save point"
        ]
    );
    assert_eq!(car.graph(), graph);
}

#[tokio::test]
async fn an_extension_is_posted_only_when_the_stored_one_is_older() {
    let mut stored = serde_json::to_value(crate::support::extension()).unwrap();
    for (version, posts) in [("1", 1), ("2", 0), ("3", 0), ("", 1)] {
        stored["version"] = version.into();
        let car = CarMock::start()
            .await
            .always("get extension", Answer::Json(stored.clone()));
        let source = Extended::new().scope("assets", [assets(&["1"])]);
        let done = run(&car, source).await;
        assert_eq!(done.report.exit_code, 0, "{version}: {:?}", done.failure);
        assert_eq!(car.count("post extension"), posts, "version {version:?}");
    }
}

#[tokio::test]
async fn rows_of_the_extension_are_sent() {
    let car = CarMock::start().await;
    let site = GenericVertex::new("site", "s").with("name", "Munich");
    let source = Extended::new().scope(
        "sites",
        [records(&[&site, &asset("1").with("initial_value", 5)])],
    );
    let done = run(&car, source).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(car.row("site", "s").unwrap()["name"], "Munich");
    assert_eq!(car.row("asset", "1").unwrap()["initial_value"], 5);
}

#[tokio::test]
async fn a_source_that_cannot_tell_what_changed_is_imported_in_full() {
    let full_scope = || assets(&["1", "2"]);
    let cases = [
        Incremental::new().no_changes_known(),
        Incremental::new().no_changes_known_after(assets(&["1", "lost"])),
    ];
    for source in cases {
        let car = CarMock::start()
            .await
            .knows(SOURCE, Some("1"))
            .holds("asset", json!({ "external_id": "old", "name": "old" }));
        let source = source.state("2").scope("assets", [full_scope()]);
        let done = run(&car, source).await;
        assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
        assert_eq!(done.report.mode, Some(Mode::Full));
        assert!(
            done.report.why.contains("its log is too short"),
            "{}",
            done.report.why
        );
        assert_eq!(car.keys("asset"), ["1", "2"], "the full import decides");
        assert_eq!(done.report.collections["asset"].sent, 2);
        assert_eq!(car.save_point(SOURCE).as_deref(), Some("2"));
        let calls = car.calls();
        let clear = calls.iter().position(|call| *call == "clear save point");
        let open = calls.iter().position(|call| *call == "open session");
        assert!(clear.unwrap() < open.unwrap());
    }
}

#[tokio::test]
async fn every_edge_carries_report_source_activity_and_time() {
    let car = CarMock::start().await;
    let mut inactive = AssetVulnerability::new("2", "v");
    inactive.active = Some(false);
    let done = run(
        &car,
        FullOnly::new().scope("all", [vertices(), edges(), records(&[&inactive])]),
    )
    .await;
    let edge = car.row("asset_vulnerability", "1 -> v").unwrap();
    assert_eq!(edge["report"], done.report.report);
    assert_eq!(edge["source"], SOURCE);
    assert_eq!(edge["active"], true);
    assert_eq!(
        edge["timestamp"].as_f64().unwrap() as u64,
        done.report.started_at
    );
    let edge = car.row("asset_vulnerability", "2 -> v").unwrap();
    assert_eq!(edge["active"], false, "what the author says stays");

    for import in car.of("post import") {
        let envelope = import.json();
        assert_eq!(envelope["source"]["_key"], SOURCE);
        assert_eq!(envelope["report"]["_key"], done.report.report);
    }
}

#[tokio::test]
async fn no_edge_is_sent_before_every_vertex_is_acknowledged() {
    let unfinished = |id: &str| {
        Answer::Json(json!({ "error_imports": [], "incomplete_imports": [{ "id": id }] }))
    };
    // Imports 3 and 4 are of the vertices; the fourth question is the first that finds them done.
    let car = CarMock::start()
        .await
        .times(
            "get import status",
            1,
            Answer::After(std::time::Duration::ZERO),
        )
        .times("get import status", 1, unfinished("import-3"))
        .times("get import status", 1, unfinished("import-3"));
    let source = FullOnly::new().scope("all", [edges(), vertices()]);
    let done = soon(run(&car, source)).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let mut sent = Vec::new();
    for asked in car.asked() {
        match asked.call {
            "post import" => sent.push(
                asked
                    .json()
                    .as_object()
                    .unwrap()
                    .keys()
                    .find(|name| *name != "source" && *name != "report")
                    .cloned()
                    .unwrap_or_default(),
            ),
            "get import status" => sent.push("?".to_owned()),
            _ => {}
        }
    }
    assert_eq!(sent[..2], ["", "?"]);
    assert_eq!(sent[sent.len() - 2..], ["asset_vulnerability", "?"]);
    let questions = sent.iter().filter(|sent| *sent == "?").count();
    assert_eq!(questions, 5, "{sent:?}");
}

#[tokio::test]
async fn batches_hold_a_page_of_rows_at_most() {
    let car = CarMock::start().await;
    let ids: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let setup = Setup::new(&car).with(|options| options.page_rows = 10);
    let done = setup
        .run(FullOnly::new().scope("all", [assets(&ids)]))
        .await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let mut sizes: Vec<usize> = car
        .of("post import")
        .iter()
        .filter_map(|import| Some(import.json().get("asset")?.as_array()?.len()))
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    assert_eq!(done.report.collections["asset"].sent, 25);
}

#[tokio::test]
async fn states_of_imports_are_asked_for_twenty_at_a_time() {
    let car = CarMock::start().await;
    let ids: Vec<String> = (0..45).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let setup = Setup::new(&car).with(|options| options.page_rows = 1);
    let done = setup
        .run(FullOnly::new().scope("all", [assets(&ids)]))
        .await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let mut asked = Vec::new();
    for question in car.of("get import status") {
        let ids: Vec<String> = question
            .query
            .strip_prefix("ids=")
            .unwrap()
            .split(',')
            .map(str::to_owned)
            .collect();
        assert!(ids.len() <= 20, "{ids:?}");
        asked.extend(ids);
    }
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 46, "the header and every batch");
}

#[tokio::test]
async fn what_a_delta_brings_back_is_not_deleted() {
    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let mut gone = assets(&["back"]);
    for id in ["back", "gone", "gone"] {
        gone.delete(Deletion::vertex("asset", id));
    }
    let done = run(&car, Incremental::new().state("2").changes([gone])).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let queries: Vec<String> = car
        .of("delete vertices")
        .into_iter()
        .map(|call| call.query)
        .collect();
    assert_eq!(queries, ["external_ids=gone"]);
    assert_eq!(car.keys("asset"), ["back"]);
}

#[tokio::test]
async fn a_source_failure_in_a_delta_keeps_the_save_point() {
    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let source = Incremental::new()
        .state("2")
        .changes_fail(FailureKind::SourceUnavailable);
    let done = run(&car, source).await;
    assert_eq!(done.report.exit_code, 51);
    assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"));
    assert!(!done.report.session_open);
    let failure = done.failure.unwrap();
    assert!(
        failure.hints().any(|hint| hint.contains("starts from `1`")),
        "{failure:?}"
    );
}
