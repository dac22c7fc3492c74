//! The workflow of a task: tells the [machine](crate::machine) what happens, and does what it
//! asks for. It stays open when the task has ended, so that the server never forgets the task.
//!
//! A workflow is replayed from its history by whatever version of the program goes on with it:
//! what it asks the server for, and in which order, may change only behind
//! `WorkflowContext::patched`.

use std::time::Duration;

use car_core::tasks::{Status, TaskHistory, TaskSpec};
use futures::FutureExt as _;
use futures::future::{Fuse, LocalBoxFuture};
use temporalio_common::RetryPolicy;
use temporalio_common::search_attributes::SearchAttributeKey;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityCancellationType, ActivityExecutionError, ActivityOptions, ContinueAsNewOptions,
    SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext,
    WorkflowContextView, WorkflowResult,
};

use crate::children::Children;
use crate::machine::{Effect, Finished, Machine, Move};
use crate::message::{
    Acted, Action, Again, Ahead, Brood, ChildEnded, Form, Input, Report, RunEnd, Seen, Spawned,
    StepInput,
};
use crate::steps::{StepReport, Steps};
use crate::timer::{Timer, millis};

/// Connector of a task, with the prefix of the engine.
pub(crate) const CONNECTOR: SearchAttributeKey<String> =
    SearchAttributeKey::keyword("CarConnector");
/// Where a task stands.
pub(crate) const STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword("CarStatus");
/// The task that spawned a task first.
pub(crate) const PARENT: SearchAttributeKey<String> = SearchAttributeKey::keyword("CarParent");

/// What a step is given beyond its own time limit and grace before its process counts as stuck.
const STEP_MARGIN: Duration = Duration::from_secs(60);
/// How long the children of one step may take to be scheduled, before that is tried again.
const SPAWN_LIMIT: Duration = Duration::from_secs(300);

/// A task.
#[workflow]
pub struct TaskWorkflow {
    machine: Machine,
}

type StepFuture<'a> = LocalBoxFuture<'a, Result<StepReport, ActivityExecutionError>>;

/// The step that is with the server.
struct Step<'a> {
    future: Fuse<StepFuture<'a>>,
    generation: u64,
    cancel: WorkflowCancellationToken,
}

#[workflow_methods]
impl TaskWorkflow {
    #[init]
    fn new(ctx: &WorkflowContextView, input: Input) -> Self {
        let machine = match input.0 {
            Form::New(begin) => Machine::new(*begin, ctx.start_time().map_or(0, millis)),
            Form::Continued(machine) => *machine,
        };
        Self { machine }
    }

    /// Runs the task until the end of its history.
    #[run(name = "car-task")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let ctx = &*ctx;
        let mut shown = Status::Active;
        let mut step = Step::none();
        let mut timer = Timer::none();
        loop {
            while let Some(effect) = ctx.state_mut(|state| state.machine.take_effect()) {
                carry_out(ctx, effect).await;
            }
            let status = ctx.state(|state| state.machine.status);
            if status != shown {
                ctx.upsert_search_attributes([STATUS.value_set(status.as_str().to_owned())]);
                shown = status;
            }
            let at_rest = step.future.is_terminated_now();
            if at_rest && is_long(ctx) && ctx.all_handlers_finished() {
                let machine = ctx.state(|state| state.machine.clone());
                let input = Input(Form::Continued(Box::new(machine)));
                ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
            }
            let now = now(ctx);
            let due = match ctx.state_mut(|state| state.machine.next(now)) {
                Move::Step(input) => {
                    step = Step::begin(ctx, *input);
                    None
                }
                Move::Wait(due) => due,
            };
            timer.set(ctx, due, now);
            if ctx.state(|state| state.machine.wants_end()) {
                step.cancel.cancel();
            }
            let version = ctx.state(|state| state.machine.version);
            temporalio_sdk::workflows::select! {
                report = &mut step.future => {
                    let finished = finished(step.generation, report);
                    let now = self::now(ctx);
                    ctx.state_mut(|state| state.machine.finished(finished, now));
                }
                _ = &mut timer.future => timer.due = None,
                changed = ctx.wait_condition(|state: &Self| state.machine.version != version
                    || state.machine.has_effects()) => changed?,
            }
        }
    }

    /// Is scheduled once more, by somebody who waits for the answer.
    #[update]
    pub(crate) fn schedule(
        &mut self,
        ctx: &mut SyncWorkflowContext<Self>,
        task: TaskSpec,
    ) -> Again {
        let now = self.now(ctx);
        self.machine.schedule(task, now)
    }

    /// Is acted upon.
    #[update]
    pub(crate) fn act(&mut self, ctx: &mut SyncWorkflowContext<Self>, action: Action) -> Acted {
        let now = self.now(ctx);
        self.machine.act(action, now)
    }

    /// Is scheduled once more, by a step.
    #[signal]
    pub(crate) fn spawned(&mut self, ctx: &mut SyncWorkflowContext<Self>, spawned: Spawned) {
        let now = self.now(ctx);
        self.machine.spawned(spawned, now);
    }

    /// Learns that a child has ended for which it waits.
    #[signal]
    pub(crate) fn child_ended(&mut self, ctx: &mut SyncWorkflowContext<Self>, ended: ChildEnded) {
        let now = self.now(ctx);
        self.machine
            .child_ended(ended.wait, &ended.child, ended.error, now);
    }

    /// Is asked whether it waits for itself.
    #[signal]
    pub(crate) fn probe(
        &mut self,
        ctx: &mut SyncWorkflowContext<Self>,
        chain: Vec<car_core::tasks::TaskId>,
    ) {
        let now = self.now(ctx);
        self.machine.probed(&chain, now);
    }

    /// Moves the time of the task ahead of the server's, in tests.
    #[doc(hidden)]
    #[signal]
    pub fn ahead(&mut self, _ctx: &mut SyncWorkflowContext<Self>, ahead: Ahead) {
        self.machine.move_ahead(ahead.by, ahead.away);
    }

    #[query]
    pub(crate) fn seen(&self, _ctx: &WorkflowContextView) -> Seen {
        self.machine.seen()
    }

    #[query]
    pub(crate) fn history(&self, _ctx: &WorkflowContextView) -> TaskHistory {
        self.machine.history()
    }

    #[query]
    pub(crate) fn run_end(&self, _ctx: &WorkflowContextView, run: u64) -> RunEnd {
        self.machine.run_end(run)
    }
}

