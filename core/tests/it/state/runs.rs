//! Runs: begun, advanced, resumed, started anew, ended, remembered.

use std::time::Duration;

use car_core::connector::ModelState;
use car_core::report::{Mode, Outcome};
use car_core::state::{
    Begun, Ending, Fingerprint, Position, Run, ScopeState, Start, StateError, StateStore, open_run,
};

use super::{Bench, SOURCE, acquire, begin, cursor, fingerprint, page, start};

/// Makes a later run different.
type Change = fn(&mut Fingerprint, &mut Start);
/// Spoils a file.
type Damage = fn(&std::path::Path);

fn scope(name: &str, at: &str, pages: u64) -> ScopeState {
    ScopeState {
        name: name.to_owned(),
        cursor: (!at.is_empty()).then(|| cursor(at)),
        pages,
        rows: pages * 10,
        complete: at.is_empty(),
        settled: false,
        error: Vec::new(),
    }
}

#[tokio::test]
async fn an_unfinished_run_goes_on_where_it_stood() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let run = store
        .begin(&lease, &fingerprint(), &start(1000))
        .await
        .unwrap();
    assert_eq!(
        run,
        Run {
            id: run.id,
            begun: Begun::New,
            started_at: 1000,
            report_key: "1000".to_owned(),
            present_state: Some(ModelState("state at 1000".to_owned())),
            scopes: Vec::new(),
            edge_log_len: 0,
            edges_from: 0,
            session: None,
            progress: None,
        }
    );
    let advances = [
        page("b", "", "b1"),
        page("a", "", "\u{0}a'1"),
        page("b", "b1", ""),
    ];
    store.advance(&lease, run.id, &advances, 77).await.unwrap();
    // Killed: nothing is closed, nothing given back.
    drop((lease, store));

    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let resumed = store
        .begin(&lease, &fingerprint(), &start(2000))
        .await
        .unwrap();
    assert_eq!(
        resumed,
        Run {
            begun: Begun::Resumed { times: 1 },
            scopes: vec![scope("a", "\u{0}a'1", 1), scope("b", "", 2)],
            edge_log_len: 77,
            ..run
        }
    );
    let again = begin(&store, &lease).await;
    assert_eq!(again.begun, Begun::Resumed { times: 2 });
}

#[tokio::test]
async fn a_stale_or_doubled_advance_writes_nothing() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let run = begin(&store, &lease).await.id;
    let refused = async |advances: &[_], stored: Position, from: Position| {
        let error = store.advance(&lease, run, advances, 500).await.unwrap_err();
        let StateError::Refused {
            stored: at,
            from: wanted,
            ..
        } = error
        else {
            panic!("it should be refused: {error:?}")
        };
        assert_eq!((at, wanted), (stored, from));
    };
    let at = |text| Position::At(cursor(text));
    refused(&[page("a", "1", "2")], Position::Start, at("1")).await;
    store
        .advance(&lease, run, &[page("a", "", "1")], 100)
        .await
        .unwrap();
    // The same again, in different company.
    refused(&[page("a", "", "1")], at("1"), Position::Start).await;
    refused(&[page("b", "", "1"), page("a", "0", "1")], at("1"), at("0")).await;
    store
        .advance(&lease, run, &[page("a", "1", "")], 100)
        .await
        .unwrap();
    refused(&[page("a", "1", "")], Position::End, at("1")).await;
    refused(&[page("a", "", "1")], Position::End, Position::Start).await;

    assert_eq!(store.scopes(run).await.unwrap(), [scope("a", "", 2)]);
    assert_eq!(begin(&store, &lease).await.edge_log_len, 100);
    let error = store.advance(&lease, run, &[], 99).await.unwrap_err();
    assert!(matches!(
        error,
        StateError::EdgeLogShrank {
            stored: 100,
            given: 99
        }
    ));
}

#[tokio::test]
async fn a_changed_fingerprint_starts_anew_and_says_why() {
    let changes: [(Change, &str); 7] = [
        (
            |new, _| new.version = "1.1".to_owned(),
            "the connector's version changed from `1.0` to `1.1`",
        ),
        (
            |new, _| new.connector = "other".to_owned(),
            "the connector changed from `test-connector` to `other`",
        ),
        (
            |new, _| new.settings = Fingerprint::hash_settings([("server", "b")]),
            "the settings changed",
        ),
        (
            |new, _| new.extension = None,
            "the version of the schema extension changed from `3` to `none`",
        ),
        (
            |_, start| start.mode = Mode::Incremental,
            "an incremental import comes after it",
        ),
        (
            |_, start| start.now += 73 * 3_600_000,
            "it began 73 hours ago, and is not resumed after 72",
        ),
        (
            |_, start| {
                start.now += 2 * 3_600_000;
                start.resume_within = Duration::from_secs(3600);
            },
            "it began 2 hours ago, and is not resumed after 1",
        ),
    ];
    for (change, why) in changes {
        let bench = Bench::new();
        let store = bench.store().await;
        let lease = acquire(&store).await.unwrap();
        let old = begin(&store, &lease).await.id;
        store
            .advance(&lease, old, &[page("a", "", "1")], 9)
            .await
            .unwrap();
        std::fs::write(store.edge_log_path(old), "edges").unwrap();

        let (mut fingerprint, mut start) = (fingerprint(), start(1000));
        change(&mut fingerprint, &mut start);
        let run = store.begin(&lease, &fingerprint, &start).await.unwrap();
        let reason = why.to_owned();
        assert_eq!(run.begun, Begun::StartedAnew { reason });
        assert_eq!((run.scopes.len(), run.edge_log_len), (0, 0));
        assert!(!store.edge_log_path(old).exists(), "its edges are gone");
        let error = store.advance(&lease, old, &[], 9).await.unwrap_err();
        assert!(matches!(error, StateError::RunNotOpen { run } if run == old));
        let past = &store.history(SOURCE, 9).await.unwrap()[1];
        assert_eq!(past.outcome, Some(Outcome::Failed));
        assert_eq!(past.error, [format!("given up because {why}")]);
    }
}

