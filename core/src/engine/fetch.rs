//! Reads scopes side by side and hands their pages on as they come.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, Cursor, Page, Scope};
use crate::failure::{Failure, FailureKind};
use crate::layer::{Backoff, or_cancelled};
use crate::progress::{Event, Reporter};
use crate::record::Records;
use crate::state::To;

/// Pages that may wait for the handler, beside those that are being read.
pub(super) const WAITING_PAGES: usize = 2;

/// What a reader hands on.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A page of a scope.
    Page {
        scope: usize,
        records: Records,
        /// Where the page began.
        from: Option<Cursor>,
        /// Where it led to.
        to: To,
        /// Told once the page is checkpointed, where the reader waits for that.
        done: Option<oneshot::Sender<()>>,
    },
    /// A read was made again after a wait of so many milliseconds.
    Retried { waited_ms: u64 },
    /// The scope was read to its end.
    Done { scope: usize },
    /// The scope failed for good.
    Failed { scope: usize, failure: Failure },
}

/// Readers of scopes; they stop when this is dropped.
pub(super) struct Readers {
    pub(super) pages: Receiver<Fetched>,
    _tasks: JoinSet<()>,
}

/// A scope that is to be read, from where an earlier process left it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its position among the scopes.
    pub(super) index: usize,
    pub(super) scope: Scope,
    pub(super) cursor: Option<Cursor>,
}

/// How scopes are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Scopes that are read side by side.
    pub(super) concurrency: usize,
    /// When to read again.
    pub(super) backoff: Backoff,
    /// Pages of each scope after which the reader waits until they are checkpointed.
    pub(super) careful: u64,
}

struct Reader<C> {
    connector: Arc<C>,
    pace: Pace,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
    out: Sender<Fetched>,
}

/// Starts reading.
pub(super) fn read<C: Connector>(
    connector: &Arc<C>,
    parts: Vec<Part>,
    pace: Pace,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Readers {
    let (out, pages) = channel(WAITING_PAGES);
    let readers = pace.concurrency.clamp(1, parts.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(parts)));
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let queue = Arc::clone(&queue);
        let reader = Reader {
            connector: Arc::clone(connector),
            pace,
            reporter: Arc::clone(reporter),
            cancel: cancel.clone(),
            out: out.clone(),
        };
        tasks.spawn(async move {
            let next = || {
                queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front()
            };
            while let Some(part) = next() {
                let scope = part.index;
                let end = match reader.scope(part).await {
                    Ok(()) => Fetched::Done { scope },
                    Err(failure) => Fetched::Failed { scope, failure },
                };
                if reader.out.send(end).await.is_err() {
                    return;
                }
            }
        });
    }
    Readers {
        pages,
        _tasks: tasks,
    }
}

impl<C: Connector> Reader<C> {
    async fn scope(&self, part: Part) -> Result<(), Failure> {
        let mut cursor = part.cursor;
        let mut followed = Followed::default();
        if let Some(cursor) = &cursor {
            followed.follow(cursor.clone())?;
        }
        let mut careful = self.pace.careful;
        loop {
            if self.cancel.is_cancelled() {
                return Err(stopped());
            }
            let page = self.page(&part.scope, cursor.as_ref()).await?;
            if !page.records.deletions().is_empty() {
                return Err(Failure::new(
                    FailureKind::General,
                    "the connector emits deletions in a full import",
                ));
            }
            let to = match page.next {
                None => To::End,
                Some(next) => To::Next(followed.follow(next)?),
            };
            let next = match &to {
                To::End => None,
                To::Next(next) => Some(next.clone()),
            };
            let (done, checkpointed) = match careful.checked_sub(1) {
                None => (None, None),
                Some(left) => {
                    careful = left;
                    let (done, checkpointed) = oneshot::channel();
                    (Some(done), Some(checkpointed))
                }
            };
            self.hand_on(Fetched::Page {
                scope: part.index,
                records: page.records,
                from: cursor,
                to,
                done,
            })
            .await?;
            if let Some(checkpointed) = checkpointed {
                or_cancelled(&self.cancel, async {
                    checkpointed.await.map_err(|_| run_ended())
                })
                .await?;
            }
            match next {
                None => return Ok(()),
                next => cursor = next,
            }
        }
    }

    /// Reads a page, and again where that makes sense.
    async fn page(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        let mut waits = Vec::new();
        let page = self
            .pace
            .backoff
            .retry(
                &self.cancel,
                || {
                    let page = self.connector.full_import().fetch(scope, cursor);
                    or_cancelled(&self.cancel, page)
                },
                |wait| {
                    waits.push(wait.wait);
                    self.reporter.report(&Event::Waiting {
                        call: format!("scope {scope}"),
                        attempt: wait.attempt,
                        wait: wait.wait,
                        error: wait.failure.chain(),
                    });
                },
            )
            .await;
        for wait in waits {
            let waited_ms = wait.as_millis().try_into().unwrap_or(u64::MAX);
            self.hand_on(Fetched::Retried { waited_ms }).await?;
        }
        page
    }

    async fn hand_on(&self, fetched: Fetched) -> Result<(), Failure> {
        self.out.send(fetched).await.map_err(|_| run_ended())
    }
}

fn stopped() -> Failure {
    Failure::new(FailureKind::Interrupted, "stopped by a signal")
}

fn run_ended() -> Failure {
    Failure::new(
        FailureKind::Interrupted,
        "the run ended before the scope was read",
    )
}

/// The cursors that were followed, so that a source that leads in a circle is found out.
#[derive(Debug, Default)]
pub(super) struct Followed(HashSet<u64>);

impl Followed {
    /// Notes a cursor.
    pub(super) fn follow(&mut self, cursor: Cursor) -> Result<Cursor, Failure> {
        if self
            .0
            .insert(xxhash_rust::xxh3::xxh3_64(cursor.0.as_bytes()))
        {
            return Ok(cursor);
        }
        Err(Failure::new(
            FailureKind::SourceData,
            "the data source's pages lead in a circle",
        )
        .with("cursor", &cursor.0)
        .hint("the source repeats a page instead of ending; nothing of this scope is retired"))
    }
}
