//! A run of a mode: the loop between both sides, and what counts as success.

mod input;
mod output;
mod report;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::api::{ContainerApi, InputType, OutputType, ReadOptions};
use super::modes::{
    Change, DataService, DataSource, Export, ExportDelta, Failures, Job, Mode, Output, Turn,
};
use super::row::Rows;
use crate::config::Limit;
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::layer::Backoff;
use crate::secret::Redactor;
use input::Input;
use output::Writer;
pub use report::{Counts, InputCounts, Progress, Summary};

/// Which rows feedback is written about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FeedbackPolicy {
    /// None.
    None,
    /// Those that failed, or may have.
    #[default]
    Failures,
    /// All that were sent.
    All,
}

/// What a delta is without one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingPolicy {
    /// One in which nothing of that kind happened.
    #[default]
    Empty,
    /// None.
    Failure,
}

/// How a run works, and what counts as success.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Rows in one read and one write.
    pub batch_rows: usize,
    /// Which rows and columns are read.
    pub read: ReadOptions,
    /// Which rows feedback is written about.
    pub feedback: FeedbackPolicy,
    /// Columns of feedback rows; all of the row, if there is none.
    pub feedback_columns: Vec<String>,
    /// Failed rows with which the run succeeds.
    pub max_failures: Limit,
    /// Whether the dataset may be left empty.
    pub allow_empty: bool,
    /// What a delta is without one of its inputs.
    pub missing: MissingPolicy,
    /// How an author's calls that failed are made again.
    pub backoff: Backoff,
    /// Takes secrets out of feedback.
    pub redactor: Arc<Redactor>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            batch_rows: 8192,
            read: ReadOptions::default(),
            feedback: FeedbackPolicy::default(),
            feedback_columns: Vec::new(),
            max_failures: Limit::Count(0),
            allow_empty: false,
            missing: MissingPolicy::default(),
            backoff: Backoff::default(),
            redactor: Arc::default(),
        }
    }
}

/// Takes the progress of a run, now and then. Must not block.
pub type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// What came of a run.
#[derive(Debug)]
pub struct Finished {
    /// What was done.
    pub summary: Summary,
    /// Why it is no success.
    pub failure: Option<Failure>,
}

/// Runs a mode to its end, however that is.
pub async fn run(
    job: Job,
    api: Arc<dyn ContainerApi>,
    options: RunOptions,
    on_progress: OnProgress,
    cancel: CancellationToken,
) -> Finished {
    let began = Instant::now();
    let mode = match &job {
        Job::Source(_) => Mode::DataSource,
        Job::Service(_) => Mode::DataService,
        Job::Export(_) => Mode::Export,
        Job::Delta(_) => Mode::ExportDelta,
    };
    let mut run = Run {
        output: Writer::new(&api, OutputType::Output, options.batch_rows),
        feedback: Writer::new(&api, OutputType::Feedback, options.batch_rows),
        counts: Counts::default(),
        inputs: Vec::new(),
        api,
        options,
        on_progress,
        cancel,
    };
    let outcome = run.all(job).await;
    let outcome = match outcome {
        Ok(()) => run.verdict(mode),
        failed => failed,
    };
    let outcome = run.end(mode, outcome).await;
    Finished {
        summary: Summary {
            mode,
            inputs: run.inputs,
            counts: Counts {
                written: run.output.written(),
                feedback: run.feedback.written(),
                ..run.counts
            },
            duration: began.elapsed(),
        },
        failure: outcome.err(),
    }
}

struct Run {
    api: Arc<dyn ContainerApi>,
    options: RunOptions,
    on_progress: OnProgress,
    cancel: CancellationToken,
    output: Writer,
    feedback: Writer,
    counts: Counts,
    inputs: Vec<InputCounts>,
}

impl Run {
    async fn all(&mut self, job: Job) -> Result<(), Failure> {
        let abilities = self.api.ping().await?;
        self.output.begin(abilities).await;
        self.feedback.begin(abilities).await;
        match job {
            Job::Source(source) => self.source(source).await,
            Job::Service(service) => self.service(service).await,
            Job::Export(export) => {
                let export = Mutex::new(export);
                let sent = self.export(&export).await;
                let finished = export.into_inner().finish(sent.is_ok()).await;
                sent.and(finished)
            }
            Job::Delta(export) => {
                let export = Mutex::new(export);
                let sent = self.delta(&export).await;
                let finished = export.into_inner().finish(sent.is_ok()).await;
                sent.and(finished)
            }
        }
    }

