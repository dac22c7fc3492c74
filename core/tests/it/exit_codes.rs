//! The table of exit codes: each kind of failure by itself, and runs that end in each code.

use car_core::FailureKind;
use car_core::config::Limit;
use car_core::engine::Options;
use car_core::exit::{clears_saved_state, exit_code};
use car_core::progress::Event;
use car_core::report::{Mode, Outcome};
use car_schema::edges::AssetVulnerability;
use serde_json::json;

use crate::support::{
    Answer, CarMock, FullOnly, Incremental, SOURCE, Setup, assets, records, run, side_by_side, soon,
};

#[test]
fn every_kind_has_its_code() {
    let table = [
        (FailureKind::General, 1, false),
        (FailureKind::InvalidParameter, 2, false),
        (FailureKind::CarUnreachable, 10, false),
        (FailureKind::CarAuthentication, 10, false),
        (FailureKind::CarRejected, 10, false),
        (FailureKind::CarThrottled, 10, false),
        (FailureKind::CarUnavailable, 10, false),
        (FailureKind::Interrupted, 10, false),
        (FailureKind::Partial, 11, false),
        (FailureKind::Held, 12, false),
        (FailureKind::CarUnexpected, 20, true),
        (FailureKind::Unrecoverable, 20, true),
        (FailureKind::Source, 50, false),
        (FailureKind::SourceUnavailable, 51, false),
        (FailureKind::SourceAuthentication, 52, false),
        (FailureKind::SourceForbidden, 53, false),
        (FailureKind::SourceInvalidParameter, 54, false),
        (FailureKind::SourceData, 55, false),
        (FailureKind::PlatformUnavailable, 60, false),
        (FailureKind::PlatformRejected, 61, false),
        (FailureKind::PlatformUnexpected, 62, false),
        (FailureKind::RowsLost, 63, false),
    ];
    for (kind, code, clears) in table {
        assert_eq!(exit_code(kind), code, "{kind:?}");
        assert_eq!(clears_saved_state(kind), clears, "{kind:?}");
    }
}

/// An incremental run that has something to send.
fn changed() -> Incremental {
    Incremental::new().state("2").changes([assets(&["1"])])
}

#[tokio::test]
async fn statuses_that_may_go_away_end_in_10_and_keep_the_save_point() {
    let statuses = [302, 400, 401, 403, 408, 429, 500, 502, 503, 504];
    let runs = statuses.map(|status| async move {
        for call in ["get source", "post import", "write save point"] {
            let car = CarMock::start()
                .await
                .knows(SOURCE, Some("1"))
                .always(call, Answer::Status(status));
            let done = run(&car, changed()).await;
            assert_eq!(done.report.exit_code, 10, "{call} {status}");
            assert_eq!(
                car.save_point(SOURCE).as_deref(),
                Some("1"),
                "{call} {status}"
            );
            let chain = done.report.error.join(": ");
            assert!(chain.contains(&status.to_string()), "{chain}");
            assert!(chain.contains(&format!("call `{call}` failed")), "{chain}");
            assert!(chain.contains("the test says so (told_to)"), "{chain}");
        }
    });
    side_by_side(runs).await;
}

#[tokio::test]
async fn a_service_that_is_not_there_ends_in_10() {
    let car = CarMock::start().await;
    let setup = Setup::new(&car);
    drop(car);
    let done = soon(setup.run(changed())).await;
    assert_eq!(done.report.exit_code, 10);
    assert!(
        done.report.error.join(": ").contains("cannot be reached")
            || done.report.error.join(": ").contains("404"),
        "{:?}",
        done.report.error
    );
}

