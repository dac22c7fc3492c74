//! What this framework does better than the client it replaces: one test a line.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use car_core::FailureKind;
use car_core::config::Limit;
use car_core::record::{Deletion, Records};
use car_core::report::{Mode, Outcome};
use car_schema::edges::{AssetIpaddress, AssetVulnerability};
use car_schema::vertices::{Ipaddress, Vulnerability};
use car_schema::{Model, import_schema};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{
    Answer, CarMock, Extended, FullOnly, Incremental, SOURCE, Setup, asset, assets, client,
    records, run, side_by_side, soon,
};

fn one_asset() -> FullOnly {
    FullOnly::new().scope("assets", [assets(&["1"])])
}

fn deleting(deletions: impl IntoIterator<Item = Deletion>) -> Records {
    let mut records = Records::new();
    for deletion in deletions {
        records.delete(deletion);
    }
    records
}

/// Two assets, one of which cannot be valid, each with an edge.
fn one_bad_of_two() -> Records {
    let mut bad = asset("bad");
    bad.risk = Some(11.0);
    records(&[
        &asset("good"),
        &bad,
        &Vulnerability::new("v", "v"),
        &AssetVulnerability::new("good", "v"),
        &AssetVulnerability::new("bad", "v"),
    ])
}

#[tokio::test]
async fn promise_01_unknown_import_status_is_never_success() {
    let answers = [
        Answer::Status(500),
        Answer::Text(200, "<html>Please log in</html>"),
        Answer::Text(200, "{\"error_imports\":[],\"incomplete"),
        Answer::Json(json!({})),
        Answer::Json(json!({ "error_imports": [] })),
        Answer::Drop,
    ];
    let runs = answers.map(|answer| async move {
        let car = CarMock::start()
            .await
            .knows(SOURCE, Some("1"))
            .always("get import status", answer.clone());
        let source = Incremental::new().state("2").changes([assets(&["1"])]);
        let done = run(&car, source).await;
        assert_eq!(done.report.exit_code, 10, "{:?}", done.failure);
        assert_eq!(done.report.mode, Some(Mode::Incremental));
        assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"), "untouched");
        assert!(
            done.report.collections.is_empty(),
            "nothing was sent for sure"
        );

        let car = CarMock::start().await.always("get import status", answer);
        let done = run(&car, one_asset()).await;
        assert_eq!(done.report.exit_code, 10, "{:?}", done.failure);
        assert_eq!(car.count("close session"), 0);
        assert_eq!(car.count("write save point"), 0);
    });
    side_by_side(runs).await;
}

#[tokio::test]
async fn promise_01_an_import_that_failed_later_fails_the_run_with_the_services_words() {
    let status = json!({
        "error_imports": [{ "id": "import-3", "error": "row 3 is bad", "statusCode": 400 }],
        "incomplete_imports": [],
    });
    let car = CarMock::start()
        .await
        .after("get import status", 1, Answer::Json(status));
    let done = run(&car, one_asset()).await;
    assert_eq!(done.report.exit_code, 10);
    let chain = done.report.error.join(": ");
    assert!(chain.contains("row 3 is bad"), "{chain}");
    assert!(chain.contains("import-3"), "{chain}");
}

#[tokio::test]
async fn promise_02_a_failed_job_and_a_database_that_is_not_ready_are_failures() {
    let failed = json!({ "status": "ERROR", "error": "disk of node 3 is full" });
    let car = CarMock::start()
        .await
        .always("get job status", Answer::Json(failed));
    let done = run(&car, one_asset()).await;
    assert_eq!(done.report.exit_code, 10);
    let chain = done.report.error.join(": ");
    assert!(chain.contains("disk of node 3 is full"), "{chain}");
    assert!(chain.contains("open session"), "{chain}");
    assert_eq!(
        car.count("post import"),
        0,
        "nothing is sent into no session"
    );
    assert!(!done.report.session_open, "it was not opened");

    let car = CarMock::start().await.never_ready();
    let done = run(&car, one_asset()).await;
    assert_eq!(done.report.exit_code, 10);
    let chain = done.report.error.join(": ");
    assert!(chain.contains("not ready"), "{chain}");
    assert_eq!(car.count("open session"), 0);
}

