//! Why the server gives no answer.

use car_core::tasks::TaskError;
use temporalio_client::errors::{
    WorkflowInteractionError, WorkflowQueryError, WorkflowStartError, WorkflowUpdateError,
};

/// Why a call to the server failed.
pub(crate) enum Called {
    /// What is asked for is not there; for one that starts a task, it is there already.
    NotThere,
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Why there is no answer.
pub(crate) enum Missing {
    NotThere,
    Failed(TaskError),
}

impl From<WorkflowStartError> for Called {
    fn from(error: WorkflowStartError) -> Self {
        match error {
            WorkflowStartError::AlreadyStarted { .. } => Self::NotThere,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<WorkflowUpdateError> for Called {
    fn from(error: WorkflowUpdateError) -> Self {
        match error {
            WorkflowUpdateError::NotFound(_) => Self::NotThere,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<WorkflowQueryError> for Called {
    fn from(error: WorkflowQueryError) -> Self {
        match error {
            WorkflowQueryError::NotFound(_) => Self::NotThere,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<WorkflowInteractionError> for Called {
    fn from(error: WorkflowInteractionError) -> Self {
        match error {
            WorkflowInteractionError::NotFound(_) => Self::NotThere,
            error => Self::Failed(error.into()),
        }
    }
}

/// Makes the same error once more, for another reader.
pub(crate) fn again(error: &TaskError) -> TaskError {
    match error {
        TaskError::Server {
            server,
            doing,
            effect,
            source,
        } => TaskError::Server {
            server: server.clone(),
            doing,
            effect: *effect,
            source: source.to_string().into(),
        },
        _ => TaskError::Stopped,
    }
}
