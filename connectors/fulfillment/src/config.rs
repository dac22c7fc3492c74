//! The connector's settings.

use car_core::config::Span;
use car_core::secret::Secret;
use clap::{Args, ValueHint};
use schemars::JsonSchema;

/// How to reach the platform and the vendor, and where sagas are recorded.
#[derive(Debug, Clone, Args, JsonSchema)]
pub struct Settings {
    /// Address of the platform's API, such as `https://api.connect.cloudblue.com/public/v1`.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_URL",
        value_name = "URL",
        help_heading = "Platform"
    )]
    pub platform: String,

    /// Key of the platform, such as `ApiKey SU-123:abc`.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_KEY",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Platform"
    )]
    pub platform_key: Secret,

    /// Address of the vendor's API, such as `http://127.0.0.1:8020/vendor/v1`.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_VENDOR_URL",
        value_name = "URL",
        help_heading = "Vendor"
    )]
    pub vendor: String,

    /// Token of the vendor.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_VENDOR_TOKEN",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Vendor"
    )]
    pub vendor_token: Secret,

    /// Where sagas are recorded: a file, or `postgres://USER@HOST/DATABASE`. An import does not
    /// need it; `serve` shows what is there.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_SAGA_LOG",
        value_name = "PLACE",
        value_hint = ValueHint::FilePath,
        help_heading = "Requests"
    )]
    pub saga_log: Option<String>,

    /// Password of the user in `--saga-log`, where that is a database.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_SAGA_LOG_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Requests"
    )]
    pub saga_log_password: Option<Secret>,

    /// How often `serve` works on requests, such as `30s`; without it, it shows sagas and leaves
    /// the work to `fulfill`.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_FULFILL_EVERY",
        value_name = "TIME",
        help_heading = "Requests"
    )]
    pub fulfill_every: Option<Span>,

    /// Secret that notifications of the platform are signed with; none are taken without it.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_WEBHOOK_SECRET",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Requests"
    )]
    pub webhook_secret: Option<Secret>,

    /// Template that approved requests are answered with.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_APPROVE_TEMPLATE",
        value_name = "ID",
        default_value = "TL-000-000-000",
        help_heading = "Requests"
    )]
    pub approve_template: String,

    /// Template that requests are sent back with when something is missing.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_INQUIRE_TEMPLATE",
        value_name = "ID",
        default_value = "TL-000-000-001",
        help_heading = "Requests"
    )]
    pub inquire_template: String,

    /// Requests and things to ask for at a time.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_PAGE_SIZE",
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=1000),
        help_heading = "Requests"
    )]
    #[schemars(range(min = 1, max = 1000))]
    pub page_size: u32,

    /// Longest time that a call of the platform or the vendor takes.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        help_heading = "Requests"
    )]
    pub call_timeout: Span,
}
