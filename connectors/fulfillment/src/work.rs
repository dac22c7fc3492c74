//! The work on requests: each is delivered to its saga, and the platform is told what came of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use car_core::Failure;
use car_core::saga::{Delivery, Event, Response, SagaLog, SagaView, Status};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::client::{Answered, Platform, Vendor};
use crate::config::Settings;
use crate::log::open_log;
use crate::request::{Model, Request};
use crate::sagas::{EMAIL, Route, Sagas, Sides};

/// Most open sagas that are looked at in one pass.
const MOST_OPEN: u32 = 1000;

/// What came of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) approved: u64,
    pub(crate) failed: u64,
    pub(crate) inquired: u64,
    pub(crate) skipped: u64,
    pub(crate) waiting: u64,
    pub(crate) stuck: u64,
    /// Requests that met an error, and come again.
    pub(crate) errors: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.approved += other.approved;
        self.failed += other.failed;
        self.inquired += other.inquired;
        self.skipped += other.skipped;
        self.waiting += other.waiting;
        self.stuck += other.stuck;
        self.errors += other.errors;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "approved {}, failed {}, inquired {}, skipped {}, waiting {}, stuck {}, errors {}",
            self.approved,
            self.failed,
            self.inquired,
            self.skipped,
            self.waiting,
            self.stuck,
            self.errors
        )
    }
}

/// Works on requests.
pub(crate) struct Worker {
    sides: Sides,
    sagas: Sagas,
    log: Arc<dyn SagaLog>,
    inquire_template: String,
    fulfill_every: Option<Duration>,
}

impl Worker {
    pub(crate) async fn new(settings: &Settings) -> Result<Self, Failure> {
        let log = open_log(settings).await?;
        let sides = Sides {
            platform: Arc::new(Platform::new(settings)?),
            vendor: Arc::new(Vendor::new(settings)?),
            approve_template: settings.approve_template.as_str().into(),
        };
        Ok(Self {
            sagas: Sagas::new(&sides, Arc::clone(&log))?,
            sides,
            log,
            inquire_template: settings.inquire_template.clone(),
            fulfill_every: settings.fulfill_every.map(|every| every.0),
        })
    }

    pub(crate) fn log(&self) -> &dyn SagaLog {
        &*self.log
    }

    /// Returns how often `serve` makes a [pass](Self::pass).
    pub(crate) const fn fulfill_every(&self) -> Option<Duration> {
        self.fulfill_every
    }

