//! Drives any saga through everything that can go wrong, and looks at what is left.
//!
//! The saga is made with [`Faults`] among its middleware and a log that the driver gives. The
//! driver then fails each step before and after it acts, ends the process before and after each
//! step and each record, and repeats each step; alone, together, and by chance from a seed. A
//! process "ends" by its future being dropped in the middle, as a kill ends it, and what follows
//! is made anew from the log.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use car_core::saga::middleware::{Middleware, Next};
use car_core::saga::{
    Claim, Claimed, Context, Delivery, Entry, Event, LogError, MemoryLog, Phase, Progress, Request,
    Response, Saga, SagaLog, SqliteLog, Status, Summary, Then,
};
use car_core::{Effect, Failure, FailureKind};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Notify;

/// Most deliveries until a saga is over.
const DELIVERIES: usize = 100;

/// A saga with the world that it works on.
#[async_trait]
pub trait SagaSubject: Send + Sync {
    /// What it works on.
    type Request: Request;

    /// Names its steps, all of which apply.
    fn steps(&self) -> Vec<&'static str>;

    /// Makes the saga; `faults` is the innermost middleware around its steps. Called anew after
    /// each crash.
    fn saga(&self, log: Arc<dyn SagaLog>, faults: Faults) -> Saga<Self::Request>;

    /// Makes the delivery, the same each time.
    fn delivery(&self) -> Delivery<Self::Request>;

    /// Looks at the world.
    async fn left(&self) -> Left;
}

/// What a saga left in the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// Everything that it should do.
    All,
    /// Nothing.
    Nothing,
    /// Something else, which is wrong.
    Between(String),
}

/// What happens to one call of a step or of its compensation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepFault {
    /// It fails and wrote nothing.
    FailsBefore,
    /// It wrote, and the answer is lost.
    AnswerIsLost,
    /// The process ends before it.
    CrashBefore,
    /// The process ends after it.
    CrashAfter,
    /// It is done twice.
    Repeated,
}

impl StepFault {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::FailsBefore,
        Self::AnswerIsLost,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Repeated,
    ];
}

/// One thing that goes wrong, once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wrong {
    Step(&'static str, Phase, StepFault),
    /// The process ends before, or after, the n-th write.
    Write {
        number: usize,
        after: bool,
    },
}

/// Makes things go wrong as the driver plans them.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Vec<Wrong>>,
    writes: AtomicUsize,
    crash: Notify,
}

impl Faults {
    fn new(plan: Vec<Wrong>) -> Self {
        Self(Arc::new(Shared {
            plan: Mutex::new(plan),
            ..Shared::default()
        }))
    }

    /// Takes what is planned, if it is.
    fn take(&self, planned: impl Fn(&Wrong) -> bool) -> Option<Wrong> {
        let mut plan = self.0.plan.lock().unwrap();
        let at = plan.iter().position(planned)?;
        Some(plan.remove(at))
    }

    /// Ends the process: what called this goes no further.
    async fn crash<T>(&self) -> T {
        self.0.crash.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Faults {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let found = self.take(|wrong| {
            matches!(wrong, Wrong::Step(step, phase, _)
                if context.step() == Some(*step) && context.phase() == *phase)
        });
        let Some(Wrong::Step(_, _, fault)) = found else {
            return next.run(request, context).await;
        };
        let failure = || Failure::new(FailureKind::SourceUnavailable, "a planned failure");
        match fault {
            StepFault::FailsBefore => Err(failure()),
            StepFault::AnswerIsLost => {
                next.run(request, context).await?;
                Err(failure().with_effect(Effect::Unknown))
            }
            StepFault::CrashBefore => self.crash().await,
            StepFault::CrashAfter => {
                next.run(request, context).await?;
                self.crash().await
            }
            StepFault::Repeated => {
                next.run(request, context).await?;
                next.run(request, context).await
            }
        }
    }
}

/// A log in which the process ends before or after a write.
#[derive(Debug)]
struct Cut {
    log: Arc<dyn SagaLog>,
    faults: Faults,
}

impl Cut {
    async fn write<T>(&self, write: impl Future<Output = T>) -> T {
        let number = self.faults.0.writes.fetch_add(1, Ordering::Relaxed);
        let planned = |is_after: bool| move |wrong: &Wrong| matches!(wrong, Wrong::Write { number: n, after } if *n == number && *after == is_after);
        if self.faults.take(planned(false)).is_some() {
            return self.faults.crash().await;
        }
        let written = write.await;
        if self.faults.take(planned(true)).is_some() {
            return self.faults.crash().await;
        }
        written
    }
}

#[async_trait]
impl SagaLog for Cut {
    async fn claim(&self, id: &str, begin: Option<&Event>) -> Result<Claimed, LogError> {
        self.write(self.log.claim(id, begin)).await
    }

