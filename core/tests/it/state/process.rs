//! Processes that compete for a lease, and processes that are killed while they write.

use std::ops::Range;
use std::path::Path;

use car_core::Failure;
use car_core::state::{EdgeLog, Lease, Run, RunId, SqliteStore, StateError, StateStore, open_run};

use super::edge_log::{content, edges};
use super::{acquire, fingerprint, page, start};
use crate::support::{Other, say};

/// The test that is another process.
const OTHER: &str = "state::process::other";
const SCOPES: [&str; 2] = ["a", "b"];
const PAGES: u64 = 40;
const EDGES: u64 = 30;

#[test]
#[ignore = "the other tests here start it as a process of its own"]
fn other() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match line.trim_end().split_once(' ') {
        Some(("compete", folder)) => {
            let _lease = runtime.block_on(compete(Path::new(folder)));
            // Holds what it has until it is killed.
            std::io::stdin().read_line(&mut line).unwrap();
        }
        Some(("work", folder)) => runtime.block_on(work(Path::new(folder), "")).unwrap(),
        Some(("fill", folder)) => {
            let failed = runtime.block_on(work(Path::new(folder), &long()));
            say(&Failure::from(failed.unwrap_err()).chain().join(": "));
        }
        _ => {}
    }
}

async fn compete(folder: &Path) -> Option<(SqliteStore, Lease)> {
    let store = SqliteStore::open(&folder.join("state.db")).await.unwrap();
    match acquire(&store).await {
        Ok(lease) => {
            say(&format!("won {}", lease.fence()));
            Some((store, lease))
        }
        Err(StateError::Held(_)) => {
            say("held");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn of_processes_that_compete_one_wins_and_a_killed_one_is_replaced_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=6 {
        let mut others = Vec::new();
        for _ in 0..4 {
            others.push(Other::start(OTHER, "compete", folder.path()).await);
        }
        let mut answers = Vec::new();
        for other in &mut others {
            answers.push(other.says().await.expect("it says something"));
        }
        answers.sort();
        // No time to live passes between the rounds: the dead are known to be dead.
        let won = format!("won {round}");
        assert_eq!(answers, ["held", "held", "held", won.as_str()]);
        for other in others {
            other.kill().await;
        }
    }
}

/// Numbers of the edges of a page; no two pages share one.
fn numbers(scope: usize, page: u64) -> Range<u64> {
    let first = (scope as u64 * PAGES + page) * EDGES;
    first..first + EDGES
}

fn text(page: u64, suffix: &str) -> String {
    if page == 0 || page == PAGES {
        String::new()
    } else {
        format!("{page}{suffix}")
    }
}

async fn open(folder: &Path) -> (SqliteStore, Lease, Run, EdgeLog) {
    let store = SqliteStore::open(&folder.join("state.db")).await.unwrap();
    let lease = acquire(&store).await.unwrap();
    let (run, log) = open_run(&store, &lease, &fingerprint(), &start(1))
        .await
        .unwrap();
    (store, lease, run, log)
}

/// Pages that are checkpointed, by scope.
fn pages(run: &Run) -> [u64; 2] {
    SCOPES.map(|name| {
        let scope = run.scopes.iter().find(|scope| scope.name == name);
        scope.map_or(0, |scope| scope.pages)
    })
}

/// Reads both scopes in turn, from where they stand to their end.
async fn work(folder: &Path, suffix: &str) -> Result<(), StateError> {
    let (store, lease, run, mut log) = open(folder).await;
    let mut pages = pages(&run);
    while let Some(scope) = (0..2)
        .filter(|scope| pages[*scope] < PAGES)
        .min_by_key(|scope| pages[*scope])
    {
        let at = pages[scope];
        let len = log.append(edges(numbers(scope, at)).entries())?;
        log.sync().await?;
        let advance = page(SCOPES[scope], &text(at, suffix), &text(at + 1, suffix));
        store.advance(&lease, run.id, &[advance], len).await?;
        pages[scope] += 1;
        say(&format!("{scope} {}", pages[scope]));
    }
    Ok(())
}

/// Checks that what was acknowledged is there, with the edges of just the checkpointed pages.
async fn verify(folder: &Path, acknowledged: [u64; 2], suffix: &str) -> RunId {
    let (_store, _lease, run, log) = open(folder).await;
    let mut expected = Vec::new();
    for (scope, stored) in pages(&run).into_iter().enumerate() {
        assert!(stored >= acknowledged[scope], "{stored} {acknowledged:?}");
        for page in 0..stored {
            expected.extend(edges(numbers(scope, page)).into_owned());
        }
    }
    for scope in &run.scopes {
        assert_eq!(scope.rows, scope.pages * 10);
        assert_eq!(scope.complete, scope.pages == PAGES);
        let at = text(scope.pages, suffix);
        assert_eq!(scope.cursor.as_ref().map_or("", |cursor| &cursor.0), at);
    }
    // The scopes take turns, so the order of the pages is not that of the scopes.
    let mut found = content(&log).unwrap();
    found.sort();
    expected.sort();
    assert!(found == expected, "{} of {}", found.len(), expected.len());
    run.id
}

#[tokio::test]
async fn killed_anywhere_nothing_that_was_acknowledged_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = [0_u64; 2];
    let mut first = None;
    // Reads some more pages each time, then kills; between kill and death it goes on working.
    for patience in [0, 1, 2, 3, 5, 4, 2, 1, 3, 6, 7, 1, 2, 1000] {
        let mut other = Other::start(OTHER, "work", folder.path()).await;
        for _ in 0..patience {
            let Some(said) = other.says().await else {
                break;
            };
            let (scope, pages) = said.split_once(' ').unwrap();
            acknowledged[scope.parse::<usize>().unwrap()] = pages.parse().unwrap();
        }
        other.kill().await;

        let run = verify(folder.path(), acknowledged, "").await;
        assert_eq!(*first.get_or_insert(run), run, "it is one run all along");
    }
    assert_eq!(acknowledged, [PAGES; 2], "the last one was left in peace");
}

/// The system refuses to make any file larger than 600 blocks of 512 bytes; the log of the
/// database meets that first.
#[tokio::test]
async fn when_nothing_can_be_written_any_more_the_run_says_so_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start_limited(600, OTHER, "fill", folder.path()).await;
    let mut acknowledged = [0_u64; 2];
    let mut last = String::new();
    while let Some(said) = other.says().await {
        if let Some((scope @ ("0" | "1"), pages)) = said.split_once(' ') {
            acknowledged[scope.parse::<usize>().unwrap()] = pages.parse().unwrap();
        } else {
            last = said;
        }
    }
    assert!(
        last.starts_with("the run state cannot be written"),
        "{last}"
    );
    assert!(
        acknowledged[0] > 0 && acknowledged[0] < PAGES,
        "{acknowledged:?}"
    );
    let long = long();
    let run = verify(folder.path(), acknowledged, &long).await;

    work(folder.path(), &long).await.unwrap();
    let same = verify(folder.path(), [PAGES; 2], &long).await;
    assert_eq!(run, same);
}

/// What makes a cursor long.
fn long() -> String {
    "long cursor ".repeat(1000)
}