impl TaskWorkflow {
    fn now(&self, ctx: &SyncWorkflowContext<Self>) -> i64 {
        let time = ctx.workflow_time().map_or(0, millis);
        time.saturating_add(self.machine.ahead)
    }
}

impl<'a> Step<'a> {
    fn none() -> Self {
        Self {
            future: Fuse::terminated(),
            generation: 0,
            cancel: WorkflowCancellationToken::new(),
        }
    }

    fn begin(ctx: &'a WorkflowContext<TaskWorkflow>, input: StepInput) -> Self {
        let ways = ctx.state(|state| state.machine.ways.clone());
        let policy = &input.policy;
        let limit = policy.step_timeout.saturating_add(policy.grace);
        let cancel = WorkflowCancellationToken::new();
        // How often a step is tried is for the machine to say.
        let once = RetryPolicy::builder().maximum_attempts(1).build();
        let limit = Duration::from_millis(limit).saturating_add(STEP_MARGIN);
        let options = ActivityOptions::with_start_to_close_timeout(limit)
            .task_queue(ways.steps(&input.connector))
            .heartbeat_timeout(Duration::from_millis(ways.heartbeat))
            .cancellation_type(ActivityCancellationType::WaitCancellationCompleted)
            .cancellation_token(cancel.clone())
            .retry_policy(once)
            .build();
        let generation = input.generation;
        let future = ctx.execute_activity(Steps::step, input, options);
        Self {
            future: future.boxed_local().fuse(),
            generation,
            cancel,
        }
    }
}

trait IsTerminatedNow {
    fn is_terminated_now(&self) -> bool;
}

impl<F: Future> IsTerminatedNow for Fuse<F> {
    fn is_terminated_now(&self) -> bool {
        futures::future::FusedFuture::is_terminated(self)
    }
}

/// Does what is to be done outside of the task. A task that is gone needs to be told nothing.
async fn carry_out(ctx: &WorkflowContext<TaskWorkflow>, effect: Effect) {
    let (ways, connector, id) = ctx.state(|state| {
        let machine = &state.machine;
        (
            machine.ways.clone(),
            machine.connector.clone(),
            machine.id.clone(),
        )
    });
    let other = |task| ctx.external_workflow(ways.workflow(&connector, task), None);
    let options = SignalWorkflowOptions::default;
    match effect {
        Effect::Spawn(brood) => spawn(ctx, brood).await,
        Effect::Tell { waiter, error } => {
            let ended = ChildEnded {
                child: id,
                wait: waiter.wait,
                error,
            };
            drop(
                other(&waiter.task)
                    .signal(TaskWorkflow::child_ended, ended, options())
                    .await,
            );
        }
        Effect::Probe { child, chain } => drop(
            other(&child)
                .signal(TaskWorkflow::probe, chain, options())
                .await,
        ),
    }
}

/// Schedules children, however long that takes.
async fn spawn(ctx: &WorkflowContext<TaskWorkflow>, brood: Brood) {
    let policy = RetryPolicy::builder()
        .initial_interval(Duration::from_millis(100))
        .maximum_interval(Duration::from_secs(10))
        .build();
    let options = ActivityOptions::with_start_to_close_timeout(SPAWN_LIMIT)
        .heartbeat_timeout(Duration::from_millis(brood.ways.heartbeat))
        .retry_policy(policy)
        .build();
    // Without a limit to its attempts it fails only when the workflow itself comes to its end.
    drop(ctx.execute_activity(Children::spawn, brood, options).await);
}

fn finished(generation: u64, report: Result<StepReport, ActivityExecutionError>) -> Finished {
    let report = match report {
        Ok(report) => {
            return Finished {
                generation,
                began: report.began,
                report: report.report,
            };
        }
        Err(ActivityExecutionError::Cancelled(_)) => Report::Interrupted,
        Err(error) => match error.as_timeout() {
            Some(timeout) => Report::Lost {
                why: format!("{:?} timeout", timeout.timeout_type()),
            },
            None => Report::Lost {
                why: error.to_string(),
            },
        },
    };
    Finished {
        generation,
        began: 0,
        report,
    }
}

fn is_long(ctx: &WorkflowContext<TaskWorkflow>) -> bool {
    let most = ctx.state(|state| state.machine.ways.history);
    ctx.continue_as_new_suggested() || (most > 0 && ctx.history_length() >= most)
}

fn now(ctx: &WorkflowContext<TaskWorkflow>) -> i64 {
    let time = ctx.workflow_time().map_or(0, millis);
    time.saturating_add(ctx.state(|state| state.machine.ahead))
}
