//! How the workflow of a saga is started, found, and shown in lists.

use car_core::saga::Summary;
use temporalio_client::errors::WorkflowStartError;
use temporalio_client::{
    Client, WorkflowHandle, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::protos::temporal::api::workflow::v1::WorkflowExecutionInfo;
use temporalio_common::search_attributes::SearchAttributes;

use super::message::{Begun, SagaForm, SagaInput, Shown};
use super::workflow::{MEMO, SagaWorkflow};
use crate::workflow::{CONNECTOR, STATUS};

/// Where the sagas of a log are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    prefix: String,
    log: String,
}

impl Place {
    pub(crate) fn new(prefix: &str, log: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            log: log.to_owned(),
        }
    }

    /// Queue of the workflows, which all logs of a prefix share.
    pub(crate) fn queue(prefix: &str) -> String {
        format!("{prefix}-sagas")
    }

    /// What the sagas are found by.
    pub(crate) fn mark(&self) -> String {
        format!("{}/{}", self.prefix, self.log)
    }

    fn workflow(&self, id: &str) -> String {
        format!("{}-saga/{}/{id}", self.prefix, self.log)
    }

    /// Starts the workflow of a saga that is new. One that is over, and can be read, is not new;
    /// one that somebody ended by hand may be followed by another.
    pub(crate) async fn start(
        &self,
        client: &Client,
        id: &str,
        begun: Begun,
    ) -> Result<(), WorkflowStartError> {
        let status = car_core::saga::Status::Running.as_str().to_owned();
        let attributes = [CONNECTOR.value_set(self.mark()), STATUS.value_set(status)];
        let options = WorkflowStartOptions::new(Self::queue(&self.prefix), self.workflow(id))
            .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicateFailedOnly)
            .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
            .search_attributes(SearchAttributes::new(attributes))
            .build();
        let input = SagaInput(SagaForm::New(Box::new(begun)));
        client
            .start_workflow(SagaWorkflow::run, input, options)
            .await
            .map(drop)
    }

    /// Returns the workflow of a saga.
    pub(crate) fn handle(&self, client: &Client, id: &str) -> WorkflowHandle<Client, SagaWorkflow> {
        client.get_workflow_handle::<SagaWorkflow>(self.workflow(id))
    }

    /// Reads what a list has of a saga; none for one that has only just begun.
    pub(crate) fn summary(&self, found: &WorkflowExecutionInfo) -> Option<Summary> {
        let workflow = &found.execution.as_ref()?.workflow_id;
        let id = workflow.strip_prefix(&self.workflow(""))?;
        let memo = found.memo.as_ref()?.fields.get(MEMO)?;
        let shown: Shown = serde_json::from_slice(&memo.data).ok()?;
        Some(Summary {
            id: id.to_owned(),
            saga: shown.saga,
            status: shown.stands.status,
            step: shown.stands.step,
            created: shown.created,
            updated: shown.updated,
        })
    }
}