#[tokio::test]
async fn promise_03_no_failing_run_closes_the_session_and_the_next_run_settles_it() {
    let broken = [
        ("get import schema", 0),
        ("post import", 0),
        ("post import", 1),
        ("post import", 3),
        ("get import status", 0),
        ("get import status", 2),
    ];
    let runs = broken.map(|(call, skip)| async move {
        let car = CarMock::start()
            .await
            .knows(SOURCE, Some("1"))
            .holds("asset", json!({ "external_id": "gone", "name": "gone" }))
            .after(call, skip, Answer::Status(503));
        let source = || {
            Incremental::new()
                .state("2")
                .scope("assets", [assets(&["1", "2"])])
                .scope("edges", [records(&[&AssetVulnerability::new("1", "v")])])
                .scope(
                    "vulnerabilities",
                    [records(&[&Vulnerability::new("v", "v")])],
                )
        };
        let setup = Setup::new(&car).with(|options| options.force_full = true);
        let failed = setup.run(source()).await;
        assert_eq!(failed.report.exit_code, 10, "{call} {:?}", failed.failure);
        assert_eq!(car.count("close session"), 0, "{call}");
        assert!(car.session_open() && failed.report.session_open, "{call}");
        assert_eq!(
            car.save_point(SOURCE),
            None,
            "{call}: the graph is between states"
        );
        assert_eq!(
            car.keys("asset").iter().filter(|id| *id == "gone").count(),
            1
        );
        let hints: Vec<String> = failed.failure.unwrap().hints().map(str::to_owned).collect();
        assert!(
            hints.iter().any(|hint| hint.contains("still open")),
            "{hints:?}"
        );

        car.behave();
        let next = run(&car, source()).await;
        assert_eq!(
            next.report.outcome,
            Outcome::Complete,
            "{call} {:?}",
            next.failure
        );
        assert_eq!(next.report.mode, Some(Mode::Full));
        assert!(!car.session_open() && !next.report.session_open);
        assert_eq!(car.save_point(SOURCE).as_deref(), Some("2"));
        assert_eq!(car.keys("asset"), ["1", "2"], "what is gone is retired now");
    });
    side_by_side(runs).await;
}

#[tokio::test]
async fn promise_04_a_new_database_never_keeps_an_old_save_point() {
    // The service loses its database but not what it knows of the source.
    let source = || {
        Incremental::new()
            .state("2")
            .scope("assets", [assets(&["1"])])
    };
    let failing_source = || source().scopes_fail(FailureKind::SourceUnavailable);
    let nameless = || source().state_fails(FailureKind::SourceUnavailable);
    for early in [failing_source(), nameless()] {
        let car = CarMock::start()
            .await
            .knows(SOURCE, Some("1"))
            .without_database();
        let failed = run(&car, early).await;
        assert_eq!(failed.report.exit_code, 51);
        assert_eq!(car.save_point(SOURCE), None, "the graph is empty");
        let next = run(&car, source()).await;
        assert_eq!(next.report.mode, Some(Mode::Full), "{}", next.report.why);
    }

    let car = CarMock::start()
        .await
        .knows(SOURCE, Some("1"))
        .without_database()
        .after("post import", 1, Answer::Status(503));
    let failed = run(&car, source()).await;
    assert_eq!(failed.report.exit_code, 10);
    let calls = car.calls();
    let at = |call| calls.iter().position(|known| *known == call);
    assert!(at("clear save point").unwrap() < at("open session").unwrap());
    assert!(at("clear save point").unwrap() < at("post import").unwrap());
    car.behave();
    let next = run(&car, source()).await;
    assert_eq!(next.report.mode, Some(Mode::Full));
    assert_eq!(car.keys("asset"), ["1"]);
}

