//! Trying again: waits, caps, deadlines, jitter and cancellation, in simulated time; and what is
//! never tried again, over real connections.

use std::sync::Mutex;
use std::time::Duration;

use car_core::layer::Backoff;
use car_core::{Effect, Failure, FailureKind, Retry};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, CarMock, FullOnly, assets, client, run, soon};

const SECOND: Duration = Duration::from_secs(1);

fn backoff() -> Backoff {
    Backoff {
        first: SECOND,
        longest: SECOND * 30,
        deadline: SECOND * 300,
    }
}

fn failing(retry: Retry) -> Failure {
    Failure::new(FailureKind::CarUnavailable, "no").with_retry(retry)
}

/// Fails always and returns the waits, with the failure at the end and the time it took.
async fn waits(backoff: Backoff, retry: Retry) -> (Vec<Duration>, Failure, Duration) {
    let mut waits = Vec::new();
    let began = Instant::now();
    let failure = backoff
        .retry::<(), _, _>(
            &CancellationToken::new(),
            || async { Err(failing(retry)) },
            |wait| {
                assert_eq!(wait.attempt as usize, waits.len() + 1);
                assert_eq!(wait.failure.to_string(), "no");
                waits.push(wait.wait);
            },
        )
        .await
        .unwrap_err();
    (waits, failure, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn waits_double_up_to_the_cap_with_jitter_and_end_at_the_deadline() {
    let mut firsts = Vec::new();
    for _ in 0..50 {
        let (waits, failure, elapsed) = waits(backoff(), Retry::Backoff).await;
        let mut base = SECOND;
        for wait in &waits {
            assert!(*wait >= base.min(SECOND * 30), "{waits:?}");
            assert!(*wait <= (base * 2).min(SECOND * 30), "{waits:?}");
            base = (base * 2).min(SECOND * 30);
        }
        assert!(elapsed <= SECOND * 300, "{elapsed:?}");
        assert!(elapsed >= SECOND * 260, "{elapsed:?}");
        assert!(
            failure.to_string().starts_with("gave up after"),
            "{failure}"
        );
        assert_eq!(failure.kind(), FailureKind::CarUnavailable);
        assert_eq!(
            failure.retry(),
            Retry::Never,
            "an outer layer must not go on"
        );
        firsts.push(waits[0]);
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert!(
        firsts.len() > 10,
        "clients must not come back together: {firsts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_is_asked_for_is_honoured_up_to_the_cap() {
    let (seen, ..) = waits(backoff(), Retry::After(SECOND * 7)).await;
    assert!(seen.iter().all(|wait| *wait == SECOND * 7), "{seen:?}");
    assert_eq!(seen.len(), 42, "300 s hold 42 waits of 7 s");
    let (seen, ..) = waits(backoff(), Retry::After(SECOND * 3600)).await;
    assert!(seen.iter().all(|wait| *wait == SECOND * 30), "{seen:?}");
    assert_eq!(seen.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn no_wait_at_all_is_not_honoured() {
    let (seen, ..) = waits(backoff(), Retry::After(Duration::ZERO)).await;
    assert!(seen.iter().all(|wait| *wait >= SECOND), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_tried_once() {
    let (seen, failure, elapsed) = waits(backoff(), Retry::Never).await;
    assert!(seen.is_empty() && elapsed.is_zero());
    assert_eq!(failure.to_string(), "no", "not even wrapped");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_shorter_than_the_first_wait_allows_one_attempt() {
    let short = Backoff {
        deadline: SECOND / 2,
        ..backoff()
    };
    let (seen, failure, elapsed) = waits(short, Retry::Backoff).await;
    assert!(seen.is_empty() && elapsed.is_zero());
    assert_eq!(failure.to_string(), "no");
}

#[tokio::test(start_paused = true)]
async fn success_ends_the_waits() {
    let left = Mutex::new(3);
    let value = backoff()
        .retry(
            &CancellationToken::new(),
            || async {
                let mut left = left.lock().unwrap();
                *left -= 1;
                if *left == 0 {
                    Ok("yes")
                } else {
                    Err(failing(Retry::Backoff))
                }
            },
            |_| {},
        )
        .await;
    assert_eq!(value.unwrap(), "yes");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_does_not_wait() {
    let cancel = CancellationToken::new();
    let began = Instant::now();
    let failure = backoff()
        .retry::<(), _, _>(
            &cancel,
            || async { Err(failing(Retry::After(SECOND * 20)).with_effect(Effect::Unknown)) },
            |_| cancel.cancel(),
        )
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Interrupted);
    assert_eq!(
        failure.effect(),
        Effect::Unknown,
        "the attempt may have been carried out"
    );
    assert_eq!(
        failure.chain(),
        ["stopped while waiting to try again", "no"]
    );
    assert!(began.elapsed().is_zero(), "at once");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_effect_stays_unknown() {
    let mut answers = vec![
        failing(Retry::Never),
        failing(Retry::Backoff).with_effect(Effect::Unknown),
    ];
    let failure = backoff()
        .retry::<(), _, _>(
            &CancellationToken::new(),
            || std::future::ready(Err(answers.pop().unwrap())),
            |_| {},
        )
        .await
        .unwrap_err();
    assert_eq!(failure.effect(), Effect::Unknown);
}

#[tokio::test]
async fn credentials_and_refusals_are_sent_once() {
    for status in [302, 400, 401, 403, 404, 409, 413] {
        for call in ["open session", "post import", "get import schema"] {
            let car = CarMock::start()
                .await
                .always(call, Answer::RetryAfter(status, 1));
            let done = run(&car, FullOnly::new().scope("a", [assets(&["1"])])).await;
            assert_ne!(done.report.exit_code, 0, "{status} {call}");
            assert_eq!(car.count(call), 1, "{status} {call}");
            assert_eq!(done.report.retries, 0, "{status} {call}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_once() {
    let car = CarMock::start().await;
    let mut options = crate::support::car_options(&car);
    options.credentials = car_core::config::CarCredentials::Key {
        url: car.address(),
        key: "the-key".to_owned(),
        password: "wrong".into(),
    };
    let client = car_core::car::CarClient::new(
        options,
        std::sync::Arc::new(car_core::progress::Silent),
        CancellationToken::new(),
    )
    .unwrap();
    let failure = client.source("s").await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::CarAuthentication);
    assert!(
        failure
            .hints()
            .any(|hint| hint.contains("CAR_SERVICE_PASSWORD"))
    );
    assert!(!format!("{failure:?}").contains("wrong"), "{failure:?}");
    assert_eq!(car.count("get source"), 1);
}

#[tokio::test]
async fn what_may_go_away_is_tried_until_it_does() {
    let answers = [
        Answer::Status(408),
        Answer::RetryAfter(429, 0),
        Answer::Status(500),
        Answer::Status(502),
        Answer::Status(503),
        Answer::Status(504),
        Answer::Text(200, "<html>starting</html>"),
        Answer::Text(200, "{\"_key\":"),
        Answer::Drop,
    ];
    let calls = ["get source", "open session", "post import", "close session"];
    let pairs = answers
        .iter()
        .zip(calls.iter().cycle())
        .chain(answers.iter().map(|answer| (answer, &"get import status")));
    for (answer, call) in pairs {
        let car = CarMock::start().await.times(call, 2, answer.clone());
        let done = soon(run(&car, FullOnly::new().scope("a", [assets(&["1"])]))).await;
        assert_eq!(done.report.exit_code, 0, "{call} {:?}", done.failure);
        assert_eq!(done.report.retries, 2, "{call}");
        assert_eq!(car.keys("asset"), ["1"], "{call}");
        assert_eq!(done.report.collections["asset"].sent, 1, "{call}");
    }
}

#[tokio::test]
async fn a_failure_says_how_often_what_was_tried() {
    let car = CarMock::start()
        .await
        .always("get source", Answer::Status(503));
    let failure = client(&car).source("a/b").await.unwrap_err();
    let chain = failure.chain();
    assert_eq!(chain[0], "call `get source` failed: GET v2/source/a%2Fb");
    assert!(chain[1].starts_with("gave up after "), "{chain:?}");
    assert_eq!(chain[2], "the CAR service answered 503");
    assert!(car.count("get source") > 2);
}
