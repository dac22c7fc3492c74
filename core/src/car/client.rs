//! The protocol's calls, one method each.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use car_schema::wire::{
    Databases, Health, ImportSchemaDocument, ImportStarted, ImportStatus, JobStarted, JobState,
    JobStatus, SweepPreview,
};
use car_schema::{Extension, Identity};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::address::{BaseAddress, encode};
use super::call::{Answer, Call, CarCall, Method};
use super::http::HttpCall;
use super::stats::CallStats;
use super::status;
use crate::config::CarCredentials;
use crate::failure::{Effect, Failure, FailureKind};
use crate::layer::{Backoff, stack};
use crate::progress::Reporter;

/// Longest list of ids in one address, in encoded bytes.
const LONGEST_LIST: usize = 1800;

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

/// What the service knows of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceState {
    /// Whether it reported before.
    pub known: bool,
    /// The state of the data source that the graph was last brought to.
    pub save_point: Option<String>,
}

/// A client of the CAR service.
#[derive(Clone)]
pub struct CarClient {
    calls: Arc<dyn CarCall>,
    stats: Arc<CallStats>,
    cancel: CancellationToken,
    job_deadline: Duration,
}

#[derive(Deserialize)]
struct SourceDocument {
    #[serde(default)]
    model_state_id: Option<String>,
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
        let stats = Arc::new(CallStats::default());
        let calls = stack::around(
            http,
            options.call_timeout,
            options.backoff,
            Arc::clone(&stats),
            reporter,
            cancel.clone(),
        );
        Ok(Self {
            calls,
            stats,
            cancel,
            job_deadline: options.job_deadline,
        })
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
    pub async fn features(&self) -> Result<car_schema::wire::Features, Failure> {
        let call = Call::new("get health", Method::Get, "health")
            .v3()
            .accept(&[404])
            .any_body();
        let answer = self.calls.call(&call).await?;
        let health: Health = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(health.features)
    }

