//! How requests are made: with the project's HTTP client, with credentials for a web server, and
//! within limits. Refusals come out as errors of this module, whatever they are called by the
//! library that asked.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use car_core::Failure;
use car_core::secret::Secret;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Method, Uri};
use http_body_util::{BodyExt as _, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};

use crate::error;

/// Longest time until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// Largest page of a listing, in bytes.
const LARGEST_LISTING: usize = 256 << 20;

/// Largest part of a refusal that is looked at, in bytes.
const LARGEST_REFUSAL: usize = 64 << 10;

/// Makes requests.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    client: reqwest::Client,
    authorization: Option<HeaderValue>,
}

impl Requests {
    /// Sets up requests that give up after a silence.
    pub(super) fn new(silence: Duration) -> Result<Self, Failure> {
        let client = car_core::http::client_builder()
            .connect_timeout(CONNECT)
            .read_timeout(silence)
            .build()
            .map_err(error::no_client)?;
        Ok(Self {
            client,
            authorization: None,
        })
    }

    /// Adds a user's name and password.
    pub(super) fn basic(self, name: &str, password: &Secret) -> Result<Self, Failure> {
        let pair = STANDARD.encode(format!("{name}:{}", password.expose()));
        self.authorized(&format!("Basic {pair}"))
    }

    /// Adds a token.
    pub(super) fn bearer(self, token: &Secret) -> Result<Self, Failure> {
        self.authorized(&format!("Bearer {}", token.expose()))
    }

    fn authorized(mut self, value: &str) -> Result<Self, Failure> {
        let mut value = HeaderValue::from_str(value).map_err(|_| error::bad_credentials())?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }
}

impl HttpConnector for Requests {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Requests {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let uri = match is_propfind(&parts.method) {
            true => with_slash(&parts.uri),
            false => parts.uri.to_string(),
        };
        let is_listing = is_propfind(&parts.method) || uri.contains("list-type=2");
        let mut request = self
            .client
            .request(parts.method, uri)
            .headers(parts.headers)
            .body(body.as_bytes().cloned().unwrap_or_default());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let retry_after = car_core::http::retry_after(response.headers());
        let response: http::Response<reqwest::Body> = response.into();
        let (parts, body) = response.into_parts();
        let body = body.map_err(broken);
        if !status.is_success() {
            let text = Limited::new(body, LARGEST_REFUSAL).collect().await;
            let text = text.map(http_body_util::Collected::to_bytes);
            return Err(error_of(Refused {
                status: status.as_u16(),
                retry_after,
                code: text.ok().and_then(|text| code(&text)),
            }));
        }
        let body = match is_listing {
            true => HttpResponseBody::new(Limited::new(body, LARGEST_LISTING).map_err(limited)),
            false => HttpResponseBody::new(body),
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

fn is_propfind(method: &Method) -> bool {
    method.as_str() == "PROPFIND"
}

/// Names a folder as servers want it: some redirect those who leave out the last slash.
fn with_slash(uri: &Uri) -> String {
    let mut uri = uri.to_string();
    if !uri.ends_with('/') {
        uri.push('/');
    }
    uri
}

/// Nothing is tried again here but a transfer that broke: the engine knows how long to wait.
fn error_of(error: impl Error + Send + Sync + 'static) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, error)
}

fn broken(error: reqwest::Error) -> HttpError {
    error_of(error.without_url())
}

fn limited(error: Box<dyn Error + Send + Sync>) -> HttpError {
    HttpError::new_boxed(HttpErrorKind::Unknown, error)
}

/// What a server says when it does not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// Stable name of the reason, where the body has one.
    pub(crate) code: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)
    }
}

impl Error for Refused {}

/// Finds the code in the XML that S3 answers with.
fn code(body: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_name = code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_name.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_names_and_nothing_else() {
        let found = |text: &'static str| code(&Bytes::from_static(text.as_bytes()));
        let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
        assert_eq!(found(denied).as_deref(), Some("AccessDenied"));
        assert_eq!(found("<Code>key AKIA and more</Code>"), None);
        assert_eq!(found("<Code>cut"), None);
    }
}
