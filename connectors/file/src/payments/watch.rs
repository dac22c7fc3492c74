//! Hears from the system that something came into the directory, where the system tells.
//!
//! This only shortens the wait: what it does not tell is found by the next listing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use car_core::tasks::{ConnectorContext, TaskSpec};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long files may come in together before one listing is for all of them.
const TOGETHER: Duration = Duration::from_millis(50);

/// What hears of changes. Dropping it ends that.
pub(super) struct Watch {
    told: Arc<Notify>,
    watched: Mutex<Watched>,
    waking: JoinHandle<()>,
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
    /// Begins to have a task run when there is news.
    pub(super) fn start(context: &ConnectorContext, task: TaskSpec) -> Self {
        let told = Arc::new(Notify::new());
        let (heard, context) = (Arc::clone(&told), context.clone());
        let waking = tokio::spawn(async move {
            let cancel = context.cancel().clone();
            let wake = async {
                loop {
                    heard.notified().await;
                    tokio::time::sleep(TOGETHER).await;
                    if let Err(error) = context.wake(task.clone()).await {
                        tracing::debug!(%error, "news of a directory have to wait");
                    }
                }
            };
            cancel.run_until_cancelled(wake).await;
        });
        Self {
            told,
            watched: Mutex::default(),
            waking,
        }
    }

    /// Watches a directory, unless it does already. Called before the directory is listed: what
    /// comes later is told.
    pub(super) fn arm(&self, directory: &Path) {
        let Ok(metadata) = std::fs::metadata(directory) else {
            return;
        };
        let identity = crate::client::identity(&metadata);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        match &*watched {
            Watched::Directory {
                identity: known, ..
            } if *known == identity => return,
            Watched::Silence => return,
            Watched::Directory { .. } | Watched::Nothing => {}
        }
        let told = Arc::clone(&self.told);
        let hear = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_news(event.kind)) {
                told.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(hear).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        *watched = match watcher {
            Ok(watcher) => Watched::Directory {
                _watcher: watcher,
                identity,
            },
            Err(error) => {
                tracing::info!(
                    directory = %directory.display(),
                    %error,
                    "the system does not tell of new files; they are found by polling alone"
                );
                Watched::Silence
            }
        };
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.waking.abort();
    }
}

/// Tells what may be a new file. Listing and reading are told, too, and would lead in a circle.
const fn is_news(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) => true,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Any | EventKind::Access(_) | EventKind::Remove(_) | EventKind::Other => false,
    }
}
