//! The clients of the platform and of the vendor: the only place that knows addresses.

use car_core::http::{self, BodyError, retry_after};
use car_core::{Failure, FailureKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::config::Settings;
use crate::error::{self, Side};
use crate::request::{Model, Request};

/// Largest answer that is read.
const LARGEST_ANSWER: usize = 64 << 20;

/// What is written in another way in a part of a path.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Talks to one side.
struct Client {
    side: Side,
    http: reqwest::Client,
    base: Url,
    authorization: String,
}

/// An answer: its status if it is one that the caller asked for, and its body.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    fn new(
        side: Side,
        setting: &'static str,
        address: &str,
        authorization: String,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let mut base = Url::parse(address).map_err(|reason| error::bad_address(setting, reason))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(error::bad_address(setting, "it carries credentials"));
        }
        if !matches!(base.scheme(), "http" | "https") {
            return Err(error::bad_address(setting, "it is neither http nor https"));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = car_core::http::client_builder()
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .timeout(settings.call_timeout.0)
            .build()
            .map_err(|reason| {
                Failure::new(FailureKind::General, "the HTTP client cannot be set up")
                    .because(reason)
            })?;
        Ok(Self {
            side,
            http,
            base,
            authorization,
        })
    }

    /// Makes a call; statuses of `expected` are answers too.
    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        expected: &[u16],
    ) -> Result<Answer, Failure> {
        let writes = method != Method::GET;
        let failed = |error| error::unreachable(self.side, writes, error);
        let mut url = self
            .base
            .join(path)
            .map_err(|reason| error::bad_address("--platform", reason))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut call = self
            .http
            .request(method, url)
            .header(AUTHORIZATION, &self.authorization);
        if let Some(body) = body {
            call = call.json(body);
        }
        let mut answer = call.send().await.map_err(failed)?;
        let status = answer.status();
        let wait = retry_after(answer.headers());
        let body = http::body(&mut answer, LARGEST_ANSWER)
            .await
            .map_err(|error| match error {
                BodyError::Broken(error) => failed(error),
                BodyError::TooLarge => error::too_large(self.side, LARGEST_ANSWER),
            })?;
        let status = status.as_u16();
        if (200..300).contains(&status) || expected.contains(&status) {
            return Ok(Answer { status, body });
        }
        let failure = error::refused(self.side, status, wait, writes, &body);
        Err(failure.with("call", path))
    }

    fn parse<T: for<'a> Deserialize<'a>>(&self, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body).map_err(|error| error::unreadable(self.side, error))
    }
}

/// The platform.
pub(crate) struct Platform {
    client: Client,
    page_size: u32,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The platform took it.
    Taken,
    /// The request is not pending any more: somebody else answered it.
    Meanwhile,
}

