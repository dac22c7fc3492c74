//! The connector's settings.

use std::path::PathBuf;

use car_core::config::Span;
use car_core::limit::Rate;
use car_core::secret::Secret;
use clap::{Args, ValueHint};
use schemars::JsonSchema;

/// How to reach the reference server.
#[derive(Debug, Clone, Args, JsonSchema)]
pub struct Settings {
    /// Address of the reference server, such as `http://127.0.0.1:8000`.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_URL",
        value_name = "URL",
        help_heading = "Data source"
    )]
    pub server: String,

    /// Name of the user who may read it.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_USERNAME",
        value_name = "NAME",
        help_heading = "Data source"
    )]
    pub username: String,

    /// Password of the user.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Data source"
    )]
    pub password: Secret,

    /// Objects to ask for at a time.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_PAGE_SIZE",
        value_name = "N",
        default_value_t = 2000,
        value_parser = clap::value_parser!(u32).range(1..=10_000),
        help_heading = "Data source"
    )]
    #[schemars(range(min = 1, max = 10_000))]
    pub page_size: u32,

    /// Most requests to the server, such as `50/s`, by all connectors of this machine and user
    /// that read it as the same user.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_RATE_LIMIT",
        value_name = "RATE",
        help_heading = "Data source"
    )]
    pub rate_limit: Option<Rate>,

    /// Longest silence of the server in the middle of a call, before the call is made again.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Data source"
    )]
    pub server_timeout: Span,

    /// Private folder for the rate limits that connectors share [default: one of this user in
    /// the system's temporary folder].
    #[arg(
        long,
        value_name = "FOLDER",
        value_hint = ValueHint::DirPath,
        help_heading = "Data source"
    )]
    pub rate_limit_dir: Option<PathBuf>,
}
