//! The protocol's calls, one method each.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use car_schema::Extension;
use car_schema::wire::{
    Databases, Features, Health, ImportSchemaDocument, JobStarted, JobState, JobStatus,
};
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::address::{BaseAddress, encode};
use super::call::{Answer, Call, CarCall, Method};
use super::http::HttpCall;
use super::stats::CallStats;
use crate::config::CarCredentials;
use crate::failure::{Effect, Failure, FailureKind};
use crate::layer::{Backoff, stack};
use crate::progress::Reporter;

/// How to reach the CAR service.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address and credentials.
    pub credentials: CarCredentials,
    /// Name and version of the connector, for the service's log.
    pub user_agent: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one attempt of a call may take.
    pub call_timeout: Duration,
    /// When to try again.
    pub backoff: Backoff,
    /// How long a job of the service, such as a sweep, may take.
    pub job_deadline: Duration,
}

impl Options {
    /// Makes options with the usual times.
    #[must_use]
    pub fn new(credentials: CarCredentials, user_agent: impl Into<String>) -> Self {
        Self {
            credentials,
            user_agent: user_agent.into(),
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(120),
            backoff: Backoff::default(),
            job_deadline: Duration::from_secs(30 * 60),
        }
    }
}

/// Whether the tenant's database was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseState {
    /// It was there, with whatever earlier runs left in it.
    Ready,
    /// It was made or repaired just now; whatever earlier runs saved does not count.
    Created,
}

/// A client of the CAR service.
#[derive(Clone)]
pub struct CarClient {
    pub(super) calls: Arc<dyn CarCall>,
    stats: Arc<CallStats>,
    cancel: CancellationToken,
    job_deadline: Duration,
    /// Asked once: no service learns more while it runs.
    features: Arc<OnceCell<Features>>,
}

impl CarClient {
    /// Makes a client. Does not talk to the service yet.
    ///
    /// # Errors
    ///
    /// When the address or the credentials cannot be put into a request.
    pub fn new(
        options: Options,
        reporter: Arc<dyn Reporter>,
        cancel: CancellationToken,
    ) -> Result<Self, Failure> {
        let (address, authorization) = match &options.credentials {
            CarCredentials::Key { url, key, password } => {
                let pair = format!("{key}:{}", password.expose());
                (url, format!("Basic {}", STANDARD.encode(pair)))
            }
            CarCredentials::Token { url, token } => (url, format!("car-token {}", token.expose())),
        };
        let mut authorization = HeaderValue::from_str(&authorization).map_err(|_| {
            Failure::new(
                FailureKind::InvalidParameter,
                "the CAR service's token has characters that no header can carry",
            )
            .hint("check `--car-service-token` (`CAR_SERVICE_AUTHTOKEN`) for line ends and quotes")
        })?;
        authorization.set_sensitive(true);
        let http = HttpCall::new(
            BaseAddress::parse(address)?,
            authorization,
            &options.user_agent,
            options.connect_timeout,
            options.call_timeout,
        )?;
        Ok(Self::over(http, &options, reporter, cancel))
    }

    /// Makes a client that makes its calls in another way than over HTTP, with the layers around
    /// them that every client has. Address and credentials of the options are not looked at.
    pub fn over(
        calls: impl CarCall + 'static,
        options: &Options,
        reporter: Arc<dyn Reporter>,
        cancel: CancellationToken,
    ) -> Self {
        let stats = Arc::new(CallStats::default());
        let calls = stack::around(
            calls,
            options.call_timeout,
            options.backoff,
            Arc::clone(&stats),
            reporter,
            cancel.clone(),
        );
        Self {
            calls,
            stats,
            cancel,
            job_deadline: options.job_deadline,
            features: Arc::default(),
        }
    }

    /// Returns a client whose calls go through something else first, such as a rehearsal.
    pub(crate) fn through(&self, calls: Arc<dyn CarCall>) -> Self {
        Self {
            calls,
            features: Arc::default(),
            ..self.clone()
        }
    }

    /// Returns what makes this client's calls.
    pub(crate) fn calls(&self) -> Arc<dyn CarCall> {
        Arc::clone(&self.calls)
    }

    /// Returns the counts of calls so far.
    #[must_use]
    pub fn stats(&self) -> &CallStats {
        &self.stats
    }

