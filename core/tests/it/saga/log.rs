//! One suite for every log, and what only some can do.

#[path = "log_suite.rs"]
pub(crate) mod suite;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use car_core::saga::{
    Delivery, LogError, MemoryLog, NoMatch, Response, Saga, SagaLog, SqliteLog, Status, Step, Then,
};
use car_core::state::{Boot, Clock, Moment};

use self::suite::{began, started, suite};
use super::support::Order;

#[tokio::test]
async fn in_memory() {
    suite(&MemoryLog::new()).await;
}

#[tokio::test]
async fn in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    suite(
        &SqliteLog::open(&folder.path().join("saga.db"))
            .await
            .unwrap(),
    )
    .await;
}

#[cfg(feature = "postgres")]
mod postgres {
    use car_core::saga::PostgresLog;
    use car_core::secret::Secret;

    use super::*;

    /// Address of a PostgreSQL server; without it the tests on it are skipped and say so.
    const POSTGRES: &str = "CAR_SERVICE_TEST_POSTGRES";

    /// Makes an empty schema and returns the address that leads into it.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have no settings but these"
    )]
    async fn schema() -> Option<Secret> {
        let url = std::env::var(POSTGRES).ok().filter(|url| !url.is_empty());
        let Some(url) = url else {
            let ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(
                !ci,
                "CI needs {POSTGRES}: the address of a PostgreSQL server"
            );
            println!("SKIPPED: set {POSTGRES} to the address of a PostgreSQL server");
            return None;
        };
        let name = format!("saga_{}_{:x}", std::process::id(), rand::random::<u64>());
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}")))
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
        let joint = if url.contains('?') { '&' } else { '?' };
        Some(
            format!("{url}{joint}options=-c%20search_path%3D{name}")
                .as_str()
                .into(),
        )
    }

    #[tokio::test]
    async fn in_postgres() {
        if let Some(url) = schema().await {
            suite(&PostgresLog::open(&url).await.unwrap()).await;
        }
    }

    #[tokio::test]
    async fn claims_run_out_and_many_open_at_once() {
        let Some(url) = schema().await else { return };
        let opened = tokio::join!(PostgresLog::open(&url), PostgresLog::open(&url));
        let (one, two) = (opened.0.unwrap(), opened.1.unwrap());
        let short = PostgresLog::open_with(&url, Duration::ZERO).await.unwrap();
        let dead = short.claim("one", Some(&began())).await.unwrap();
        // A claim of no time ran out by the clock of the database.
        let claim = one.claim("one", None).await.unwrap();
        assert!(matches!(
            two.claim("one", None).await,
            Err(LogError::Held { .. })
        ));
        assert!(matches!(
            short.renew(&dead.claim).await,
            Err(LogError::Lost { .. })
        ));
        one.release(&claim.claim).await.unwrap();
        two.claim("one", None).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_without_its_password() {
        for url in ["postgres://user:geheim@127.0.0.1:1/none", "geheim"] {
            let error = PostgresLog::open(&url.into()).await.unwrap_err();
            let failure = car_core::Failure::from(error);
            assert!(!format!("{failure:?}").contains("geheim"), "{failure:?}");
        }
    }
}

/// A clock that a test sets, of one start of one machine.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Moment {
        let now = self.0.load(Ordering::Relaxed);
        Moment {
            unix_ms: now,
            boot: Some(Boot {
                id: Arc::from("boot"),
                uptime_ms: now,
            }),
        }
    }
}

const TTL: Duration = Duration::from_secs(30);

async fn open(path: &Path, clock: &Arc<Hand>) -> SqliteLog {
    SqliteLog::open_with(path, Arc::clone(clock) as _, TTL)
        .await
        .unwrap()
}

#[tokio::test]
async fn two_processes_on_one_saga_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saga.db");
    let clock = Arc::new(Hand::default());
    let (one, two) = (open(&path, &clock).await, open(&path, &clock).await);
    let first = one.claim("one", Some(&began())).await.unwrap();
    let held = two.claim("one", None).await.unwrap_err();
    let LogError::Held { by, .. } = &held else {
        panic!("{held}");
    };
    assert_eq!((by.pid, by.expires_in), (std::process::id(), TTL));

    // It stands still for longer than its claim: another takes over, and it cannot write.
    clock.0.store(30_001, Ordering::Relaxed);
    let second = two.claim("one", None).await.unwrap();
    let (event, progress) = started();
    let late = one
        .append(&first.claim, &[event], &progress, Then::Keep)
        .await;
    assert!(matches!(late, Err(LogError::Lost { .. })));
    assert_eq!(two.entries("one").await.unwrap().len(), 1);
    two.renew(&second.claim).await.unwrap();
}

#[tokio::test]
async fn what_a_dead_process_had_is_claimed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saga.db");
    let clock = Arc::new(Hand::default());
    let dead = open(&path, &clock).await;
    dead.claim("one", Some(&began())).await.unwrap();
    drop(dead);
    let log = open(&path, &clock).await;
    let claimed = log.claim("one", None).await.unwrap();
    log.release(&claimed.claim).await.unwrap();
    drop(log);
    // The files of the dead do not pile up.
    drop(open(&path, &clock).await);
    let alive = || {
        let names = std::fs::read_dir(folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("-alive-")).count()
    };
    assert_eq!(alive(), 1);
}

#[tokio::test]
async fn another_process_goes_on_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saga.db");
    let saga = |log: SqliteLog, wait: bool| {
        Saga::<Order>::chain("order", NoMatch::Skip)
            .log(Arc::new(log))
            .step(Step::new("a").execute_now(|order: &mut Order, _| {
                order.trace.push("a".to_owned());
                Ok(Response::done())
            }))
            .step(Step::new("b").execute_now(move |_, _| match wait {
                true => Ok(Response::retry("not yet")),
                false => Ok(Response::done()),
            }))
            .build()
            .unwrap()
    };
    let delivery = || Delivery::new("PR-1", Order::default());
    let first = saga(SqliteLog::open(&path).await.unwrap(), true);
    let done = first.deliver(delivery()).await.unwrap();
    assert_eq!(done.response, Response::retry("not yet"));
    drop(first);
    let second = saga(SqliteLog::open(&path).await.unwrap(), false);
    let done = second.deliver(delivery()).await.unwrap();
    assert_eq!(done.request.trace, ["a"]);
    assert_eq!(done.status(), Some(Status::Done));
}

#[tokio::test]
async fn files_that_are_something_else_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "not a database, and long enough to be seen as none").unwrap();
    for path in [text.as_path(), folder.path(), Path::new("/nowhere/saga.db")] {
        let error = SqliteLog::open(path).await.unwrap_err();
        assert!(matches!(error, LogError::Unusable { .. }), "{error}");
        let failure = car_core::Failure::from(error);
        assert!(failure.hints().any(|hint| hint.contains("--saga-log")));
    }
}
