//! The log of sagas on a Temporal server: the suite of all logs, a driver that makes everything
//! go wrong, and what only this log can meet.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use car_core::saga::{Event, LogError, Progress, Response, SagaLog, Status, Then};
use car_core::{Failure, FailureKind};
use car_temporal::{Address, LogOptions, TemporalLog};
use car_testkit::saga::{DrivenLog, DrivenLogs, SagaDriver};
use serde_json::json;

use self::log_suite::{began, started, suite};
use self::saga_subject::purchase;
use crate::support::{Other, Own, be_other, free_port, program, say, server, soon, unique};

#[path = "../../../core/tests/it/saga/log_suite.rs"]
mod log_suite;
#[path = "../../../testkit/tests/it/saga_subject.rs"]
mod saga_subject;

/// The test that is another process.
const OTHER: &str = "saga::other";

fn options(prefix: &str) -> LogOptions {
    LogOptions {
        prefix: prefix.to_owned(),
        // Long, since machines that test are busy.
        ttl: Duration::from_secs(600),
        call: Duration::from_secs(60),
        ..LogOptions::default()
    }
}

/// Opens a log that no other test has.
async fn open(change: impl FnOnce(&mut LogOptions)) -> Option<TemporalLog> {
    let mut options = options(&unique());
    change(&mut options);
    let address = server()?;
    Some(TemporalLog::open(&address, "log", options).await.unwrap())
}

