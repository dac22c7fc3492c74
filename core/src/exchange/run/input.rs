//! The rows that come in: read ahead by one batch, counted, and missed when they are lost.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::report::InputCounts;
use crate::exchange::api::{ContainerApi, InputType, Items, Read};
use crate::exchange::row::Rows;
use crate::failure::{Effect, Failure, FailureKind};

/// An input of a run.
pub(super) struct Input {
    api: Arc<dyn ContainerApi>,
    input: InputType,
    supplied: bool,
    expected: Option<u64>,
    read: u64,
    rows: Option<mpsc::Receiver<Result<Rows, Failure>>>,
    reading: Option<JoinHandle<()>>,
}

impl Input {
    /// Goes to the start of an input, and finds out whether it was supplied.
    pub(super) async fn find(
        api: &Arc<dyn ContainerApi>,
        input: InputType,
    ) -> Result<Self, Failure> {
        // A container that is started again in a run finds the cursor where it was.
        let supplied = api.restart(input).await?;
        Ok(Self {
            api: Arc::clone(api),
            input,
            supplied,
            expected: None,
            read: 0,
            rows: None,
            reading: None,
        })
    }

    pub(super) fn is_supplied(&self) -> bool {
        self.supplied
    }

    /// Begins to read, a batch ahead.
    pub(super) async fn start(
        mut self,
        options: &RunOptions,
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        if !self.supplied {
            return Ok(self);
        }
        if self.api.may_lose_reads() && options.read.classification.is_none() {
            self.expected = self.api.count(Items::Input(self.input)).await?;
            if self.expected.is_none() {
                tracing::warn!(
                    input = self.input.as_str(),
                    "the platform does not count the rows; lost ones would not be noticed"
                );
            }
        }
        let (sender, receiver) = mpsc::channel(1);
        let (api, input, cancel) = (Arc::clone(&self.api), self.input, cancel.clone());
        let size = options.batch_rows.min(api.largest_batch());
        let read_options = options.read;
        self.rows = Some(receiver);
        self.reading = Some(tokio::spawn(async move {
            while !cancel.is_cancelled() {
                let item = match api.next_batch(input, size, read_options).await {
                    Ok(Read::Rows(rows)) => Ok(rows),
                    // Whichever way the end is told, and an input that is not there is as good
                    // as one that ended: whether it was supplied is known.
                    Ok(Read::NoContent | Read::Empty | Read::NotSupplied) => return,
                    Err(failure) => Err(failure),
                };
                let failed = item.is_err();
                if sender.send(item).await.is_err() || failed {
                    return;
                }
            }
        }));
        Ok(self)
    }

    /// Returns the next batch; none at the end.
    pub(super) async fn next(
        &mut self,
        cancel: &CancellationToken,
    ) -> Result<Option<Rows>, Failure> {
        let Some(receiver) = &mut self.rows else {
            return Ok(None);
        };
        let item = tokio::select! {
            item = receiver.recv() => item,
            () = cancel.cancelled() => {
                return Err(Failure::new(FailureKind::Interrupted, "a signal stopped the run")
                    .hint("run it again: it begins with the first row"));
            }
        };
        match item {
            None => Ok(None),
            Some(Ok(rows)) => {
                self.read = self.read.saturating_add(rows.len() as u64);
                Ok(Some(rows))
            }
            Some(Err(failure)) => Err(self.lost(failure)),
        }
    }

    /// Says what a failed read means: where the answer was on its way, its rows are gone.
    fn lost(&self, failure: Failure) -> Failure {
        let message = format!("reading `{}` failed", self.input);
        if failure.effect() == Effect::NotApplied {
            return failure.wrap(message);
        }
        failure
            .into_kind(FailureKind::RowsLost)
            .wrap(format!(
                "{message}, and rows may have been lost with the answer"
            ))
            .hint("run it again: it begins with the first row")
    }

    /// Compares how many rows came with how many there are.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let (Some(expected), read) = (self.expected, self.read) else {
            return Ok(());
        };
        let message = match read.cmp(&expected) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Less => "fewer rows came than the platform counted",
            std::cmp::Ordering::Greater => "more rows came than the platform counted",
        };
        Err(Failure::new(FailureKind::RowsLost, message)
            .with("input", self.input)
            .with("came", read)
            .with("counted", expected)
            .hint("run it again: it begins with the first row; something else may have read from the same run"))
    }

    pub(super) fn counts(&self) -> InputCounts {
        InputCounts {
            input: self.input.as_str(),
            supplied: self.supplied,
            expected: self.expected,
            read: self.read,
        }
    }

    /// Returns which share was read.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share needs no more precision"
    )]
    pub(super) fn share(&self, api: &dyn ContainerApi) -> Option<f64> {
        match self.expected {
            Some(0) => None,
            Some(expected) => Some((self.read as f64 / expected as f64).min(1.0)),
            None => api.progress(self.input),
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}
