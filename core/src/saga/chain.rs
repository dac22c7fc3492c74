//! All steps that apply, in order, each recorded before and after.
//!
//! What is to be done next is decided by the records alone ([`Progress::todo`]), so that a
//! process that dies anywhere is followed by one that goes on. Records that nothing depends on
//! yet wait for the next one that something does: the end of a step and the start of the next one
//! are one write.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::attempt::interrupted;
use super::build::{Request, Saga};
use super::context::{Context, Phase, Reached};
use super::deliver::{applies, compensate, execute};
use super::event::Event;
use super::log::{Claim, LogError, SagaLog, Then};
use super::progress::{Progress, Status, StepStatus, Todo};
use super::response::Response;
use super::transaction::Transaction;
use crate::failure::{Failure, FailureKind, Retry};

/// A saga that is being worked on.
struct Work<'a, R> {
    saga: &'a Saga<R>,
    /// In the order of the record.
    steps: Vec<&'a dyn Transaction<R>>,
    log: &'a dyn SagaLog,
    claim: Claim,
    progress: Progress,
    /// Applied, and not written yet.
    unwritten: Vec<Event>,
    /// Why it is undone, if that happened in this process.
    failure: Option<Failure>,
}

/// Does a delivery.
pub(super) async fn run<R: Request>(
    saga: &Saga<R>,
    steps: &[Arc<dyn Transaction<R>>],
    request: &mut R,
    context: &mut Context,
) -> Result<Response, Failure> {
    let began = Event::Began {
        saga: saga.name.to_string(),
        steps: steps.iter().map(|step| step.name().to_owned()).collect(),
        request: value(request)?,
    };
    let mut work = open(saga, steps, context.id(), Some(&began)).await?;
    let kept: R = from_value(&work.progress.request)?;
    let delivered = std::mem::replace(request, kept);
    let ended = async {
        if matches!(work.progress.todo(), Todo::Try(_))
            && let Some(refresh) = &saga.refresh
        {
            refresh(request, delivered);
            let request = value(request)?;
            if request != work.progress.request {
                work.note(Event::Redelivered { request })?;
            }
        }
        work.go_on(request, context).await
    }
    .await;
    work.end(ended, context).await
}

/// Goes on with what is recorded.
pub(super) async fn resume<R: Request>(
    saga: &Saga<R>,
    steps: &[Arc<dyn Transaction<R>>],
    unstick: bool,
    context: &mut Context,
) -> Result<(Response, R), Failure> {
    let mut work = open(saga, steps, context.id(), None).await?;
    let mut request: R = from_value(&work.progress.request)?;
    let ended = async {
        if unstick && work.progress.status == Status::Stuck {
            work.note(Event::Resumed)?;
        }
        work.go_on(&mut request, context).await
    }
    .await;
    let response = work.end(ended, context).await?;
    Ok((response, request))
}

/// Ends a saga as it is. Nothing is done or undone.
///
/// # Errors
///
/// When another works on it, when it is over, and when there is none.
pub async fn abandon(log: &dyn SagaLog, id: &str, reason: &str) -> Result<Progress, Failure> {
    let claimed = log.claim(id, None).await?;
    let event = Event::Abandoned {
        reason: reason.to_owned(),
    };
    let written = async {
        let mut progress = fold(id, &claimed.events)?;
        if progress.status.is_over() {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                format!("saga `{id}` is {} already", progress.status.as_str()),
            ));
        }
        progress
            .apply(&event)
            .map_err(|misfit| LogError::misfit(id, claimed.events.len(), misfit))?;
        log.append(&claimed.claim, &[event], &progress, Then::Release)
            .await?;
        Ok(progress)
    }
    .await;
    if written.is_err() {
        release(log, &claimed.claim).await;
    }
    written
}

