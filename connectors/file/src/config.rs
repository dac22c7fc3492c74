//! The connector's settings.

use std::path::PathBuf;

use car_core::config::{ByteSize, Span};
use car_core::secret::Secret;
use clap::{Args, ValueHint};
use schemars::JsonSchema;

use crate::location::Location;

/// Which files to read, and how.
#[derive(Debug, Clone, Args, JsonSchema)]
pub struct Settings {
    /// Directory with the files, `https://HOST/FOLDER` of a web server that lists it (WebDAV), or
    /// `s3://BUCKET/PREFIX`; directories in it are read, too.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_DIRECTORY",
        value_name = "PLACE",
        value_hint = ValueHint::DirPath,
        help_heading = "Data source"
    )]
    #[schemars(with = "String")]
    pub directory: Location,

    /// Name of the user for a web server; id of the access key for S3 [default for S3: what tools
    /// for AWS find in the environment or on the machine].
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_USERNAME",
        value_name = "NAME",
        help_heading = "Data source"
    )]
    pub username: Option<String>,

    /// Password of the user; secret access key for S3.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Data source"
    )]
    pub password: Option<Secret>,

    /// Bearer token for a web server that takes no password; session token for S3.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_TOKEN",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Data source"
    )]
    pub token: Option<Secret>,

    /// Address of an S3-compatible store [default: AWS].
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_ENDPOINT",
        value_name = "URL",
        value_hint = ValueHint::Url,
        help_heading = "Data source"
    )]
    pub endpoint: Option<String>,

    /// Region of the bucket [default: us-east-1].
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_REGION",
        value_name = "NAME",
        help_heading = "Data source"
    )]
    pub region: Option<String>,

    /// Longest silence of a server in the middle of a call, before the call is made again.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Data source"
    )]
    pub server_timeout: Span,

    /// YAML file that says what rows of CSV, JSON and JSON Lines files mean.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_MAPPING",
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "Data source"
    )]
    pub mapping: Option<PathBuf>,

    /// How long a file must be unchanged before it is read: one that is written still is left
    /// alone.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_SETTLE",
        value_name = "TIME",
        default_value = "2s",
        help_heading = "Data source"
    )]
    pub settle: Span,

    /// Records of a file to read at a time.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_PAGE_SIZE",
        value_name = "N",
        default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Data source"
    )]
    #[schemars(range(min = 1, max = 100_000))]
    pub page_size: u32,

    /// Folder in which the connector keeps what it read, so that the next import reads only what
    /// changed; `none` for no folder [default: one in ~/.local/state/car-connectors].
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_MEMORY",
        value_name = "FOLDER",
        value_hint = ValueHint::DirPath,
        help_heading = "Data source"
    )]
    pub memory: Option<PathBuf>,

    /// Largest file that has to be in memory as a whole, once it is unpacked: SBOM, OSV, SARIF;
    /// and largest row of a table.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_LARGEST_DOCUMENT",
        value_name = "SIZE",
        default_value = "256MiB",
        help_heading = "Data source"
    )]
    pub largest_document: ByteSize,

    /// Largest size of any file once it is unpacked.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_LARGEST_FILE",
        value_name = "SIZE",
        default_value = "64GiB",
        help_heading = "Data source"
    )]
    pub largest_file: ByteSize,

    /// How many times its packed size a file may be when it is unpacked, from 16 MiB on.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_MOST_EXPANSION",
        value_name = "TIMES",
        default_value_t = 250,
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Data source"
    )]
    #[schemars(range(min = 1))]
    pub most_expansion: u32,
}
