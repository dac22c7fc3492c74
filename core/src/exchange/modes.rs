//! What an author implements to exchange rows, and how a connector declares it.
//!
//! An author reads, changes or sends a batch of rows; the runner owns the loop, both sides'
//! limits, feedback, counts and the end.

use std::fmt;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::row::{RowError, Rows, SEPARATOR};
use crate::config::{Catalog, Loaded};
use crate::connector::Settings;
use crate::failure::Failure;

/// A way in which rows are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Rows of a source become the dataset.
    DataSource,
    /// Rows of the dataset are changed.
    DataService,
    /// Rows of the dataset are sent somewhere.
    Export,
    /// What changed in the dataset is sent somewhere.
    ExportDelta,
}

/// What happened to rows since the last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// They were not there: create them.
    New,
    /// They were different: update them.
    Modified,
    /// They were the same: nothing is to be done.
    Unchanged,
    /// They are not there any more: remove them.
    Deleted,
}

/// Whether there is more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Call again.
    More,
    /// That was all.
    End,
}

/// Rows that an author gives, and those that cannot be given.
#[derive(Debug, Default)]
pub struct Output {
    /// Rows for the dataset.
    pub rows: Rows,
    /// Rows that failed.
    pub failures: Failures,
}

/// Rows that failed, each with a reason; feedback is made of them.
#[derive(Debug, Default)]
pub struct Failures {
    pub(super) list: Vec<RowFailure>,
}

#[derive(Debug)]
pub(super) struct RowFailure {
    /// Place in the present batch.
    pub(super) index: Option<usize>,
    /// The row, where it is in no batch.
    pub(super) record: Rows,
    pub(super) message: String,
}

impl Failures {
    /// Says that a row of the present batch failed, by its place from 0.
    pub fn row(&mut self, index: usize, message: impl Into<String>) {
        self.list.push(RowFailure {
            index: Some(index),
            record: Rows::new(),
            message: message.into(),
        });
    }

    /// Says that something failed that is in no batch: a record of a source, as JSON where it can
    /// be written so.
    ///
    /// # Errors
    ///
    /// When the record is no row; the failure counts all the same.
    pub fn record(&mut self, json: &[u8], message: impl Into<String>) -> Result<(), RowError> {
        let mut record = Rows::new();
        let pushed = record.push_json(json, SEPARATOR);
        self.list.push(RowFailure {
            index: None,
            record,
            message: message.into(),
        });
        pushed.map(drop)
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Reads a source into rows.
#[async_trait]
pub trait DataSource: Send {
    /// Adds the next rows, a page or a thousand of them.
    ///
    /// # Behaviour
    ///
    /// Is called until it returns [`Turn::End`]. After a failure with a
    /// [`Retry`](crate::failure::Retry) it is called again, and what it added before failing is
    /// forgotten: it must give the same page then.
    ///
    /// # Errors
    ///
    /// Any failure; one without a retry ends the run, and the dataset stays as it was where the
    /// platform allows that.
    async fn read(&mut self, output: &mut Output) -> Result<Turn, Failure>;
}

/// Changes rows of the dataset. Rows that it does not write are gone from the dataset.
#[async_trait]
pub trait DataService: Send {
    /// Adds what becomes of a batch of rows.
    ///
    /// # Behaviour
    ///
    /// After a failure with a [`Retry`](crate::failure::Retry) it is called again with the same
    /// batch, and what it added before failing is forgotten.
    ///
    /// # Errors
    ///
    /// Any failure; one without a retry ends the run. A single row that cannot be changed is not
    /// one, but goes to [`Output::failures`].
    async fn transform(&mut self, rows: &Rows, output: &mut Output) -> Result<(), Failure>;

    /// Adds what is left once all rows were seen.
    ///
    /// # Errors
    ///
    /// Any failure; it ends the run.
    async fn finish(&mut self, _output: &mut Output) -> Result<(), Failure> {
        Ok(())
    }

    /// Says whether reading rows and writing none can be right. Otherwise the run fails then,
    /// because nothing written is nothing left.
    fn may_empty(&self) -> bool {
        false
    }
}

/// Sends rows somewhere.
#[async_trait]
pub trait Export: Send {
    /// Sends a batch of rows.
    ///
    /// # Behaviour
    ///
    /// After a failure with a [`Retry`](crate::failure::Retry) whose
    /// [effect](crate::failure::Effect) is that nothing was sent, it is called again with the
    /// same batch. Otherwise all rows of the batch that are not in `failures` count as unknown.
    ///
    /// # Errors
    ///
    /// Any failure; it ends the run. A single row that is refused is not one, but goes to
    /// `failures`.
    async fn send(&mut self, rows: &Rows, failures: &mut Failures) -> Result<(), Failure>;

    /// Ends the export; `complete` says whether every row of the dataset was sent to it.
    ///
    /// # Errors
    ///
    /// Any failure; it ends the run.
    async fn finish(&mut self, _complete: bool) -> Result<(), Failure> {
        Ok(())
    }
}

/// Sends what changed somewhere.
#[async_trait]
pub trait ExportDelta: Send {
    /// Sends a batch of rows to which the same happened. A run that is made again sends them
    /// again, so creating what is there and removing what is gone must do no harm.
    ///
    /// # Behaviour
    ///
    /// As [`Export::send`].
    ///
    /// # Errors
    ///
    /// As [`Export::send`].
    async fn send(
        &mut self,
        change: Change,
        rows: &Rows,
        failures: &mut Failures,
    ) -> Result<(), Failure>;

    /// Ends the export; `complete` says whether every change was sent to it.
    ///
    /// # Errors
    ///
    /// Any failure; it ends the run.
    async fn finish(&mut self, _complete: bool) -> Result<(), Failure> {
        Ok(())
    }

    /// Says whether unchanged rows are wanted, too.
    fn wants_unchanged(&self) -> bool {
        false
    }
}

/// What a mode is given when it is opened.
#[derive(Debug, Clone)]
pub struct ModeContext {
    /// Name of the source, empty when it has none.
    pub source: String,
    /// Cancelled when the run has to end; long waits should watch it.
    pub cancel: CancellationToken,
}

/// What a run does.
pub enum Job {
    /// Reads a source.
    Source(Box<dyn DataSource>),
    /// Changes rows.
    Service(Box<dyn DataService>),
    /// Sends rows.
    Export(Box<dyn Export>),
    /// Sends changes.
    Delta(Box<dyn ExportDelta>),
}

/// The modes of a connector.
///
/// ```
/// use async_trait::async_trait;
/// use car_core::Failure;
/// use car_core::exchange::{DataSource, ModeContext, Modes, Output, Turn};
///
/// /// How many rows to make.
/// #[derive(Debug, clap::Args, schemars::JsonSchema)]
/// struct Settings {
///     /// Rows to make
///     #[arg(long, env = "ROWS", default_value_t = 3)]
///     rows: u32,
/// }
///
/// struct Numbers(std::ops::Range<u32>);
///
/// #[async_trait]
/// impl DataSource for Numbers {
///     async fn read(&mut self, output: &mut Output) -> Result<Turn, Failure> {
///         for number in self.0.by_ref().take(1000) {
///             output.rows.push_columns([("number", number.to_string().as_str())]);
///         }
///         Ok(if self.0.is_empty() { Turn::End } else { Turn::More })
///     }
/// }
///
/// fn open(settings: Settings, _: ModeContext) -> Result<Numbers, Failure> {
///     Ok(Numbers(0..settings.rows))
/// }
///
/// // What a connector's `Connector::modes` returns.
/// let modes = Modes::none().data_source(open);
/// ```
#[derive(Default)]
pub struct Modes {
    pub(crate) declared: Vec<Declared>,
}

/// A mode that a connector has.
pub(crate) struct Declared {
    pub(crate) mode: Mode,
    /// Adds the mode's settings to a command.
    pub(crate) catalog: fn(clap::Command) -> Catalog,
    pub(crate) open: Box<Open>,
}

type Open = dyn Fn(&Loaded, ModeContext) -> Result<Job, Failure> + Send + Sync;

impl Modes {
    /// Declares none.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Declares the mode `data-source`; `open` makes it of its settings, without talking to
    /// anybody yet.
    #[must_use]
    pub fn data_source<S: Settings, D: DataSource + 'static>(
        self,
        open: fn(S, ModeContext) -> Result<D, Failure>,
    ) -> Self {
        self.with(Mode::DataSource, open, |mode| Job::Source(Box::new(mode)))
    }

    /// Declares the mode `data-service`.
    #[must_use]
    pub fn data_service<S: Settings, D: DataService + 'static>(
        self,
        open: fn(S, ModeContext) -> Result<D, Failure>,
    ) -> Self {
        self.with(Mode::DataService, open, |mode| Job::Service(Box::new(mode)))
    }

