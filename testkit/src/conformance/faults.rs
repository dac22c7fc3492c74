//! Requests to the source that go wrong, one at a time.

use car_core::connector::Connector;

use super::Fixture;
use super::stage::{Stage, THINGS};
use crate::{At, Deed, Ended, Graph, Program, TestFolder, cases};

/// Waits that are short enough for a test.
const SHORT: [&str; 3] = ["--full", "--source-retry-for", "1ms"];

/// Asserts that a run that went wrong ended with a code for it, said why, and took nothing away.
#[track_caller]
fn assert_harmless(ended: &Ended, graph: &Graph, whole: &Graph, what: &str) {
    let code = ended.code;
    assert!(
        matches!(code, Some(0 | 10..=12 | 50..=55)),
        "{what}: ended with {code:?}: {}",
        ended.stderr
    );
    graph.assert_is(whole, &format!("{what}, exit code {code:?}"));
}

/// Returns numbers of requests, spread evenly from the first to the last; `CAR_TEST_CASES` sets how
/// many at most.
fn some_of(requests: usize) -> Vec<u32> {
    let requests = u32::try_from(requests).unwrap();
    let most = cases(10).clamp(2, requests.max(2));
    let mut numbers: Vec<u32> = (0..most)
        .map(|point| 1 + point * requests.saturating_sub(1) / (most - 1))
        .collect();
    numbers.dedup();
    numbers
}

/// Runs full imports of which each has another request that goes wrong, and a usual one after
/// each. None may change the graph, as the source stays as it is.
async fn at_requests<F: Fixture>(name: &str, deed: &Deed, from_then_on: bool) {
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, requests) = stage.whole().await;
    let numbers = match from_then_on {
        true => (1..=u32::try_from(requests).unwrap()).collect(),
        false => some_of(requests),
    };
    for nth in numbers {
        let what = format!("{name} at request {nth} of {requests}");
        let at = match from_then_on {
            true => At::From(nth),
            false => At::Nth(nth),
        };
        stage.proxy.on(at, deed.clone());
        let ended = stage.program("whole").args(&SHORT).run().await;
        stage.proxy.clear();
        assert_harmless(&ended, &stage.graph("whole").await, &whole, &what);
        if ended.code != Some(0) {
            recovers(&stage, "whole", &whole, &what).await;
        }
    }
}

/// The next run, which nobody tells to be full, makes the graph what it has to be.
async fn recovers<F: Fixture>(stage: &Stage<F>, source: &str, whole: &Graph, what: &str) {
    drop(stage.program(source).run().await.with_code(0));
    let graph = stage.graph(source).await;
    graph.assert_is(whole, &format!("the run after {what}"));
}

/// A request that fails for good takes nothing out of the graph, whichever it is, and the next run
/// is right; one that fails once is made again.
pub async fn failing_at_any_request_retires_nothing_and_the_next_run_is_right<
    C: Connector,
    F: Fixture,
>() {
    at_requests::<F>("403", &Deed::Answer(403), true).await;
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, _) = stage.whole().await;
    stage.proxy.on(At::First, Deed::Answer(503));
    drop(stage.full("whole").await);
    let graph = stage.graph("whole").await;
    graph.assert_is(&whole, "each request fails once");
}

/// Killed while any request is under way, the first import ever is completed by the next run.
pub async fn killed_at_any_request_the_next_run_is_right<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, requests) = stage.whole().await;
    for nth in 1..=u32::try_from(requests).unwrap() {
        let source = format!("killed-{nth}");
        stage.proxy.on(At::Nth(nth), Deed::Hold);
        let mut running = stage.program(&source).start();
        tokio::select! {
            () = stage.proxy.held() => {}
            // A run may need a request less when others are answered in another order.
            () = running.exited() => {}
        }
        running.kill().await;
        stage.proxy.clear();
        let what = format!("a kill at request {nth} of {requests}");
        recovers(&stage, &source, &whole, &what).await;
    }
}

