//! An import that is stopped goes on where it was, and what cannot be read is not retired.

use car_core::report::{Mode, Outcome};
use car_testkit::{Program, ReferenceSource, Service, Signal, TestFolder, cases};

use crate::expected;
use crate::gate::{Answer, Gate};
use crate::support::{SOURCE, reading};

/// Objects on a page, so that a small source has many.
const PAGE: &str = "25";

/// A connector that leaves its state in a folder of the test.
fn resuming(gate: &Gate, service: &Service, state: &TestFolder) -> Program {
    reading(&gate.url())
        .into_service(&service.url(), SOURCE)
        .env(
            "CAR_STATE",
            state.file("state.db").to_str().unwrap_or_default(),
        )
        .args(&["--source-retry-for", "1s"])
}

/// Kills an import each time that the source has given one more page; returns how often.
async fn kill_at_every_page(
    gate: &Gate,
    connector: &Program,
    from: usize,
) -> (usize, car_testkit::Ended) {
    for kills in 0.. {
        gate.open_for(from + kills);
        let mut running = connector.start();
        let held = tokio::select! {
            () = gate.held() => true,
            () = running.exited() => false,
        };
        if !held {
            return (kills, running.ended().await.with_code(0));
        }
        running.kill().await;
    }
    unreachable!("a source has an end")
}

/// `CAR_TEST_CASES=20000` makes it an import of 20 000 assets, with pages as they usually are.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_every_page_and_no_page_is_read_three_times() {
    let assets = cases(40);
    let source = ReferenceSource::start(assets.into()).await;
    let service = Service::start().await;
    let state = TestFolder::new();
    let gate = Gate::start(&source.url()).await;
    let page = if assets > 1000 { "2000" } else { PAGE };
    let connector = resuming(&gate, &service, &state)
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", page)
        .args(&["--concurrency", "1"]);
    let (kills, ended) = kill_at_every_page(&gate, &connector, 0).await;

    let pages = gate.pages();
    assert_eq!(kills, pages.len(), "before each page");
    assert!(kills > 15, "{kills}");
    let often: Vec<_> = pages.iter().filter(|(_, times)| **times > 2).collect();
    assert!(often.is_empty(), "{often:?}");
    let twice = pages.values().filter(|times| **times == 2).count();
    eprintln!("{assets} assets: killed before each of {kills} pages, {twice} were read twice");
    assert_eq!(ended.report().outcome, Outcome::Complete);
    assert!(ended.report().resumed > 0);
    let expected = expected::graph(&source).await;
    service
        .graph(SOURCE)
        .await
        .assert_is(&expected, "killed at every page");

    // The save point is the state in which the source was when the import first began.
    let next = connector.run().await.with_code(0);
    assert_eq!(next.report().outcome, Outcome::Unchanged);
}

/// What was read until a signal came is recorded before the process ends.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_signal_an_import_goes_on_at_the_page_where_it_stopped() {
    const READ: usize = 12;
    let source = ReferenceSource::start(40).await;
    let service = Service::start().await;
    let state = TestFolder::new();
    let gate = Gate::start(&source.url()).await;
    let connector = resuming(&gate, &service, &state)
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "10")
        .args(&["--concurrency", "1"]);
    gate.open_for(READ);
    let running = connector.start();
    gate.held().await;
    running.signal(Signal::Term).await;
    drop(running.ended().await.with_code(10));
    gate.open_for(usize::MAX);
    let ended = connector.run().await.with_code(0);
    assert!(ended.report().resumed > 0, "{}", ended.report().why);
    let pages = gate.pages();
    let twice = pages.values().filter(|times| **times > 1).count();
    // Those that were still on their way from the reader when the signal came.
    assert!(twice <= 3, "{twice} of {READ} pages were read again");
    let expected = expected::graph(&source).await;
    service
        .graph(SOURCE)
        .await
        .assert_is(&expected, "after a signal");
}

/// Scopes that are read side by side stand at different places when the run is killed.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_with_several_scopes_at_work() {
    let source = ReferenceSource::start(20).await;
    let service = Service::start().await;
    let state = TestFolder::new();
    let gate = Gate::start(&source.url()).await;
    let connector = resuming(&gate, &service, &state).env("CONFIGURATION_PARAMETER_PAGE_SIZE", "7");
    // Something to retire at the end.
    drop(connector.run().await.with_code(0));
    for pk in 1..=3 {
        source.delete("apps", pk).await;
    }
    gate.behave();
    let (kills, ended) = kill_at_every_page(&gate, &connector.clone().args(&["--full"]), 4).await;
    assert!(kills > 5, "{kills}");
    assert_eq!(ended.report().outcome, Outcome::Complete);
    let expected = expected::graph(&source).await;
    service
        .graph(SOURCE)
        .await
        .assert_is(&expected, "side by side");
}

#[tokio::test]
async fn other_settings_begin_anew_and_say_why() {
    let source = ReferenceSource::start(20).await;
    let service = Service::start().await;
    let state = TestFolder::new();
    let gate = Gate::start(&source.url()).await;
    let connector = resuming(&gate, &service, &state);
    gate.open_for(3);
    let running = connector.start();
    gate.held().await;
    running.kill().await;
    gate.behave();
    let ended = connector
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "100")
        .run()
        .await
        .with_code(0);
    assert!(
        ended.report().why.contains("the settings changed"),
        "{}",
        ended.report().why
    );
    assert_eq!(ended.report().resumed, 0);
    let expected = expected::graph(&source).await;
    service.graph(SOURCE).await.assert_is(&expected, "anew");
}

