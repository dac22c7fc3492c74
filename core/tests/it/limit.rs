//! Rate limits: what a source allows is never exceeded, and used.

use std::sync::Arc;
use std::time::Duration;

use car_core::limit::{LimitOptions, Limiter};
use car_core::{Failure, FailureKind};
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::soon;

fn options(folder: &tempfile::TempDir) -> LimitOptions {
    LimitOptions {
        folder: Some(folder.path().join("limits")),
        ..LimitOptions::new(&["http://source", "reader"])
    }
}

/// A source that works on so many requests at once, each for 20 ms; the others wait in line.
#[derive(Clone)]
struct Source {
    workers: Arc<Semaphore>,
    time: Duration,
}

impl Source {
    fn new(workers: usize) -> Self {
        Self {
            workers: Arc::new(Semaphore::new(workers)),
            time: Duration::from_millis(20),
        }
    }

    async fn answer(&self) {
        let _worker = self.workers.acquire().await.unwrap();
        tokio::time::sleep(self.time).await;
    }
}

/// Makes so many requests, as many at once as the limiter allows, and returns how long it took
/// and how many it allowed in the end.
async fn drive(source: Source, options: LimitOptions, requests: usize) -> (Duration, u32) {
    let limiter = Limiter::new(options, CancellationToken::new()).unwrap();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..requests {
        let permit = limiter.permit().await.unwrap();
        let source = source.clone();
        tasks.spawn(async move {
            source.answer().await;
            permit.answered(200, &HeaderMap::new());
        });
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
    (began.elapsed(), limiter.at_once())
}

#[tokio::test(start_paused = true)]
async fn concurrency_converges_near_the_knee_of_the_source() {
    for knee in [1_usize, 4, 16] {
        let folder = tempfile::tempdir().unwrap();
        let requests = 200 * knee;
        let (took, at_once) = drive(Source::new(knee), options(&folder), requests).await;
        // The best that any fixed number does.
        let best = Duration::from_millis(20) * u32::try_from(requests / knee).unwrap();
        let share = best.as_secs_f64() / took.as_secs_f64();
        assert!(
            share > 0.9,
            "{knee}: {share:.2} of the best, {at_once} at once"
        );
        let most = u32::try_from(knee).unwrap() * 2 + 2;
        assert!(at_once <= most, "{knee}: {at_once} at once");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_make_it_fewer_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let limiter = Limiter::new(options(&folder), CancellationToken::new()).unwrap();
    let grown = {
        for _ in 0..100 {
            let mut permits = Vec::new();
            for _ in 0..limiter.at_once() {
                permits.push(limiter.permit().await.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            for permit in permits {
                permit.answered(200, &HeaderMap::new());
            }
        }
        limiter.at_once()
    };
    assert_eq!(grown, 64, "nothing queues, so as many as there may be");
    for _ in 0..100 {
        limiter
            .permit()
            .await
            .unwrap()
            .answered(429, &HeaderMap::new());
    }
    assert_eq!(limiter.at_once(), 1);
}

#[tokio::test]
async fn what_the_source_asks_for_holds_every_process_back_and_a_signal_ends_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let first = Limiter::new(options(&folder), cancel.clone()).unwrap();
    let second = Limiter::new(options(&folder), cancel.clone()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("600"));
    first.permit().await.unwrap().answered(429, &headers);
    let waiting = tokio::spawn(async move { second.permit().await.map(drop) });
    cancel.cancel();
    let failure: Failure = soon(waiting).await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Interrupted);
}

#[tokio::test]
async fn a_budget_is_by_credential() {
    let folder = tempfile::tempdir().unwrap();
    let other = LimitOptions {
        folder: Some(folder.path().join("limits")),
        ..LimitOptions::new(&["http://source", "other"])
    };
    let one = Limiter::new(options(&folder), CancellationToken::new()).unwrap();
    let other = Limiter::new(other, CancellationToken::new()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("600"));
    one.permit().await.unwrap().answered(429, &headers);
    soon(other.permit()).await.unwrap().failed();
    let names = std::fs::read_dir(folder.path().join("limits")).unwrap();
    for name in names {
        let name = name.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains("reader") && name.len() > 32, "{name}");
    }
}
