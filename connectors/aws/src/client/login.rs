//! Credentials: the standard provider chain, explicit keys, roles.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use car_core::Failure;
use car_core::secret::Secret;
use url::Url;

use super::http::Http;
use crate::config::Settings;
use crate::error;

/// Region to ask first where nobody says another: every account has it enabled, and it is
/// only asked who we are and which regions there are.
const FIRST_REGION: &str = "us-east-1";

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(60);

/// How long one call may take with its attempts.
const CALL: Duration = Duration::from_secs(150);

/// Attempts before the engine waits, where people can see it.
const ATTEMPTS: u32 = 3;

/// Name of the sessions of roles, as the accounts' logs show it.
const SESSION: &str = "car-aws-connector";

/// What all calls have in common.
pub(crate) struct Login {
    base: SdkConfig,
    external_id: Option<Secret>,
}

impl Login {
    /// Gathers credentials, region and address. Looks at files and the environment; calls nobody
    /// unless the credentials are those of a machine.
    pub(crate) async fn new(settings: &Settings) -> Result<Self, Failure> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(CALL)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Http::default())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts);
        if let Ok(name) = AppName::new(concat!(
            env!("CARGO_PKG_NAME"),
            "-",
            env!("CARGO_PKG_VERSION")
        )) {
            loader = loader.app_name(name);
        }
        if let Some(address) = &settings.endpoint_url {
            loader = loader.endpoint_url(address);
        }
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(keys) = keys(settings)? {
            loader = loader.credentials_provider(keys);
        }
        let mut base = loader.load().await;
        if base.region().is_none() {
            base = with_region(&base, FIRST_REGION);
        }
        let login = Self {
            base,
            external_id: settings.aws_external_id.clone(),
        };
        match &settings.aws_role_arn {
            None => Ok(login),
            Some(role) => {
                let base = login.with_role(role).await;
                Ok(Self { base, ..login })
            }
        }
    }

    /// Returns the configuration with our own credentials.
    pub(crate) const fn base(&self) -> &SdkConfig {
        &self.base
    }

    /// Returns the configuration with the credentials of a role.
    pub(crate) async fn with_role(&self, role: &str) -> SdkConfig {
        let mut builder = AssumeRoleProvider::builder(role)
            .session_name(SESSION)
            .configure(&self.base);
        if let Some(region) = self.base.region() {
            builder = builder.region(region.clone());
        }
        if let Some(external_id) = &self.external_id {
            builder = builder.external_id(external_id.expose());
        }
        let provider = match self.base.credentials_provider() {
            Some(credentials) => builder.build_from_provider(credentials).await,
            None => builder.build().await,
        };
        self.base
            .to_builder()
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .identity_cache(aws_config::identity::IdentityCache::lazy().build())
            .build()
    }
}

/// Checks settings that can be wrong without asking anybody.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    if let Some(address) = &settings.endpoint_url {
        check_address(address)?;
    }
    if let Some(region) = &settings.region {
        check_region("--region", region)?;
    }
    match &settings.aws_role_arn {
        Some(role) if !role.starts_with("arn:") => {
            return Err(error::bad_setting(
                "--aws-role-arn",
                role,
                "the role is not an ARN",
            ));
        }
        _ => {}
    }
    keys(settings).map(drop)
}

/// Returns the configuration for another region.
pub(crate) fn with_region(config: &SdkConfig, region: &str) -> SdkConfig {
    config
        .to_builder()
        .region(Region::new(region.to_owned()))
        .build()
}

/// Returns the explicit keys, if they are set.
fn keys(settings: &Settings) -> Result<Option<Credentials>, Failure> {
    let set = |secret: &Option<Secret>| {
        secret
            .as_ref()
            .map(|secret| secret.expose().to_owned())
            .filter(|text| !text.is_empty())
    };
    let token = set(&settings.aws_session_token);
    match (
        set(&settings.aws_access_key_id),
        set(&settings.aws_secret_access_key),
    ) {
        (Some(id), Some(secret)) => Ok(Some(Credentials::new(id, secret, token, None, "settings"))),
        (None, None) if token.is_none() => Ok(None),
        (None, _) => Err(error::bad_setting(
            "--aws-access-key-id",
            "(none)",
            "the access key is missing, though its secret or a session token is set",
        )),
        (Some(_), None) => Err(error::bad_setting(
            "--aws-secret-access-key",
            "(none)",
            "the secret of the access key is missing",
        )),
    }
}

fn check_address(address: &str) -> Result<(), Failure> {
    let refuse = |why: &str| error::bad_setting("--endpoint-url", "(not shown)", why.to_owned());
    let url = Url::parse(address)
        .map_err(|reason| refuse("the address for all calls is not valid").because(reason))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(
            "the address for all calls is neither http nor https",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "the address for all calls must not carry credentials",
        ));
    }
    Ok(())
}

/// Checks that a region could be part of a host name.
pub(crate) fn check_region(flag: &'static str, region: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !region.is_empty() && region.len() <= 40 && region.chars().all(fits) {
        return Ok(());
    }
    Err(
        error::bad_setting(flag, region, "this cannot be the name of a region")
            .hint("it looks like `eu-west-1`"),
    )
}
