//! Calls over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::de::IgnoredAny;

use super::address::BaseAddress;
use super::call::{Answer, Call, CarCall, Method};
use super::status;
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::http::{self, BodyError};

/// Largest answer that is read.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// Makes calls over HTTP, without retries. Redirects are not followed.
pub struct HttpCall {
    client: reqwest::Client,
    base: BaseAddress,
    authorization: HeaderValue,
}

impl HttpCall {
    /// Makes a client; `authorization` is the whole value of the header, marked as sensitive.
    ///
    /// # Errors
    ///
    /// When the TLS library cannot be set up on this machine.
    pub fn new(
        base: BaseAddress,
        authorization: HeaderValue,
        user_agent: &str,
        connect_timeout: Duration,
        read_timeout: Duration,
    ) -> Result<Self, Failure> {
        let client = crate::http::client_builder()
            .user_agent(user_agent)
            .connect_timeout(connect_timeout)
            .read_timeout(read_timeout)
            .build()
            .map_err(|error| {
                Failure::new(FailureKind::General, "the HTTP client cannot be set up")
                    .because(error)
            })?;
        Ok(Self {
            client,
            base,
            authorization,
        })
    }
}

#[async_trait]
impl CarCall for HttpCall {
    async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        let address = self.base.of(call.version, &call.path, &call.query);
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = self
            .client
            .request(method, address)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json");
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let status = response.status().as_u16();
        let retry_after = http::retry_after(response.headers());
        let body =
            http::body(&mut response, LARGEST_ANSWER)
                .await
                .map_err(|error| match error {
                    BodyError::Broken(error) => self.unreachable(error),
                    BodyError::TooLarge => Failure::new(
                        FailureKind::CarUnexpected,
                        "the CAR service's answer is larger than 64 MiB",
                    ),
                })?;
        Answer::of(call, status, body.into(), retry_after)
    }
}

impl Answer {
    /// Makes an answer, or the failure that it means, of what a service sent.
    ///
    /// # Errors
    ///
    /// A status that the call does not allow, and a body that is not JSON where the call wants
    /// JSON.
    pub fn of(
        call: &Call,
        status: u16,
        body: Bytes,
        retry_after: Option<Duration>,
    ) -> Result<Self, Failure> {
        if !(200..300).contains(&status) && !call.accept.contains(&status) {
            return Err(status::failure(status, &body, retry_after));
        }
        if call.json && (200..300).contains(&status) {
            serde_json::from_slice::<IgnoredAny>(&body).map_err(|error| {
                Failure::new(
                    FailureKind::CarUnavailable,
                    "the CAR service's answer is not JSON",
                )
                .with("beginning with", excerpt(&body))
                .with_retry(Retry::Backoff)
                .with_effect(Effect::Unknown)
                .because(error)
                .hint("a proxy or a login page may answer in place of the service")
            })?;
        }
        Ok(Self {
            status,
            body,
            retry_after,
        })
    }
}

impl HttpCall {
    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let effect = if error.is_connect() {
            Effect::NotApplied
        } else {
            Effect::Unknown
        };
        let message = if error.is_timeout() {
            "the CAR service did not answer in time"
        } else if error.is_connect() {
            "the CAR service cannot be reached"
        } else {
            "the connection to the CAR service broke"
        };
        Failure::new(FailureKind::CarUnreachable, message)
            .with("at", self.base.root())
            .with_retry(Retry::Backoff)
            .with_effect(effect)
            .because(error.without_url())
            .hint("check the CAR service's address (`--car-service-url`) and the network")
    }
}

fn excerpt(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(60).collect();
    format!("{text:?}")
}