#[tokio::test]
async fn an_incremental_run_is_not_resumed() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let incremental = Start::new(Mode::Incremental, 5, None);
    let first = store
        .begin(&lease, &fingerprint(), &incremental)
        .await
        .unwrap();
    store
        .finish(
            &lease,
            first.id,
            &Ending::resumable(Outcome::Interrupted, Vec::new()),
        )
        .await
        .unwrap();
    assert!(!store.history(SOURCE, 1).await.unwrap()[0].open);
    assert_eq!(begin(&store, &lease).await.begun, Begun::New);
}

#[tokio::test]
async fn failed_scopes_are_known_until_they_advance() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let run = begin(&store, &lease).await.id;
    let chain = ["outer".to_owned(), "inner".to_owned()];
    for name in ["a", "b"] {
        store.fail_scope(&lease, run, name, &chain).await.unwrap();
    }
    store
        .advance(&lease, run, &[page("c", "", "")], 0)
        .await
        .unwrap();
    let error = store
        .fail_scope(&lease, run, "c", &chain)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        StateError::Refused {
            stored: Position::End,
            ..
        }
    ));
    let partial = Ending::resumable(Outcome::Partial, vec!["2 of 3".to_owned()]);
    store.finish(&lease, run, &partial).await.unwrap();

    let failed = store.failed_scopes(SOURCE).await.unwrap();
    assert_eq!(failed.len(), 2);
    assert_eq!(
        (failed[0].name.as_str(), &failed[0].error[..]),
        ("a", &chain[..])
    );
    assert_eq!(store.failed_scopes("other").await.unwrap(), []);

    let retry = Start {
        retry: true,
        ..start(1000)
    };
    let resumed = store.begin(&lease, &fingerprint(), &retry).await.unwrap();
    assert_eq!(resumed.begun, Begun::Resumed { times: 1 });
    store
        .advance(&lease, run, &[page("a", "", "1"), page("b", "", "")], 0)
        .await
        .unwrap();
    assert_eq!(store.failed_scopes(SOURCE).await.unwrap(), []);
}

#[tokio::test]
async fn the_history_is_pruned_but_keeps_the_last_full_import() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let full = begin(&store, &lease).await.id;
    store
        .fail_scope(&lease, full, "a", &["why".to_owned()])
        .await
        .unwrap();
    let mut ending = Ending::closed(Outcome::Partial);
    ending.error = vec!["part".to_owned()];
    ending.report = Some("{\"format\":1}".to_owned());
    store.finish(&lease, full, &ending).await.unwrap();
    let error = store.finish(&lease, full, &ending).await.unwrap_err();
    assert!(matches!(error, StateError::RunNotOpen { .. }), "{error:?}");

    for now in 0..40 {
        let run = store
            .begin(
                &lease,
                &fingerprint(),
                &Start::new(Mode::Incremental, now, None),
            )
            .await
            .unwrap();
        store
            .finish(&lease, run.id, &Ending::closed(Outcome::Complete))
            .await
            .unwrap();
    }
    let history = store.history(SOURCE, 100).await.unwrap();
    assert_eq!(history.len(), 21);
    assert_eq!(history[0].started_at, 39, "the latest comes first");
    let oldest = &history[20];
    assert_eq!(
        (
            oldest.id,
            oldest.mode,
            oldest.outcome,
            &oldest.error[..],
            oldest.open
        ),
        (
            full,
            Mode::Full,
            Some(Outcome::Partial),
            &["part".to_owned()][..],
            false
        )
    );
    assert_eq!(oldest.report.as_deref(), Some("{\"format\":1}"));
    assert_eq!(store.failed_scopes(SOURCE).await.unwrap().len(), 1);
    assert_eq!(store.history(SOURCE, 3).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_run_without_its_edges_starts_anew() {
    let damage: [(Damage, &str); 3] = [
        (|path| std::fs::remove_file(path).unwrap(), "is gone"),
        (|path| std::fs::write(path, "short").unwrap(), "shorter"),
        (
            |path| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes[40] ^= 1;
                std::fs::write(path, bytes).unwrap();
            },
            "checksum",
        ),
    ];
    for (damage, why) in damage {
        let bench = Bench::new();
        let store = bench.store().await;
        let lease = acquire(&store).await.unwrap();
        let (run, mut log) = open_run(&store, &lease, &fingerprint(), &start(1))
            .await
            .unwrap();
        let len = log.append(super::edge_log::edges(0..5).entries()).unwrap();
        store
            .advance(&lease, run.id, &[page("a", "", "1")], len)
            .await
            .unwrap();
        drop(log);
        let (same, log) = open_run(&store, &lease, &fingerprint(), &start(2))
            .await
            .unwrap();
        assert_eq!(
            (same.id, log.len()),
            (run.id, len),
            "it is resumed as long as it can"
        );
        drop(log);

        damage(&store.edge_log_path(run.id));
        let (anew, log) = open_run(&store, &lease, &fingerprint(), &start(3))
            .await
            .unwrap();
        let Begun::StartedAnew { reason } = &anew.begun else {
            panic!("{why}: {:?}", anew.begun)
        };
        assert!(reason.contains(why), "{reason}");
        assert_ne!(anew.id, run.id);
        assert_eq!((anew.scopes.len(), anew.started_at), (0, 3));
        assert!(log.read().unwrap().next().unwrap().is_none());
        assert_eq!(bench.files("state.db-edges").len(), 1);
    }
}
