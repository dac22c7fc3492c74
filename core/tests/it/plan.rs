//! A plan says what an import would do, writes nothing, and does it later exactly as said.

use std::os::unix::fs::PermissionsExt;

use car_core::FailureKind;
use car_core::config::Limit;
use car_core::engine::{ChangedOnly, Plan, PlannedRows};
use car_core::record::{Deletion, Records};
use car_core::report::{Mode, Outcome, RunReport};
use car_schema::edges::{AssetIpaddress, AssetVulnerability};
use car_schema::vertices::{Ipaddress, Vulnerability};
use serde_json::json;

use crate::support::{
    Answer, CarMock, Extended, FullOnly, Incremental, SOURCE, Setup, asset, assets, records,
};

/// Calls that change nothing.
const READS: [&str; 10] = [
    "get extension",
    "list extensions",
    "get databases",
    "get source",
    "get import schema",
    "get health",
    "compare import",
    "list rows",
    "preview sweep",
    "get import status",
];

async fn service() -> CarMock {
    CarMock::start()
        .await
        .features(json!({ "compare": true, "edge_deletion": true, "keep_rows": true }))
}

/// Three assets, an address, a vulnerability, and edges between them.
fn first() -> Records {
    records(&[
        &asset("same"),
        &asset("other"),
        &asset("gone"),
        &Ipaddress::new("10.0.0.1"),
        &Vulnerability::new("v", "v"),
        &AssetVulnerability::new("same", "v"),
        &AssetVulnerability::new("other", "v"),
        &AssetVulnerability::new("gone", "v"),
        &AssetIpaddress::new("gone", "10.0.0.1"),
    ])
}

/// One asset stays, one changes, one goes, one comes; an edge goes though both its ends stay.
fn second() -> Records {
    let mut other = asset("other");
    other.risk = Some(7.0);
    records(&[
        &asset("same"),
        &other,
        &asset("new"),
        &Ipaddress::new("10.0.0.1"),
        &Vulnerability::new("v", "v"),
        &AssetVulnerability::new("same", "v"),
        &AssetVulnerability::new("new", "v"),
    ])
}

fn source(rows: Records) -> FullOnly {
    FullOnly::new().scope("all", [rows])
}

fn numbers(rows: &PlannedRows) -> [u64; 4] {
    [rows.created, rows.updated, rows.retired, rows.unchanged]
}

fn assert_read_only(car: &CarMock) {
    for call in car.calls() {
        assert!(READS.contains(&call), "a plan made the call `{call}`");
    }
}

/// What was done must be what was printed, in every collection.
fn assert_done(report: &RunReport, plan: &Plan) {
    for (name, rows) in &plan.collections {
        let done = report.collections.get(name).copied().unwrap_or_default();
        assert_eq!(done.sent, rows.created + rows.updated, "{name}");
        assert_eq!(done.retired, rows.retired, "{name}");
    }
}

#[tokio::test]
async fn a_plan_of_a_full_import_is_done_to_the_object() {
    let car = service().await;
    let setup = Setup::new(&car);
    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    car.forget();

    let before = car.graph();
    let planned = setup.plan(source(second()), true).await;
    assert!(planned.failure.is_none(), "{:?}", planned.failure);
    assert_read_only(&car);
    assert_eq!(car.graph(), before);
    let plan = planned.plan;
    assert_eq!(
        (plan.mode, plan.compared, plan.complete),
        (Some(Mode::Full), true, true)
    );
    assert_eq!(numbers(&plan.collections["asset"]), [1, 1, 1, 1]);
    assert_eq!(numbers(&plan.collections["ipaddress"]), [0, 0, 0, 1]);
    assert_eq!(
        numbers(&plan.collections["asset_vulnerability"]),
        [1, 0, 2, 1]
    );
    assert_eq!(
        numbers(&plan.collections["asset_ipaddress"]),
        [0, 0, 1, 0],
        "with its asset"
    );
    let samples = &plan.collections["asset"].samples;
    assert_eq!(samples.created, ["new"]);
    assert_eq!(samples.retired, ["gone"]);
    assert_eq!(samples.updated[0].row, "other");
    let change = &samples.updated[0].fields["risk"];
    assert_eq!((change.0.is_null(), change.1.as_f64()), (true, Some(7.0)));
    let mode = std::fs::metadata(setup.plan_file())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let done = setup.apply::<FullOnly>().await;
    assert!(done.failure.is_none(), "{:?}", done.failure);
    assert_eq!(done.report.outcome, Outcome::Complete);
    assert_done(&done.report, &plan);
    assert_eq!(car.count("open session"), 0, "exactly the plan, no sweep");
    let by_plan = car.graph();

    let other = service().await;
    let plain = Setup::new(&other);
    assert_eq!(plain.run(source(first())).await.report.exit_code, 0);
    assert_eq!(plain.run(source(second())).await.report.exit_code, 0);
    assert_eq!(by_plan, other.graph(), "as without a plan");

    let again = setup.plan(source(second()), false).await.plan;
    let totals = again.totals();
    assert_eq!(
        (totals.created, totals.updated, totals.retired),
        (0, 0, 0),
        "nothing is left"
    );
}

