//! The connector's settings.

use car_core::secret::Secret;
use clap::Args;
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
    pub page_size: u32,
}