    async fn source(&mut self, source: Box<dyn DataSource>) -> Result<(), Failure> {
        let state = Mutex::new((source, Output::default()));
        loop {
            self.stopped()?;
            let backoff = self.options.backoff;
            let turn = backoff
                .retry(
                    &self.cancel,
                    || async {
                        let (source, output) = &mut *state.lock().await;
                        output.rows.clear();
                        output.failures.list.clear();
                        source.read(output).await
                    },
                    told,
                )
                .await?;
            let (_, output) = &mut *state.lock().await;
            self.counts.read = self.counts.read.saturating_add(output.rows.len() as u64);
            self.pass_on(output, &Rows::new()).await?;
            self.tell(None);
            if turn == Turn::End {
                return Ok(());
            }
        }
    }

    async fn service(&mut self, service: Box<dyn DataService>) -> Result<(), Failure> {
        let mut input = self.whole_input().await?;
        self.options.allow_empty |= service.may_empty();
        let state = Mutex::new((service, Output::default()));
        while let Some(rows) = self.next(&mut input).await? {
            let backoff = self.options.backoff;
            let transform = || async {
                let (service, output) = &mut *state.lock().await;
                output.rows.clear();
                output.failures.list.clear();
                service.transform(&rows, output).await
            };
            backoff.retry(&self.cancel, transform, told).await?;
            let (_, output) = &mut *state.lock().await;
            self.pass_on(output, &rows).await?;
            self.tell(Some(&input));
        }
        let (service, output) = &mut *state.lock().await;
        output.rows.clear();
        output.failures.list.clear();
        service.finish(output).await?;
        self.pass_on(output, &Rows::new()).await?;
        self.ended(input)
    }

    async fn export(&mut self, export: &Mutex<Box<dyn Export>>) -> Result<(), Failure> {
        let mut input = self.whole_input().await?;
        while let Some(rows) = self.next(&mut input).await? {
            let failures = Mutex::new(Failures::default());
            let send = || async {
                let mut failures = failures.lock().await;
                failures.list.clear();
                let sent = export.lock().await.send(&rows, &mut failures).await;
                sent.map_err(once)
            };
            let sent = self.options.backoff.retry(&self.cancel, send, told).await;
            self.sent(&rows, failures.into_inner(), sent, None).await?;
            self.tell(Some(&input));
        }
        self.ended(input)
    }

    async fn delta(&mut self, export: &Mutex<Box<dyn ExportDelta>>) -> Result<(), Failure> {
        let wants_unchanged = export.lock().await.wants_unchanged();
        let mut is_there = false;
        let mut inputs = Vec::new();
        // Before anything is sent it is known whether there is a delta at all.
        for change in [
            Change::New,
            Change::Modified,
            Change::Unchanged,
            Change::Deleted,
        ] {
            if change == Change::Unchanged && !wants_unchanged {
                continue;
            }
            let input = Input::find(&self.api, change.input()).await?;
            is_there |= input.is_supplied();
            if !input.is_supplied() && self.options.missing == MissingPolicy::Failure {
                return Err(not_supplied(change.as_str())
                    .hint("`--missing-input empty` takes it for one with nothing in it"));
            }
            inputs.push((change, input));
        }
        if !is_there {
            return Err(not_supplied("new, modified and deleted")
                .hint("the channel has to be a delta channel with a key column; with `--exchange`, `--delta-key` makes the inputs of before.jsonl and input.jsonl"));
        }
        for (change, input) in inputs {
            let mut input = input.start(&self.options, &self.cancel).await?;
            while let Some(rows) = self.next(&mut input).await? {
                let failures = Mutex::new(Failures::default());
                let send = || async {
                    let mut failures = failures.lock().await;
                    failures.list.clear();
                    let sent = export.lock().await.send(change, &rows, &mut failures).await;
                    sent.map_err(once)
                };
                let sent = self.options.backoff.retry(&self.cancel, send, told).await;
                self.sent(&rows, failures.into_inner(), sent, Some(change))
                    .await?;
                self.tell(Some(&input));
            }
            self.ended(input)?;
        }
        Ok(())
    }

    /// Finds the input with everything in it, by its name or the old one.
    async fn whole_input(&mut self) -> Result<Input, Failure> {
        let mut input = Input::find(&self.api, InputType::Input).await?;
        if !input.is_supplied() {
            input = Input::find(&self.api, InputType::Full).await?;
        }
        if !input.is_supplied() {
            return Err(not_supplied("input"));
        }
        input.start(&self.options, &self.cancel).await
    }

    async fn next(&mut self, input: &mut Input) -> Result<Option<Rows>, Failure> {
        self.stopped()?;
        let next = input.next(&self.cancel).await;
        if next.is_err() {
            self.inputs.push(input.counts());
        }
        let rows = next?;
        let count = rows.as_ref().map_or(0, Rows::len) as u64;
        self.counts.read = self.counts.read.saturating_add(count);
        Ok(rows)
    }