#[tokio::test]
async fn statuses_that_nobody_expects_end_in_20_and_clear_the_save_point() {
    for status in [301, 402, 404, 405, 409, 410, 413, 422, 501] {
        let car = CarMock::start().await.knows(SOURCE, Some("1")).after(
            "post import",
            1,
            Answer::Status(status),
        );
        let done = run(&car, changed()).await;
        assert_eq!(done.report.exit_code, 20, "{status} {:?}", done.failure);
        assert_eq!(car.save_point(SOURCE), None, "{status}");
        assert_eq!(done.report.save_point, None);
        assert_eq!(car.count("post import"), 2, "{status} is not tried again");
        let hints: Vec<String> = done.failure.unwrap().hints().map(str::to_owned).collect();
        assert!(
            hints
                .iter()
                .any(|hint| hint.contains("next run is a full import")),
            "{hints:?}"
        );
        car.behave();
        let next = run(&car, changed().scope("assets", [assets(&["1"])])).await;
        assert_eq!(next.report.mode, Some(Mode::Full), "{status}");
        assert_eq!(next.report.exit_code, 0);
    }
}

#[tokio::test]
async fn source_failures_end_in_50_to_55() {
    for (kind, code) in [
        (FailureKind::Source, 50),
        (FailureKind::SourceUnavailable, 51),
        (FailureKind::SourceAuthentication, 52),
        (FailureKind::SourceForbidden, 53),
        (FailureKind::SourceInvalidParameter, 54),
        (FailureKind::SourceData, 55),
    ] {
        let sources = [
            ("scopes", Incremental::new().scopes_fail(kind)),
            ("model state", Incremental::new().state_fails(kind)),
            ("fetch", Incremental::new().failing("assets", [], kind)),
            (
                "second page",
                Incremental::new().failing("assets", [assets(&["1"])], kind),
            ),
        ];
        for (place, source) in sources {
            let car = CarMock::start()
                .await
                .holds("asset", json!({ "external_id": "old", "name": "old" }));
            let done = run(&car, source).await;
            assert_eq!(done.report.exit_code, code, "{place} {:?}", done.failure);
            assert!(done.report.error.join(": ").contains("the script says so"));
            assert_eq!(car.count("close session"), 0, "{place}");
            assert!(car.keys("asset").contains(&"old".to_owned()), "{place}");
        }
        let car = CarMock::start().await.knows(SOURCE, Some("1"));
        let done = run(&car, Incremental::new().state("2").changes_fail(kind)).await;
        assert_eq!(done.report.exit_code, code, "delta");
        assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_failed_scope_ends_in_11_and_the_others_are_delivered() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, None)
        .holds("asset", json!({ "external_id": "of-b", "name": "of-b" }));
    let source = FullOnly::new()
        .scope("a", [assets(&["a1"]), assets(&["a2"])])
        .failing("b", [assets(&["b1"])], FailureKind::SourceForbidden)
        .scope(
            "c",
            [
                assets(&["c1"]),
                records(&[&AssetVulnerability::new("c1", "v")]),
            ],
        )
        .scope("d", [assets(&["d1"])])
        .depending_on("b");
    let done = run(&car, source).await;
    assert_eq!(done.report.exit_code, 11, "{:?}", done.failure);
    assert_eq!(done.report.outcome, Outcome::Partial);
    assert_eq!(
        car.keys("asset"),
        ["a1", "a2", "b1", "c1", "d1", "of-b"],
        "all that was read is there, and nothing is retired"
    );
    assert_eq!(car.keys("asset_vulnerability"), ["c1 -> v"]);
    assert_eq!(car.count("close session"), 0);
    assert!(done.report.session_open);
    assert_eq!(car.save_point(SOURCE), None);

    let scopes: Vec<(&str, bool, u64, u64)> = done
        .report
        .scopes
        .iter()
        .map(|scope| (scope.name.as_str(), scope.complete, scope.pages, scope.rows))
        .collect();
    assert_eq!(
        scopes,
        [
            ("a", true, 2, 2),
            ("b", false, 1, 1),
            ("c", true, 2, 2),
            ("d", false, 1, 1)
        ]
    );
    let errors: Vec<String> = done
        .report
        .scopes
        .iter()
        .map(|scope| scope.error.join(": "))
        .collect();
    assert_eq!(errors[0], "");
    assert!(errors[1].contains("the script says so"), "{errors:?}");
    assert!(errors[3].contains("depends on scope `b`"), "{errors:?}");
    let chain = done.report.error.join(": ");
    assert!(chain.contains("1 of 4 scopes"), "{chain}");
    assert!(chain.contains("scope `b` failed"), "{chain}");
}

