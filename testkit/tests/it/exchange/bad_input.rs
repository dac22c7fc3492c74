//! What goes wrong between a connector and its platform: neither a lost nor a doubled row where
//! the protocol can tell, and a failure where it cannot.

use car_core::exchange::{
    ContainerApi, InputType, Items, Job, LogLevel, OutputType, Read, ReadOptions, Rows, RunOptions,
    Storage, StoreFile, wait_for,
};
use car_core::{Effect, FailureKind};
use car_testkit::{CallFault, Emulator, EmulatorOptions, How, TestFolder};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::support::{Deed, Keep, Service, client, exchange, exchange_at, numbered};

fn fault(call: &str, after: u32, times: u32, how: How) -> CallFault {
    CallFault {
        call: call.to_owned(),
        after,
        times,
        how,
    }
}

fn keep() -> Job {
    Job::Service(Box::new(Service(|_| Deed::Keep)))
}

fn count(emulator: &Emulator, call: &str) -> usize {
    emulator.calls().iter().filter(|made| *made == call).count()
}

/// Acceptance check 1: the three ends of an input are told apart.
#[tokio::test]
async fn the_three_ends_are_told_apart() {
    let folder = TestFolder::new();
    folder.write("input.jsonl", "{\"a\":\"1\"}\n");
    let emulator = Emulator::of(folder.path()).await;
    let client = client(&emulator.url());
    let options = ReadOptions::default();
    let read = client.next(InputType::Input, options).await.unwrap();
    assert!(matches!(read, Read::Rows(rows) if rows.lines() == "{\"a\":\"1\"}\n"));
    let end = client.next(InputType::Input, options).await.unwrap();
    assert_eq!(end, Read::NoContent);
    let end = client.next_batch(InputType::Input, 10, options).await;
    assert_eq!(end.unwrap(), Read::Empty);
    for read in [
        client.next(InputType::New, options).await.unwrap(),
        client
            .next_batch(InputType::New, 10, options)
            .await
            .unwrap(),
    ] {
        assert_eq!(read, Read::NotSupplied);
    }
}

/// Acceptance check 2, weakness 1: a write that failed is no success, and is not made again.
#[tokio::test]
async fn a_write_that_fails_surfaces() {
    for (status, kind, effect) in [
        (400, FailureKind::PlatformRejected, Effect::NotApplied),
        (404, FailureKind::PlatformUnexpected, Effect::NotApplied),
        (500, FailureKind::PlatformUnavailable, Effect::Unknown),
        (503, FailureKind::PlatformUnavailable, Effect::Unknown),
    ] {
        let folder = TestFolder::new();
        let emulator = Emulator::of(folder.path()).await;
        emulator.fault(fault("POST /output", 0, 10, How::Refuse(status)));
        let mut rows = Rows::new();
        rows.push_columns([("a", "1")]);
        let client = client(&emulator.url());
        let failure = client.append(OutputType::Output, &rows).await.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.effect()),
            (kind, effect),
            "{status}"
        );
        assert_eq!(count(&emulator, "POST /output/output"), 1, "{status}");
    }
}

/// A 500 in the middle of the output, before and after the rows were written: the count tells.
#[tokio::test]
async fn a_failed_write_is_made_again_only_when_its_rows_did_not_arrive() {
    for how in [How::Refuse(500), How::DoAndRefuse(500), How::Lose] {
        let folder = TestFolder::new();
        numbered(&folder, "input.jsonl", 2500);
        let emulator = Emulator::of(folder.path()).await;
        emulator.fault(fault("POST /output/output", 1, 1, how));
        let finished = exchange(&emulator, keep(), RunOptions::default()).await;
        assert!(finished.failure.is_none(), "{how:?} {:?}", finished.failure);
        let written = emulator.written(OutputType::Output);
        assert_eq!(written.lines().count(), 2500, "{how:?}");
        let mut lines: Vec<&str> = written.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 2500, "{how:?}");
    }
}

