//! The connector's settings.

use car_core::secret::Secret;
use clap::Args;
use schemars::JsonSchema;

/// Which accounts, regions and services to import, and with which credentials.
///
/// Without keys, the usual places are looked into: the environment, the profile, web identity,
/// the container's and the instance's role.
#[derive(Debug, Clone, Args, JsonSchema)]
pub struct Settings {
    /// Number of the account that the credentials belong to; checked before anything is read.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_ACCOUNT_ID",
        value_name = "NUMBER",
        help_heading = "Data source"
    )]
    pub account_id: Option<String>,

    /// Access key, where the usual places have none.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID",
        value_name = "ID",
        hide_env_values = true,
        help_heading = "Data source"
    )]
    pub aws_access_key_id: Option<Secret>,

    /// Secret of the access key.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Data source"
    )]
    pub aws_secret_access_key: Option<Secret>,

    /// Session token of a temporary access key.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_AWS_SESSION_TOKEN",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Data source"
    )]
    pub aws_session_token: Option<Secret>,

    /// Role to take on before anything else, as an ARN.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_AWS_ROLE_ARN",
        value_name = "ARN",
        help_heading = "Data source"
    )]
    pub aws_role_arn: Option<String>,

    /// External id that the roles ask for.
    #[arg(
        long,
        env = "CONFIGURATION_AUTH_AWS_EXTERNAL_ID",
        value_name = "TEXT",
        hide_env_values = true,
        help_heading = "Data source"
    )]
    pub aws_external_id: Option<Secret>,

    /// Region to ask first, for who we are and which regions there are.
    #[arg(
        long,
        env = "CONNECTION_REGION",
        value_name = "REGION",
        help_heading = "Data source"
    )]
    pub region: Option<String>,

    /// Regions to import: `all` enabled ones, or a list with commas.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_REGIONS",
        value_name = "LIST",
        default_value = "all",
        help_heading = "Data source"
    )]
    pub regions: String,

    /// Accounts to import: a list with commas, or `organization` for all active ones of it; the
    /// credentials' own account unless set.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_ACCOUNTS",
        value_name = "LIST",
        help_heading = "Data source"
    )]
    pub accounts: Option<String>,

    /// Name of the role to take on in each of the other accounts.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_ACCOUNT_ROLE",
        value_name = "NAME",
        help_heading = "Data source"
    )]
    pub account_role: Option<String>,

    /// Services to import: `all`, or a list with commas.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_SERVICES",
        value_name = "LIST",
        default_value = "all",
        help_heading = "Data source"
    )]
    pub services: String,

    /// Address to send all calls to, for private clouds and tests.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_ENDPOINT_URL",
        value_name = "URL",
        help_heading = "Data source"
    )]
    pub endpoint_url: Option<String>,

    /// Calls per second to one account in one region.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_CALLS_PER_SECOND",
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=1000),
        help_heading = "Data source"
    )]
    #[schemars(range(min = 1, max = 1000))]
    pub calls_per_second: u32,

    /// Most objects to ask for in one call; each service has a limit of its own.
    #[arg(
        long,
        env = "CONFIGURATION_PARAMETER_PAGE_SIZE",
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(5..=1000),
        help_heading = "Data source"
    )]
    #[schemars(range(min = 5, max = 1000))]
    pub page_size: u32,
}

/// Splits a list at its commas; blanks around and empty members do not count.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
}
