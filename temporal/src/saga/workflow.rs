//! The workflow of a saga: keeps its [record](super::record) and ends some time after it.
//!
//! A workflow is replayed from its history by whatever version of the program goes on with it:
//! what it asks the server for, and in which order, may change only behind
//! `WorkflowContext::patched`.

use futures::future::FusedFuture as _;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, MemoValue, SyncWorkflowContext, WorkflowContext, WorkflowContextView,
    WorkflowResult,
};

use super::message::{Ask, Asked, Page, SagaForm, SagaInput, Write, Wrote};
use super::record::Record;
use crate::timer::{Timer, millis};
use crate::workflow::STATUS;

/// Where lists find what they show of a saga.
pub(crate) const MEMO: &str = "CarSaga";

/// A saga.
#[workflow]
pub(crate) struct SagaWorkflow {
    record: Record,
}

#[workflow_methods]
impl SagaWorkflow {
    #[init]
    fn new(ctx: &WorkflowContextView, input: SagaInput) -> Self {
        let record = match input.0 {
            SagaForm::New(begun) => Record::new(*begun, ctx.start_time().map_or(0, unsigned)),
            SagaForm::Continued(record) => *record,
        };
        Self { record }
    }

    /// Keeps the record until some time after the saga's end, or the end of its history.
    #[run(name = "car-saga")]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        let ctx = &*ctx;
        let mut shown = None;
        let mut timer = Timer::none();
        loop {
            let show = ctx.state(|state| state.record.shown());
            // Records that lead nowhere else need no place in lists.
            if shown.as_ref() != Some(&show.stands) {
                let status = show.stands.status.as_str();
                shown = Some(show.stands.clone());
                ctx.upsert_search_attributes([STATUS.value_set(status.to_owned())]);
                ctx.upsert_memo([(MEMO, Some(MemoValue::new(show)))])?;
            }
            if is_long(ctx) && ctx.all_handlers_finished() {
                let record = ctx.state(|state| state.record.clone());
                let input = SagaInput(SagaForm::Continued(Box::new(record)));
                ctx.continue_as_new(input, ContinueAsNewOptions::default())?;
            }
            let now = ctx.workflow_time().map_or(0, millis);
            let end = ctx.state(|state| state.record.end());
            let end = end.map(|end| i64::try_from(end).unwrap_or(i64::MAX));
            if end.is_some_and(|end| end <= now) {
                return Ok(());
            }
            timer.set(ctx, end, now);
            let version = ctx.state(|state| state.record.version);
            let mut changed = ctx.wait_condition(|state: &Self| state.record.version != version);
            if timer.future.is_terminated() {
                changed.await?;
                continue;
            }
            temporalio_sdk::workflows::select! {
                _ = &mut timer.future => timer.due = None,
                changed = &mut changed => changed?,
            }
        }
    }

    /// Is claimed.
    #[update]
    pub(crate) fn claim(&mut self, ctx: &mut SyncWorkflowContext<Self>, ask: Ask) -> Asked {
        let now = ctx.workflow_time().map_or(0, unsigned);
        self.record.claim(ask, now)
    }

    /// Is written to.
    #[update]
    pub(crate) fn write(&mut self, ctx: &mut SyncWorkflowContext<Self>, write: Write) -> Wrote {
        let now = ctx.workflow_time().map_or(0, unsigned);
        self.record.write(write, now)
    }

    /// Refuses what does not fit. It is not asked again when the workflow is replayed.
    #[update_validator(write)]
    fn check(
        &self,
        _ctx: &WorkflowContextView,
        write: &Write,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.record.check(write)?)
    }

    /// Returns records from one on.
    #[query]
    pub(crate) fn page(&self, _ctx: &WorkflowContextView, from: usize) -> Page {
        self.record.page(from)
    }
}

fn is_long(ctx: &WorkflowContext<SagaWorkflow>) -> bool {
    let most = ctx.state(|state| state.record.history);
    ctx.continue_as_new_suggested() || (most > 0 && ctx.history_length() >= most)
}

fn unsigned(time: std::time::SystemTime) -> u64 {
    millis(time).unsigned_abs()
}
