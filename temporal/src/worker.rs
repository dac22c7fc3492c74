//! A worker of the SDK on a thread of its own: what it does with workflows stays on one thread.

use std::sync::Arc;
use std::time::Duration;

use car_core::tasks::TaskError;
use temporalio_client::Client;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// First and longest wait before a worker that failed is made anew.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a worker may take to end once its steps have.
const END: Duration = Duration::from_secs(10);

/// A worker that is at work.
#[derive(Debug)]
pub(crate) struct Running {
    shutdown: CancellationToken,
    kill: CancellationToken,
    ended: watch::Receiver<bool>,
}

impl Running {
    /// Begins to work; returns once the worker is made.
    pub(crate) async fn begin(
        runtime: Arc<Runtime>,
        client: Client,
        options: WorkerOptions,
        shared: Arc<Shared>,
    ) -> Result<Self, TaskError> {
        let (end, ended) = watch::channel(false);
        let running = Self {
            shutdown: CancellationToken::new(),
            kill: CancellationToken::new(),
            ended,
        };
        let (ready, is_ready) = oneshot::channel();
        let (shutdown, kill) = (running.shutdown.clone(), running.kill.clone());
        let tokio = tokio::runtime::Handle::current();
        let work = move || {
            let work = work(&runtime, &client, &options, &shutdown, &shared, ready);
            tokio.block_on(async {
                tokio::select! {
                    () = kill.cancelled() => {}
                    () = work => {}
                }
            });
            end.send_replace(true);
        };
        let name = options_name();
        std::thread::Builder::new()
            .name(name)
            .spawn(work)
            .map_err(|error| failed(error.into()))?;
        match is_ready.await {
            Ok(Ok(())) => Ok(running),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(TaskError::Stopped),
        }
    }

    /// Takes no more work.
    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until what it was at has ended.
    pub(crate) async fn ended(&self, grace: Duration) {
        let mut ended = self.ended.clone();
        let limit = grace.saturating_add(END);
        let in_time = tokio::time::timeout(limit, ended.wait_for(|ended| *ended)).await;
        if in_time.is_err() {
            tracing::warn!(
                seconds = limit.as_secs(),
                "a worker does not end; it is cut off"
            );
            self.kill.cancel();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}

type Ready = oneshot::Sender<Result<(), Box<dyn std::error::Error + Send + Sync>>>;

/// Works until it is shut down. A worker that the server turns away is made anew.
async fn work(
    runtime: &Runtime,
    client: &Client,
    options: &WorkerOptions,
    shutdown: &CancellationToken,
    shared: &Shared,
    ready: Ready,
) {
    let mut ready = Some(ready);
    let mut wait = FIRST_WAIT;
    loop {
        let made = Worker::new(runtime, client.clone(), options.clone());
        let mut worker = match made {
            Ok(worker) => worker,
            Err(error) => {
                if let Some(ready) = ready.take() {
                    drop(ready.send(Err(error.into())));
                }
                return;
            }
        };
        if let Some(ready) = ready.take() {
            drop(ready.send(Ok(())));
        }
        let end = worker.shutdown_handle();
        let run = worker.run();
        tokio::pin!(run);
        let ran = tokio::select! {
            ran = &mut run => ran,
            () = shutdown.cancelled() => {
                end();
                run.await
            }
        };
        let Err(error) = ran else { return };
        tracing::warn!(%error, "a worker of the Temporal server ended; it is started again");
        shared.trouble(Some(error.to_string()));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}

fn options_name() -> String {
    "temporal-worker".to_owned()
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> TaskError {
    TaskError::Server {
        server: "Temporal worker".to_owned(),
        doing: "be started",
        effect: car_core::failure::Effect::NotApplied,
        source,
    }
}
