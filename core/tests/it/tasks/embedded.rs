//! The embedded engine: the suite, and what its file can meet.

use std::sync::Arc;
use std::time::Duration;

use car_core::Failure;
use car_core::failure::FailureKind;
use car_core::tasks::{Outcome, Schedule, SqliteEngine, Status, TaskError, TaskSpec};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::suite::{stamp, stamp_clock};
use super::support::{CONNECTOR, Embedded, Place, id, named, quick, steps, until};
use crate::support::PATIENCE;

stamp!(Some(Embedded::new()));
stamp_clock!(Some(Embedded::new()));

fn spec(name: &str) -> TaskSpec {
    TaskSpec::new(named(name)).policy(quick())
}

async fn sql(place: &Embedded, text: &'static str) {
    let mut connection = SqliteConnectOptions::new()
        .filename(place.path())
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn weakness_16_a_second_engine_on_the_same_file_is_refused() {
    let place = Embedded::new();
    let first = place.open().await;
    let second = SqliteEngine::open_with(&place.path(), place.options()).await;
    let error = second.unwrap_err();
    assert!(matches!(error, TaskError::InUse { .. }), "{error}");
    let failure = Failure::from(error);
    assert!(failure.hints().any(|hint| hint.contains("`--tasks`")));
    first.close().await.unwrap();
    place.open().await.close().await.unwrap();
}

#[tokio::test]
async fn files_that_are_no_store_are_refused_and_left_as_they_are() {
    let place = Embedded::new();
    place.open().await.close().await.unwrap();
    sql(&place, "PRAGMA user_version = 99").await;
    let newer = SqliteEngine::open(&place.path()).await.unwrap_err();
    let failure = Failure::from(newer);
    assert_eq!(failure.kind(), FailureKind::InvalidParameter);
    let text = failure.to_string();
    assert!(
        text.contains("a newer version of the program wrote it (layout 99)"),
        "{text}"
    );

    let place = Embedded::new();
    std::fs::write(place.path(), "not a database, whatever it is called").unwrap();
    let error = SqliteEngine::open(&place.path()).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
    let kept = std::fs::read_to_string(place.path()).unwrap();
    assert_eq!(kept, "not a database, whatever it is called");

    let missing = place.folder.path().join("no/such/folder/tasks.db");
    let error = SqliteEngine::open(&missing).await.unwrap_err();
    assert!(matches!(error, TaskError::Unusable { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Embedded::new();
    let engine = place.open().await;
    for entry in std::fs::read_dir(place.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
    }
    engine.close().await.unwrap();
}

#[tokio::test]
async fn what_is_due_is_found_by_index() {
    let place = Embedded::new();
    let engine = place.open().await;
    let later = || Schedule::after(Duration::from_secs(3600));
    for number in 0..50 {
        let task = spec(&format!("task {number}")).schedule(later());
        engine.schedule(CONNECTOR, task).await.unwrap();
    }
    let mut connection = SqliteConnectOptions::new()
        .filename(place.path())
        .connect()
        .await
        .unwrap();
    for query in [
        "EXPLAIN QUERY PLAN SELECT number FROM task WHERE connector = 'a' AND running = 0 \
         AND due IS NOT NULL AND due <= 5 ORDER BY due LIMIT 3",
        "EXPLAIN QUERY PLAN SELECT due FROM task WHERE connector = 'a' AND running = 0 \
         AND due IS NOT NULL ORDER BY due LIMIT 1",
        "EXPLAIN QUERY PLAN SELECT * FROM task WHERE connector = 'a' AND number < 7 \
         AND (0 = 0 OR parent IS NULL) ORDER BY number DESC LIMIT 5",
        "EXPLAIN QUERY PLAN SELECT * FROM task WHERE running = 1",
    ] {
        let plan = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let plan = steps.join("; ");
        assert!(
            plan.contains("USING") && plan.contains("INDEX task_"),
            "{plan}"
        );
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_locked_store_holds_tasks_up_and_loses_nothing() {
    let place = Embedded::new();
    let engine = place.open().await;
    engine
        .start(CONNECTOR, 2, steps(|_| async { Ok(Outcome::done()) }))
        .await
        .unwrap();
    let mut other = SqliteConnectOptions::new()
        .filename(place.path())
        .connect()
        .await
        .unwrap();
    let locked = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let waits = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.schedule(CONNECTOR, spec("task")).await })
    };
    // Reading goes on meanwhile.
    assert!(
        engine
            .tasks(CONNECTOR, &Default::default())
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
    locked.rollback().await.unwrap();
    waits.await.unwrap().unwrap();
    until(&engine, "task", |view| view.status == Status::Terminated).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_was_at_work_when_the_engine_went_is_repeated_with_care() {
    let place = Embedded::new();
    // Dropped in the middle of the step, again and again.
    for crash in 1..=5 {
        let engine = place.open().await;
        let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let work = steps(move |_| {
            began.send(()).unwrap();
            std::future::pending()
        });
        engine.start(CONNECTOR, 1, work).await.unwrap();
        if crash == 1 {
            let policy = quick().grace(Duration::ZERO);
            engine
                .schedule(CONNECTOR, spec("task").policy(policy))
                .await
                .unwrap();
        }
        crate::support::soon(begun.recv()).await.unwrap();
        drop(engine);
    }
    let engine = place.open().await;
    let view = engine.task(CONNECTOR, &id("task")).await.unwrap();
    assert_eq!(view.status, Status::Paused);
    let reason = view.reason.unwrap();
    assert!(
        reason.contains("the process ended 5 times in the middle"),
        "{reason}"
    );
    engine
        .start(CONNECTOR, 1, steps(|_| async { Ok(Outcome::done()) }))
        .await
        .unwrap();
    engine.resume(CONNECTOR, &id("task")).await.unwrap();
    let view = until(&engine, "task", |view| view.status == Status::Terminated).await;
    assert_eq!(view.runs, 1, "it is one run all along");
    let other = engine.run(CONNECTOR, spec("other"), PATIENCE).await;
    other.unwrap();
}