#[tokio::test]
async fn promise_05_ids_are_encoded_and_long_lists_are_split() {
    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let odd = ["a#b", "a&b=c", "100%", "x,y", "é/漢", "+ ?"];
    let many: Vec<String> = (0..500).map(|n| format!("id-{n:05}")).collect();
    let ids = odd.iter().copied().chain(many.iter().map(String::as_str));
    let deletions = deleting(ids.map(|id| Deletion::vertex("asset", id)));
    let done = run(&car, Incremental::new().state("2").changes([deletions])).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);

    let calls = car.of("delete vertices");
    let lists: Vec<&str> = calls
        .iter()
        .map(|call| call.query.strip_prefix("external_ids=").unwrap())
        .collect();
    assert!(lists.iter().all(|list| list.len() <= 1800), "{lists:?}");
    assert!(lists.contains(&"x%2Cy"), "alone: {lists:?}");
    let mut asked: Vec<&str> = lists.iter().flat_map(|list| list.split(',')).collect();
    asked.sort_unstable();
    assert_eq!(asked.len(), 506, "each id once");
    for encoded in [
        "a%23b",
        "a%26b%3Dc",
        "100%25",
        "%C3%A9%2F%E6%BC%A2",
        "%2B%20%3F",
    ] {
        assert!(asked.contains(&encoded), "{encoded}");
    }
    assert_eq!(done.report.collections["asset"].retired, 506);
}

#[tokio::test]
async fn promise_06_an_edge_is_its_collection_and_ends_and_the_last_row_wins() {
    let car = CarMock::start().await;
    let mut first = asset("1");
    first.risk = Some(1.0);
    let mut last = asset("1");
    last.description = Some("the last one".to_owned());
    let scored = |score| {
        let mut edge = AssetVulnerability::new("a#b", "c");
        edge.risk_score = Some(score);
        edge
    };
    let page = records(&[
        &first,
        &asset("2"),
        &asset("2"),
        &scored(1.0),
        &AssetVulnerability::new("a", "b#c"),
        &scored(2.0),
        &last,
    ]);
    let done = run(&car, FullOnly::new().scope("all", [page])).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let one = car.row("asset", "1").unwrap();
    assert_eq!(one["description"], "the last one");
    assert_eq!(one.get("risk"), None, "it is the last row, not a mixture");
    assert_eq!(
        car.keys("asset_vulnerability"),
        ["a -> b#c", "a#b -> c"],
        "two edges that one joined text would confuse"
    );
    assert_eq!(
        car.row("asset_vulnerability", "a#b -> c").unwrap()["risk_score"],
        2.0
    );
    let assets = done.report.collections["asset"];
    assert_eq!((assets.sent, assets.merged, assets.duplicate), (2, 1, 1));
    let edges = done.report.collections["asset_vulnerability"];
    assert_eq!((edges.sent, edges.merged, edges.duplicate), (2, 1, 0));
}

#[tokio::test]
async fn promise_07_rejected_rows_are_kept_with_the_reason_and_their_edges_withheld() {
    let car = CarMock::start().await;
    let mut invalid_edge = AssetVulnerability::new("good", "w");
    invalid_edge.risk_score = Some(f64::NAN);
    let setup = Setup::new(&car).with(|options| options.max_rejects = Limit::Share(0.5));
    let source = FullOnly::new().scope("all", [one_bad_of_two(), records(&[&invalid_edge])]);
    let done = setup.run(source).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(car.keys("asset"), ["good"]);
    assert_eq!(car.keys("asset_vulnerability"), ["good -> v"]);
    let edges = done.report.collections["asset_vulnerability"];
    assert_eq!((edges.sent, edges.withheld, edges.rejected), (1, 1, 1));
    assert_eq!(done.report.collections["asset"].rejected, 1);

    let path = &setup.options.quarantine;
    assert_eq!(done.report.quarantine.as_deref(), path.to_str());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let lines: Vec<Value> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [row, edge, withheld] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (&row["scope"], &row["collection"]),
        (&json!("all"), &json!("asset"))
    );
    assert_eq!(
        row["reason"],
        "`risk` is too large: risk must be between 0 and 10"
    );
    assert_eq!(row["row"]["external_id"], "bad");
    assert_eq!(edge["reason"], "`risk_score` must be a number, is null");
    assert_eq!(withheld["row"]["_from_external_id"], "bad");
    assert!(
        withheld["reason"].as_str().unwrap().starts_with("withheld"),
        "{withheld}"
    );
}

#[tokio::test]
async fn promise_07_too_many_rejects_fail_the_run() {
    let car = CarMock::start().await;
    let setup = Setup::new(&car).with(|options| options.max_rejects = Limit::Share(0.1));
    let done = setup
        .run(FullOnly::new().scope("all", [one_bad_of_two()]))
        .await;
    assert_eq!(done.report.exit_code, 55);
    let failure = done.failure.unwrap();
    assert!(
        failure.chain().join(": ").contains("1 of 5 rows"),
        "{failure:?}"
    );
    assert!(failure.hints().any(|hint| hint.contains("--max-rejects")));
    assert_eq!(car.count("close session"), 0);
}