#[tokio::test]
async fn the_cost_that_is_printed_is_the_cost() {
    let car = service().await;
    let setup = Setup::new(&car);
    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    let plan = setup.plan(source(second()), true).await.plan;
    let cost = plan.apply.unwrap();
    car.forget();
    let done = setup.apply::<FullOnly>().await.report;
    let calls = car.calls();
    let writes = calls.iter().filter(|call| !READS.contains(call)).count();
    assert_eq!(writes as u64, cost.calls, "{calls:?}");
    assert_eq!(done.bytes_sent, cost.bytes);
}

#[tokio::test]
async fn a_plan_of_changes_names_what_the_graph_has_of_the_deletions() {
    let car = service().await;
    let setup = Setup::new(&car);
    let started = Incremental::new().state("1").scope("all", [first()]);
    assert_eq!(setup.run(started).await.report.exit_code, 0);

    let mut changes = records(&[&asset("new"), &asset("same")]);
    changes.delete(Deletion::vertex("asset", "gone"));
    changes.delete(Deletion::vertex("asset", "never there"));
    changes.delete(Deletion::edge("asset_vulnerability", "other", "v"));
    let changed = || Incremental::new().state("2").changes([changes.clone()]);
    car.forget();
    let planned = setup.plan(changed(), true).await;
    assert!(planned.failure.is_none(), "{:?}", planned.failure);
    assert_read_only(&car);
    let plan = planned.plan;
    assert_eq!(plan.mode, Some(Mode::Incremental));
    assert_eq!(numbers(&plan.collections["asset"]), [1, 0, 1, 1]);
    assert_eq!(
        numbers(&plan.collections["asset_vulnerability"]),
        [0, 0, 2, 0]
    );
    assert_eq!(numbers(&plan.collections["asset_ipaddress"]), [0, 0, 1, 0]);
    assert_eq!(
        (plan.save_point.as_deref(), plan.next_save_point.as_deref()),
        (Some("1"), Some("2"))
    );
    assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"));

    let done = setup.apply::<Incremental>().await;
    assert!(done.failure.is_none(), "{:?}", done.failure);
    assert_done(&done.report, &plan);
    assert_eq!(car.save_point(SOURCE).as_deref(), Some("2"));
    assert_eq!(car.keys("asset"), ["new", "other", "same"]);
    assert_eq!(car.keys("asset_vulnerability"), ["same -> v"]);
}

