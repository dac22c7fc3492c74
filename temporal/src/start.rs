//! How the workflow of a task is started, and found.

use temporalio_client::errors::WorkflowStartError;
use temporalio_client::{
    Client, WorkflowHandle, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::search_attributes::SearchAttributes;

use crate::message::{Begin, Input};
use crate::workflow::{CONNECTOR, PARENT, STATUS, TaskWorkflow};

/// Starts the workflow of a task that is new. One at a time: a second one is refused by the
/// server, whoever asks. One that somebody ended by hand may be followed by another.
pub(crate) async fn start(
    client: &Client,
    input: Input,
    begin: &Begin,
) -> Result<(), WorkflowStartError> {
    let ways = &begin.ways;
    let id = begin.task.descriptor().id(&begin.connector);
    let mut attributes = vec![
        CONNECTOR.value_set(ways.mark(&begin.connector)),
        STATUS.value_set(car_core::tasks::Status::Active.as_str().to_owned()),
    ];
    if let Some(parent) = &begin.parent {
        attributes.push(PARENT.value_set(parent.as_str().to_owned()));
    }
    let workflow = ways.workflow(&begin.connector, &id);
    let options = WorkflowStartOptions::new(ways.tasks(), workflow)
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
        .id_conflict_policy(WorkflowIdConflictPolicy::Fail)
        .search_attributes(SearchAttributes::new(attributes))
        .build();
    client
        .start_workflow(TaskWorkflow::run, input, options)
        .await
        .map(drop)
}

/// Returns the workflow of a task.
pub(crate) fn handle(client: &Client, workflow: &str) -> WorkflowHandle<Client, TaskWorkflow> {
    client.get_workflow_handle::<TaskWorkflow>(workflow.to_owned())
}
