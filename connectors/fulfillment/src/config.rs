//! The connector's settings.

use std::path::PathBuf;

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

    /// File in which sagas are recorded; only `fulfill` and `saga` need it.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_SAGA_LOG",
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "Requests"
    )]
    pub saga_log: Option<PathBuf>,

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
