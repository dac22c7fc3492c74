//! The address of the CAR service and what to sign in with.

use std::fmt;

use url::Url;

use super::common::Common;
use super::load::Loaded;
use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;

/// Address and credentials of the CAR service: one of two ways to sign in.
#[derive(Clone, PartialEq, Eq)]
pub enum CarCredentials {
    /// With an API key and its password.
    Key {
        /// Address, ending in `/api/car/v2`.
        url: String,
        /// The key.
        key: String,
        /// Its password.
        password: Secret,
    },
    /// With a token.
    Token {
        /// Address, ending in `/api/car/v2`.
        url: String,
        /// The token.
        token: Secret,
    },
}

impl CarCredentials {
    /// Takes the credentials out of the settings.
    ///
    /// # Errors
    ///
    /// When neither way to sign in is complete or both are used, and when the address is not one
    /// of a CAR service; with the settings named.
    pub fn from_settings(common: &Common, loaded: &Loaded) -> Result<Self, Failure> {
        let with_key = common.car_service_key.is_some() || common.car_service_password.is_some();
        match (with_key, &common.car_service_token) {
            (true, Some(_)) => Err(Failure::new(
                FailureKind::InvalidParameter,
                "two ways to sign in to the CAR service are set: key with password, and token",
            )
            .hint(format!(
                "the key is from {}, the token from {}; remove one of them",
                match common.car_service_key {
                    Some(_) => loaded.origin("car-service-key"),
                    None => loaded.origin("car-service-password"),
                },
                loaded.origin("car-service-token"),
            ))),
            (false, None) => Err(Failure::new(
                FailureKind::InvalidParameter,
                "nothing is set to sign in to the CAR service with",
            )
            .hint(
                "with an API key: --car-service-url, --car-service-key, --car-service-password, or \
                 CAR_SERVICE_URL, CAR_SERVICE_KEY, CAR_SERVICE_PASSWORD in the environment",
            )
            .hint(
                "with a token: --car-service-url-for-token, --car-service-token, or \
                 CAR_SERVICE_URL_FOR_AUTHTOKEN, CAR_SERVICE_AUTHTOKEN in the environment",
            )),
            (true, None) => {
                loaded.require(&["car-service-url", "car-service-key", "car-service-password"])?;
                let url = address(&common.car_service_url, "car-service-url", loaded)?;
                let key = common.car_service_key.clone().unwrap_or_default();
                let password = common.car_service_password.clone().unwrap_or_default();
                Ok(Self::Key {
                    url,
                    key: key.expose().to_owned(),
                    password,
                })
            }
            (false, Some(token)) => {
                loaded.require(&["car-service-url-for-token"])?;
                let url = address(
                    &common.car_service_url_for_token,
                    "car-service-url-for-token",
                    loaded,
                )?;
                Ok(Self::Token {
                    url,
                    token: token.clone(),
                })
            }
        }
    }
}

impl fmt::Debug for CarCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, url) = match self {
            Self::Key { url, .. } => ("Key", url),
            Self::Token { url, .. } => ("Token", url),
        };
        f.debug_struct(name)
            .field("url", url)
            .finish_non_exhaustive()
    }
}

/// Checks the address of the CAR service and takes a slash off its end.
fn address(value: &Option<String>, flag: &str, loaded: &Loaded) -> Result<String, Failure> {
    let value = value.as_deref().unwrap_or_default().trim();
    let wrong = |message: &str| {
        Failure::new(
            FailureKind::InvalidParameter,
            format!(
                "the address of the CAR service {message} ({})",
                loaded.origin(flag)
            ),
        )
        .hint("it looks like `https://host/api/car/v2`")
    };
    // Whatever stands before an @ may be a password.
    let shown = if value.contains('@') {
        "(not shown, as it may hold a password)".to_owned()
    } else {
        format!("`{value}`")
    };
    let url = Url::parse(value)
        .map_err(|error| wrong(&format!("{shown} is not valid")).because(error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(&format!("{shown} is neither http nor https")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has credentials in it")
            .hint("give them by --car-service-key and --car-service-password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(&format!("{shown} has a query or a fragment")));
    }
    let address = url.as_str().trim_end_matches('/');
    if !url.path().trim_end_matches('/').ends_with("/api/car/v2") {
        let host = format!("{}://{}", url.scheme(), url.authority());
        return Err(wrong(&format!("{shown} does not end in /api/car/v2"))
            .hint(format!("did you mean `{host}/api/car/v2`?")));
    }
    Ok(address.to_owned())
}