/// Where rows that were written are not counted, nobody knows: the run fails and says so.
#[tokio::test]
async fn a_write_of_which_nobody_knows_ends_the_run() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 2500);
    let emulator = Emulator::of(folder.path()).await;
    emulator.fault(fault("GET /items/output", 0, 99, How::Refuse(404)));
    emulator.fault(fault("POST /output/output", 1, 1, How::Lose));
    let finished = exchange(&emulator, keep(), RunOptions::default()).await;
    let failure = finished.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::RowsLost);
    assert_eq!(failure.effect(), Effect::Unknown);
    assert_eq!(count(&emulator, "POST /output/output"), 2);
}

/// Weakness 2: with a platform that can tell repeated calls, nothing is lost and nothing doubled.
#[tokio::test]
async fn repeatable_calls_lose_and_double_nothing() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 3000);
    let mut options = EmulatorOptions::new(folder.path());
    options.repeatable = true;
    let emulator = Emulator::start(options).await.unwrap();
    for (call, after, how) in [
        ("GET /input/input/next_batch", 1, How::Lose),
        ("GET /input/input/next_batch", 2, How::DoAndRefuse(503)),
        ("POST /output/output", 0, How::Lose),
        ("POST /output/output", 1, How::DoAndRefuse(500)),
    ] {
        emulator.fault(fault(call, after, 1, how));
    }
    let finished = exchange(&emulator, keep(), RunOptions::default()).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    let mut lines: Vec<String> = emulator
        .written(OutputType::Output)
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(lines.len(), 3000);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 3000);
}

/// Weakness 2 without: rows whose answer was lost are gone, and that is said.
#[tokio::test]
async fn a_read_whose_answer_is_lost_ends_the_run() {
    for how in [How::Lose, How::Garble, How::DoAndRefuse(500)] {
        let folder = TestFolder::new();
        numbered(&folder, "input.jsonl", 2500);
        let emulator = Emulator::of(folder.path()).await;
        emulator.fault(fault("GET /input/input/next_batch", 1, 1, how));
        let (export, sent) = Keep::new(|_| false);
        let job = Job::Export(Box::new(export));
        let finished = exchange(&emulator, job, RunOptions::default()).await;
        let failure = finished.failure.unwrap();
        assert_eq!(failure.kind(), FailureKind::RowsLost, "{how:?}");
        assert_eq!(sent.lock().unwrap().len(), 999, "{how:?}");
        // The read is not made again behind the cursor.
        assert_eq!(count(&emulator, "GET /input/input/next_batch"), 2);
        // A run anew begins with the first row.
        let (export, sent) = Keep::new(|_| false);
        let job = Job::Export(Box::new(export));
        let finished = exchange(&emulator, job, RunOptions::default()).await;
        assert!(finished.failure.is_none(), "{:?}", finished.failure);
        assert_eq!(sent.lock().unwrap().len(), 2500);
    }
}

/// Rows that somebody else read are missed by the count.
#[tokio::test]
async fn rows_that_never_came_are_noticed() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 5);
    let emulator = Emulator::of(folder.path()).await;
    // The cursor stays where another reader left it.
    let other = client(&emulator.url());
    drop(other.next(InputType::Input, ReadOptions::default()).await);
    emulator.fault(fault("GET /input/input/restart", 0, 1, How::Refuse(204)));
    let (export, sent) = Keep::new(|_| false);
    let job = Job::Export(Box::new(export));
    let finished = exchange(&emulator, job, RunOptions::default()).await;
    let failure = finished.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::RowsLost);
    let text = failure.to_string();
    assert!(text.contains("came 4, counted 5"), "{text}");
    assert_eq!(sent.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_told_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut options = car_core::exchange::HttpOptions::new(format!("http://{address}"));
    options.backoff.deadline = Duration::from_millis(50);
    let client = car_core::exchange::HttpContainer::new(options, CancellationToken::new()).unwrap();
    let failure = client.ping().await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::PlatformUnavailable);
    assert_eq!(failure.effect(), Effect::NotApplied);
    assert!(failure.hints().any(|hint| hint.contains("--exchange")));
}

/// The platform goes away in the middle: the run ends, and what was sent is known.
#[tokio::test]
async fn a_platform_that_goes_away_ends_the_run() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 2500);
    let emulator = Emulator::of(folder.path()).await;
    let proxy = car_testkit::HttpProxy::start(emulator.address()).await;
    proxy.on(
        car_testkit::At::With("GET /input/input/next_batch".to_owned()),
        car_testkit::Deed::Answer(502),
    );
    let (export, _) = Keep::new(|_| false);
    let job = Job::Export(Box::new(export));
    let finished = exchange_at(
        &format!("http://{}", proxy.address()),
        job,
        RunOptions::default(),
    )
    .await;
    assert_eq!(finished.failure.unwrap().kind(), FailureKind::RowsLost);
}

