//! Rows in and out: one contract for data sources, data services, exports and exports of changes.
//!
//! A connector declares the [`Modes`] that it has. The platform, or a folder, is a
//! [`ContainerApi`]; [`run`] stands between both: it reads and writes in batches, makes feedback
//! of failures, compares counts, and refuses to call success what is none.
//!
//! [`make_delta`] compares two snapshots, for where no platform does.

mod api;
mod delta;
mod files;
mod flatten;
mod http;
mod import;
mod log;
mod modes;
mod process;
mod row;
mod run;
mod scan;
mod settings;

pub use api::{
    Abilities, Classification, ContainerApi, InputType, Items, LogLevel, OutputType, Process, Read,
    ReadOptions, Storage, StoreFile,
};
pub use delta::{DeltaCounts, DeltaOptions, make_delta};
pub use files::{FileContainer, Format, RowReader, RowWriter, input_file};
pub use http::{
    ABILITIES_HEADER, HttpContainer, HttpOptions, READ_HEADER, REPEATABLE_READS, REPEATABLE_WRITES,
    USUAL_ADDRESS, WRITE_HEADER,
};
pub use import::ImportSource;
pub(crate) use import::import_as_source;
pub(crate) use log::{Forwarder, forwarding};
pub(crate) use modes::Declared;
pub use modes::{
    Change, DataService, DataSource, Export, ExportDelta, Failures, Job, Mode, ModeContext, Modes,
    Output, Turn,
};
pub use process::wait_for;
pub use row::{Named, Row, RowError, Rows, SEPARATOR};
pub use run::{
    Counts, FeedbackPolicy, Finished, InputCounts, MissingPolicy, OnProgress, Progress, RunOptions,
    Summary, run,
};
pub use scan::{Fields, Value};
pub use settings::ExchangeSettings;