    /// Returns a schema extension, `None` when the service does not know it.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn extension(&self, key: &str) -> Result<Option<Extension>, Failure> {
        let path = format!("carSchema/{}", encode(key));
        let call = Call::new("get extension", Method::Get, path)
            .v3()
            .accept(&[404]);
        let answer = self.calls.call(&call).await?;
        if answer.status == 404 {
            Ok(None)
        } else {
            parse(&call, &answer).map(Some)
        }
    }

    /// Posts a schema extension.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn post_extension(&self, extension: &Extension) -> Result<(), Failure> {
        let call = Call::new("post extension", Method::Post, "carSchema")
            .v3()
            .any_body();
        self.calls
            .call(&call.body(to_json(extension)?))
            .await
            .map(drop)
    }

    /// Sees to it that the tenant's database is there and ready.
    ///
    /// # Errors
    ///
    /// As every call, and when the service says that the database did not get ready.
    pub async fn prepare_database(&self) -> Result<DatabaseState, Failure> {
        let call = Call::new("get databases", Method::Get, "databases").accept(&[400]);
        let answer = self.calls.call(&call).await?;
        if answer.status == 400 {
            self.job(Call::new("create database", Method::Post, "databases"))
                .await?;
        } else {
            let databases: Databases = parse(&call, &answer)?;
            let Some(database) = databases.databases.first() else {
                return Err(not_ready("it names none"));
            };
            if database.is_ready {
                return Ok(DatabaseState::Ready);
            }
            let repair = if database.graph_name.is_empty() {
                json!({ "graph_name": "assets" })
            } else if database.collections_without_indexes.is_empty() {
                return Err(not_ready(
                    "it is not ready and does not say what is missing",
                ));
            } else {
                json!({ "collections_without_indexes": database.collections_without_indexes })
            };
            let call = Call::new("repair database", Method::Patch, "databases");
            self.job(call.body(to_json(&repair)?)).await?;
        }
        let answer = self.calls.call(&call).await?;
        let databases: Databases = parse(&call, &answer)?;
        if databases
            .databases
            .first()
            .is_some_and(|database| database.is_ready)
        {
            Ok(DatabaseState::Created)
        } else {
            Err(not_ready("it is still not ready after it was set up"))
        }
    }

    /// Returns the JSON schema of import envelopes.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn import_schema(&self) -> Result<Value, Failure> {
        let call = Call::new("get import schema", Method::Get, "importSchema")
            .v3()
            .query("version=v2");
        let answer = self.calls.call(&call).await?;
        parse::<ImportSchemaDocument>(&call, &answer).map(|document| document.schema)
    }

    /// Returns what the service can do beyond the old protocol; nothing when it does not tell.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn features(&self) -> Result<Features, Failure> {
        let ask = async || {
            let call = Call::new("get health", Method::Get, "health")
                .v3()
                .accept(&[404])
                .any_body();
            let answer = self.calls.call(&call).await?;
            let health: Health = serde_json::from_slice(&answer.body).unwrap_or_default();
            Ok(health.features)
        };
        self.features.get_or_try_init(ask).await.copied()
    }

    /// Makes a call that starts a job, and waits for the job's end.
    pub(super) async fn job(&self, call: Call) -> Result<(), Failure> {
        let answer = self.calls.call(&call).await?;
        let job: JobStarted = parse(&call, &answer)?;
        let status = Call::new(
            "get job status",
            Method::Get,
            format!("jobstatus/{}", encode(&job.job_id)),
        );
        // The job is at work by now, whatever keeps us from hearing of its end.
        let unknown = |failure: Failure| failure.with_effect(Effect::Unknown);
        let started = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            let answer = self.calls.call(&status).await.map_err(unknown)?;
            let state: JobStatus = parse(&status, &answer)?;
            match state.status {
                JobState::Complete => return Ok(()),
                JobState::Error => {
                    let text = state
                        .error
                        .unwrap_or_else(|| "the service gives no reason".to_owned());
                    return Err(Failure::new(
                        FailureKind::CarUnavailable,
                        format!("the CAR service's job `{}` failed", call.name),
                    )
                    .with("job", &job.job_id)
                    .because(text));
                }
                JobState::InProgress if started.elapsed() > self.job_deadline => {
                    return Err(Failure::new(
                        FailureKind::CarUnavailable,
                        format!("the CAR service's job `{}` did not end", call.name),
                    )
                    .with("job", &job.job_id)
                    .with("after seconds", self.job_deadline.as_secs())
                    .with_effect(Effect::Unknown));
                }
                JobState::InProgress => {}
            }
            self.pause(&mut pause).await.map_err(unknown)?;
        }
    }

    /// Waits before asking again, longer each time.
    pub(crate) async fn pause(&self, pause: &mut Duration) -> Result<(), Failure> {
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            () = self.cancel.cancelled() => {
                return Err(Failure::new(FailureKind::Interrupted, "stopped while waiting for the CAR service"));
            }
        }
        *pause = pause.saturating_mul(2).min(Duration::from_secs(5));
        Ok(())
    }
}

fn not_ready(why: &'static str) -> Failure {
    Failure::new(
        FailureKind::CarUnavailable,
        "the CAR service's database is not ready",
    )
    .because(why)
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        Failure::new(FailureKind::General, "a request cannot be written as JSON").because(error)
    })
}

pub(super) fn parse<T: DeserializeOwned>(call: &Call, answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::new(
            FailureKind::CarUnavailable,
            "the CAR service's answer does not fit the protocol",
        )
        .with("call", call.name)
        .with_effect(Effect::Unknown)
        .because(error)
    })
}