impl Platform {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let key = settings.platform_key.expose().to_owned();
        Ok(Self {
            client: Client::new(
                Side::Platform,
                "--platform",
                &settings.platform,
                key,
                settings,
            )?,
            page_size: settings.page_size,
        })
    }

    const fn collection(model: Model) -> &'static str {
        match model {
            Model::Asset => "requests",
            Model::TierConfig => "tier/config-requests",
        }
    }

    fn path(model: Model, id: &str) -> String {
        format!("{}/{}", Self::collection(model), encoded(id))
    }

    /// Reaches it and signs in.
    pub(crate) async fn test(&self) -> Result<(), Failure> {
        let path = Self::collection(Model::Asset);
        let answer = self
            .client
            .call(Method::GET, path, &[("limit", "1")], None, &[])
            .await?;
        self.client.parse::<Vec<Value>>(&answer).map(drop)
    }

    /// Lists the requests that are pending.
    pub(crate) async fn pending(&self, model: Model) -> Result<Vec<Request>, Failure> {
        let mut found: Vec<Request> = Vec::new();
        let limit = self.page_size.to_string();
        loop {
            let offset = found.len().to_string();
            let query = [
                ("status", "pending"),
                ("limit", limit.as_str()),
                ("offset", offset.as_str()),
            ];
            let answer = self
                .client
                .call(Method::GET, Self::collection(model), &query, None, &[])
                .await?;
            let page: Vec<Value> = self.client.parse(&answer)?;
            let last = page.len() < self.page_size as usize;
            found.extend(page.into_iter().map(|body| Request { model, body }));
            if last {
                return Ok(found);
            }
        }
    }

    /// Reads a request, if it is there.
    pub(crate) async fn request(&self, model: Model, id: &str) -> Result<Option<Request>, Failure> {
        let path = Self::path(model, id);
        let answer = self
            .client
            .call(Method::GET, &path, &[], None, &[404])
            .await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let body = self.client.parse(&answer)?;
        Ok(Some(Request { model, body }))
    }

    /// Writes parameters of what a request is about.
    pub(crate) async fn update(&self, request: &Request, body: &Value) -> Result<(), Failure> {
        let path = Self::path(request.model, request.id());
        self.client
            .call(Method::PUT, &path, &[], Some(body), &[])
            .await
            .map(drop)
    }

    /// Answers: `approve`, `fail` or `inquire`.
    pub(crate) async fn answer(
        &self,
        request: &Request,
        action: &str,
        body: &Value,
    ) -> Result<Answered, Failure> {
        let path = format!("{}/{action}", Self::path(request.model, request.id()));
        let answer = self
            .client
            .call(Method::POST, &path, &[], Some(body), &[409])
            .await?;
        Ok(match answer.status {
            409 => Answered::Meanwhile,
            _ => Answered::Taken,
        })
    }
}

/// The vendor.
pub(crate) struct Vendor {
    client: Client,
    page_size: u32,
}

/// Something that the vendor has.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Thing {
    /// The key that it was made under.
    #[serde(rename = "id")]
    pub(crate) key: String,
    /// What it is.
    #[serde(default)]
    pub(crate) value: Value,
}

/// A page of things.
#[derive(Debug, Deserialize)]
pub(crate) struct Things {
    pub(crate) items: Vec<Thing>,
    pub(crate) next: Option<String>,
}

impl Vendor {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let token = format!("Bearer {}", settings.vendor_token.expose());
        Ok(Self {
            client: Client::new(Side::Vendor, "--vendor", &settings.vendor, token, settings)?,
            page_size: settings.page_size,
        })
    }

    fn path(kind: &str, key: &str) -> String {
        format!("things/{kind}/{}", encoded(key))
    }

    /// Makes a thing; made before, it stays as it is.
    pub(crate) async fn make(&self, kind: &str, key: &str, body: Value) -> Result<(), Failure> {
        let path = Self::path(kind, key);
        self.client
            .call(Method::PUT, &path, &[], Some(&body), &[])
            .await
            .map(drop)
    }

    /// Changes a thing.
    pub(crate) async fn change(&self, kind: &str, key: &str, body: Value) -> Result<(), Failure> {
        let path = Self::path(kind, key);
        self.client
            .call(Method::POST, &path, &[], Some(&body), &[])
            .await
            .map(drop)
    }

    /// Deletes a thing, whether it is there or not. It is not made any more after that.
    pub(crate) async fn delete(&self, kind: &str, key: &str) -> Result<(), Failure> {
        let path = Self::path(kind, key);
        self.client
            .call(Method::DELETE, &path, &[], Some(&json!({})), &[404, 410])
            .await
            .map(drop)
    }

    /// Lists things behind a key.
    pub(crate) async fn things(&self, kind: &str, after: Option<&str>) -> Result<Things, Failure> {
        let limit = self.page_size.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(after.map(|after| ("after", after)));
        let path = format!("things/{kind}");
        let answer = self
            .client
            .call(Method::GET, &path, &query, None, &[])
            .await?;
        self.client.parse(&answer)
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_PATHS).to_string()
}
