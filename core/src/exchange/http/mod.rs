//! The container API over HTTP: the sidecar of a platform.

mod body;
mod status;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::api::{
    Abilities, Classification, ContainerApi, InputType, Items, LogLevel, OutputType, Process, Read,
    ReadOptions, Storage, StoreFile,
};
use super::row::{Rows, SEPARATOR};
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::http::{self, BodyError};
use crate::layer::{Backoff, or_cancelled};

/// Where platforms put their container API.
pub const USUAL_ADDRESS: &str = "http://cde-container-api";

/// Header by which the answer to a ping tells what the other side can do beyond the protocol.
pub const ABILITIES_HEADER: &str = "container-api-abilities";
/// Word in it: reads with [`READ_HEADER`] may be repeated.
pub const REPEATABLE_READS: &str = "repeatable-reads";
/// Word in it: writes with [`WRITE_HEADER`] may be repeated.
pub const REPEATABLE_WRITES: &str = "repeatable-writes";
/// Header with the number of a read; the same number is answered with the same rows.
pub const READ_HEADER: &str = "container-api-read";
/// Header with the key of a write; the same key is written once.
pub const WRITE_HEADER: &str = "idempotency-key";

/// Largest batch that the route allows.
const LARGEST_BATCH: usize = 999;

/// Largest answer that is read.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// How to talk to a container API.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Its address.
    pub address: String,
    /// What joins the names of nested columns; told to the other side when it is set.
    pub separator: Option<String>,
    /// Longest time for making a connection.
    pub connect_timeout: Duration,
    /// Longest time for one call.
    pub timeout: Duration,
    /// How calls that may be repeated are.
    pub backoff: Backoff,
    /// Name and version of the connector.
    pub user_agent: String,
}

