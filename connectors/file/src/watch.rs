//! Hears from the system that something changed in a directory, where the system tells.
//!
//! This only shortens a wait: what the system does not tell is found by the next listing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use car_core::connector::News;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often it is tried whether a directory that was not there, or was made anew, is there.
const LOOK: Duration = Duration::from_secs(30);
/// How much longer than a file has to be unchanged the files of a directory are waited for.
const SLACK: Duration = Duration::from_millis(100);
/// Longest wait for a directory in which something changes all the time.
const LONGEST: Duration = Duration::from_secs(60);

/// What is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What comes into the directory itself.
    Arrivals,
    /// All changes in it and below it.
    Tree,
}

/// What hears of changes in a directory. Dropping it ends that.
pub(crate) struct Watch {
    scope: Scope,
    told: Arc<Notify>,
    watched: Mutex<Watched>,
}

/// What is watched.
#[derive(Default)]
enum Watched {
    #[default]
    Nothing,
    /// A directory, by its number in the system: one that was made anew has another.
    Directory {
        _watcher: RecommendedWatcher,
        identity: (u64, u64),
    },
    /// The system does not tell; that was said.
    Silence,
}

impl Watch {
    /// Watches nothing yet.
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            told: Arc::default(),
            watched: Mutex::default(),
        }
    }

    /// Waits until something was told since the last call.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }

    /// Watches a directory, unless it does already; tells whether it has begun to. Called before
    /// the directory is listed: what comes later is told.
    pub(crate) fn arm(&self, directory: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(directory) else {
            return false;
        };
        let identity = crate::client::identity(&metadata);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match &*watched {
            Watched::Directory {
                identity: known, ..
            } if *known == identity => return false,
            Watched::Silence => return false,
            Watched::Directory { .. } | Watched::Nothing => {}
        }
        let (told, scope) = (Arc::clone(&self.told), self.scope);
        let hear = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_news(event.kind, scope)) {
                told.notify_one();
            }
        };
        let mode = match self.scope {
            Scope::Arrivals => RecursiveMode::NonRecursive,
            Scope::Tree => RecursiveMode::Recursive,
        };
        let watcher = notify::recommended_watcher(hear).and_then(|mut watcher| {
            watcher.watch(directory, mode)?;
            Ok(watcher)
        });
        let (found, begun) = match watcher {
            Ok(watcher) => (
                Watched::Directory {
                    _watcher: watcher,
                    identity,
                },
                true,
            ),
            Err(error) => {
                tracing::info!(
                    directory = %directory.display(),
                    %error,
                    "the system does not tell of new files; they are found by polling alone"
                );
                (Watched::Silence, false)
            }
        };
        *watched = found;
        begun
    }
}

/// Tells what may be news. Listing and reading are told, too, and would lead in a circle.
const fn is_news(kind: EventKind, scope: Scope) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) => true,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Remove(_) => matches!(scope, Scope::Tree),
        EventKind::Any | EventKind::Access(_) | EventKind::Other => false,
    }
}

/// News of a directory whose files are imported.
pub(crate) struct DirectoryNews {
    watch: Arc<Watch>,
    directory: PathBuf,
    /// How long a file must be unchanged before it is read.
    settle: Duration,
    looked: bool,
}

impl DirectoryNews {
    pub(crate) fn new(directory: &Path, settle: Duration) -> Self {
        Self {
            watch: Arc::new(Watch::new(Scope::Tree)),
            directory: directory.to_owned(),
            settle,
            looked: false,
        }
    }

    /// Waits until something changes.
    async fn change(&mut self) {
        loop {
            let (watch, directory) = (Arc::clone(&self.watch), self.directory.clone());
            // Of a large tree, each directory is looked at.
            let begun = tokio::task::spawn_blocking(move || watch.arm(&directory)).await;
            let looked = std::mem::replace(&mut self.looked, true);
            // What was there at the start is imported then; what has come since then is news.
            if begun.unwrap_or(false) && looked {
                return;
            }
            tokio::select! {
                () = self.watch.told() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

#[async_trait]
impl News for DirectoryNews {
    async fn next(&mut self) {
        self.change().await;
        let until = Instant::now() + LONGEST.max(self.settle * 10);
        loop {
            // A file that is still being written would be left alone.
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => return,
                () = self.watch.told() => {}
                () = tokio::time::sleep(self.settle + SLACK) => return,
            }
        }
    }
}