/// An end, after [`began`] and what was done.
fn ended() -> ([Event; 3], Progress) {
    let events = [
        Event::Passed { step: 0 },
        Event::Passed { step: 1 },
        Event::Ended {
            response: Response::Done,
        },
    ];
    let mut progress = Progress::begin(&began()).unwrap();
    for event in &events {
        progress.apply(event).unwrap();
    }
    (events, progress)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_temporal() {
    if let Some(log) = open(|_| {}).await {
        suite(&log).await;
        // Other logs of the server see nothing of it.
        let other = log.named("other").unwrap();
        assert!(other.entries("one").await.unwrap().is_empty());
        assert!(other.list(None, 10).await.unwrap().is_empty());
        suite(&other).await;
        assert!(log.named("it's").is_err());
    }
}

/// A log for each run. Claims last for no time, as if whoever dies did so for long.
#[derive(Debug)]
struct Logs(TemporalLog);

impl DrivenLogs for Logs {
    fn log(&self, run: usize) -> Arc<dyn SagaLog> {
        Arc::new(self.0.named(&run.to_string()).unwrap())
    }
}

async fn driven() -> Option<DrivenLog> {
    let log = open(|options| options.ttl = Duration::ZERO).await?;
    Some(DrivenLog::Other(Arc::new(Logs(log))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_and_after_every_record_ends_all_done_or_all_undone() {
    let Some(log) = driven().await else { return };
    let driven = SagaDriver::new(purchase, log).every_record().await;
    assert!(driven.done > 10 && driven.undone > 15, "{driven:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_end_all_done_or_all_undone() {
    let Some(log) = driven().await else { return };
    let driven = SagaDriver::new(purchase, log).seeded(0..25).await;
    assert_eq!(driven.runs, 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_claims_at_once_one_gets_the_saga() {
    let Some(log) = open(|_| {}).await else {
        return;
    };
    let begin = began();
    let claims = (0..8).map(|_| log.claim("one", Some(&begin)));
    let claims = futures::future::join_all(claims).await;
    let got = claims.iter().filter(|claim| claim.is_ok()).count();
    assert_eq!(got, 1, "{claims:?}");
    for claim in claims {
        match claim {
            Ok(claimed) => assert_eq!(claimed.events, [began()]),
            Err(LogError::Held { by, .. }) => assert_eq!(by.pid, std::process::id()),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_ran_out_is_anothers_and_cannot_write() {
    let Some(log) = open(|options| options.ttl = Duration::ZERO).await else {
        return;
    };
    let first = log.claim("one", Some(&began())).await.unwrap();
    let second = log.claim("one", None).await.unwrap();
    assert!(second.claim.fence > first.claim.fence);
    let (event, progress) = started();
    let late = log
        .append(&first.claim, &[event], &progress, Then::Keep)
        .await;
    assert!(matches!(late, Err(LogError::Lost { .. })), "{late:?}");
    assert_eq!(log.entries("one").await.unwrap().len(), 1);
    log.renew(&second.claim).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_do_not_fit_are_refused_together() {
    let Some(log) = open(|_| {}).await else {
        return;
    };
    let claim = log.claim("one", Some(&began())).await.unwrap().claim;
    let (event, progress) = started();
    let wrong = [event.clone(), Event::Undoing { step: 0 }];
    let error = log.append(&claim, &wrong, &progress, Then::Keep).await;
    let failure = Failure::from(error.unwrap_err());
    let text = failure.chain().join(": ");
    assert!(text.contains("`undoing` does not fit"), "{text}");
    assert_eq!(log.entries("one").await.unwrap().len(), 1);
    log.append(&claim, &[event], &progress, Then::Keep)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_sagas_are_begun_anew_and_keep_everything() {
    let Some(log) = open(|options| options.history = 40).await else {
        return;
    };
    let claim = log.claim("one", Some(&began())).await.unwrap().claim;
    let (event, progress) = started();
    for _ in 0..40 {
        log.append(&claim, std::slice::from_ref(&event), &progress, Then::Keep)
            .await
            .unwrap();
    }
    log.release(&claim).await.unwrap();
    let claimed = log.claim("one", None).await.unwrap();
    assert_eq!(claimed.events.len(), 41);
    assert!(claimed.claim.fence > claim.fence);
    let entries = log.entries("one").await.unwrap();
    assert!(entries.is_sorted_by_key(|entry| entry.at));
    soon(async {
        loop {
            let list = log.list(Some(Status::Running), 10).await.unwrap();
            if let [one] = &list[..]
                && one.created == entries[0].at
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_for_long_can_be_read_and_is_answered_as_before() {
    let Some(log) = open(|options| options.keep = Duration::ZERO).await else {
        return;
    };
    let claim = log.claim("one", Some(&began())).await.unwrap().claim;
    let (events, progress) = ended();
    log.append(&claim, &events, &progress, Then::Release)
        .await
        .unwrap();
    // Its workflow has ended, or is about to; both answer the same.
    for _ in 0..3 {
        let claimed = log.claim("one", Some(&began())).await.unwrap();
        assert_eq!(claimed.events.len(), 4);
        assert!(claimed.claim.fence > claim.fence);
        drop(log.release(&claimed.claim).await);
    }
    let (event, other) = started();
    let late = log.append(&claim, &[event], &other, Then::Keep).await;
    assert!(matches!(late, Err(LogError::Lost { .. })), "{late:?}");
    assert_eq!(log.entries("one").await.unwrap().len(), 4);
    soon(async {
        while log.list(Some(Status::Done), 10).await.unwrap().len() != 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_server_takes_is_told_and_can_be_ended() {
    let Some(log) = open(|_| {}).await else {
        return;
    };
    let claim = log.claim("one", Some(&began())).await.unwrap().claim;
    let large = |n: usize| Event::Redelivered {
        request: json!({"n": n, "text": "x".repeat(600_000)}),
    };
    let mut progress = Progress::begin(&began()).unwrap();
    for n in 0..2 {
        progress.apply(&large(n)).unwrap();
        log.append(&claim, &[large(n)], &progress, Then::Keep)
            .await
            .unwrap();
    }
    // The same once more takes no room.
    log.append(&claim, &[large(1)], &progress, Then::Keep)
        .await
        .unwrap();
    let error = log.append(&claim, &[large(2)], &progress, Then::Keep).await;
    let failure = Failure::from(error.unwrap_err());
    let text = failure.chain().join(": ");
    assert!(text.contains("bytes"), "{text}");
    assert_eq!(log.entries("one").await.unwrap().len(), 4);
    log.release(&claim).await.unwrap();
    let left = car_core::saga::abandon(&log, "one", "too large").await;
    assert_eq!(left.unwrap().status, Status::Abandoned);
}

#[test]
#[ignore = "the tests here start it as a process of its own"]
fn other() {
    be_other(async |_, address, prefix| {
        let log = TemporalLog::open(&address, "log", options(&prefix)).await;
        let log = log.unwrap();
        let claim = log.claim("one", Some(&began())).await.unwrap().claim;
        let (event, progress) = started();
        log.append(&claim, &[event], &progress, Then::Keep)
            .await
            .unwrap();
        say("at work");
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_goes_on_at_once_in_another() {
    let Some(address) = server() else { return };
    let prefix = unique();
    let place = format!("{address} {prefix}");
    let mut other = Other::start(OTHER, "work", Path::new(&place)).await;
    assert_eq!(other.says().await.as_deref(), Some("at work"));
    let log = TemporalLog::open(&address, "log", options(&prefix)).await;
    let log = log.unwrap();
    let held = log.claim("one", None).await.unwrap_err();
    assert!(matches!(held, LogError::Held { .. }), "{held}");
    other.kill().await;
    // Its claim would last for ten minutes; the limit of the test is less.
    let claimed = soon(async {
        loop {
            match log.claim("one", Some(&began())).await {
                Ok(claimed) => return claimed,
                // What was with the dead process is with the server until that gives it up.
                Err(LogError::Storage { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    assert_eq!(claimed.events, [began(), started().0]);
    log.release(&claimed.claim).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_may_name_the_log_and_nothing_else() {
    let wrong = [
        "temporal://127.0.0.1:1?password=hush",
        "temporal://127.0.0.1:1?log=",
        "temporal://127.0.0.1:1?log=a&b=c",
        "http://127.0.0.1:1?log=a",
    ];
    for place in wrong {
        let failure = TemporalLog::at(place, "usual").await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::InvalidParameter);
        assert!(failure.hints().any(|hint| hint.contains("temporal://")));
        assert!(!format!("{failure:?}").contains("hush"));
    }
    let Some(address) = server() else { return };
    let name = unique();
    let named = TemporalLog::at(&format!("{address}?log={name}"), "usual").await;
    let usual = TemporalLog::at(&address.to_string(), &name).await;
    let (named, usual) = (named.unwrap(), usual.unwrap());
    named.claim("one", Some(&began())).await.unwrap();
    assert_eq!(usual.entries("one").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_named() {
    let port = free_port();
    let address: Address = format!("temporal://127.0.0.1:{port}").parse().unwrap();
    let error = TemporalLog::open(&address, "log", options("car")).await;
    let error = error.unwrap_err();
    assert!(matches!(error, LogError::Storage { .. }), "{error}");
    let text = Failure::from(error).chain().join(": ");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(text.contains("see that it runs"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_named_and_nothing_is_lost_when_it_is_back() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let first = Own::start(&program, folder.path(), port).await;
    let address: Address = format!("temporal://127.0.0.1:{port}").parse().unwrap();
    let mut options = options(&unique());
    options.call = Duration::from_secs(3);
    // One that is granted, and whose answer is lost, is not in the way of the next.
    options.ttl = Duration::ZERO;
    let log = soon(async {
        loop {
            // It takes connections before it knows its namespace.
            match TemporalLog::open(&address, "log", options.clone()).await {
                Ok(log) => return log,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    })
    .await;
    let claim = soon(async {
        loop {
            match log.claim("one", Some(&began())).await {
                Ok(claimed) => return claimed.claim,
                Err(LogError::Storage { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    first.kill();
    let (event, progress) = started();
    let error = log
        .append(&claim, std::slice::from_ref(&event), &progress, Then::Keep)
        .await
        .unwrap_err();
    assert!(matches!(error, LogError::Storage { .. }), "{error}");
    let text = Failure::from(error).chain().join(": ");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    let second = Own::start(&program, folder.path(), port).await;
    soon(async {
        // The same once more fits: it says that the step began again.
        while log
            .append(&claim, std::slice::from_ref(&event), &progress, Then::Keep)
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let entries = soon(async {
        loop {
            if let Ok(entries) = log.entries("one").await {
                return entries;
            }
        }
    })
    .await;
    assert_eq!(entries[0].event, began());
    assert!(entries.len() >= 2);
    assert!(entries[1..].iter().all(|entry| entry.event == event));
    second.kill();
}