impl HttpOptions {
    /// Returns the usual ones for an address.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            separator: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
            backoff: Backoff::default(),
            user_agent: concat!("car-core/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The container API over HTTP.
pub struct HttpContainer {
    client: reqwest::Client,
    base: Url,
    options: HttpOptions,
    cancel: CancellationToken,
    repeatable_reads: AtomicBool,
    repeatable_writes: AtomicBool,
    /// Number of the next read, by input.
    reads: Mutex<HashMap<InputType, u64>>,
    /// Number of the next write, and what tells the writes of this process from those of others.
    writes: AtomicU64,
    run: u128,
}

/// A request, and whether it may be made twice.
struct Call {
    name: String,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    header: Option<(&'static str, String)>,
    repeatable: bool,
    /// Longest attempts; none for the usual time.
    deadline: Option<Duration>,
}

/// An answer.
struct Answer {
    status: u16,
    body: Bytes,
    abilities: Option<String>,
}

impl Call {
    fn new(method: Method, path: impl Into<String>, repeatable: bool) -> Self {
        let path = path.into();
        Self {
            name: format!("{method} /{path}"),
            method,
            path,
            query: Vec::new(),
            body: None,
            header: None,
            repeatable,
            deadline: None,
        }
    }

    fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl HttpContainer {
    /// Makes a client. Does not talk to the other side yet.
    ///
    /// # Errors
    ///
    /// An address that is none, or a TLS library that cannot be set up on this machine.
    pub fn new(options: HttpOptions, cancel: CancellationToken) -> Result<Self, Failure> {
        let wrong = |reason: String| {
            Failure::new(
                FailureKind::InvalidParameter,
                "the address of the container API cannot be used",
            )
            .with("address", &options.address)
            .because(reason)
            .hint("give it by `--container-api` (`CONTAINER_API`), such as http://127.0.0.1:8099")
        };
        let mut base = Url::parse(&options.address).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong(
                "it does not begin with http:// or https://".to_owned(),
            ));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("it has a query or a fragment".to_owned()));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = crate::http::client_builder()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .build()
            .map_err(|error| {
                Failure::new(FailureKind::General, "the HTTP client cannot be set up")
                    .because(error)
            })?;
        Ok(Self {
            client,
            base,
            options,
            cancel,
            repeatable_reads: AtomicBool::new(false),
            repeatable_writes: AtomicBool::new(false),
            reads: Mutex::default(),
            writes: AtomicU64::new(0),
            run: unique(),
        })
    }

    /// Makes a call, again where that is safe, and returns the answer if it has one of these
    /// statuses.
    async fn call(&self, call: &Call, expected: &[u16]) -> Result<Answer, Failure> {
        let mut backoff = self.options.backoff;
        if let Some(deadline) = call.deadline {
            backoff.deadline = backoff.deadline.min(deadline);
        }
        let attempt = || async {
            // A write that is under way is waited for, however the run ends: whether it was
            // carried out must be known.
            let sent = async {
                if call.repeatable {
                    or_cancelled(&self.cancel, self.send(call)).await
                } else {
                    self.send(call).await
                }
            };
            let (answer, retry_after) = sent.await.map_err(|failure| tamed(call, failure))?;
            if expected.contains(&answer.status) {
                return Ok(answer);
            }
            let failure = status::failure(answer.status, &answer.body, retry_after);
            Err(tamed(call, failure))
        };
        backoff
            .retry(&self.cancel, attempt, |wait| {
                tracing::debug!(
                    call = call.name.as_str(),
                    attempt = wait.attempt,
                    wait_ms = u64::try_from(wait.wait.as_millis()).unwrap_or(u64::MAX),
                    "waiting before the next attempt"
                );
            })
            .await
            .map_err(|failure| failure.wrap(format!("call `{}` failed", call.name)))
    }

    async fn send(&self, call: &Call) -> Result<(Answer, Option<Duration>), Failure> {
        let mut address = self.base.join(&call.path).map_err(|error| {
            Failure::new(FailureKind::General, "a route cannot be made").because(error)
        })?;
        for (name, value) in &call.query {
            address.query_pairs_mut().append_pair(name, value);
        }
        let mut request = self
            .client
            .request(call.method.clone(), address)
            .header(ACCEPT, "application/json");
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        if let Some((name, value)) = &call.header {
            request = request.header(*name, value);
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let status = response.status().as_u16();
        let retry_after = http::retry_after(response.headers());
        let abilities = response.headers().get(ABILITIES_HEADER);
        let abilities = abilities.and_then(|value| value.to_str().ok().map(str::to_owned));
        let body =
            http::body(&mut response, LARGEST_ANSWER)
                .await
                .map_err(|error| match error {
                    BodyError::Broken(error) => self.unreachable(error),
                    BodyError::TooLarge => Failure::new(
                        FailureKind::PlatformUnexpected,
                        "the container API's answer is larger than 64 MiB",
                    )
                    .with_effect(Effect::Unknown)
                    .hint("ask for fewer rows at once; see `--batch-rows`"),
                })?;
        let answer = Answer {
            status,
            body: body.into(),
            abilities,
        };
        Ok((answer, retry_after))
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let (message, effect) = if error.is_connect() {
            ("the container API cannot be reached", Effect::NotApplied)
        } else if error.is_timeout() {
            ("the container API did not answer in time", Effect::Unknown)
        } else {
            ("the connection to the container API broke", Effect::Unknown)
        };
        Failure::new(FailureKind::PlatformUnavailable, message)
            .with("at", self.base.as_str())
            .with_retry(Retry::Backoff)
            .with_effect(effect)
            .because(error.without_url())
            .hint("it is beside a run of the platform only; elsewhere give a folder by `--exchange`, or start `container-api-emulator` and give its address by `--container-api`")
    }

    async fn read(&self, mut call: Call, input: InputType) -> Result<Read, Failure> {
        let number = *self.reads().entry(input).or_insert(1);
        if self.repeatable_reads.load(Ordering::Relaxed) {
            call.repeatable = true;
            call.header = Some((READ_HEADER, number.to_string()));
        }
        let answer = self.call(&call, &[200, 204, 404]).await;
        self.reads().insert(input, number.saturating_add(1));
        let answer = answer?;
        match answer.status {
            204 => Ok(Read::NoContent),
            404 => Ok(Read::NotSupplied),
            _ => {
                let separator = self.options.separator.as_deref().unwrap_or(SEPARATOR);
                body::rows(&answer.body, separator)
                    .map_err(|failure| failure.wrap(format!("call `{}` failed", call.name)))
            }
        }
    }

    fn reads(&self) -> std::sync::MutexGuard<'_, HashMap<InputType, u64>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the wish to be made again from a failure of a call that may have been carried out, and
/// must not be twice.
fn tamed(call: &Call, failure: Failure) -> Failure {
    if call.repeatable || failure.effect() == Effect::NotApplied {
        failure
    } else {
        failure.with_retry(Retry::Never)
    }
}

/// Returns a number that no other process has.
fn unique() -> u128 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    (since.as_nanos() << 32) | u128::from(std::process::id())
}

fn options_query(options: ReadOptions) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    if options.show_hidden {
        query.push(("show-hidden", "true".to_owned()));
    }
    if let Some(id) = options.classification {
        query.push(("classification-id", id.to_string()));
    }
    query
}

/// A part of a path, with what would change the path encoded.
fn part(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[async_trait]
impl ContainerApi for HttpContainer {
    async fn ping(&self) -> Result<Abilities, Failure> {
        let answer = self
            .call(&Call::new(Method::GET, "ping", true), &[200])
            .await?;
        let told = answer.abilities.unwrap_or_default();
        let has = |word: &str| told.split(',').any(|told| told.trim() == word);
        let abilities = Abilities {
            repeatable_reads: has(REPEATABLE_READS),
            repeatable_writes: has(REPEATABLE_WRITES),
        };
        self.repeatable_reads
            .store(abilities.repeatable_reads, Ordering::Relaxed);
        self.repeatable_writes
            .store(abilities.repeatable_writes, Ordering::Relaxed);
        Ok(abilities)
    }

    async fn next(&self, input: InputType, options: ReadOptions) -> Result<Read, Failure> {
        let mut call = Call::new(Method::GET, format!("input/{input}/next"), false);
        call.query = options_query(options);
        self.read(call, input).await
    }

    async fn next_batch(
        &self,
        input: InputType,
        size: usize,
        options: ReadOptions,
    ) -> Result<Read, Failure> {
        let mut call = Call::new(Method::GET, format!("input/{input}/next_batch"), false);
        call.query = options_query(options);
        call.query
            .push(("size", size.clamp(1, LARGEST_BATCH).to_string()));
        self.read(call, input).await
    }

    fn largest_batch(&self) -> usize {
        LARGEST_BATCH
    }

    async fn restart(&self, input: InputType) -> Result<bool, Failure> {
        let call = Call::new(Method::GET, format!("input/{input}/restart"), true);
        let answer = self.call(&call, &[200, 204, 404]).await?;
        self.reads().remove(&input);
        Ok(answer.status != 404)
    }

    async fn count(&self, items: Items) -> Result<Option<u64>, Failure> {
        let call = Call::new(Method::GET, format!("items/{}/count", items.as_str()), true);
        let answer = self.call(&call, &[200, 400, 404]).await?;
        if answer.status != 200 {
            return Ok(None);
        }
        let count: Count = body::content(&answer.body)?;
        Ok(Some(count.count))
    }

    async fn append(&self, output: OutputType, rows: &Rows) -> Result<(), Failure> {
        let body = body::append(rows, self.options.separator.as_deref());
        let mut call = Call::new(Method::POST, format!("output/{output}"), false).json(body);
        if self.repeatable_writes.load(Ordering::Relaxed) {
            let number = self.writes.fetch_add(1, Ordering::Relaxed);
            call.repeatable = true;
            call.header = Some((WRITE_HEADER, format!("{:x}-{number}", self.run)));
        }
        self.call(&call, &[200, 201]).await.map(drop)
    }

    async fn close(&self, output: OutputType) -> Result<(), Failure> {
        let call = Call::new(Method::POST, format!("output/{output}/close"), false);
        self.call(&call, &[200, 204]).await.map(drop)
    }

    async fn finish(&self, _: OutputType, _: bool) -> Result<(), Failure> {
        // What is written is written.
        Ok(())
    }

    async fn log(
        &self,
        level: LogLevel,
        message: &str,
        context: Option<&Value>,
    ) -> Result<(), Failure> {
        // A blank message is refused, and one that is there twice does no harm.
        let message = if message.trim().is_empty() {
            "(no message)"
        } else {
            message
        };
        let body = match context {
            Some(context) => json!({"message": message, "context": context}),
            None => json!({"message": message}),
        };
        let mut call = Call::new(Method::POST, format!("logs/{}", level.as_str()), true)
            .json(body.to_string());
        call.deadline = Some(Duration::from_secs(5));
        self.call(&call, &[200, 201]).await.map(drop)
    }

    async fn processes(&self) -> Result<Vec<Process>, Failure> {
        let call = Call::new(Method::GET, "processes/pending", true);
        body::content(&self.call(&call, &[200]).await?.body)
    }

    async fn process(&self, id: &str) -> Result<Option<Process>, Failure> {
        let call = Call::new(Method::GET, format!("processes/{}", part(id)), true);
        let answer = self.call(&call, &[200, 404]).await?;
        match answer.status {
            404 => Ok(None),
            _ => body::content(&answer.body).map(Some),
        }
    }

    async fn log_processes(&self) -> Result<(), Failure> {
        let call = Call::new(Method::POST, "processes/log", true);
        self.call(&call, &[200, 201]).await.map(drop)
    }

    async fn store(&self, storage: Storage, file: &StoreFile) -> Result<String, Failure> {
        let body = json!({"source_file": file.source_file, "remote_file": file.remote_file});
        let call = Call::new(Method::POST, storage.route(), false).json(body.to_string());
        let answer = self.call(&call, &[202]).await?;
        let id: Id = body::content(&answer.body)?;
        Ok(id.id)
    }

    async fn classifications(&self, path: Option<&str>) -> Result<Vec<Classification>, Failure> {
        let mut call = Call::new(Method::GET, "csa-classifications", true);
        if let Some(path) = path {
            call.query.push(("classification-path", path.to_owned()));
        }
        body::content(&self.call(&call, &[200]).await?.body)
    }
}