#[tokio::test]
async fn a_plan_that_is_stopped_anywhere_is_imported_again() {
    let stops = [
        "post import",
        "get import status",
        "delete vertices",
        "delete edge",
        "write save point",
    ];
    for call in stops {
        let car = service().await;
        let setup = Setup::new(&car);
        let with_state = |state: &str, rows| Incremental::new().state(state).scope("all", [rows]);
        assert_eq!(
            setup.run(with_state("1", first())).await.report.exit_code,
            0
        );
        let setup = setup.with(|options| options.force_full = true);
        let plan = setup.plan(with_state("2", second()), true).await;
        assert!(plan.failure.is_none(), "{:?}", plan.failure);
        let car = car.always(call, Answer::Status(400));
        let stopped = setup.apply::<Incremental>().await;
        assert_eq!(
            stopped.report.exit_code, 10,
            "{call}: {:?}",
            stopped.failure
        );
        assert_eq!(car.save_point(SOURCE).as_deref(), Some("1"), "{call}");
        car.behave();
        for _ in 0..2 {
            let done = setup.apply::<Incremental>().await;
            assert!(done.failure.is_none(), "{call}: {:?}", done.failure);
            assert_eq!(car.save_point(SOURCE).as_deref(), Some("2"));
            assert_eq!(car.keys("asset"), ["new", "other", "same"], "{call}");
            assert_eq!(car.keys("asset_vulnerability"), ["new -> v", "same -> v"]);
        }
    }
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_is_refused() {
    let car = service().await;
    let setup = Setup::new(&car);
    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    assert!(setup.plan(source(second()), true).await.failure.is_none());

    let elsewhere = Setup::new(&car).with(|options| options.source = "other".to_owned());
    std::fs::copy(setup.plan_file(), elsewhere.plan_file()).unwrap();
    let refused = elsewhere.apply::<FullOnly>().await;
    assert_eq!(refused.report.exit_code, 2);
    assert!(
        refused.report.error[0].contains("of another source"),
        "{:?}",
        refused.report.error
    );

    let whole = std::fs::read(setup.plan_file()).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let half = text.lines().next().unwrap().to_owned() + "\n";
    let forged = text.replace("\"external_id\":\"new\"", "\"external_id\":\"bad\"");
    assert_ne!(forged, text);
    for (broken, reason) in [
        (half.as_str(), "its end is missing"),
        (forged.as_str(), "changed after it was written"),
        ("", "does not begin like one"),
        ("[]\n", ""),
    ] {
        std::fs::write(setup.plan_file(), broken).unwrap();
        car.forget();
        let refused = setup.apply::<FullOnly>().await;
        assert_eq!(refused.report.exit_code, 2, "{reason}");
        let error = refused.report.error.join(": ");
        assert!(error.contains(reason), "{error}");
        assert_eq!(car.calls(), Vec::<&str>::new());
    }
    std::fs::write(setup.plan_file(), whole).unwrap();

    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    car.forget();
    let refused = setup.apply::<FullOnly>().await;
    assert_eq!(refused.report.exit_code, 2);
    assert!(
        refused.report.error[0].contains("imported since the plan was made"),
        "{:?}",
        refused.report.error
    );
    assert_read_only(&car);
}

#[tokio::test]
async fn the_guard_holds_a_plan_until_it_is_approved() {
    let car = service().await;
    let setup = Setup::new(&car);
    let names: Vec<String> = (0..200).map(|number| format!("a{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(setup.run(source(assets(&names))).await.report.exit_code, 0);
    let planned = setup.plan(source(assets(&names[..50])), true).await;
    assert_eq!(planned.failure.unwrap().kind(), FailureKind::Held);
    assert_eq!(numbers(&planned.plan.collections["asset"]), [0, 0, 150, 50]);
    assert!(
        planned.plan.held[0].contains("150 of `asset`"),
        "{:?}",
        planned.plan.held
    );

    car.forget();
    let held = setup.apply::<FullOnly>().await;
    assert_eq!(held.report.exit_code, 12);
    assert_read_only(&car);
    let setup = setup.with(|options| options.approve_deletions = true);
    let done = setup.apply::<FullOnly>().await;
    assert_eq!(done.report.exit_code, 0, "{:?}", done.failure);
    assert_eq!(car.keys("asset").len(), 50);

    let empty = Setup::new(&car).plan(source(Records::new()), true).await;
    assert_eq!(empty.failure.unwrap().kind(), FailureKind::Held);
    assert_eq!(car.keys("asset").len(), 50);
}

#[tokio::test]
async fn a_plan_of_half_a_source_retires_nothing_and_is_not_kept() {
    let car = service().await;
    let setup = Setup::new(&car);
    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    let half = FullOnly::new()
        .scope("all", [assets(&["same", "new"])])
        .failing("more", [], FailureKind::SourceForbidden);
    car.forget();
    let planned = setup.plan(half, true).await;
    assert_eq!(planned.failure.unwrap().kind(), FailureKind::Partial);
    assert_eq!(numbers(&planned.plan.collections["asset"]), [1, 0, 0, 1]);
    assert!(!planned.plan.complete);
    assert!(!setup.plan_file().exists());
    assert_read_only(&car);
}

#[tokio::test]
async fn rejected_rows_are_not_planned_as_gone() {
    let car = service().await;
    let setup = Setup::new(&car).with(|options| options.max_rejects = Limit::Share(1.0));
    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    let mut bad = asset("gone");
    bad.risk = Some(11.0);
    let rows = records(&[
        &asset("same"),
        &bad,
        &Ipaddress::new("10.0.0.1"),
        &Vulnerability::new("v", "v"),
        &AssetVulnerability::new("same", "v"),
    ]);
    let plan = setup.plan(source(rows), false).await.plan;
    assert_eq!(plan.collections["asset"].samples.retired, ["other"]);
    // The edges at what was rejected are kept with it.
    assert_eq!(
        plan.collections["asset_vulnerability"].samples.retired,
        ["other → v"]
    );
    assert!(!plan.collections.contains_key("asset_ipaddress"));
}

#[tokio::test]
async fn of_a_row_that_comes_twice_the_last_one_counts() {
    let car = service().await;
    let setup = Setup::new(&car);
    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    let mut once = asset("same");
    once.risk = Some(1.0);
    let pages = [
        records(&[&asset("other"), &once]),
        records(&[&asset("same"), &asset("new")]),
        first(),
    ];
    let plan = setup
        .plan(FullOnly::new().scope("all", pages), true)
        .await
        .plan;
    assert_eq!(numbers(&plan.collections["asset"]), [1, 0, 0, 3]);
    let done = setup.apply::<FullOnly>().await;
    assert_done(&done.report, &plan);
    assert!(car.row("asset", "same").unwrap()["risk"].is_null());
}

#[tokio::test]
async fn a_source_that_the_graph_does_not_know_is_all_new() {
    let car = service().await.without_database();
    let setup = Setup::new(&car);
    let extended = || Extended::new().scope("all", [assets(&["1", "2"])]);
    let planned = setup.plan(extended(), true).await;
    assert!(planned.failure.is_none(), "{:?}", planned.failure);
    let plan = planned.plan;
    assert_eq!(numbers(&plan.collections["asset"]), [2, 0, 0, 0]);
    assert_eq!(plan.notes.len(), 3, "{:?}", plan.notes);
    assert_read_only(&car);
    let done = setup.apply::<Extended>().await;
    assert!(done.failure.is_none(), "{:?}", done.failure);
    assert_eq!(car.keys("asset"), ["1", "2"]);
    assert_eq!(car.count("post extension"), 1);
}

#[tokio::test]
async fn a_service_that_cannot_compare_gets_a_plan_of_counts() {
    let car = CarMock::start().await;
    let setup = Setup::new(&car);
    assert_eq!(setup.run(source(first())).await.report.exit_code, 0);
    car.forget();
    let refused = setup.plan(source(second()), true).await;
    assert_eq!(
        refused.failure.unwrap().kind(),
        FailureKind::InvalidParameter
    );
    let planned = setup.plan(source(second()), false).await;
    assert!(planned.failure.is_none(), "{:?}", planned.failure);
    assert!(!planned.plan.compared && planned.plan.apply.is_none());
    assert_eq!(planned.plan.collections["asset"].sent, 3);
    assert_eq!(planned.plan.totals().created, 0);
    assert_read_only(&car);
}

#[tokio::test]
async fn the_second_full_import_sends_only_what_changed() {
    let features = json!({ "content_hashes": true, "sweep_preview": true });
    let car = CarMock::start().await.features(features);
    let setup = Setup::new(&car);
    assert_eq!(setup.run(source(first())).await.report.totals().sent, 9);
    assert_eq!(
        car.count("report unchanged"),
        0,
        "there is nothing to ask for"
    );
    let full = car.graph();

    car.forget();
    let same = setup.run(source(first())).await;
    assert!(same.failure.is_none(), "{:?}", same.failure);
    let totals = same.report.totals();
    assert_eq!((totals.sent, totals.skipped, totals.retired), (0, 9, 0));
    assert_eq!(car.count("post import"), 1, "the header");
    assert_eq!(car.graph(), full);

    let changed = setup.run(source(second())).await;
    assert!(changed.failure.is_none(), "{:?}", changed.failure);
    let totals = changed.report.totals();
    assert_eq!((totals.sent, totals.skipped, totals.retired), (3, 4, 4));

    let other = CarMock::start().await;
    let plain = Setup::new(&other);
    assert_eq!(plain.run(source(second())).await.report.exit_code, 0);
    let without_what_the_envelope_says = |car: &CarMock| {
        let mut graph = car.graph();
        for row in graph.values_mut() {
            for name in ["source", "active"] {
                row.as_object_mut().unwrap().remove(name);
            }
        }
        graph
    };
    assert_eq!(
        without_what_the_envelope_says(&car),
        without_what_the_envelope_says(&other)
    );

    let never = setup.with(|options| options.changed_only = ChangedOnly::Never);
    let all = never.run(source(second())).await.report.totals();
    assert_eq!((all.sent, all.skipped), (7, 0));
}
