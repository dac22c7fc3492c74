//! Files that cannot be used: each a clear message that names the setting.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use car_core::state::{Problem, SqliteStore, StateError, StateStore};
use car_core::{Failure, FailureKind};
use sqlx::{ConnectOptions, Connection};

use super::{Bench, acquire, begin, page};

async fn problem(path: &Path) -> (Problem, Failure) {
    let error = SqliteStore::open(path).await.unwrap_err();
    let StateError::Unusable { problem, .. } = &error else {
        panic!("it should be unusable: {error:?}")
    };
    (*problem, error.into())
}

async fn sql(path: &Path, statement: &'static str) {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_newer_version_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.store().await.close().await.unwrap();
    sql(&bench.file, "PRAGMA user_version = 3").await;
    let before = std::fs::read(&bench.file).unwrap();
    let (problem, failure) = problem(&bench.file).await;
    assert_eq!(problem, Problem::Newer { found: 3 });
    assert_eq!(failure.kind(), FailureKind::InvalidParameter);
    assert_eq!(
        failure.to_string(),
        format!(
            "`--state`: the run state in `{}` cannot be used: a newer version of the program \
             wrote it (layout 3)",
            bench.file.display()
        )
    );
    assert!(failure.hints().any(|hint| hint.contains("`--state`")));
    assert_eq!(std::fs::read(&bench.file).unwrap(), before);
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    sql(&bench.file, "CREATE TABLE t (x); PRAGMA user_version = 1").await;
    let before = std::fs::read(&bench.file).unwrap();
    let (problem, failure) = problem(&bench.file).await;
    assert_eq!(problem, Problem::Foreign);
    assert_eq!(failure.kind(), FailureKind::InvalidParameter);
    assert_eq!(std::fs::read(&bench.file).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_file_or_no_database_is_refused() {
    let bench = Bench::new();
    std::fs::write(&bench.file, "this is not a database, ".repeat(100)).unwrap();
    let cases = [
        (bench.file.clone(), Problem::NotADatabase),
        (bench.folder().to_owned(), Problem::NotADatabase),
        (bench.folder().join("missing/state.db"), Problem::Unwritable),
        (bench.file.join("below.db"), Problem::Unwritable),
    ];
    for (path, expected) in cases {
        let (problem, failure) = problem(&path).await;
        assert_eq!(problem, expected, "{}", path.display());
        assert_eq!(failure.kind(), FailureKind::InvalidParameter);
        assert!(failure.to_string().starts_with("`--state`: "), "{failure}");
        assert!(failure.to_string().contains(&path.display().to_string()));
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_state_and_all_files_are_private() {
    let bench = Bench::new();
    std::fs::write(&bench.file, "").unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&bench.file, open).unwrap();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    begin(&store, &lease).await;
    let files = bench.files("state.db");
    assert!(files.contains(&"state.db-wal".to_owned()), "{files:?}");
    for name in files {
        let metadata = std::fs::metadata(bench.folder().join(&name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_closed_state_says_so() {
    let bench = Bench::new();
    let store = bench.store().await;
    let lease = acquire(&store).await.unwrap();
    let run = begin(&store, &lease).await.id;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let error = store
        .advance(&lease, run, &[page("a", "", "1")], 0)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the run state cannot be used after it was closed"
    );
}
