//! The address that rows are sent to, and what its answers mean.

use std::time::Duration;

use car_core::config::Span;
use car_core::secret::Secret;
use car_core::{Effect, Failure, FailureKind, Retry};
use clap::Args;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use schemars::JsonSchema;

/// Longest piece of an answer that is read or shown.
const LONGEST_ANSWER: usize = 1024 * 1024;
const EXCERPT: usize = 200;

/// Where rows are sent, and as whom.
#[derive(Debug, Clone, Args, JsonSchema)]
#[group(skip)]
pub(super) struct EndpointSettings {
    /// Address that rows are sent to
    #[arg(long, env = "TO_URL", value_name = "URL", help_heading = "Target")]
    pub(super) to_url: Option<String>,

    /// Token for it, sent as bearer
    #[arg(
        long,
        env = "PUP_AUTH_TOKEN",
        value_name = "TOKEN",
        help_heading = "Target"
    )]
    pup_auth_token: Option<Secret>,

    /// Longest time for one request to it
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1m",
        help_heading = "Target"
    )]
    to_timeout: Span,
}

/// An address that takes rows.
#[derive(Clone)]
pub(super) struct Endpoint {
    client: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

/// What an address said to a request.
pub(super) enum Reply {
    /// It took it.
    Taken(Vec<u8>),
    /// It refused what was in it (400, 409, 413, 422).
    Refused(String),
    /// It does not know what it is about (404, 410).
    Unknown,
}

impl Endpoint {
    /// Makes a client. Does not talk to the address yet.
    pub(super) fn open(settings: &EndpointSettings) -> Result<Option<Self>, Failure> {
        let Some(address) = &settings.to_url else {
            return Ok(None);
        };
        let wrong = |reason: String| {
            Failure::new(
                FailureKind::InvalidParameter,
                "rows cannot be sent to the address",
            )
            .with("address", address)
            .because(reason)
            .hint("check `--to-url` (TO_URL)")
        };
        let base = Url::parse(address).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong(
                "it does not begin with http:// or https://".to_owned(),
            ));
        }
        let timeout: Duration = settings.to_timeout.0;
        let client = car_core::http::client_builder()
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .timeout(timeout)
            .build()
            .map_err(|error| {
                Failure::new(FailureKind::General, "the HTTP client cannot be set up")
                    .because(error)
            })?;
        Ok(Some(Self {
            client,
            base,
            token: settings.pup_auth_token.clone(),
        }))
    }

    /// Sends something to the address, or to what has this key below it. `repeatable` says that
    /// doing it twice does no harm.
    pub(super) async fn send(
        &self,
        method: Method,
        key: Option<&str>,
        body: Option<String>,
        repeatable: bool,
    ) -> Result<Reply, Failure> {
        let mut address = self.base.clone();
        if let (Some(key), Ok(mut path)) = (key, address.path_segments_mut()) {
            path.pop_if_empty().push(key);
        }
        let mut request = self.client.request(method, address);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error, repeatable))?;
        let status = response.status().as_u16();
        let wait = car_core::http::retry_after(response.headers());
        let mut answer = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(error, repeatable))?
        {
            let room = LONGEST_ANSWER.saturating_sub(answer.len());
            answer.extend_from_slice(chunk.get(..chunk.len().min(room)).unwrap_or_default());
        }
        match status {
            200..=299 => Ok(Reply::Taken(answer)),
            400 | 409 | 413 | 422 => Ok(Reply::Refused(format!("{status} {}", excerpt(&answer)))),
            404 | 410 => Ok(Reply::Unknown),
            _ => Err(self.refused(status, wait, repeatable)),
        }
    }

    fn refused(&self, status: u16, wait: Option<Duration>, repeatable: bool) -> Failure {
        let (kind, retry, effect) = match status {
            401 => (FailureKind::SourceAuthentication, false, Effect::NotApplied),
            403 => (FailureKind::SourceForbidden, false, Effect::NotApplied),
            429 => (FailureKind::SourceUnavailable, true, Effect::NotApplied),
            408 | 500..=599 => (FailureKind::SourceUnavailable, true, Effect::Unknown),
            _ => (FailureKind::Source, false, Effect::NotApplied),
        };
        let retry = match (retry, wait) {
            (false, _) => Retry::Never,
            (true, Some(wait)) => Retry::After(wait),
            (true, None) => Retry::Backoff,
        };
        let failure = Failure::new(kind, format!("the address answered {status}"))
            .with("at", self.base.as_str())
            .with_retry(retry)
            .with_effect(spared(effect, repeatable));
        match status {
            401 | 403 => failure.hint("check the token (PUP_AUTH_TOKEN)"),
            300..=399 => {
                failure.hint("redirects are not followed; give the final address by `--to-url`")
            }
            _ => failure,
        }
    }

    fn unreachable(&self, error: reqwest::Error, repeatable: bool) -> Failure {
        let (message, effect) = if error.is_connect() {
            ("the address cannot be reached", Effect::NotApplied)
        } else if error.is_timeout() {
            ("the address did not answer in time", Effect::Unknown)
        } else {
            ("the connection to the address broke", Effect::Unknown)
        };
        Failure::new(FailureKind::SourceUnavailable, message)
            .with("at", self.base.as_str())
            .with_retry(Retry::Backoff)
            .with_effect(spared(effect, repeatable))
            .because(error.without_url())
            .hint("check `--to-url` (TO_URL) and the network")
    }
}

/// What is not known does not matter where doing it twice does no harm.
fn spared(effect: Effect, repeatable: bool) -> Effect {
    match effect {
        Effect::Unknown if repeatable => Effect::NotApplied,
        effect => effect,
    }
}

fn excerpt(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(EXCERPT).collect()
}