#[tokio::test]
async fn a_second_run_of_the_same_source_is_refused_while_one_is_at_work() {
    let source = ReferenceSource::start(1).await;
    let service = Service::start().await;
    let state = TestFolder::new();
    let gate = Gate::start(&source.url()).await;
    let connector = resuming(&gate, &service, &state);
    let plan = state.file("plan.jsonl").display().to_string();
    let planned = connector.clone().args(&["plan", "--out", &plan]);
    drop(planned.run().await.with_code(0));
    gate.behave();
    gate.open_for(0);
    let first = connector.start();
    gate.held().await;
    let by_plan = connector.clone().args(&["import", "--plan", &plan]);
    for second in [&connector, &by_plan] {
        let second = second.run().await.with_code(1);
        assert!(
            second
                .stderr
                .contains("another run of source `reference` is at work"),
            "{}",
            second.stderr
        );
    }
    first.kill().await;
    gate.behave();
    drop(connector.run().await.with_code(0));
}

#[tokio::test]
async fn without_a_home_an_import_works_and_says_that_it_cannot_go_on() {
    let source = ReferenceSource::start(1).await;
    let service = Service::start().await;
    let connector = reading(&source.url())
        .into_service(&service.url(), SOURCE)
        .env("XDG_STATE_HOME", "");
    let ended = connector.run().await.with_code(0);
    assert!(ended.stderr.contains("no HOME"), "{}", ended.stderr);
    let ended = connector.clone().args(&["--state", "none"]).run().await;
    assert!(!ended.stderr.contains("no HOME"), "{}", ended.stderr);

    let home = TestFolder::new();
    let usual = connector.env("HOME", home.path().to_str().unwrap_or_default());
    drop(usual.run().await.with_code(0));
    let folder = std::fs::read_dir(home.file(".local/state/car-connectors")).unwrap();
    let names: Vec<String> = folder
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("reference-connector-reference-")),
        "{names:?}"
    );
    // A folder that cannot be made.
    let blocked = home.write("file", "");
    let ended = usual
        .clone()
        .env("XDG_STATE_HOME", blocked.to_str().unwrap_or_default())
        .run()
        .await
        .with_code(0);
    assert!(
        ended.stderr.contains("its state cannot be kept"),
        "{}",
        ended.stderr
    );
    // One that was asked for has to be there.
    let named = blocked.join("state.db");
    let ended = usual.args(&["--state", named.to_str().unwrap_or_default()]);
    drop(ended.run().await.with_code(2));
}

/// What a source in trouble says when it is asked for one scope.
const TROUBLE: [(&str, Answer); 5] = [
    (
        "forbidden",
        Answer::Bytes("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"),
    ),
    (
        "broken",
        Answer::Bytes(
            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        ),
    ),
    (
        "truncated",
        Answer::Bytes(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n[{\"pk\": 1,",
        ),
    ),
    ("gone", Answer::Bytes("")),
    ("silent", Answer::Silence),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_scope_in_trouble_is_retired_and_a_retry_completes_the_import() {
    let source = ReferenceSource::start(10).await;
    let service = Service::start().await;
    let state = TestFolder::new();
    let gate = Gate::start(&source.url()).await;
    let connector = resuming(&gate, &service, &state).args(&["--server-timeout", "2s"]);
    for (n, (trouble, answer)) in TROUBLE.into_iter().enumerate() {
        drop(connector.run().await.with_code(0));
        let before = service.graph(SOURCE).await;
        let pk = u64::try_from(n).unwrap() + 1;
        source.delete("apps", pk).await;
        source.delete("hosts", pk).await;
        gate.answer("apps", answer);
        let full = connector.clone().args(&["--full"]);
        let ended = full.run().await.with_code(11);
        let report = ended.report();
        assert_eq!(report.outcome, Outcome::Partial, "{trouble}");
        let failed: Vec<&str> = report
            .scopes
            .iter()
            .filter(|scope| !scope.complete)
            .map(|scope| scope.name.as_str())
            .collect();
        assert_eq!(failed, ["apps"], "{trouble}");
        assert_eq!(service.save_point(SOURCE).await, None, "{trouble}");
        let graph = service.graph(SOURCE).await;
        assert_eq!(
            graph.identities("application").count(),
            before.identities("application").count(),
            "{trouble}: nothing of the scope is gone"
        );

        gate.behave();
        let ended = connector
            .clone()
            .args(&["--retry-failed"])
            .run()
            .await
            .with_code(0);
        assert_eq!(ended.report().mode, Some(Mode::Full));
        let read = gate.pages();
        assert!(
            read.keys().all(|page| page.starts_with("/apps/")),
            "{trouble}: {read:?}"
        );
        let expected = expected::graph(&source).await;
        service.graph(SOURCE).await.assert_is(&expected, trouble);
        assert!(service.save_point(SOURCE).await.is_some(), "{trouble}");
        // There is nothing left to retry.
        let nothing = connector.clone().args(&["--retry-failed"]).run().await;
        drop(nothing.with_code(2));
    }
}
