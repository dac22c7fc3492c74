//! What the framework asks an engine for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use car_core::tasks::{
    Activity, Health, Listing, Resolve, ScheduleEffect, Scheduled, TaskEngine, TaskError,
    TaskHistory, TaskId, TaskPage, TaskSpec, TaskView,
};
use temporalio_client::WorkflowQueryOptions;
use temporalio_sdk::WorkerOptions;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};

use super::{Started, TemporalEngine, no_task};
use crate::called::Missing;
use crate::list;
use crate::message::Action;
use crate::server::version;
use crate::start::handle;
use crate::steps::Steps;
use crate::workflow::TaskWorkflow;

#[async_trait]
impl TaskEngine for TemporalEngine {
    async fn start(
        &self,
        connector: &str,
        limit: usize,
        resolve: Arc<dyn Resolve>,
    ) -> Result<(), TaskError> {
        self.check()?;
        let limit = limit.max(1);
        let mut connectors = self.connectors.lock().await;
        if let Some(started) = connectors.get(connector)
            && started.limit == limit
        {
            started.steps.replace(resolve);
            return Ok(());
        }
        // The server lets a worker keep its limit: another limit is another worker.
        if let Some(started) = connectors.remove(connector) {
            Self::end(started).await;
        }
        let beat = self.options.beat;
        let steps = Steps::new(connector, resolve, beat, Arc::clone(&self.server.shared));
        let slots = |slots| FixedSizeSlotSupplier::new(slots);
        let tuner = TunerHolder::builder()
            .workflow_task_slot_supplier(slots(2))
            .activity_task_slot_supplier(slots(limit))
            .local_activity_task_slot_supplier(slots(1))
            .nexus_task_slot_supplier(slots(1))
            .build();
        let worker = WorkerOptions::new(self.ways.steps(connector))
            .deployment_options(version())
            .tuner(tuner)
            .max_heartbeat_throttle_interval(beat)
            .default_heartbeat_throttle_interval(beat)
            .register_activities(steps.clone())
            .build();
        let worker = self.server.work(worker).await?;
        let started = Started {
            limit,
            steps,
            worker,
        };
        connectors.insert(connector.to_owned(), started);
        Ok(())
    }

    async fn halt(&self, connector: &str) -> Result<(), TaskError> {
        let started = self.connectors.lock().await.remove(connector);
        if let Some(started) = started {
            Self::end(started).await;
        }
        Ok(())
    }

    async fn forget(&self, connector: &str) -> Result<(), TaskError> {
        self.check()?;
        self.halt(connector).await?;
        list::forget(self, connector).await
    }

    async fn schedule(&self, connector: &str, task: TaskSpec) -> Result<Scheduled, TaskError> {
        self.place(connector, task)
            .await
            .map(|(scheduled, _)| scheduled)
    }

    async fn run(
        &self,
        connector: &str,
        task: TaskSpec,
        patience: Duration,
    ) -> Result<Scheduled, TaskError> {
        let (scheduled, run) = self.place(connector, task).await?;
        if scheduled.effect == ScheduleEffect::Ended {
            return Ok(scheduled);
        }
        let wait = self.wait(connector, &scheduled.id, run);
        match tokio::time::timeout(patience, wait).await {
            Err(_) => Err(TaskError::TooLate(patience.as_secs())),
            Ok(ended) => ended.map(|()| scheduled),
        }
    }

    async fn task(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.look(connector, task).await
    }

    async fn history(&self, connector: &str, task: &TaskId) -> Result<TaskHistory, TaskError> {
        let view = self.look(connector, task).await?;
        let workflow = handle(&self.server.client, &self.ways.workflow(connector, task));
        let options = WorkflowQueryOptions::default();
        let query = workflow.query(TaskWorkflow::history, (), options);
        match self.server.call("tell of a task", false, query).await {
            Ok(history) => Ok(TaskHistory {
                task: view,
                ..history
            }),
            Err(Missing::NotThere) => Err(no_task(connector, task)),
            Err(Missing::Failed(error)) => Err(error),
        }
    }

    async fn tasks(&self, connector: &str, listing: &Listing) -> Result<TaskPage, TaskError> {
        list::page(self, connector, listing).await
    }

    async fn retry(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.act(connector, task, Action::Retry, "retried").await
    }

    async fn pause(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        let view = self.act(connector, task, Action::Pause, "paused").await?;
        if !matches!(view.activity, Activity::Due | Activity::Retrying) {
            return Ok(view);
        }
        // No process has begun the step: it is taken back, so that none does.
        self.act(connector, task, Action::Withdraw, "paused").await
    }

    async fn resume(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.act(connector, task, Action::Resume, "resumed").await
    }

    async fn stop(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.act(connector, task, Action::Stop, "stopped").await
    }

    async fn health(&self) -> Health {
        let mut health = self.server.shared.health();
        let connectors: Vec<String> = self.connectors.lock().await.keys().cloned().collect();
        for connector in connectors {
            match list::counts(self, &connector).await {
                Ok(counts) => drop(health.tasks.insert(connector, counts)),
                Err(error) => {
                    health.trouble.get_or_insert_with(|| error.to_string());
                }
            }
        }
        health
    }

    async fn close(&self) -> Result<(), TaskError> {
        self.closed.store(true, Ordering::SeqCst);
        let connectors = std::mem::take(&mut *self.connectors.lock().await);
        futures::future::join_all(connectors.into_values().map(Self::end)).await;
        self.workflows.shut_down();
        self.workflows.ended(Duration::ZERO).await;
        Ok(())
    }
}
