//! Runs and the sessions at the CAR service that their pages are sent in.

use std::collections::BTreeSet;

use car_core::report::Outcome;
use car_core::state::{
    Begun, Checkpoint, Ending, Lease, Position, Run, SqliteStore, Start, StateError, StateStore,
};
use car_core::{Failure, FailureKind};

use super::{Bench, SOURCE, acquire, fingerprint, page, start};

/// A run in a session, of which scope `a` is read and scope `b` begun.
async fn in_session(store: &SqliteStore, lease: &Lease, session: &str) -> Run {
    let run = store.begin(lease, &fingerprint(), &start(1)).await.unwrap();
    store
        .open_session(lease, run.id, Some(session))
        .await
        .unwrap();
    let advances = [page("a", "", ""), page("b", "", "1")];
    let checkpoint = Checkpoint {
        advances: &advances,
        edge_log_len: 70,
        progress: Some("notes"),
    };
    store.checkpoint(lease, run.id, &checkpoint).await.unwrap();
    store.advance(lease, run.id, &[], 80).await.unwrap();
    run
}

fn finding(session: Option<&str>) -> Start {
    Start {
        session: session.map(str::to_owned),
        ..start(2)
    }
}

fn retrying() -> Start {
    Start {
        retry: true,
        ..start(3)
    }
}

#[tokio::test]
async fn a_run_goes_on_in_its_own_session_only() {
    for found in [None, Some("6")] {
        let bench = Bench::new();
        let store = bench.store().await;
        let lease = acquire(&store).await.unwrap();
        in_session(&store, &lease, "5").await;
        let run = store
            .begin(&lease, &fingerprint(), &finding(found))
            .await
            .unwrap();
        let Begun::StartedAnew { reason } = run.begun else {
            panic!("{run:?}");
        };
        assert!(reason.contains("session"), "{reason}");
    }
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    in_session(&store, &lease, "5").await;
    let run = store
        .begin(&lease, &fingerprint(), &finding(Some("5")))
        .await
        .unwrap();
    assert!(run.resumed());
    assert_eq!(run.session.as_deref(), Some("5"));
    assert_eq!(run.progress.as_deref(), Some("notes"), "the last ones stay");
}

#[tokio::test]
async fn a_run_whose_session_was_being_closed_is_not_resumed() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let run = in_session(&store, &lease, "5").await;
    store.seal(&lease, run.id).await.unwrap();
    let error = store
        .begin(&lease, &fingerprint(), &retrying())
        .await
        .unwrap_err();
    assert!(
        matches!(error, StateError::NothingToRetry { .. }),
        "{error:?}"
    );
    let anew = store
        .begin(&lease, &fingerprint(), &finding(Some("5")))
        .await
        .unwrap();
    assert!(matches!(anew.begun, Begun::StartedAnew { .. }), "{anew:?}");
}

#[tokio::test]
async fn what_was_not_settled_begins_from_its_start_in_the_next_session() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let run = in_session(&store, &lease, "5").await;
    let why = ["it failed".to_owned()];
    store.fail_scope(&lease, run.id, "b", &why).await.unwrap();
    store.seal(&lease, run.id).await.unwrap();
    let mut ending = Ending::resumable(Outcome::Partial, why.to_vec());
    ending.settled = Some(BTreeSet::from(["a".to_owned(), "not read".to_owned()]));
    store.finish(&lease, run.id, &ending).await.unwrap();

    let again = store
        .begin(&lease, &fingerprint(), &retrying())
        .await
        .unwrap();
    assert_eq!(again.id, run.id);
    assert_eq!(again.session, None, "it is closed");
    assert_eq!(again.edges_from, 80, "those before are in the graph");
    let [a, b] = &again.scopes[..] else {
        panic!("{again:?}");
    };
    assert!(a.settled && a.complete);
    assert_eq!(
        (b.settled, b.position(), b.pages),
        (false, Position::Start, 0)
    );

    // Stopped again before or in the next session, it needs no second request.
    let again = store
        .begin(&lease, &fingerprint(), &finding(Some("another one's")))
        .await
        .unwrap();
    assert!(again.resumed());
    store.open_session(&lease, run.id, Some("7")).await.unwrap();
    let again = store
        .begin(&lease, &fingerprint(), &finding(Some("7")))
        .await
        .unwrap();
    assert_eq!(again.begun, Begun::Resumed { times: 3 });
    assert!(again.scopes[0].settled);
}

#[tokio::test]
async fn a_partial_run_goes_on_when_that_is_asked_for_only() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let error = store
        .begin(&lease, &fingerprint(), &retrying())
        .await
        .unwrap_err();
    let failure = Failure::from(error);
    assert_eq!(failure.kind(), FailureKind::InvalidParameter);
    assert!(failure.hints().any(|hint| hint.contains("--retry-failed")));
    assert_eq!(
        store.history(SOURCE, 9).await.unwrap(),
        [],
        "none was begun"
    );

    let run = store
        .begin(&lease, &fingerprint(), &start(1))
        .await
        .unwrap();
    let partial = Ending::resumable(Outcome::Partial, Vec::new());
    store.finish(&lease, run.id, &partial).await.unwrap();
    let retried = store
        .begin(&lease, &fingerprint(), &retrying())
        .await
        .unwrap();
    assert_eq!(retried.begun, Begun::Resumed { times: 1 });
    store.finish(&lease, run.id, &partial).await.unwrap();
    let anew = store
        .begin(&lease, &fingerprint(), &start(4))
        .await
        .unwrap();
    assert!(matches!(anew.begun, Begun::StartedAnew { .. }), "{anew:?}");
}