    async fn append(
        &self,
        claim: &Claim,
        events: &[Event],
        progress: &Progress,
        then: Then,
    ) -> Result<(), LogError> {
        self.write(self.log.append(claim, events, progress, then))
            .await
    }

    async fn renew(&self, claim: &Claim) -> Result<(), LogError> {
        self.log.renew(claim).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), LogError> {
        self.log.release(claim).await
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, LogError> {
        self.log.entries(id).await
    }

    async fn list(&self, status: Option<Status>, limit: u32) -> Result<Vec<Summary>, LogError> {
        self.log.list(status, limit).await
    }
}

/// Where the driven sagas are recorded.
#[derive(Debug, Clone)]
pub enum DrivenLog {
    /// In memory.
    Memory,
    /// In a SQLite file of this folder, one for each run.
    Sqlite(PathBuf),
    /// In logs that a test makes. Claims of theirs must not outlast the crash of their holder.
    Other(Arc<dyn DrivenLogs>),
}

/// Makes logs for runs.
pub trait DrivenLogs: std::fmt::Debug + Send + Sync {
    /// Returns the log of a run, the same for each delivery of it.
    fn log(&self, run: usize) -> Arc<dyn SagaLog>;
}

/// How many runs there were, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Driven {
    /// All of them.
    pub runs: usize,
    /// Those that ended with everything done.
    pub done: usize,
    /// Those that ended with nothing left.
    pub undone: usize,
}

/// Drives sagas of one kind.
#[derive(Debug)]
pub struct SagaDriver<F> {
    subject: F,
    log: DrivenLog,
    runs: AtomicUsize,
}

impl<S: SagaSubject, F: AsyncFn() -> S> SagaDriver<F> {
    /// Drives what `subject` makes: a saga with a world of its own, for each run anew.
    pub const fn new(subject: F, log: DrivenLog) -> Self {
        Self {
            subject,
            log,
            runs: AtomicUsize::new(0),
        }
    }

    /// Fails at every step, ends the process before and after every step and every record, and
    /// repeats every step; on the way there, and on the way back.
    ///
    /// # Panics
    ///
    /// When a run leaves something between all and nothing.
    pub async fn every(&self) -> Driven {
        let steps = (self.subject)().await.steps();
        let last = *steps.last().unwrap();
        let mut plans: Vec<Vec<Wrong>> = Vec::new();
        let mut ways: Vec<Vec<Wrong>> = vec![Vec::new()];
        for step in &steps {
            for fault in [StepFault::FailsBefore, StepFault::AnswerIsLost] {
                ways.push(vec![Wrong::Step(step, Phase::Execute, fault)]);
            }
            for fault in StepFault::ALL {
                plans.push(vec![Wrong::Step(step, Phase::Execute, fault)]);
                // On the way back, which the failure of the last step begins.
                plans.push(vec![
                    Wrong::Step(last, Phase::Execute, StepFault::AnswerIsLost),
                    Wrong::Step(step, Phase::Compensate, fault),
                ]);
            }
        }
        let mut driven = Driven::default();
        self.cut(ways, &mut driven).await;
        for plan in plans {
            self.run(plan, &mut driven).await;
        }
        driven
    }