#[tokio::test]
async fn promise_08_polls_are_paced_bounded_and_credentials_are_tried_once() {
    // A job that never ends: the polls get rarer, and the deadline ends them.
    let working = json!({ "status": "INPROGRESS" });
    let car = CarMock::start()
        .await
        .always("get job status", Answer::Json(working));
    let mut setup = Setup::new(&car);
    setup.car_options.job_deadline = Duration::from_millis(500);
    let done = soon(setup.run(one_asset())).await;
    assert_eq!(done.report.exit_code, 10);
    assert!(done.report.error.join(": ").contains("did not end"));
    // 50, 100, 200, 400 ms: at most five questions fit, a busy loop would ask hundreds.
    let polls = car.count("get job status");
    assert!((2..=5).contains(&polls), "{polls} polls");

    // A wait that is asked for is honoured only up to the cap.
    let car = CarMock::start()
        .await
        .times("get source", 1, Answer::RetryAfter(429, 3600));
    let done = soon(run(&car, one_asset())).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(done.report.retries, 1);

    for status in [302, 400, 401, 403] {
        let car = CarMock::start()
            .await
            .always("get source", Answer::RetryAfter(status, 0));
        let done = run(&car, one_asset()).await;
        assert_eq!(done.report.exit_code, 10, "{status}");
        assert_eq!(car.count("get source"), 1, "{status}");
    }
}

#[tokio::test]
async fn promise_08_a_service_that_never_answers_ends_in_time() {
    let car = CarMock::start().await.always("get source", Answer::Never);
    let mut setup = Setup::new(&car);
    setup.car_options.call_timeout = Duration::from_millis(300);
    let done = soon(setup.run(one_asset())).await;
    assert_eq!(done.report.exit_code, 10);
    let chain = done.report.error.join(": ");
    assert!(chain.contains("in time"), "{chain}");
}

#[tokio::test]
async fn promise_09_sending_overlaps_with_reading_and_edges_go_to_disk() {
    let car = CarMock::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let setup = Setup::new(&car).with(|options| {
        options.page_rows = 1;
        options.memory_budget = 100;
    });
    let pages = (0..4).map(|n| {
        let (id, address) = (format!("{n}"), format!("10.0.0.{n}"));
        records(&[
            &asset(&id),
            &asset(&format!("{n}b")),
            &Ipaddress::new(&address),
            &AssetIpaddress::new(&id, &address),
        ])
    });
    let source = FullOnly::new().gated("assets", pages, &gate);
    let (done, ()) = soon(async {
        tokio::join!(setup.run(source), async {
            // The header is the first import, the second is of the first page: the other pages
            // are not even read.
            car.wait_for("post import", 2).await;
            gate.add_permits(3);
        })
    })
    .await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert!(done.report.spilled_bytes > 0);
    assert_eq!(car.keys("asset").len(), 8);
    assert_eq!(car.keys("asset_ipaddress").len(), 4);
}

#[tokio::test]
async fn promise_10_an_outage_while_the_model_is_extended_is_still_an_outage() {
    for call in ["get extension", "post extension"] {
        let car = CarMock::start().await.always(call, Answer::Status(503));
        let done = run(&car, Extended::new()).await;
        assert_eq!(done.report.exit_code, 10, "{call}");
    }
}

#[tokio::test]
async fn promise_10_a_save_point_that_cannot_be_cleared_does_not_hide_the_cause() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, Some("1"))
        .always("post import", Answer::Status(409))
        .always("clear save point", Answer::Status(401));
    let source = Incremental::new().state("2").changes([assets(&["1"])]);
    let done = run(&car, source).await;
    assert_eq!(done.report.exit_code, 20, "{:?}", done.failure);
    let failure = done.failure.unwrap();
    assert!(failure.hints().any(|hint| hint.contains("--full")));
    assert_eq!(done.report.save_point.as_deref(), Some("1"), "the truth");
}