async fn open<'a, R: Request>(
    saga: &'a Saga<R>,
    steps: &'a [Arc<dyn Transaction<R>>],
    id: &str,
    begin: Option<&Event>,
) -> Result<Work<'a, R>, Failure> {
    let log = saga
        .log
        .as_deref()
        .ok_or_else(|| Failure::new(FailureKind::General, "a chain has no log"))?;
    let claimed = log.claim(id, begin).await?;
    let opened = fold(id, &claimed.events).and_then(|progress| {
        let steps = ordered(saga, steps, &progress)?;
        Ok((progress, steps))
    });
    match opened {
        Ok((progress, steps)) => Ok(Work {
            saga,
            steps,
            log,
            claim: claimed.claim,
            progress,
            unwritten: Vec::new(),
            failure: None,
        }),
        Err(failure) => {
            release(log, &claimed.claim).await;
            Err(failure)
        }
    }
}

fn fold(id: &str, events: &[Event]) -> Result<Progress, Failure> {
    let progress = Progress::of(events).map_err(|misfit| LogError::misfit(id, 0, misfit))?;
    progress.ok_or_else(|| {
        Failure::new(
            FailureKind::General,
            format!("saga `{id}` has no records in the log"),
        )
    })
}

/// Finds the steps that are recorded: a saga goes on as it was begun.
fn ordered<'a, R: Request>(
    saga: &Saga<R>,
    steps: &'a [Arc<dyn Transaction<R>>],
    progress: &Progress,
) -> Result<Vec<&'a dyn Transaction<R>>, Failure> {
    if *progress.saga != *saga.name {
        return Err(Failure::new(
            FailureKind::General,
            format!(
                "the request was begun by saga `{}`, not by `{}`",
                progress.saga, saga.name
            ),
        )
        .hint("a request is delivered to one saga; `saga abandon` ends the other one"));
    }
    let find = |recorded: &super::progress::StepState| {
        let found = steps.iter().find(|step| step.name() == recorded.name);
        found.map(|step| &**step).ok_or_else(|| {
            Failure::new(
                FailureKind::General,
                format!(
                    "saga `{}` was begun with a step `{}`, which this version does not have",
                    saga.name, recorded.name
                ),
            )
            .hint("finish it with the version that began it, or end it by `saga abandon`")
        })
    };
    progress.steps.iter().map(find).collect()
}

impl<'a, R: Request> Work<'a, R> {
    /// Applies a record, to be written with the next one that something depends on.
    fn note(&mut self, event: Event) -> Result<(), Failure> {
        self.progress
            .apply(&event)
            .map_err(|misfit| LogError::misfit(&self.claim.id, self.unwritten.len(), misfit))?;
        self.unwritten.push(event);
        Ok(())
    }

    async fn write(&mut self, then: Then) -> Result<(), Failure> {
        self.log
            .append(&self.claim, &self.unwritten, &self.progress, then)
            .await?;
        self.unwritten.clear();
        Ok(())
    }

    /// Applies a record and writes all that wait.
    async fn record(&mut self, event: Event, then: Then) -> Result<(), Failure> {
        self.note(event)?;
        self.write(then).await
    }

