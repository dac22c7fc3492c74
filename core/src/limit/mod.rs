//! Keeps a connector within what its data source allows: so many requests in a time and so many
//! at once, for all processes that use the same credential, and never more at once than is any
//! use.
//!
//! A client asks for a [`Permit`] before each request and tells it what was answered:
//!
//! ```
//! # use car_core::limit::{LimitOptions, Limiter};
//! # use tokio_util::sync::CancellationToken;
//! # async fn example(http: reqwest::Client) -> Result<(), car_core::Failure> {
//! let options = LimitOptions {
//!     rate: "50/s".parse().ok(),
//!     ..LimitOptions::new(&["https://source.example", "reader"])
//! };
//! let limiter = Limiter::new(options, CancellationToken::new())?;
//! let permit = limiter.permit().await?;
//! let response = http.get("https://source.example/assets").send().await;
//! match &response {
//!     Ok(response) => permit.answered(response.status().as_u16(), response.headers()),
//!     Err(_) => permit.failed(),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Three things hold a request back:
//!
//! - the **budget** ([`LimitOptions::rate`], [`LimitOptions::at_once`]), shared through a file by
//!   all processes of this user on this machine. A request counts from before it is sent until
//!   one window after its answer came, so however long it is under way, the source never sees
//!   more in any window than it allows;
//! - **what the source says**: `Retry-After`, and the headers `RateLimit-…` and `X-RateLimit-…`
//!   once nothing is left, hold all processes back until the time that they name;
//! - **adaptive concurrency**, of this process alone: more requests at once while answers come
//!   as quickly as ever, fewer when they queue up at the source.

mod adaptive;
mod budget;
mod headers;
mod rate;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, FailureKind};
use crate::progress::{Event, Reporter};
use crate::telemetry::tell_trouble;
use adaptive::Adaptive;
use budget::{Budget, Place};

pub use rate::{Rate, RateError};

/// A wait that is longer than this is told.
const TOLD: Duration = Duration::from_secs(2);

/// Longest that a source may hold requests back by its headers.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What a data source allows.
#[derive(Clone)]
pub struct LimitOptions {
    /// Requests in a time; `None` for no limit but the source's own headers.
    pub rate: Option<Rate>,
    /// Requests at once, by all processes together; `None` for no limit.
    pub at_once: Option<u32>,
    /// Most requests at once by this process; how many there are up to that is found out.
    pub most: u32,
    /// Private folder for the budgets; one of this user in the system's temporary folder by
    /// default. Without this and without limits, nothing is shared.
    pub folder: Option<PathBuf>,
    /// Takes the news of waits; the log by default.
    pub reporter: Arc<dyn Reporter>,
    /// Hash of the credential, which [`LimitOptions::new`] makes.
    pub credential: String,
}

impl LimitOptions {
    /// Makes options without limits. `credential` is whatever the source counts requests by, such
    /// as its address and the user; only a hash of it is written down.
    #[must_use]
    pub fn new(credential: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in credential {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        Self {
            rate: None,
            at_once: None,
            most: 64,
            folder: None,
            reporter: Arc::new(Log),
            credential: digest
                .iter()
                .take(16)
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }
}

/// Writes waits into the log, which a terminal shows above the progress.
struct Log;

impl Reporter for Log {
    fn report(&self, event: &Event) {
        tell_trouble(event);
    }
}

/// Gives out permits for requests.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    /// What processes share; nothing without a limit to share.
    budget: Option<Budget>,
    /// Until when the source wants no requests of this process.
    paused: Mutex<Option<Instant>>,
    adaptive: Mutex<Adaptive>,
    freed: Notify,
    /// Waiters of this process stand in line, so that only one looks at the file.
    line: tokio::sync::Mutex<()>,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
}

/// Leave for one request. Dropping it counts as a request that nobody knows the end of.
pub struct Permit {
    inner: Arc<Inner>,
    place: Place,
    began: Instant,
    over: bool,
}

impl Limiter {
    /// Opens the budget of a credential; waits for permits end with `cancel`.
    ///
    /// # Errors
    ///
    /// When the folder or the file of the budget cannot be used, or is open to others.
    pub fn new(options: LimitOptions, cancel: CancellationToken) -> Result<Self, Failure> {
        let shares =
            options.rate.is_some() || options.at_once.is_some() || options.folder.is_some();
        let open = || {
            Budget::open(
                options.folder,
                &options.credential,
                options.rate,
                options.at_once,
            )
        };
        let budget = shares.then(open).transpose()?;
        Ok(Self(Arc::new(Inner {
            budget,
            paused: Mutex::new(None),
            adaptive: Mutex::new(Adaptive::new(options.most)),
            freed: Notify::new(),
            line: tokio::sync::Mutex::new(()),
            reporter: options.reporter,
            cancel,
        })))
    }