#[tokio::test]
async fn promise_11_the_spill_is_private_and_gone_after_every_end() {
    let ends = [
        (None, 0),
        (Some(Answer::Status(503)), 10),
        (Some(Answer::Status(409)), 20),
    ];
    for (fault, code) in ends {
        for keep in [false, true] {
            let mut car = CarMock::start().await;
            if let Some(answer) = fault.clone() {
                // The header, the vertices, then the edges.
                car = car.after("post import", 2, answer);
            }
            let setup = Setup::new(&car).with(|options| {
                options.memory_budget = 0;
                options.keep_spill = keep;
            });
            let page = records(&[&asset("1"), &AssetVulnerability::new("1", "v")]);
            let done = setup.run(FullOnly::new().scope("all", [page])).await;
            assert_eq!(done.report.exit_code, code, "{:?}", done.failure);
            assert!(done.report.spilled_bytes > 0);
            let folder = setup.options.spill_folder.as_ref().unwrap();
            let left: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
            assert_eq!(left.len(), usize::from(keep), "{code}");
            for file in left {
                let mode = file.unwrap().metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
    }
}

#[tokio::test]
async fn promise_12_natural_keys_are_deleted_by_the_key_itself() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, Some("1"))
        .holds("ipaddress", json!({ "_key": "10.0.0.1" }));
    let deletions = deleting([
        Deletion::vertex("ipaddress", "10.0.0.1"),
        Deletion::vertex("macaddress", "01:23:45:67:89:ab"),
        Deletion::vertex("hostname", "a.example"),
        Deletion::vertex("asset", "7"),
    ]);
    let done = run(&car, Incremental::new().state("2").changes([deletions])).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let mut asked: Vec<String> = car
        .of("delete vertices")
        .iter()
        .map(|call| {
            let (_, collection) = call.path.rsplit_once('/').unwrap();
            format!("{collection}?{}", call.query)
        })
        .collect();
    asked.sort_unstable();
    assert_eq!(
        asked,
        [
            "asset?external_ids=7",
            "hostname?keys=a.example",
            "ipaddress?keys=10.0.0.1",
            "macaddress?keys=01%3A23%3A45%3A67%3A89%3Aab",
        ]
    );
    assert_eq!(car.keys("ipaddress"), [""; 0]);
}

#[tokio::test]
async fn promise_13_cross_references_go_as_an_object_and_a_list_is_rejected_aloud() {
    let car = CarMock::start().await;
    let references = json!({ "cve": "CVE-2024-1" });
    let good = Vulnerability {
        xref_properties: references.as_object().cloned(),
        ..Vulnerability::new("good", "good")
    };
    let list = Vulnerability::new("list", "list").with("xref_properties", json!([references]));
    let setup = Setup::new(&car).with(|options| options.max_rejects = Limit::Share(1.0));
    let done = setup
        .run(FullOnly::new().scope("all", [records(&[&good, &list])]))
        .await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(
        car.row("vulnerability", "good").unwrap()["xref_properties"],
        references
    );
    assert_eq!(car.keys("vulnerability"), ["good"]);
    let quarantine = std::fs::read_to_string(&setup.options.quarantine).unwrap();
    assert!(
        quarantine.contains("`xref_properties` must be an object, is a list"),
        "{quarantine}"
    );
}

#[tokio::test]
async fn promise_14_without_a_state_there_is_no_incremental_run_and_no_save_point() {
    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let source = || Incremental::new().scope("assets", [assets(&["1"])]);
    let done = run(&car, source()).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(done.report.mode, Some(Mode::Full));
    assert_eq!(done.report.save_point, None);
    assert_eq!(
        car.save_point(SOURCE),
        None,
        "neither the old one nor `None`"
    );
    assert_eq!(car.count("write save point"), 0);

    let next = run(&car, source()).await;
    assert_eq!(next.report.mode, Some(Mode::Full));
    let state = client(&car).source(SOURCE).await.unwrap();
    assert!(state.known && state.save_point.is_none());

    // A source that cannot answer is not one without a state.
    let failing = source().state_fails(FailureKind::SourceAuthentication);
    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let done = run(&car, failing).await;
    assert_eq!(done.report.exit_code, 52);
    assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"));
}

#[test]
fn the_mock_sends_the_schema_of_the_model() {
    // Line 13 depends on it: an object is asked for.
    let schema = import_schema(&Model::core());
    let field = &schema["properties"]["vulnerability"]["items"]["properties"]["xref_properties"];
    assert_eq!(field["type"], "object");
}