    /// Does what the records ask for until there is an answer.
    async fn go_on(&mut self, request: &mut R, context: &mut Context) -> Result<Response, Failure> {
        loop {
            let answer = match self.progress.todo() {
                Todo::Try(at) => self.try_step(at, request, context).await?,
                Todo::Undo(at) => self.undo_step(at, request, context).await?,
                Todo::End => {
                    let response = self.last_word();
                    let event = Event::Ended {
                        response: response.clone(),
                    };
                    self.record(event, Then::Release).await?;
                    Some(response)
                }
                Todo::Stuck => Some(Response::slow_reschedule()),
                Todo::Over => Some(self.progress.response.clone().unwrap_or(Response::Done)),
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
    }

    /// Writes what is left and gives the claim back.
    async fn end(
        mut self,
        ended: Result<Response, Failure>,
        context: &mut Context,
    ) -> Result<Response, Failure> {
        let over = self.progress.status.is_over();
        let written = if ended.is_ok() && !self.unwritten.is_empty() {
            self.write(Then::Release).await
        } else {
            // The last record of a saga that ended just now gave it back.
            release(self.log, &self.claim).await;
            Ok(())
        };
        if over && let Some(failure) = &self.failure {
            tracing::warn!(
                saga = &*self.saga.name,
                id = context.id(),
                error = failure.chain().join(": "),
                "the saga failed and is undone"
            );
        }
        context.insert(self.progress);
        written.and(ended)
    }

    /// Says what the platform is told at the end.
    fn last_word(&self) -> Response {
        if self.progress.status == Status::Undoing {
            let reason = || Response::fail(self.progress.error.join(": "));
            return self.progress.answer.clone().unwrap_or_else(reason);
        }
        let passed = |step: &super::progress::StepState| step.status == StepStatus::Passed;
        if self.progress.steps.iter().all(passed) {
            return self.saga.no_match.response();
        }
        Response::Done
    }

    async fn try_step(
        &mut self,
        at: usize,
        request: &mut R,
        context: &mut Context,
    ) -> Result<Option<Response>, Failure> {
        let (step, starts, status) = self.step(at)?;
        if context.cancel.is_cancelled() {
            return Err(interrupted());
        }
        context.enter(Some(step.name()), Phase::Execute, starts.saturating_add(1));
        // An attempt before this one may have written, whatever this one says of itself.
        let earlier = status != StepStatus::Pending;
        if !earlier {
            match applies(self.saga, step, request, context).await {
                Ok(true) => {}
                Ok(false) => return self.note(Event::Passed { step: at }).map(|()| None),
                Err(failure) if cut_off(&failure, context) => return Err(failure),
                Err(failure) => return self.failed(at, failure, false, request).map(|()| None),
            }
        } else if starts >= self.saga.crashes {
            let failure = Failure::new(
                FailureKind::General,
                format!("the process ended {starts} times in the middle of the step"),
            )
            .with("step", step.name());
            return self.failed(at, failure, true, request).map(|()| None);
        }
        self.record(Event::Started { step: at }, Then::Keep).await?;
        let ended = self
            .while_claimed(execute(self.saga, step, request, context))
            .await?;
        match ended {
            Ok(Response::Skip { .. }) if !earlier => self.note(Event::Passed { step: at }),
            Ok(Response::Done | Response::Skip { .. }) => self.note(Event::Done {
                step: at,
                request: value(request)?,
            }),
            Ok(Response::Fail { message }) => {
                let message = message.unwrap_or_else(|| "the step refused".to_owned());
                let failure = Failure::new(FailureKind::Source, message);
                self.failed(at, failure, earlier, request)
            }
            Ok(response) => {
                self.note(Event::Waiting {
                    step: at,
                    response: response.clone(),
                    request: value(request)?,
                })?;
                return Ok(Some(response));
            }
            Err(failure) if cut_off(&failure, context) => return Err(failure),
            Err(failure) => {
                let undo = earlier || context.reached != Reached::Nothing;
                self.failed(at, failure, undo, request)
            }
        }?;
        Ok(None)
    }

    fn failed(
        &mut self,
        at: usize,
        failure: Failure,
        undo: bool,
        request: &R,
    ) -> Result<(), Failure> {
        self.note(Event::Failed {
            step: at,
            undo,
            error: failure.chain(),
            request: value(request)?,
        })?;
        self.failure = Some(failure);
        Ok(())
    }

    async fn undo_step(
        &mut self,
        at: usize,
        request: &mut R,
        context: &mut Context,
    ) -> Result<Option<Response>, Failure> {
        let (step, _, _) = self.step(at)?;
        let undos = self.progress.steps.get(at).map_or(0, |step| step.undos);
        if undos >= self.saga.undo.tries {
            self.record(Event::Stuck { step: at }, Then::Release)
                .await?;
            tracing::error!(
                saga = &*self.saga.name,
                id = context.id(),
                step = step.name(),
                tries = undos,
                "a step cannot be undone: `saga show` tells why, `saga resume` tries again, \
                 `saga abandon` leaves it"
            );
            return Ok(Some(Response::slow_reschedule()));
        }
        if undos > 0 {
            // What went wrong is on record before the wait, which may be long.
            if !self.unwritten.is_empty() {
                self.write(Then::Keep).await?;
            }
            let wait = tokio::time::sleep(self.saga.undo.wait(undos));
            let cancel = context.cancel.clone();
            let waited = async {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => false,
                    () = wait => true,
                }
            };
            if !self.while_claimed(waited).await? {
                return Err(interrupted());
            }
        } else if context.cancel.is_cancelled() {
            return Err(interrupted());
        }
        context.enter(
            Some(step.name()),
            Phase::Compensate,
            undos.saturating_add(1),
        );
        self.record(Event::Undoing { step: at }, Then::Keep).await?;
        // After a crash the failure is known by its texts only.
        let again;
        let failure = match &self.failure {
            Some(failure) => failure,
            None => {
                again = recorded(&self.progress.error);
                &again
            }
        };
        let undone = self
            .while_claimed(compensate(self.saga, step, failure, request, context))
            .await?;
        match undone {
            Ok(response) => self.note(Event::Undone {
                step: at,
                response,
                request: value(request)?,
            })?,
            Err(failure) if cut_off(&failure, context) => return Err(failure),
            Err(failure) => self.note(Event::UndoFailed {
                step: at,
                error: failure.chain(),
            })?,
        }
        Ok(None)
    }

    fn step(&self, at: usize) -> Result<(&'a dyn Transaction<R>, u32, StepStatus), Failure> {
        match (self.steps.get(at), self.progress.steps.get(at)) {
            (Some(step), Some(state)) => Ok((*step, state.starts, state.status)),
            _ => Err(Failure::new(FailureKind::General, "a step is not there")),
        }
    }

    /// Renews the claim while something is done; ends that when the claim is lost.
    async fn while_claimed<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let every = (self.log.ttl() / 3).max(Duration::from_millis(10));
        let lost = async {
            loop {
                tokio::time::sleep(every).await;
                match self.log.renew(&self.claim).await {
                    Ok(()) => {}
                    Err(error @ LogError::Lost { .. }) => break Failure::from(error),
                    Err(error) => {
                        tracing::warn!(id = &*self.claim.id, %error, "a claim is not renewed");
                    }
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            failure = lost => Err(failure),
        }
    }
}

/// Whether a call ended because the delivery has to.
fn cut_off(failure: &Failure, context: &Context) -> bool {
    failure.kind() == FailureKind::Interrupted && context.cancel.is_cancelled()
}

/// Gives a claim back. One that is lost, or given back already, needs nothing.
async fn release(log: &dyn SagaLog, claim: &Claim) {
    if let Err(error) = log.release(claim).await
        && !matches!(error, LogError::Lost { .. })
    {
        tracing::warn!(id = &*claim.id, %error, "a claim stays until it runs out");
    }
}

fn recorded(error: &[String]) -> Failure {
    let mut error = error.iter().rev();
    let innermost = error.next().cloned().unwrap_or_default();
    let failure = Failure::new(FailureKind::General, innermost).with_retry(Retry::Never);
    error.fold(failure, |failure, text| failure.wrap(text.clone()))
}

fn value<R: Request>(request: &R) -> Result<Value, Failure> {
    serde_json::to_value(request).map_err(|error| {
        Failure::new(FailureKind::General, "the request cannot be recorded").because(error)
    })
}

fn from_value<R: Request>(value: &Value) -> Result<R, Failure> {
    R::deserialize(value).map_err(|error| {
        Failure::new(FailureKind::General, "the recorded request cannot be read")
            .because(error)
            .hint("another version of the program recorded it; `saga show` prints it")
    })
}
