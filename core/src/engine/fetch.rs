//! Reads scopes side by side and hands their pages on as they come.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, Cursor, Scope};
use crate::failure::{Failure, FailureKind};
use crate::layer::{Backoff, or_cancelled};
use crate::progress::{Event, Reporter};
use crate::record::Records;

/// Pages that may wait for the handler, beside those that are being read.
const WAITING_PAGES: usize = 2;

/// What a reader hands on.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A page of a scope.
    Page { scope: usize, records: Records },
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

struct Reader<C> {
    connector: Arc<C>,
    backoff: Backoff,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
    out: Sender<Fetched>,
}

/// Starts reading.
pub(super) fn read<C: Connector>(
    connector: &Arc<C>,
    scopes: &[Scope],
    concurrency: usize,
    backoff: Backoff,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Readers {
    let (out, pages) = channel(WAITING_PAGES);
    let queue: VecDeque<(usize, Scope)> = scopes.iter().cloned().enumerate().collect();
    let queue = Arc::new(Mutex::new(queue));
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency.clamp(1, scopes.len().max(1)) {
        let queue = Arc::clone(&queue);
        let reader = Reader {
            connector: Arc::clone(connector),
            backoff,
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
            while let Some((index, scope)) = next() {
                let end = match reader.scope(index, &scope).await {
                    Ok(()) => Fetched::Done { scope: index },
                    Err(failure) => Fetched::Failed {
                        scope: index,
                        failure,
                    },
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
    async fn scope(&self, index: usize, scope: &Scope) -> Result<(), Failure> {
        let mut cursor: Option<Cursor> = None;
        let mut followed = Followed::default();
        loop {
            if self.cancel.is_cancelled() {
                return Err(Failure::new(
                    FailureKind::Interrupted,
                    "stopped by a signal",
                ));
            }
            let mut waits = Vec::new();
            let page = self
                .backoff
                .retry(
                    &self.cancel,
                    || {
                        let page = self.connector.full_import().fetch(scope, cursor.as_ref());
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
            let page = page?;
            if !page.records.deletions().is_empty() {
                return Err(Failure::new(
                    FailureKind::General,
                    "the connector emits deletions in a full import",
                ));
            }
            self.hand_on(Fetched::Page {
                scope: index,
                records: page.records,
            })
            .await?;
            match page.next {
                None => return Ok(()),
                Some(next) => cursor = Some(followed.follow(next)?),
            }
        }
    }

    async fn hand_on(&self, fetched: Fetched) -> Result<(), Failure> {
        self.out.send(fetched).await.map_err(|_| {
            Failure::new(
                FailureKind::Interrupted,
                "the run ended before the scope was read",
            )
        })
    }
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
