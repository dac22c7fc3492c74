//! Children of a step as an activity: starts those that are new, and asks those that are known.
//! It is kept alive by heartbeats: when its process is killed, another one goes on.

use std::time::Duration;

use car_core::tasks::Restart;
use futures::TryStreamExt as _;
use temporalio_client::errors::{WorkflowInteractionError, WorkflowStartError};
use temporalio_client::{Client, WorkflowSignalOptions};
use temporalio_macros::activities;
use temporalio_sdk::ApplicationFailure;
use temporalio_sdk::activities::{ActivityContext, ActivityError};

use crate::message::{Begin, Brood, Form, Input, Spawned};
use crate::start::{handle, start};
use crate::workflow::TaskWorkflow;

/// Children that are scheduled at the same time, where a step has more than a few.
const AT_ONCE: usize = 16;
const FEW: usize = 20;
/// Heartbeats in the time after which a process that is silent counts as dead.
const BEATS: u32 = 5;

/// Schedules the children of steps.
pub(crate) struct Children;

#[activities]
impl Children {
    /// Schedules children, in their order. Done again, it does nothing twice: each child knows
    /// the key of the step.
    #[activity(name = "car-children")]
    pub(crate) async fn spawn(ctx: ActivityContext, brood: Brood) -> Result<(), ActivityError> {
        let client = ctx.client();
        let beat = Duration::from_millis(brood.ways.heartbeat) / BEATS;
        tokio::select! {
            scheduled = schedule_all(&client, brood) => scheduled,
            () = at_work(&ctx, beat) => Err(ActivityError::cancelled()),
        }
    }
}

/// Tells the server that the activity is at work, until it is cancelled.
async fn at_work(ctx: &ActivityContext, beat: Duration) {
    loop {
        // Fails only when nothing can be made of nothing.
        drop(ctx.record_heartbeat(()).await);
        tokio::select! {
            () = ctx.cancelled() => return,
            () = tokio::time::sleep(beat) => {}
        }
    }
}

async fn schedule_all(client: &Client, mut brood: Brood) -> Result<(), ActivityError> {
    let children = std::mem::take(&mut brood.children);
    // A few come one after the other, so that lists have them in their order.
    let at_once = if children.len() > FEW { AT_ONCE } else { 1 };
    futures::stream::iter(children.into_iter().map(Ok))
        .try_for_each_concurrent(at_once, |child| {
            let brood = &brood;
            async move {
                // A child that comes to its end in between is looked at once more.
                while !schedule(client, brood, &child).await? {}
                Ok(())
            }
        })
        .await
}

async fn schedule(
    client: &Client,
    brood: &Brood,
    child: &car_core::tasks::TaskSpec,
) -> Result<bool, ActivityError> {
    let waiter = brood.waiter.clone().filter(|_| child.is_awaited());
    let begin = Begin {
        connector: brood.connector.clone(),
        parent: Some(brood.parent.clone()),
        task: child.clone(),
        key: Some(brood.key.clone()),
        waiter: waiter.clone(),
        ways: brood.ways.clone(),
    };
    match start(client, Input(Form::New(Box::new(begin.clone()))), &begin).await {
        Ok(()) => return Ok(true),
        Err(WorkflowStartError::AlreadyStarted { .. }) => {}
        Err(error) => return Err(ActivityError::application(ApplicationFailure::new(error))),
    }
    let restart = child.clone().into_parts().restart;
    if restart == Restart::Never && waiter.is_none() {
        return Ok(true);
    }
    let spawned = Spawned {
        task: child.clone(),
        key: brood.key.clone(),
        waiter,
    };
    let id = child.descriptor().id(&brood.connector);
    let known = handle(client, &brood.ways.workflow(&brood.connector, &id));
    let options = WorkflowSignalOptions::default();
    match known.signal(TaskWorkflow::spawned, spawned, options).await {
        Ok(()) => Ok(true),
        Err(WorkflowInteractionError::NotFound(_)) => Ok(false),
        Err(error) => Err(ActivityError::application(ApplicationFailure::new(error))),
    }
}
