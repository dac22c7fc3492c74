//! The settings that all modes have.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use schemars::JsonSchema;

use super::files::Format;
use super::http::USUAL_ADDRESS;
use super::run::{FeedbackPolicy, MissingPolicy};
use crate::config::{Limit, Span};
use crate::connector::Settings;

/// Where rows come from and go to, and what counts as success.
#[derive(Debug, Clone, Args, JsonSchema)]
#[group(skip)]
pub struct ExchangeSettings {
    /// Folder to exchange rows with, instead of a platform: input.jsonl or input.csv is read,
    /// output and feedback are written
    #[arg(long, value_name = "FOLDER", env = "EXCHANGE", value_hint = ValueHint::DirPath,
          help_heading = "Exchange")]
    pub exchange: Option<PathBuf>,

    /// Address of the platform's container API
    #[arg(
        long,
        value_name = "URL",
        env = "CONTAINER_API",
        default_value = USUAL_ADDRESS,
        help_heading = "Exchange"
    )]
    pub container_api: String,

    /// Longest time for one call to it
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2m",
        help_heading = "Exchange"
    )]
    pub container_api_timeout: Span,

    /// How long a call that does no harm when it is made twice is tried again
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1m",
        help_heading = "Exchange"
    )]
    pub container_api_retry_for: Span,

    /// Rows in one read and one write, as far as the other side allows: 999 in a platform, 8192
    /// in files
    #[arg(long, value_name = "ROWS", default_value = "8192", help_heading = "Exchange",
          value_parser = RangedU64ValueParser::<u64>::new().range(1..=8192).map(to_usize))]
    pub batch_rows: usize,

    /// What joins the names of nested columns
    #[arg(long, value_name = "TEXT", help_heading = "Exchange")]
    pub separator: Option<String>,

    /// Read columns whose names begin with an underscore, too
    #[arg(long, help_heading = "Exchange")]
    pub show_hidden: bool,

    /// Read only rows of the classification with this number
    #[arg(long, value_name = "ID", help_heading = "Exchange")]
    pub classification: Option<u64>,

    /// How files are written: jsonl or csv
    #[arg(long, value_name = "FORMAT", default_value = "jsonl", help_heading = "Exchange",
          value_parser = Format::parser())]
    #[schemars(with = "String")]
    pub exchange_format: Format,

    /// Columns that tell the rows of before.jsonl and input.jsonl in the folder apart: new,
    /// modified, unchanged and deleted rows are made of the two first
    #[arg(
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        help_heading = "Exchange"
    )]
    pub delta_key: Vec<String>,

    /// Which rows feedback is written about: none, failures or all
    #[arg(long, value_name = "WHICH", default_value = "failures", help_heading = "Exchange",
          value_parser = PossibleValuesParser::new(["none", "failures", "all"]).map(feedback))]
    #[schemars(with = "String")]
    pub feedback: FeedbackPolicy,

    /// Columns of feedback rows beside the status [default: all]
    #[arg(
        long,
        value_name = "COLUMNS",
        value_delimiter = ',',
        help_heading = "Exchange"
    )]
    pub feedback_columns: Vec<String>,

    /// Failed rows with which a run succeeds: a share, as in 5%, or a number, as in 50
    #[arg(
        long,
        value_name = "LIMIT",
        default_value = "0",
        help_heading = "Exchange"
    )]
    pub max_failures: Limit,

    /// Let a run succeed that leaves the dataset empty
    #[arg(long, help_heading = "Exchange")]
    pub allow_empty: bool,

    /// What a delta is without one of its inputs: empty, or a failure
    #[arg(long, value_name = "WHAT", default_value = "empty", help_heading = "Exchange",
          value_parser = PossibleValuesParser::new(["empty", "failure"]).map(missing))]
    #[schemars(with = "String")]
    pub missing_input: MissingPolicy,

    /// Least serious log lines that go to the platform: none, error, warning, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = "Exchange",
          value_parser = PossibleValuesParser::new(["none", "error", "warning", "info", "debug"]))]
    pub platform_log: String,
}

/// The settings of a mode: its own, and those of all.
#[derive(Debug, Args, JsonSchema)]
#[group(skip)]
pub(super) struct Whole<S: Settings> {
    #[command(flatten)]
    own: S,
    #[command(flatten)]
    exchange: ExchangeSettings,
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the parser hands over a `String`"
)]
fn feedback(word: String) -> FeedbackPolicy {
    match word.as_str() {
        "none" => FeedbackPolicy::None,
        "all" => FeedbackPolicy::All,
        _ => FeedbackPolicy::Failures,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the parser hands over a `String`"
)]
fn missing(word: String) -> MissingPolicy {
    match word.as_str() {
        "failure" => MissingPolicy::Failure,
        _ => MissingPolicy::Empty,
    }
}