    fn ended(&mut self, input: Input) -> Result<(), Failure> {
        self.inputs.push(input.counts());
        input.check()
    }

    /// Writes what an author gave; `rows` is the batch that failures point into.
    async fn pass_on(&mut self, output: &Output, rows: &Rows) -> Result<(), Failure> {
        self.output.write(&output.rows).await?;
        let feedback = report::feedback(&self.options, rows, &output.failures, None, None);
        let failed = output.failures.len() as u64;
        self.counts.failed = self.counts.failed.saturating_add(failed);
        self.feedback.write(&feedback).await
    }

    /// Counts what became of a batch that was sent, and writes feedback about it.
    async fn sent(
        &mut self,
        rows: &Rows,
        failures: Failures,
        sent: Result<(), Failure>,
        change: Option<Change>,
    ) -> Result<(), Failure> {
        let feedback =
            report::feedback(&self.options, rows, &failures, sent.as_ref().err(), change);
        let failed = failures.len() as u64;
        let others = (rows.len() as u64).saturating_sub(failed);
        self.counts.failed = self.counts.failed.saturating_add(failed);
        let counter = match &sent {
            Ok(()) => &mut self.counts.sent,
            Err(failure) if failure.effect() == Effect::NotApplied => &mut self.counts.failed,
            Err(_) => &mut self.counts.unknown,
        };
        *counter = counter.saturating_add(others);
        let written = self.feedback.write(&feedback).await;
        sent.map_err(|failure| failure.wrap("sending rows failed"))
            .and(written)
    }

    /// Decides whether a run that came to its end is a success.
    fn verdict(&self, mode: Mode) -> Result<(), Failure> {
        let Counts { read, failed, .. } = self.counts;
        let written = self.output.written();
        let wipes = match mode {
            Mode::DataSource => written == 0,
            Mode::DataService => written == 0 && read > 0,
            Mode::Export | Mode::ExportDelta => false,
        };
        let all = match mode {
            // Failed records were never rows.
            Mode::DataSource => read.saturating_add(failed),
            Mode::DataService | Mode::Export | Mode::ExportDelta => read,
        };
        if !self.options.max_failures.allows(failed, all) {
            return Err(Failure::new(
                FailureKind::Partial,
                format!("{failed} of {all} rows failed"),
            )
            .hint("the feedback says which, and why")
            .hint(format!(
                "`--max-failures` says how many may fail; it is {}",
                self.options.max_failures
            )));
        }
        if wipes && !self.options.allow_empty {
            return Err(Failure::new(
                FailureKind::Held,
                format!(
                    "{read} rows were read and none was written, which would empty the dataset"
                ),
            )
            .hint("if that is right, run it with `--allow-empty`"));
        }
        Ok(())
    }

    /// Ends the outputs: the rows of a run that failed do not replace those of an earlier one
    /// where that can be helped, but its feedback is kept.
    async fn end(&mut self, mode: Mode, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let has_output = matches!(mode, Mode::DataSource | Mode::DataService);
        let outcome = if has_output {
            let ended = self.api.finish(OutputType::Output, outcome.is_ok()).await;
            outcome.and(ended)
        } else {
            outcome
        };
        let kept = self.api.finish(OutputType::Feedback, true).await;
        outcome.and(kept)
    }

    fn stopped(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() {
            return Err(
                Failure::new(FailureKind::Interrupted, "a signal stopped the run")
                    .hint("run it again: it begins with the first row"),
            );
        }
        Ok(())
    }

    fn tell(&self, input: Option<&Input>) {
        (self.on_progress)(&Progress {
            read: self.counts.read,
            written: self.output.written(),
            sent: self.counts.sent,
            failed: self.counts.failed,
            share: input.and_then(|input| input.share(&*self.api)),
        });
    }
}

fn not_supplied(name: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        format!("the platform supplied no rows as `{name}`"),
    )
    .hint("check that the mode fits what the connector is registered as; with `--exchange`, put input.jsonl or input.csv into the folder")
}

/// Takes the wish to be made again from a failure after which rows may have been sent.
fn once(failure: Failure) -> Failure {
    if failure.effect() == Effect::NotApplied {
        failure
    } else {
        failure.with_retry(Retry::Never)
    }
}

fn told(wait: crate::layer::Wait<'_>) {
    tracing::warn!(
        attempt = wait.attempt,
        wait_ms = u64::try_from(wait.wait.as_millis()).unwrap_or(u64::MAX),
        error = wait.failure.chain().join(": ").as_str(),
        "waiting before the next attempt"
    );
}
