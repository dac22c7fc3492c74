//! Waiting for what the platform does.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::{ContainerApi, Process};
use crate::failure::{Failure, FailureKind};

/// First and longest wait between two looks.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(15);

/// Waits until a process of the platform is over, at most for `deadline`.
///
/// # Errors
///
/// A process that is not known, did not end in time, or ended with another exit code than 0; a
/// cancelled run; and what asking for it may fail with.
pub async fn wait_for(
    api: &dyn ContainerApi,
    id: &str,
    deadline: Duration,
    cancel: &CancellationToken,
) -> Result<Process, Failure> {
    let began = Instant::now();
    let mut wait = FIRST;
    loop {
        let Some(process) = api.process(id).await? else {
            return Err(Failure::new(
                FailureKind::PlatformUnexpected,
                "the platform does not know the process",
            )
            .with("process", id));
        };
        if !process.is_running() {
            return match process.exit_code {
                Some(0) | None => Ok(process),
                Some(code) => Err(Failure::new(
                    FailureKind::PlatformRejected,
                    "a process of the platform failed",
                )
                .with("process", id)
                .with("exit code", code)
                .hint("the log of the platform says why")),
            };
        }
        if began.elapsed().saturating_add(wait) > deadline {
            return Err(Failure::new(
                FailureKind::PlatformUnavailable,
                "a process of the platform did not end in time",
            )
            .with("process", id)
            .with("seconds", deadline.as_secs()));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = cancel.cancelled() => {
                return Err(Failure::new(
                    FailureKind::Interrupted,
                    "stopped while waiting for a process of the platform",
                ));
            }
        }
        wait = wait.saturating_mul(2).min(LONGEST);
    }
}