/// Safe calls are made again until they succeed.
#[tokio::test]
async fn safe_calls_are_made_again() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 5);
    let emulator = Emulator::of(folder.path()).await;
    for call in [
        "GET /ping",
        "GET /items",
        "GET /input/input/restart",
        "POST /logs",
    ] {
        emulator.fault(fault(call, 0, 2, How::Refuse(503)));
    }
    let client = client(&emulator.url());
    client.ping().await.unwrap();
    let items = Items::Input(InputType::Input);
    assert_eq!(client.count(items).await.unwrap(), Some(5));
    assert!(client.restart(InputType::Input).await.unwrap());
    client.log(LogLevel::Notice, "x", None).await.unwrap();
    assert_eq!(count(&emulator, "GET /ping"), 3);
    assert_eq!(emulator.logs().len(), 1);
}

/// Stored files are taken by a process, which is waited for.
#[tokio::test]
async fn a_stored_file_is_waited_for() {
    let folder = TestFolder::new();
    let source = folder.write("report.txt", "x");
    let emulator = Emulator::of(folder.path()).await;
    let client = client(&emulator.url());
    let cancel = CancellationToken::new();
    for storage in [Storage::Internal, Storage::Transport] {
        let file = StoreFile {
            source_file: source.display().to_string(),
            remote_file: "out/report.txt".to_owned(),
        };
        let id = client.store(storage, &file).await.unwrap();
        assert_eq!(client.processes().await.unwrap().len(), 1);
        let process = wait_for(&client, &id, Duration::from_secs(20), &cancel).await;
        assert_eq!(process.unwrap().exit_code, Some(0));
    }
    let missing = StoreFile {
        source_file: "/nowhere".to_owned(),
        remote_file: "x".to_owned(),
    };
    let id = client.store(Storage::Internal, &missing).await.unwrap();
    let failure = wait_for(&client, &id, Duration::from_secs(20), &cancel).await;
    assert_eq!(failure.unwrap_err().kind(), FailureKind::PlatformRejected);
    let failure = wait_for(&client, "nobody", Duration::from_secs(20), &cancel).await;
    assert_eq!(failure.unwrap_err().kind(), FailureKind::PlatformUnexpected);
    client.log_processes().await.unwrap();
    client.close(OutputType::Output).await.unwrap();
}

/// Empty and blank rows, rows of different columns, nested values, hidden columns.
#[tokio::test]
async fn odd_rows_arrive_as_they_should() {
    let folder = TestFolder::new();
    folder.write(
        "input.jsonl",
        "{}\n\n{\"id\":\"1\",\"_hidden\":\"x\"}\n{\"id\":2,\"deep\":{\"a\":[1,{\"b\":\"c\"}]}}\n  \n{\"id\":\"3\",\"other\":\"a-b \\\"c\\\"\"}\n",
    );
    let emulator = Emulator::of(folder.path()).await;
    let finished = exchange(&emulator, keep(), RunOptions::default()).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    assert_eq!(
        emulator.written(OutputType::Output),
        "{\"id\":\"1\",\"new\":\"x\"}\n\
         {\"id\":2,\"deep-a-0\":1,\"deep-a-1-b\":\"c\",\"new\":\"x\"}\n\
         {\"id\":\"3\",\"other\":\"a-b \\\"c\\\"\",\"new\":\"x\"}\n"
    );
}

#[tokio::test]
async fn an_input_that_is_broken_is_told() {
    let folder = TestFolder::new();
    folder.write("input.jsonl", "{\"id\":\"1\"}\n{\"id\":\n");
    let emulator = Emulator::of(folder.path()).await;
    emulator.fault(fault("GET /items", 0, 99, How::Refuse(404)));
    let finished = exchange(&emulator, keep(), RunOptions::default()).await;
    let failure = finished.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::RowsLost);
    let chain = failure.chain().join(": ");
    assert!(
        chain.contains("500") && chain.contains("invalid file"),
        "{chain}"
    );
}
