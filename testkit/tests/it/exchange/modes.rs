//! Every mode against the emulator, and what counts as success.

use car_core::FailureKind;
use car_core::config::Limit;
use car_core::exchange::{Change, FeedbackPolicy, Job, MissingPolicy, OutputType, RunOptions};
use car_testkit::{Emulator, EmulatorOptions, TestFolder};
use serde_json::Value;

use super::support::{Deed, Keep, Numbers, Service, exchange, numbered};

fn values(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_data_source_fills_the_dataset() {
    let folder = TestFolder::new();
    let emulator = Emulator::of(folder.path()).await;
    let source = Numbers { next: 0, end: 2500 };
    let job = Job::Source(Box::new(source));
    let finished = exchange(&emulator, job, RunOptions::default()).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    assert_eq!(finished.summary.counts.written, 2500);
    let written = values(&emulator.written(OutputType::Output));
    let ids: Vec<String> = (0..2500).map(|id| id.to_string()).collect();
    let found: Vec<&str> = written
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(found, ids);
}

/// Batches at the limit of the route, one row more and one less.
#[tokio::test]
async fn a_data_service_changes_every_row_once() {
    for count in [1, 998, 999, 1000, 1999] {
        let folder = TestFolder::new();
        numbered(&folder, "input.jsonl", count);
        let emulator = Emulator::of(folder.path()).await;
        let job = Job::Service(Box::new(Service(|_| Deed::Keep)));
        let finished = exchange(&emulator, job, RunOptions::default()).await;
        assert!(finished.failure.is_none(), "{:?}", finished.failure);
        let written = values(&emulator.written(OutputType::Output));
        assert_eq!(written.len(), count);
        for (id, row) in written.iter().enumerate() {
            assert_eq!(row["id"], id.to_string());
            assert_eq!(row["new"], "x");
        }
    }
}

/// Acceptance check 7, weakness 3.
#[tokio::test]
async fn a_service_that_writes_nothing_would_empty_the_dataset() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 3);
    let emulator = Emulator::of(folder.path()).await;
    let leave = || Job::Service(Box::new(Service(|_| Deed::Leave)));
    let finished = exchange(&emulator, leave(), RunOptions::default()).await;
    assert_eq!(finished.failure.unwrap().kind(), FailureKind::Held);
    let options = RunOptions {
        allow_empty: true,
        ..RunOptions::default()
    };
    let finished = exchange(&emulator, leave(), options).await;
    assert!(finished.failure.is_none());
    // Nothing read, nothing written: nothing is lost.
    folder.write("input.jsonl", "");
    let finished = exchange(&emulator, leave(), RunOptions::default()).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    // A source that gives nothing would empty it, too.
    let nothing = Job::Source(Box::new(Numbers { next: 0, end: 0 }));
    let finished = exchange(&emulator, nothing, RunOptions::default()).await;
    assert_eq!(finished.failure.unwrap().kind(), FailureKind::Held);
}

/// Weakness 10: rows that failed decide the outcome, and are told one by one.
#[tokio::test]
async fn failed_rows_become_feedback() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 1200);
    let emulator = Emulator::of(folder.path()).await;
    let (keep, sent) = Keep::new(|id| id == "7" || id == "1100");
    let options = RunOptions {
        feedback_columns: vec!["id".to_owned()],
        ..RunOptions::default()
    };
    let finished = exchange(&emulator, Job::Export(Box::new(keep)), options).await;
    assert_eq!(finished.failure.unwrap().kind(), FailureKind::Partial);
    let counts = finished.summary.counts;
    assert_eq!((counts.sent, counts.failed, counts.feedback), (1198, 2, 2));
    assert_eq!(sent.lock().unwrap().len(), 1198);
    assert_eq!(
        emulator.written(OutputType::Feedback),
        "{\"id\":\"7\",\"feedback_status\":\"failed\",\"feedback_message\":\"7 is refused\"}\n\
         {\"id\":\"1100\",\"feedback_status\":\"failed\",\"feedback_message\":\"1100 is refused\"}\n"
    );
}