    /// Declares the mode `export`.
    #[must_use]
    pub fn export<S: Settings, E: Export + 'static>(
        self,
        open: fn(S, ModeContext) -> Result<E, Failure>,
    ) -> Self {
        self.with(Mode::Export, open, |mode| Job::Export(Box::new(mode)))
    }

    /// Declares the mode `export-delta`.
    #[must_use]
    pub fn export_delta<S: Settings, E: ExportDelta + 'static>(
        self,
        open: fn(S, ModeContext) -> Result<E, Failure>,
    ) -> Self {
        self.with(Mode::ExportDelta, open, |mode| Job::Delta(Box::new(mode)))
    }

    fn with<S: Settings, M: 'static>(
        mut self,
        mode: Mode,
        open: fn(S, ModeContext) -> Result<M, Failure>,
        job: fn(M) -> Job,
    ) -> Self {
        self.declared.push(Declared {
            mode,
            catalog: Catalog::new::<super::settings::Whole<S>>,
            open: Box::new(move |loaded, context| open(loaded.settings()?, context).map(job)),
        });
        self
    }
}

impl fmt::Debug for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes = self.declared.iter().map(|declared| declared.mode);
        f.debug_list().entries(modes).finish()
    }
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::DataSource,
        Self::DataService,
        Self::Export,
        Self::ExportDelta,
    ];

    /// Returns its verb.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DataSource => "data-source",
            Self::DataService => "data-service",
            Self::Export => "export",
            Self::ExportDelta => "export-delta",
        }
    }

    /// Returns the one with this verb.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Says what it does, for help texts.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::DataSource => "Read the source into rows of a dataset",
            Self::DataService => "Change rows of a dataset",
            Self::Export => "Send the rows of a dataset",
            Self::ExportDelta => "Send what changed in a dataset",
        }
    }
}

impl Change {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.input().as_str()
    }

    /// Returns the input with such rows.
    #[must_use]
    pub const fn input(self) -> super::api::InputType {
        use super::api::InputType;
        match self {
            Self::New => InputType::New,
            Self::Modified => InputType::Modified,
            Self::Unchanged => InputType::Unchanged,
            Self::Deleted => InputType::Deleted,
        }
    }
}