    /// Ends the process before and after every record, on the way there, and on the way back that
    /// the failure of the last step begins.
    ///
    /// # Panics
    ///
    /// As [`SagaDriver::every`].
    pub async fn every_record(&self) -> Driven {
        let steps = (self.subject)().await.steps();
        let last = *steps.last().unwrap();
        let lost = Wrong::Step(last, Phase::Execute, StepFault::AnswerIsLost);
        let mut driven = Driven::default();
        self.cut(vec![Vec::new(), vec![lost]], &mut driven).await;
        driven
    }

    /// Goes each way once, and once more for each end of each write on it, with a crash there.
    async fn cut(&self, ways: Vec<Vec<Wrong>>, driven: &mut Driven) {
        for way in ways {
            let writes = self.run(way.clone(), driven).await;
            for number in 0..writes {
                for after in [false, true] {
                    let mut plan = way.clone();
                    plan.push(Wrong::Write { number, after });
                    self.run(plan, driven).await;
                }
            }
        }
    }

    /// Makes several things go wrong by chance, once for each seed.
    ///
    /// # Panics
    ///
    /// As [`SagaDriver::every`]; the message has the seed.
    pub async fn seeded(&self, seeds: impl IntoIterator<Item = u64>) -> Driven {
        let steps = (self.subject)().await.steps();
        let mut driven = Driven::default();
        for seed in seeds {
            let mut chance = StdRng::seed_from_u64(seed);
            let count = chance.random_range(0..6);
            let plan = (0..count)
                .map(|_| match chance.random_range(0..3) {
                    0 => Wrong::Write {
                        number: chance.random_range(0..4 * steps.len()),
                        after: chance.random(),
                    },
                    kind => Wrong::Step(
                        steps[chance.random_range(0..steps.len())],
                        match kind {
                            1 => Phase::Execute,
                            _ => Phase::Compensate,
                        },
                        StepFault::ALL[chance.random_range(0..StepFault::ALL.len())],
                    ),
                })
                .collect();
            self.run(plan, &mut driven).await;
        }
        driven
    }

    /// Runs a saga to its end; returns how many writes there were.
    async fn run(&self, plan: Vec<Wrong>, driven: &mut Driven) -> usize {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let faults = Faults::new(plan.clone());
        let subject = (self.subject)().await;
        let memory = Arc::new(MemoryLog::new());
        for _ in 0..DELIVERIES {
            let log: Arc<dyn SagaLog> = match &self.log {
                DrivenLog::Memory => Arc::clone(&memory) as _,
                DrivenLog::Sqlite(folder) => {
                    let path = folder.join(format!("saga-{run}.db"));
                    Arc::new(SqliteLog::open(&path).await.unwrap())
                }
                DrivenLog::Other(logs) => logs.log(run),
            };
            let cut = Cut {
                log: Arc::clone(&log),
                faults: faults.clone(),
            };
            let saga = subject.saga(Arc::new(cut), faults.clone());
            let delivered = tokio::select! {
                biased;
                () = faults.0.crash.notified() => None,
                delivered = saga.deliver(subject.delivery()) => Some(delivered),
            };
            // Whoever is asked for the next delivery begins anew.
            drop(saga);
            memory.crash();
            let Some(Ok(delivered)) = delivered else {
                continue;
            };
            let (status, expected) = match delivered.status() {
                Some(status @ Status::Done) => (status, Left::All),
                Some(status @ Status::Undone) => (status, Left::Nothing),
                Some(Status::Stuck | Status::Abandoned) => panic!("run {run} is stuck: {plan:?}"),
                _ => continue,
            };
            let left = subject.left().await;
            assert_eq!(left, expected, "run {run} is {}: {plan:?}", status.as_str());
            driven.runs += 1;
            driven.done += usize::from(status == Status::Done);
            driven.undone += usize::from(status == Status::Undone);
            return faults.0.writes.load(Ordering::Relaxed);
        }
        panic!("run {run} does not come to an end: {plan:?}");
    }
}

/// How a driven saga should try to undo: at once, and more often than anything is planned to
/// fail.
#[must_use]
pub fn driven_undo() -> car_core::saga::UndoPolicy {
    car_core::saga::UndoPolicy {
        tries: 30,
        first: Duration::ZERO,
        longest: Duration::ZERO,
    }
}