#[tokio::test]
async fn a_run_may_succeed_with_some_failed_rows() {
    for (limit, succeeds) in [
        (Limit::Count(2), true),
        (Limit::Count(1), false),
        (Limit::Share(0.5), true),
        (Limit::Share(0.1), false),
    ] {
        let folder = TestFolder::new();
        numbered(&folder, "input.jsonl", 4);
        let emulator = Emulator::of(folder.path()).await;
        let (keep, _) = Keep::new(|id| id == "0" || id == "1");
        let options = RunOptions {
            max_failures: limit,
            feedback: FeedbackPolicy::All,
            ..RunOptions::default()
        };
        let finished = exchange(&emulator, Job::Export(Box::new(keep)), options).await;
        assert_eq!(finished.failure.is_none(), succeeds, "{limit:?}");
        let feedback = values(&emulator.written(OutputType::Feedback));
        let statuses: Vec<&str> = feedback
            .iter()
            .map(|row| row["feedback_status"].as_str().unwrap())
            .collect();
        assert_eq!(statuses, ["failed", "failed", "success", "success"]);
        assert_eq!(feedback[2]["name"], "row 2");
    }
}

#[tokio::test]
async fn rows_that_a_service_cannot_change_fail_the_run() {
    let folder = TestFolder::new();
    numbered(&folder, "input.jsonl", 10);
    let emulator = Emulator::of(folder.path()).await;
    let job = Job::Service(Box::new(Service(|id| match id {
        3 => Deed::Fail,
        _ => Deed::Keep,
    })));
    let finished = exchange(&emulator, job, RunOptions::default()).await;
    assert_eq!(finished.failure.unwrap().kind(), FailureKind::Partial);
    let feedback = values(&emulator.written(OutputType::Feedback));
    assert_eq!(feedback.len(), 1);
    assert_eq!(feedback[0]["id"], "3");
}

/// Acceptance check 4 over HTTP: the delta of two snapshots, made by the emulator.
#[tokio::test]
async fn a_delta_sends_what_changed() {
    let folder = TestFolder::new();
    folder.write("before.csv", "id,v\n1,a\n2,b\n3,c\n");
    folder.write("input.csv", "id,v\n1,a\n2,B\n4,d\n");
    let mut options = EmulatorOptions::new(folder.path());
    options.delta_key = vec!["id".to_owned()];
    let emulator = Emulator::start(options).await.unwrap();
    let (keep, sent) = Keep::new(|_| false);
    let job = Job::Delta(Box::new(keep));
    let finished = exchange(&emulator, job, RunOptions::default()).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    let expected = [
        (Change::New, "4"),
        (Change::Modified, "2"),
        (Change::Deleted, "3"),
    ]
    .map(|(change, id)| (Some(change), id.to_owned()));
    assert_eq!(*sent.lock().unwrap(), expected);
}

/// Weakness 4: an input that is not there is empty by policy.
#[tokio::test]
async fn a_delta_without_one_of_its_inputs_is_one_without_such_rows() {
    let folder = TestFolder::new();
    folder.write("modified.jsonl", "{\"id\":\"1\"}\n");
    let emulator = Emulator::of(folder.path()).await;
    let (keep, sent) = Keep::new(|_| false);
    let job = Job::Delta(Box::new(keep));
    let finished = exchange(&emulator, job, RunOptions::default()).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    assert_eq!(sent.lock().unwrap().len(), 1);
    let supplied: Vec<(&str, bool)> = finished
        .summary
        .inputs
        .iter()
        .map(|input| (input.input, input.supplied))
        .collect();
    assert_eq!(
        supplied,
        [("new", false), ("modified", true), ("deleted", false)]
    );
    let strict = RunOptions {
        missing: MissingPolicy::Failure,
        ..RunOptions::default()
    };
    let (keep, sent) = Keep::new(|_| false);
    let finished = exchange(&emulator, Job::Delta(Box::new(keep)), strict).await;
    let failure = finished.failure.unwrap();
    assert_eq!(failure.kind(), FailureKind::InvalidParameter);
    assert!(sent.lock().unwrap().is_empty(), "before anything is sent");
}

#[tokio::test]
async fn a_run_without_any_input_is_a_mistake() {
    let folder = TestFolder::new();
    let emulator = Emulator::of(folder.path()).await;
    let (delta, _) = Keep::new(|_| false);
    let (export, _) = Keep::new(|_| false);
    for job in [
        Job::Delta(Box::new(delta)),
        Job::Export(Box::new(export)),
        Job::Service(Box::new(Service(|_| Deed::Keep))),
    ] {
        let finished = exchange(&emulator, job, RunOptions::default()).await;
        let failure = finished.failure.unwrap();
        assert_eq!(failure.kind(), FailureKind::InvalidParameter);
    }
    // The old name of the input is as good.
    folder.write("full.jsonl", "{\"id\":\"1\"}\n");
    let (export, sent) = Keep::new(|_| false);
    let job = Job::Export(Box::new(export));
    let finished = exchange(&emulator, job, RunOptions::default()).await;
    assert!(finished.failure.is_none(), "{:?}", finished.failure);
    assert_eq!(sent.lock().unwrap().len(), 1);
}