    /// Works on everything that is pending, and on sagas that were left in the middle.
    pub(crate) async fn pass(&self, cancel: &CancellationToken) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        let mut seen = BTreeSet::new();
        for model in [Model::Asset, Model::TierConfig] {
            for request in self.sides.platform.pending(model).await? {
                if cancel.is_cancelled() {
                    return Ok(tally);
                }
                seen.insert(request.id().to_owned());
                self.one(request, cancel, &mut tally).await;
            }
        }
        for status in [Status::Running, Status::Waiting, Status::Undoing] {
            for saga in self.log.list(Some(status), MOST_OPEN).await? {
                if !cancel.is_cancelled() && !seen.contains(&saga.id) {
                    self.go_on(&saga.id, cancel, &mut tally).await;
                }
            }
        }
        Ok(tally)
    }

    /// Works on the request that a notification names, as the platform has it.
    pub(crate) async fn notified(
        &self,
        model: Model,
        id: &str,
        cancel: &CancellationToken,
        tally: &mut Tally,
    ) {
        match self.sides.platform.request(model, id).await {
            Ok(Some(request)) if request.is_pending() => self.one(request, cancel, tally).await,
            Ok(_) => tally.skipped += 1,
            Err(failure) => note(id, &failure, tally),
        }
    }

    async fn one(&self, request: Request, cancel: &CancellationToken, tally: &mut Tally) {
        let id = request.id().to_owned();
        if let Err(failure) = self.try_one(request, cancel, tally).await {
            note(&id, &failure, tally);
        }
    }

    async fn try_one(
        &self,
        request: Request,
        cancel: &CancellationToken,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let Some(route) = Route::of(&request) else {
            tracing::warn!(
                id = request.id().escape_default().to_string(),
                kind = request.kind().escape_default().to_string(),
                "a request of a type that is not known is left alone"
            );
            tally.skipped += 1;
            return Ok(());
        };
        if route == Route::Purchase && request.parameter(EMAIL).is_none() {
            let body = json!({"template_id": self.inquire_template});
            match self
                .sides
                .platform
                .answer(&request, "inquire", &body)
                .await?
            {
                Answered::Taken => tally.inquired += 1,
                Answered::Meanwhile => tally.skipped += 1,
            }
            return Ok(());
        }
        if route == Route::Purchase && !self.is_due(request.id()).await? {
            tally.waiting += 1;
            return Ok(());
        }
        let id = request.id().to_owned();
        let delivery = Delivery::new(id, request).cancel(cancel.clone());
        let delivered = self.sagas.get(route).deliver(delivery).await?;
        let status = delivered.status();
        self.answer(&delivered.request, &delivered.response, status, tally)
            .await
    }

    /// Goes on with a saga whose request is not pending, or was not when it was listed.
    async fn go_on(&self, id: &str, cancel: &CancellationToken, tally: &mut Tally) {
        let gone_on = async {
            if !self.is_due(id).await? {
                tally.waiting += 1;
                return Ok(());
            }
            let saga = &self.sagas.purchase;
            let delivered = saga.resume(id, false, cancel.clone()).await?;
            let status = delivered.status();
            self.answer(&delivered.request, &delivered.response, status, tally)
                .await
        }
        .await;
        if let Err(failure) = gone_on {
            note(id, &failure, tally);
        }
    }

    /// Goes on with a saga because a person asks for it.
    pub(crate) async fn resume(&self, id: &str, cancel: CancellationToken) -> Result<(), Failure> {
        let delivered = self.sagas.purchase.resume(id, true, cancel).await?;
        let status = delivered.status();
        let mut tally = Tally::default();
        self.answer(&delivered.request, &delivered.response, status, &mut tally)
            .await
    }

    /// Tells the platform. What it does not take is told again with the next delivery, which the
    /// saga answers as it did before.
    async fn answer(
        &self,
        request: &Request,
        response: &Response,
        status: Option<Status>,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let platform = &self.sides.platform;
        match response {
            Response::Done => {
                let body = json!({"template_id": &*self.sides.approve_template});
                platform.answer(request, "approve", &body).await?;
                tally.approved += 1;
            }
            Response::Fail { message } => {
                let reason = message.as_deref().unwrap_or("it cannot be fulfilled");
                let body = json!({"reason": reason});
                platform.answer(request, "fail", &body).await?;
                tally.failed += 1;
            }
            Response::Skip { .. } => tally.skipped += 1,
            Response::Reschedule(_) if status == Some(Status::Stuck) => tally.stuck += 1,
            Response::Reschedule(_) | Response::Retry { .. } => tally.waiting += 1,
        }
        Ok(())
    }

    /// Whether the wait that a saga asked for is over. It is in the log, so it survives a
    /// restart.
    async fn is_due(&self, id: &str) -> Result<bool, Failure> {
        let entries = self.log.entries(id).await?;
        let Some(last) = entries.last() else {
            return Ok(true);
        };
        let Event::Waiting {
            response: Response::Reschedule(wait),
            ..
        } = &last.event
        else {
            return Ok(true);
        };
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(since >= Duration::from_millis(last.at).saturating_add(wait.duration()))
    }

    pub(crate) async fn show(&self, id: &str) -> Result<String, Failure> {
        let view = SagaView::read(&*self.log, id).await?;
        Ok(car_core::saga::show_text(&view))
    }
}

fn note(id: &str, failure: &Failure, tally: &mut Tally) {
    tally.errors += 1;
    tracing::warn!(
        id = id.escape_default().to_string(),
        error = failure.chain().join(": "),
        "a request is not worked on this time; it comes again"
    );
}