    /// Waits until a request may be made.
    ///
    /// # Errors
    ///
    /// `Interrupted` when the run has to end, and when the file of the budget cannot be used.
    pub async fn permit(&self) -> Result<Permit, Failure> {
        let inner = &self.0;
        let cancelled = || {
            Failure::new(
                FailureKind::Interrupted,
                "stopped while waiting for the data source's rate limit",
            )
        };
        tokio::select! {
            permit = self.wait() => permit,
            () = inner.cancel.cancelled() => Err(cancelled()),
        }
    }

    /// Returns how many requests this process may make at once now.
    #[must_use]
    pub fn at_once(&self) -> u32 {
        self.0.adaptive().allowed()
    }

    async fn wait(&self) -> Result<Permit, Failure> {
        let inner = &self.0;
        let _first = inner.line.lock().await;
        loop {
            let freed = inner.freed.notified();
            if inner.adaptive().begin() {
                break;
            }
            freed.await;
        }
        // Gives the place in this process back if the wait for the budget is given up.
        let mut permit = Permit {
            inner: Arc::clone(inner),
            place: Place::none(),
            began: Instant::now(),
            over: false,
        };
        let mut told = false;
        loop {
            match inner.take()? {
                Ok(place) => {
                    permit.place = place;
                    permit.began = Instant::now();
                    return Ok(permit);
                }
                Err(wait) => {
                    if wait >= TOLD && !told {
                        told = true;
                        inner.reporter.report(&Event::Throttled { wait });
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

impl Inner {
    /// Takes a place in the budget, or returns how long to wait before asking again.
    fn take(&self) -> Result<Result<Place, Duration>, Failure> {
        let paused = *self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = paused.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        });
        match &self.budget {
            _ if wait > Duration::ZERO => Ok(Err(wait)),
            Some(budget) => budget.take(),
            None => Ok(Ok(Place::none())),
        }
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now().checked_add(pause);
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = (*paused).max(until);
        drop(paused);
        if let Some(budget) = &self.budget {
            budget.pause(pause);
        }
    }

    fn give_back(&self, place: &Place) {
        if let Some(budget) = &self.budget {
            budget.give_back(place);
        }
    }

    fn adaptive(&self) -> std::sync::MutexGuard<'_, Adaptive> {
        self.adaptive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Says what was answered, once the body is read or given up.
    pub fn answered(mut self, status: u16, answer: &HeaderMap) {
        let pause = headers::pause(status, answer).map(|pause| pause.min(LONGEST));
        if let Some(pause) = pause {
            self.inner.pause(pause);
            if pause >= TOLD {
                self.inner
                    .reporter
                    .report(&Event::Throttled { wait: pause });
            }
        }
        let slow = matches!(status, 429 | 503);
        self.end(!slow);
    }

    /// Says that the request failed without an answer.
    pub fn failed(mut self) {
        self.end(false);
    }

    fn end(&mut self, well: bool) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.inner.give_back(&self.place);
        self.inner.adaptive().end(self.began.elapsed(), well);
        self.inner.freed.notify_one();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.inner.give_back(&self.place);
            self.inner.adaptive().forget();
            self.inner.freed.notify_one();
        }
    }
}
