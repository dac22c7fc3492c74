//! The settings that every connector has. Their names are a contract with the platforms that
//! start connectors.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{ArgAction, Args, ValueHint};
use schemars::JsonSchema;

use super::units::{ByteSize, Limit, Share, Span};
use crate::engine::ChangedOnly;
use crate::secret::Secret;

/// Largest number of rows in one envelope.
const LONGEST_PAGE: u64 = 2000;

/// Settings that every connector has.
#[derive(Debug, Clone, Args, JsonSchema)]
#[group(skip)]
pub struct Common {
    /// Address of the CAR service, ending in /api/car/v2
    #[arg(
        long,
        value_name = "URL",
        env = "CAR_SERVICE_URL",
        help_heading = "CAR service"
    )]
    pub car_service_url: Option<String>,

    /// API key of the CAR service
    #[arg(
        long,
        value_name = "KEY",
        env = "CAR_SERVICE_KEY",
        help_heading = "CAR service"
    )]
    pub car_service_key: Option<Secret>,

    /// Password of the API key
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "CAR_SERVICE_PASSWORD",
        help_heading = "CAR service"
    )]
    pub car_service_password: Option<Secret>,

    /// Address of the CAR service when signing in with a token
    #[arg(
        long,
        value_name = "URL",
        env = "CAR_SERVICE_URL_FOR_AUTHTOKEN",
        help_heading = "CAR service"
    )]
    pub car_service_url_for_token: Option<String>,

    /// Token of the CAR service, instead of key and password
    #[arg(
        long,
        value_name = "TOKEN",
        env = "CAR_SERVICE_AUTHTOKEN",
        help_heading = "CAR service"
    )]
    pub car_service_token: Option<Secret>,

    /// Longest time for one call
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2m",
        help_heading = "CAR service"
    )]
    pub car_timeout: Span,

    /// Longest time for making a connection
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10s",
        help_heading = "CAR service"
    )]
    pub car_connect_timeout: Span,

    /// How long a failing call is tried again
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2m",
        help_heading = "CAR service"
    )]
    pub car_retry_for: Span,

    /// Longest time for a job of the service, such as closing a full import
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30m",
        help_heading = "CAR service"
    )]
    pub car_job_timeout: Span,

    /// Name of the source in the graph: one per connection
    #[arg(
        long,
        value_name = "ID",
        env = "CONNECTION_NAME",
        help_heading = "Import"
    )]
    pub source: Option<String>,

    /// Import everything, even where the changes since the last import would do
    #[arg(long, help_heading = "Import")]
    pub full: bool,

    /// File with what an import that is stopped needs to go on, or `none` for no file [default:
    /// one in ~/.local/state/car-connectors]
    #[arg(long, value_name = "FILE", env = "CAR_STATE", value_hint = ValueHint::FilePath,
          help_heading = "Import")]
    pub state: Option<PathBuf>,

    /// Read only what failed or was not finished in the last full import
    #[arg(long, help_heading = "Import")]
    pub retry_failed: bool,

    /// Only test the connection to the data source
    #[arg(long, env = "DATASOURCE_CONNECTION_TEST", help_heading = "Import")]
    pub connection_test: bool,

    /// How long a failing read of the source is tried again
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2m",
        help_heading = "Import"
    )]
    pub source_retry_for: Span,

    /// Rejected rows with which an import goes on: a share, as in 5%, or a number, as in 50
    #[arg(
        long,
        value_name = "LIMIT",
        default_value = "5%",
        help_heading = "Import"
    )]
    pub max_rejects: Limit,

    /// Largest share of a collection that a full import may retire, from 100 rows on
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "0.3",
        help_heading = "Import"
    )]
    pub max_deletions: Share,

    /// Let this run retire what the deletion guard stopped before
    #[arg(long, help_heading = "Import")]
    pub approve_deletions: bool,

    /// Send only the rows that changed: auto is in full imports after the first one, where the
    /// service can tell
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Import",
          value_parser = PossibleValuesParser::new(["auto", "never", "always"]).map(changed_only))]
    #[schemars(with = "String")]
    pub changed_only: ChangedOnly,

    /// Parts of the source that are read at the same time
    #[arg(long, value_name = "NUMBER", default_value = "4", help_heading = "Import",
          value_parser = RangedU64ValueParser::<u64>::new().range(1..=256).map(to_usize))]
    pub concurrency: usize,

    /// Memory for edges that wait for their vertices; what is more goes to disk
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "32MiB",
        help_heading = "Import"
    )]
    pub memory_budget: ByteSize,

    /// Folder for edges that do not fit into memory, without a state [default: the system's temporary folder]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, help_heading = "Import")]
    pub export_data_dir: Option<PathBuf>,

    /// Keep the files in that folder
    #[arg(long, help_heading = "Import")]
    pub keep_export_data_dir: bool,

    /// Rows in one call to the CAR service, at most 2000
    #[arg(long, value_name = "ROWS", default_value = "2000", help_heading = "Import",
          value_parser = RangedU64ValueParser::<u64>::new().range(1..=LONGEST_PAGE).map(to_usize))]
    pub export_data_page_size: usize,

    /// YAML file with settings; its keys are the flags without dashes in front
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Import")]
    #[schemars(skip)]
    pub config: Option<PathBuf>,

    /// Folder of secret files
    #[arg(
        long,
        value_name = "FOLDER",
        env = "CAR_SECRETS_DIR",
        default_value = "/etc/secrets",
        hide = true,
        help_heading = "Import"
    )]
    #[schemars(skip)]
    pub secrets_dir: PathBuf,

    /// Write the report of the run to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Write rejected rows to this file, one JSON object a line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub quarantine: Option<PathBuf>,

    /// How to tell what happens: auto is text on a terminal and JSON elsewhere
    #[arg(long, value_name = "FORMAT", default_value = "auto", help_heading = "Output",
          value_parser = PossibleValuesParser::new(["auto", "json", "text"]).map(LogFormat::from_word))]
    pub log_format: LogFormat,

    /// Tell more of what happens
    #[arg(short, long, env = "DEBUG", help_heading = "Output")]
    pub debug: bool,

    /// Name of the connector, where the platform gives it one of its own
    #[arg(
        long,
        value_name = "NAME",
        env = "CONNECTOR_NAME",
        help_heading = "Output"
    )]
    pub name: Option<String>,

    /// Version of the connector, as the platform counts it; prints the version without a value
    #[arg(long, value_name = "VERSION", env = "CONNECTOR_VERSION", help_heading = "Output",
          num_args = 0..=1, default_missing_value = "", action = ArgAction::Set)]
    pub version: Option<String>,
}

/// How the program tells what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Text.
    Text,
}

impl LogFormat {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the parser hands over a `String`"
    )]
    pub(crate) fn from_word(word: String) -> Self {
        match word.as_str() {
            "json" => Self::Json,
            "text" => Self::Text,
            _ => Self::Auto,
        }
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the parser hands over a `String`"
)]
fn changed_only(word: String) -> ChangedOnly {
    match word.as_str() {
        "never" => ChangedOnly::Never,
        "always" => ChangedOnly::Always,
        _ => ChangedOnly::Auto,
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