    /// Returns what the service knows of a source.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn source(&self, source: &str) -> Result<SourceState, Failure> {
        let path = format!("source/{}", encode(source));
        let call = Call::new("get source", Method::Get, path).accept(&[404]);
        let answer = self.calls.call(&call).await?;
        if answer.status == 404 {
            return Ok(SourceState::default());
        }
        let document: SourceDocument = parse(&call, &answer)?;
        let save_point = document.model_state_id.filter(|state| !state.is_empty());
        Ok(SourceState {
            known: true,
            save_point,
        })
    }

    /// Sets the save point of a source; `None` clears it.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn set_save_point(&self, source: &str, state: Option<&str>) -> Result<(), Failure> {
        let name = if state.is_some() {
            "write save point"
        } else {
            "clear save point"
        };
        let call = Call::new(name, Method::Patch, "source")
            .query(format!("key={}", encode(source)))
            .body(to_json(
                &json!({ "model_state_id": state.unwrap_or_default() }),
            )?)
            .any_body();
        self.calls.call(&call).await.map(drop)
    }

    /// Opens a full-import session.
    ///
    /// # Errors
    ///
    /// As every call, and when the service says that the session could not be opened.
    pub async fn open_session(&self, source: &str) -> Result<(), Failure> {
        self.job(session("open session", Method::Post, source))
            .await
    }

    /// Closes a full-import session: what was not reported in it is retired.
    ///
    /// # Errors
    ///
    /// As every call, and when the service says that the session could not be closed.
    pub async fn close_session(&self, source: &str) -> Result<(), Failure> {
        self.job(session("close session", Method::Delete, source))
            .await
    }

    /// Returns what closing the session would retire.
    ///
    /// Only for services with the feature `sweep_preview`.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn preview_sweep(&self, source: &str) -> Result<SweepPreview, Failure> {
        let call = session("preview sweep", Method::Get, source);
        let answer = self.calls.call(&call).await?;
        parse(&call, &answer)
    }

    /// Posts an envelope and returns the name of the import.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn post_import(&self, envelope: Bytes) -> Result<String, Failure> {
        let call = Call::new("post import", Method::Post, "imports").body(envelope);
        let answer = self.calls.call(&call).await?;
        parse::<ImportStarted>(&call, &answer).map(|import| import.id)
    }

    /// Returns which of these imports are still at work.
    ///
    /// # Errors
    ///
    /// As every call, and when the service says that an import failed.
    pub async fn unfinished_imports(&self, ids: &[String]) -> Result<Vec<String>, Failure> {
        let list = ids
            .iter()
            .map(|id| encode(id))
            .collect::<Vec<_>>()
            .join(",");
        let call = Call::new("get import status", Method::Get, "importstatus")
            .query(format!("ids={list}"));
        let answer = self.calls.call(&call).await?;
        let status: ImportStatus = parse(&call, &answer)?;
        if let Some(failed) = status
            .error_imports
            .into_iter()
            .find(|failed| ids.contains(&failed.id))
        {
            let kind = match failed.status_code {
                0 => FailureKind::CarRejected,
                code => status::kind(code),
            };
            return Err(
                Failure::new(kind, "the CAR service could not carry out an import")
                    .with("import", &failed.id)
                    .with("status", failed.status_code)
                    .because(failed.error),
            );
        }
        Ok(status
            .incomplete_imports
            .into_iter()
            .map(|import| import.id)
            .filter(|id| ids.contains(id))
            .collect())
    }

    /// Retires vertices and their edges.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn delete_vertices(
        &self,
        source: &str,
        collection: &str,
        identity: Identity,
        keys: &[String],
    ) -> Result<(), Failure> {
        let path = format!("source/{}/{}", encode(source), encode(collection));
        for list in lists(keys) {
            let query = format!("{}={list}", identity.delete_parameter());
            let call = Call::new("delete vertices", Method::Delete, path.clone())
                .query(query)
                .any_body();
            self.calls.call(&call).await?;
        }
        Ok(())
    }

    /// Retires an edge, or marks it inactive where the service cannot retire edges.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`].
    pub async fn delete_edge(
        &self,
        source: &str,
        collection: &str,
        (from, to): (&str, &str),
        retire: bool,
    ) -> Result<(), Failure> {
        let (from, to) = (encode(from), encode(to));
        let call = if retire {
            let path = format!("source/{}/{}", encode(source), encode(collection));
            Call::new("delete edge", Method::Delete, path).query(format!("from={from}&to={to}"))
        } else {
            Call::new("deactivate edge", Method::Patch, encode(collection))
                .query(format!("source={}&from={from}&to={to}", encode(source)))
                .body(to_json(&json!({ "active": false }))?)
        };
        // An edge that is not there is as gone as one that was taken away.
        self.calls
            .call(&call.accept(&[404]).any_body())
            .await
            .map(drop)
    }

    /// Makes a call that starts a job, and waits for the job's end.
    async fn job(&self, call: Call) -> Result<(), Failure> {
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

fn session(name: &'static str, method: Method, source: &str) -> Call {
    Call::new(
        name,
        method,
        format!("source/{}/full-import-in-progress", encode(source)),
    )
}

fn not_ready(why: &'static str) -> Failure {
    Failure::new(
        FailureKind::CarUnavailable,
        "the CAR service's database is not ready",
    )
    .because(why)
}

fn to_json(value: &impl serde::Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        Failure::new(FailureKind::General, "a request cannot be written as JSON").because(error)
    })
}

fn parse<T: DeserializeOwned>(call: &Call, answer: &Answer) -> Result<T, Failure> {
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

/// Joins ids to lists that fit into an address. The service splits at commas, so an id with a
/// comma goes alone.
fn lists(ids: &[String]) -> Vec<String> {
    let mut lists = Vec::new();
    let mut list = String::new();
    for id in ids.iter().filter(|id| !id.is_empty()) {
        let encoded = encode(id);
        if id.contains(',') {
            lists.push(encoded);
            continue;
        }
        if !list.is_empty() && list.len().saturating_add(encoded.len()) >= LONGEST_LIST {
            lists.push(std::mem::take(&mut list));
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&encoded);
    }
    if !list.is_empty() {
        lists.push(list);
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_ids_with_commas_alone_and_addresses_short() {
        let ids: Vec<String> = ["a#b", "a,b", "100%", "é"].map(str::to_owned).to_vec();
        assert_eq!(lists(&ids), ["a%2Cb", "a%23b,100%25,%C3%A9"]);
        let many: Vec<String> = (0..1000).map(|n| format!("id-{n:04}")).collect();
        let lists = lists(&many);
        assert!(lists.iter().all(|list| list.len() <= LONGEST_LIST));
        assert_eq!(
            lists
                .iter()
                .map(|list| list.split(',').count())
                .sum::<usize>(),
            1000
        );
    }
}
