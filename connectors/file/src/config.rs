//! The connector's settings.

use std::path::PathBuf;

use car_core::config::{ByteSize, Span};
use clap::{Args, ValueHint};
use schemars::JsonSchema;

/// Which files to read, and how.
#[derive(Debug, Clone, Args, JsonSchema)]
pub struct Settings {
    /// Directory with the files; directories in it are read, too.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_DIRECTORY",
        value_name = "FOLDER",
        value_hint = ValueHint::DirPath,
        help_heading = "Data source"
    )]
    pub directory: PathBuf,

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
    pub most_expansion: u32,
}