#[tokio::test]
async fn an_empty_source_is_held_with_12_until_it_is_approved() {
    let car = CarMock::start()
        .await
        .knows(SOURCE, None)
        .holds("asset", json!({ "external_id": "old", "name": "old" }));
    let empty = || FullOnly::new().scope("assets", [assets(&[])]);
    let done = run(&car, empty()).await;
    assert_eq!(done.report.exit_code, 12, "{:?}", done.failure);
    assert_eq!(done.report.outcome, Outcome::Held);
    assert_eq!(car.keys("asset"), ["old"], "nothing is retired");
    assert_eq!(car.count("close session"), 0);
    let failure = done.failure.unwrap();
    assert!(
        failure
            .hints()
            .any(|hint| hint.contains("--approve-deletions"))
    );

    let again = run(&car, empty()).await;
    assert_eq!(again.report.exit_code, 12, "held until somebody decides");

    let approved = Setup::new(&car).with(|options| options.approve_deletions = true);
    let done = approved.run(empty()).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(car.keys("asset"), [""; 0]);
}

#[tokio::test]
async fn rejected_rows_are_not_gone() {
    // A service that cannot keep rows out of a sweep: nothing is swept.
    let source = || {
        let mut page = assets(&["1", "2"]);
        page.reject("asset", Some("old"), "cannot be read", b"{".to_vec());
        FullOnly::new().scope("assets", [page])
    };
    let car = || async {
        let old = json!({ "external_id": "old", "name": "old" });
        CarMock::start()
            .await
            .knows(SOURCE, None)
            .holds("asset", old)
    };
    let (old_service, lenient) = (car().await, |options: &mut Options| {
        options.max_rejects = Limit::Share(0.5)
    });
    let done = Setup::new(&old_service).with(lenient).run(source()).await;
    assert_eq!(done.report.exit_code, 11, "{:?}", done.failure);
    assert!(done.report.session_open);
    assert_eq!(
        old_service.keys("asset"),
        ["1", "2", "old"],
        "the rest is delivered"
    );
    let chain = done.report.error.join(": ");
    assert!(
        chain.contains("nothing could be retired: 1 of the rows were rejected"),
        "{chain}"
    );

    let approved = |options: &mut Options| {
        options.max_rejects = Limit::Share(0.5);
        options.approve_deletions = true;
    };
    let done = Setup::new(&old_service).with(approved).run(source()).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(old_service.keys("asset"), ["1", "2"]);

    // One that can is told which.
    let service = car().await.features(json!({ "keep_rows": true }));
    let done = Setup::new(&service).with(lenient).run(source()).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    let kept = service.of("keep rows");
    assert_eq!(kept.len(), 1);
    assert_eq!(
        kept[0].json(),
        json!({ "vertices": { "asset": ["old"] }, "edges": {} })
    );
}

#[tokio::test]
async fn a_sweep_that_takes_too_much_is_held_with_12() {
    let filled = async |count: usize| {
        let mut car = CarMock::start()
            .await
            .knows(SOURCE, None)
            .features(json!({ "sweep_preview": true }));
        for n in 0..count {
            let id = format!("old-{n}");
            car = car.holds("asset", json!({ "external_id": id, "name": id }));
        }
        car
    };
    let few = || FullOnly::new().scope("assets", [assets(&["1", "2"])]);
    let car = filled(100).await;
    let done = run(&car, few()).await;
    assert_eq!(done.report.exit_code, 12, "{:?}", done.failure);
    let chain = done.report.error.join(": ");
    assert!(chain.contains("100 of `asset` (98 %)"), "{chain}");
    assert_eq!(car.count("close session"), 0);
    assert_eq!(car.keys("asset").len(), 102, "nothing is retired");
    assert!(done.report.session_open);

    for approve in [true, false] {
        // Approved, or allowed for every run.
        let car = filled(100).await;
        let setup = Setup::new(&car).with(|options| {
            options.approve_deletions = approve;
            options.max_deletions = if approve { 0.3 } else { 1.0 };
        });
        let done = setup.run(few()).await;
        assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
        assert_eq!(car.keys("asset"), ["1", "2"]);
        assert_eq!(done.report.collections["asset"].retired, 100);
    }

    let car = filled(99).await;
    let done = run(&car, few()).await;
    assert_eq!(
        done.report.exit_code, 0,
        "below the floor: {:?}",
        done.failure
    );
    assert_eq!(done.report.collections["asset"].retired, 99);
}

