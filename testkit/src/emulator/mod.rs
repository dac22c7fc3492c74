//! A container API that answers: the sidecar of a platform, where there is no platform.
//!
//! [`Emulator`] has all routes, serves rows from files or from what changed between two of them,
//! keeps what is written, shows the log, and fails on demand. `container-api-emulator` is the same
//! as a program.

mod append;
mod fault;
mod page;
mod read;
mod routes;
mod state;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use car_core::exchange::{DeltaOptions, input_file, make_delta};
use car_core::{Failure, FailureKind};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use fault::{Fault, How};
pub use state::LogEntry;
use state::State;

/// What an emulator serves.
#[derive(Debug, Clone)]
pub struct EmulatorOptions {
    /// Folder with `input`, `full`, `new`, `modified`, `unchanged` and `deleted`, each as `.jsonl`
    /// or `.csv`; one that is not there was not supplied. With `before`, the four of a delta are
    /// made of it and `input`.
    pub folder: PathBuf,
    /// Folder for `output.jsonl`, `feedback.jsonl` and what is stored; the same unless set.
    pub out: Option<PathBuf>,
    /// Columns that tell the rows of `before` and `input` apart.
    pub delta_key: Vec<String>,
    /// Whether reads and writes may be repeated, beyond the protocol.
    pub repeatable: bool,
    /// Where to listen.
    pub listen: SocketAddr,
}

impl EmulatorOptions {
    /// Serves a folder on a free port of this machine, by the protocol alone.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            out: None,
            delta_key: Vec::new(),
            repeatable: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// A container API. Dropping it ends it.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

impl Emulator {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// A folder that is not there, snapshots that cannot be compared, an address that is taken.
    pub async fn start(options: EmulatorOptions) -> Result<Self, Failure> {
        let state = Arc::new(State::open(&options)?);
        let failed = |error: std::io::Error| {
            Failure::new(FailureKind::InvalidParameter, "cannot listen")
                .with("address", options.listen)
                .because(error)
                .hint("`--listen` names another address")
        };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let router = routes::router(Arc::clone(&state));
        let serving = tokio::spawn(async move {
            // Ends with the process or with the value.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self {
            address,
            state,
            serving,
        })
    }

    /// Starts one that serves a folder, for a test.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub async fn of(folder: &Path) -> Self {
        match Self::start(EmulatorOptions::new(folder)).await {
            Ok(emulator) => emulator,
            Err(failure) => panic!("{:?}", failure.chain()),
        }
    }

    /// Returns its address, as `--container-api` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Lets calls fail from now on.
    pub fn fault(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Lets calls succeed again.
    pub fn no_faults(&self) {
        self.state.faults.clear();
    }

    /// Returns the calls that came, each as `GET /ping`, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state.faults.calls()
    }

    /// Returns what was written to the log.
    #[must_use]
    pub fn logs(&self) -> Vec<LogEntry> {
        self.state.logs()
    }

    /// Returns the rows that were written, one JSON object a line.
    #[must_use]
    pub fn written(&self, output: car_core::exchange::OutputType) -> String {
        self.state.written(output)
    }

    /// Waits until the process is to end.
    pub async fn wait(mut self) {
        drop((&mut self.serving).await);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Makes the four inputs of a delta of `before` and `input`, in a folder of their own.
fn delta_of(options: &EmulatorOptions) -> Result<Option<tempfile::TempDir>, Failure> {
    let before = input_file(&options.folder, "before")?;
    let after = input_file(&options.folder, "input")?;
    let Some(after) = after.filter(|_| !options.delta_key.is_empty()) else {
        return Ok(None);
    };
    let folder = tempfile::Builder::new()
        .prefix("container-api-")
        .tempdir()
        .map_err(|error| {
            Failure::new(FailureKind::General, "cannot make a temporary folder").because(error)
        })?;
    let options = DeltaOptions::new(before, after, options.delta_key.clone(), folder.path());
    make_delta(&options, &CancellationToken::new())?;
    Ok(Some(folder))
}
