//! The run state: leases, checkpoints and the edges that wait, with real files and processes.

mod edge_log;
mod lease;
mod model;
mod process;
mod runs;
mod sample;
mod sessions;
mod unusable;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use car_core::connector::{Cursor, ModelState};
use car_core::report::Mode;
use car_core::state::{
    Advance, Boot, Clock, Fingerprint, Holder, Lease, Leases, Moment, Run, SqliteStore, Start,
    StateError, StateStore, To,
};

const SOURCE: &str = "source one";
const TTL: Duration = Duration::from_secs(30);

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct Hands {
    unix_ms: AtomicU64,
    uptime_ms: AtomicU64,
    boot: Option<&'static str>,
}

impl Hands {
    fn new(boot: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self {
            unix_ms: AtomicU64::new(1_700_000_000_000),
            uptime_ms: AtomicU64::new(1_000_000),
            boot,
        })
    }

    fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap();
        self.unix_ms.fetch_add(ms, Ordering::SeqCst);
        self.uptime_ms.fetch_add(ms, Ordering::SeqCst);
    }

    fn set_wall(&self, unix_ms: u64) {
        self.unix_ms.store(unix_ms, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Moment {
        Moment {
            unix_ms: self.unix_ms.load(Ordering::SeqCst),
            boot: self.boot.map(|id| Boot {
                id: Arc::from(id),
                uptime_ms: self.uptime_ms.load(Ordering::SeqCst),
            }),
        }
    }
}

/// A folder with a state file, and a clock.
struct Bench {
    _folder: tempfile::TempDir,
    file: PathBuf,
    clock: Arc<Hands>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            file: folder.path().join("state.db"),
            _folder: folder,
            clock: Hands::new(Some("this boot")),
        }
    }

    /// Opens the state as a process does.
    async fn store(&self) -> SqliteStore {
        self.store_with(&self.clock).await
    }

    async fn store_with(&self, clock: &Arc<Hands>) -> SqliteStore {
        SqliteStore::open_with(&self.file, Arc::clone(clock) as _)
            .await
            .unwrap()
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap()
    }

    /// Names of the files in the folder that begin so.
    fn files(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort();
        names
    }
}

fn holder() -> Holder {
    Holder {
        host: "host".to_owned(),
        pid: 7,
    }
}

async fn acquire(store: &SqliteStore) -> Result<Lease, StateError> {
    store.acquire(SOURCE, &holder(), TTL).await
}

fn fingerprint() -> Fingerprint {
    Fingerprint {
        connector: "test-connector".to_owned(),
        version: "1.0".to_owned(),
        settings: Fingerprint::hash_settings([("server", "a")]),
        extension: Some("3".to_owned()),
    }
}

fn start(now: u64) -> Start {
    Start::new(Mode::Full, now, Some(ModelState(format!("state at {now}"))))
}

async fn begin(store: &SqliteStore, lease: &Lease) -> Run {
    store
        .begin(lease, &fingerprint(), &start(1000))
        .await
        .unwrap()
}

fn cursor(text: &str) -> Cursor {
    Cursor(text.to_owned())
}

/// One page of ten rows; `""` stands for the start and the end.
fn page(scope: &str, from: &str, to: &str) -> Advance {
    Advance {
        scope: scope.to_owned(),
        from: (!from.is_empty()).then(|| cursor(from)),
        to: if to.is_empty() {
            To::End
        } else {
            To::Next(cursor(to))
        },
        pages: 1,
        rows: 10,
    }
}