/// Killed in the middle and started again, time after time, an import goes on where it was and
/// ends in the graph of one that was never stopped.
pub async fn killed_again_and_again_an_import_goes_on<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, requests) = stage.whole().await;
    let half = u32::try_from(requests.div_ceil(2)).unwrap();
    let folder = TestFolder::new();
    let state = folder.file("state.db").display().to_string();
    let program = stage.program("stopped").args(&["--state", &state]);
    let mut kills = 0;
    let ended = loop {
        if kills < 3 {
            stage.proxy.on(At::Nth(half), Deed::Hold);
        }
        let mut running = program.start();
        tokio::select! {
            () = stage.proxy.held() => {}
            // The last run, or one that has less than a half to do.
            () = running.exited() => break running.ended().await,
        }
        running.kill().await;
        stage.proxy.clear();
        kills += 1;
    };
    let ended = ended.with_code(0);
    assert!(kills > 0 && ended.report().resumed > 0, "it began anew");
    let graph = stage.graph("stopped").await;
    graph.assert_is(&whole, &format!("killed {kills} times"));
}

/// A source may see every request twice, as retries make it.
pub async fn every_request_may_arrive_twice<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, _) = stage.whole().await;
    for deed in [Deed::Twice, Deed::AfterAnother] {
        let source = format!("{deed:?}");
        stage.proxy.on(At::EverySecond, deed);
        drop(stage.full(&source).await);
        stage.proxy.clear();
        stage.graph(&source).await.assert_is(&whole, &source);
    }
    stage.proxy.on(At::First, Deed::AnswerLost);
    drop(stage.full("lost").await);
    stage.proxy.clear();
    let graph = stage.graph("lost").await;
    graph.assert_is(&whole, "each answer is lost once");
}

/// Half of an answer is not an answer: neither when the connection breaks in its middle, nor when
/// it looks complete.
pub async fn a_truncated_answer_is_never_the_end<C: Connector, F: Fixture>() {
    at_requests::<F>("a broken answer", &Deed::Truncate, false).await;
    at_requests::<F>("half an answer", &Deed::Halve, false).await;
}

/// A page that a source gives again in place of the next one neither doubles nor loses anything.
pub async fn a_page_that_comes_twice_is_taken_once<C: Connector, F: Fixture>() {
    at_requests::<F>("the last page again", &Deed::LastAnswer, false).await;
}

/// Credentials that expire in the middle of a run end it with the code for credentials; nothing is
/// retired, and the next run is right.
pub async fn credentials_that_expire_stop_the_run_and_retire_nothing<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, requests) = stage.whole().await;
    let requests = u32::try_from(requests).unwrap();
    for nth in [1, requests.div_ceil(2), requests] {
        let what = format!("401 from request {nth} of {requests} on");
        stage.proxy.on(At::From(nth), Deed::Answer(401));
        let ended = stage.program("whole").args(&SHORT).run().await;
        stage.proxy.clear();
        // With the last requests alone, other scopes were read to their ends before.
        assert!(
            matches!(ended.code, Some(52 | 11)),
            "{what}: ended with {:?}: {}",
            ended.code,
            ended.stderr
        );
        assert!(ended.stderr.contains("401") || ended.code == Some(52));
        assert_harmless(&ended, &stage.graph("whole").await, &whole, &what);
        recovers(&stage, "whole", &whole, &what).await;
    }
}

/// A source that answers each request with 429 first is waited for.
pub async fn a_storm_of_429_is_waited_out<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let (whole, requests) = stage.whole().await;
    stage.proxy.on(At::First, Deed::RetryAfter(429, 0));
    let stormy: Program = stage.program("stormy").args(&["--full"]);
    drop(stormy.run().await.with_code(0));
    // By the engine, or by the client of the source before the engine hears of it.
    let stormed = stage.proxy.requests().len();
    assert!(stormed > requests, "nothing was tried again");
    let graph = stage.graph("stormy").await;
    graph.assert_is(&whole, "each request is answered with 429 once");
}