#[tokio::test]
async fn an_empty_source_that_is_new_is_just_empty() {
    let car = CarMock::start().await;
    for source in [FullOnly::new().scope("assets", []), FullOnly::new()] {
        // The second source has no scope at all; it is known by then.
        let setup = Setup::new(&car).with(|options| options.approve_deletions = true);
        let done = setup.run(source).await;
        assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    }
    let car = CarMock::start().await;
    let done = run(&car, FullOnly::new()).await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
}

/// Runs a source against a service that stops answering at a call, and cancels it there.
async fn interrupted_at(call: &'static str, skip: usize) {
    let car = CarMock::start()
        .await
        .knows(SOURCE, Some("1"))
        .after(call, skip, Answer::Never);
    let setup = Setup::new(&car).with(|options| options.force_full = true);
    let page = records(&[&AssetVulnerability::new("1", "v")]);
    let source = Incremental::new()
        .state("2")
        .scope("assets", [assets(&["1"]), page]);
    let run = setup.run(source);
    let (done, ()) = soon(async {
        tokio::join!(run, async {
            car.wait_for(call, skip + 1).await;
            setup.cancel.cancel();
        })
    })
    .await;
    assert_eq!(done.report.exit_code, 10, "{call} {:?}", done.failure);
    assert_eq!(done.report.outcome, Outcome::Interrupted, "{call}");
    let opened = car.count("open session") > 0;
    assert_eq!(done.report.session_open, opened, "{call}: the report tells");
    if call != "close session" {
        assert_eq!(car.count("close session"), 0, "{call}");
    }
    assert_eq!(
        car.count("write save point"),
        usize::from(call == "write save point")
    );
}

#[tokio::test]
async fn interrupted_while_opening() {
    interrupted_at("get databases", 0).await;
}

#[tokio::test]
async fn interrupted_while_the_session_is_opened() {
    interrupted_at("open session", 0).await;
}

#[tokio::test]
async fn interrupted_while_the_opened_session_is_awaited() {
    interrupted_at("get job status", 0).await;
}

#[tokio::test]
async fn interrupted_while_vertices_are_sent() {
    interrupted_at("post import", 1).await;
}

#[tokio::test]
async fn interrupted_while_vertices_are_awaited() {
    interrupted_at("get import status", 1).await;
}

#[tokio::test]
async fn interrupted_while_edges_are_sent() {
    interrupted_at("post import", 2).await;
}

#[tokio::test]
async fn interrupted_while_the_session_is_closed() {
    interrupted_at("close session", 0).await;
}

#[tokio::test]
async fn interrupted_while_the_source_is_read() {
    let car = CarMock::start().await;
    let setup = Setup::new(&car);
    let source = FullOnly::new()
        .scope("assets", [assets(&["1"])])
        .hanging("users");
    let (done, ()) = soon(async {
        tokio::join!(setup.run(source), async {
            setup
                .recorder
                .wait_for(|event| matches!(event, Event::ScopeDone { scope } if scope == "assets"))
                .await;
            setup.cancel.cancel();
        })
    })
    .await;
    assert_eq!(done.report.exit_code, 10, "{:?}", done.failure);
    assert_eq!(done.report.outcome, Outcome::Interrupted);
    assert!(done.report.session_open && car.session_open());
    assert_eq!(car.count("close session"), 0);
}

#[tokio::test]
async fn interrupted_before_it_began() {
    let car = CarMock::start().await.knows(SOURCE, Some("1"));
    let setup = Setup::new(&car);
    setup.cancel.cancel();
    let done = soon(setup.run(changed())).await;
    assert_eq!(done.report.exit_code, 10, "{:?}", done.failure);
    assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"));
    assert_eq!(car.keys("asset"), [""; 0]);
}
