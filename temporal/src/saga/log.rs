//! The log: asks the workflows of sagas, and has a worker that keeps them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use car_core::saga::{
    CLAIM_TTL, Claim, Claimed, ClaimedBy, Entry, Event, LogError, Progress, SagaLog, Status,
    Summary, Then,
};
use car_core::{Failure, FailureKind};
use serde_json::Value;
use temporalio_client::{WorkflowExecuteUpdateOptions, WorkflowQueryOptions};
use temporalio_sdk::WorkerOptions;

use super::alive::By;
use super::error::storage;
use super::message::{Ask, Asked, Begun, Page, Stands, Write, Wrote};
use super::records::entry;
use super::start::Place;
use super::workflow::SagaWorkflow;
use crate::address::Address;
use crate::called::Missing;
use crate::list::{LARGEST_PAGE, found, is_plain};
use crate::server::{STICKY, Server, version};
use crate::worker::Running;

/// How often a claim is asked for while sagas come and go, or their holders die, in between.
const ATTEMPTS: u32 = 5;

/// How a log on a Temporal server works.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// What the names of workflows and queues begin with. Logs with another one see nothing of
    /// each other.
    pub prefix: String,
    /// How long a claim lasts without being renewed.
    pub ttl: Duration,
    /// How long a saga that is over can be claimed as before; then its workflow ends, and can be
    /// read for as long as the namespace keeps what has ended.
    pub keep: Duration,
    /// How long a call to the server may take.
    pub call: Duration,
    /// Most events in the history of a saga, 0 for as many as the server suggests.
    pub history: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            prefix: "car".to_owned(),
            ttl: CLAIM_TTL,
            keep: Duration::from_hours(30 * 24),
            call: Duration::from_secs(20),
            history: 0,
        }
    }
}

/// A log on a Temporal server, which processes of any number of machines share.
///
/// Each saga is a workflow of its own, `PREFIX-saga/LOG/ID` by name. Each process that has the
/// log open works on these workflows; their steps are done by whoever has the claim, here as with
/// any other log.
///
/// - Claims run out by the clock of the server. What a dead process had is claimed at once by
///   another one under the same kernel, in the same container, of the same user.
/// - Lists come from the server's visibility and may lag behind it by moments. Of more sagas than
///   are asked for, the latest begun are listed.
/// - A saga that is over stays open for [`LogOptions::keep`], in which another delivery is
///   answered as before. Its workflow completes then, and its records can be read, and another
///   delivery answered, for the retention of the namespace. After that it is new.
/// - The records of a saga have at most 1.7 MB, each request counted once: the server takes no
///   more in one piece.
/// - What is recorded is readable for whoever may read the server's namespace.
pub struct TemporalLog {
    inner: Arc<Inner>,
    place: Place,
}

struct Inner {
    server: Server,
    options: LogOptions,
    by: By,
    /// Held for its work, which ends with it.
    _worker: Running,
}

impl fmt::Debug for TemporalLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporalLog")
            .field("address", &self.inner.server.address)
            .field("place", &self.place)
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl TemporalLog {
    /// Connects to a server, and works on the sagas of the log of this name.
    ///
    /// # Errors
    ///
    /// [`LogError::Storage`] when the server is not there, or does not know the namespace, and
    /// for a name with quotes or backslashes.
    pub async fn open(
        address: &Address,
        name: &str,
        options: LogOptions,
    ) -> Result<Self, LogError> {
        let place = place(&options.prefix, name)?;
        let server = Server::connect(address, options.call)
            .await
            .map_err(storage("opened"))?;
        let worker = WorkerOptions::new(Place::queue(&options.prefix))
            .deployment_options(version())
            .sticky_queue_schedule_to_start_timeout(STICKY)
            .register_workflow::<SagaWorkflow>()
            .map_err(|error| storage("opened")(server.not_registered(error)))?
            .build();
        let worker = server.work(worker).await.map_err(storage("opened"))?;
        let inner = Inner {
            server,
            options,
            by: By::this_process(),
            _worker: worker,
        };
        Ok(Self {
            inner: Arc::new(inner),
            place,
        })
    }

    /// Opens the log that a setting names: `temporal://HOST:PORT/NAMESPACE`, or `temporals://`
    /// with TLS, and behind it `?log=NAME` for another log of the namespace than `usual`.
    ///
    /// # Errors
    ///
    /// For what is no such address, and as [`TemporalLog::open`].
    pub async fn at(place: &str, usual: &str) -> Result<Self, Failure> {
        let (address, name) = match place.split_once('?') {
            None => (place, usual),
            Some((address, query)) => match query.strip_prefix("log=") {
                Some(name) if !name.is_empty() && !name.contains('&') => (address, name),
                _ => {
                    return Err(Failure::new(
                        FailureKind::InvalidParameter,
                        "the address of a saga log on a Temporal server has more than it should",
                    )
                    .hint("it is like `temporal://127.0.0.1:7233/default?log=NAME`"));
                }
            },
        };
        let address: Address = address.parse()?;
        Ok(Self::open(&address, name, LogOptions::default()).await?)
    }

    /// Returns another log on the same server, which sees nothing of this one.
    ///
    /// # Errors
    ///
    /// As [`TemporalLog::open`] for the name.
    pub fn named(&self, name: &str) -> Result<Self, LogError> {
        Ok(Self {
            inner: Arc::clone(&self.inner),
            place: place(&self.inner.options.prefix, name)?,
        })
    }

    fn ask(&self, dead: Option<u64>) -> Ask {
        Ask {
            by: self.inner.by.clone(),
            ttl: millis(self.inner.options.ttl),
            dead,
        }
    }

    /// Starts the workflow of a saga if it is new.
    async fn begin(&self, id: &str, begin: &Event) -> Result<bool, LogError> {
        let options = &self.inner.options;
        let begun = Begun {
            saga: match begin {
                Event::Began { saga, .. } => saga.clone(),
                _ => String::new(),
            },
            event: value(id, begin)?,
            ask: self.ask(None),
            keep: millis(options.keep),
            history: options.history,
        };
        let server = &self.inner.server;
        let start = self.place.start(&server.client, id, begun);
        match server.call("begin a saga", true, start).await {
            Ok(()) => Ok(true),
            Err(Missing::NotThere) => Ok(false),
            Err(Missing::Failed(error)) => Err(storage("written")(error)),
        }
    }

    /// Asks an open workflow for a claim, `None` where there is none.
    async fn request(&self, id: &str, dead: Option<u64>) -> Result<Option<Asked>, LogError> {
        let server = &self.inner.server;
        let saga = self.place.handle(&server.client, id);
        let options = WorkflowExecuteUpdateOptions::default();
        let update = saga.execute_update(SagaWorkflow::claim, self.ask(dead), options);
        match server.call("claim a saga", true, update).await {
            Ok(asked) => Ok(Some(asked)),
            Err(Missing::NotThere) => Ok(None),
            Err(Missing::Failed(error)) => Err(storage("written")(error)),
        }
    }

    async fn write(&self, claim: &Claim, write: Write) -> Result<(), LogError> {
        let server = &self.inner.server;
        let saga = self.place.handle(&server.client, &claim.id);
        let options = WorkflowExecuteUpdateOptions::default();
        let update = saga.execute_update(SagaWorkflow::write, write, options);
        match server.call("record a saga", true, update).await {
            Ok(Wrote::Done) => Ok(()),
            Ok(Wrote::Lost) | Err(Missing::NotThere) => Err(LogError::Lost {
                id: claim.id.to_string(),
                fence: claim.fence,
            }),
            Ok(Wrote::TooMuch(bytes)) => Err(LogError::Storage {
                doing: "written",
                full: false,
                source: format!(
                    "the records of the saga would have {bytes} bytes, which Temporal does not take"
                )
                .into(),
            }),
            Err(Missing::Failed(error)) => Err(storage("written")(error)),
        }
    }

    /// Reads a saga, and says where it stands and how often it was claimed; none where there is
    /// no such saga.
    async fn read(&self, id: &str) -> Result<Option<(Vec<Entry>, Status, u64)>, LogError> {
        let server = &self.inner.server;
        let saga = self.place.handle(&server.client, id);
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let options = WorkflowQueryOptions::default();
            let query = saga.query(SagaWorkflow::page, entries.len(), options);
            let page: Page = match server.call("tell of a saga", false, query).await {
                Ok(page) => page,
                Err(Missing::NotThere) => return Ok(None),
                Err(Missing::Failed(error)) => return Err(storage("read")(error)),
            };
            let nothing = page.records.is_empty();
            for record in page.records {
                let number = u64::try_from(entries.len()).unwrap_or(u64::MAX);
                let read = entry(record).map_err(|error| LogError::Unreadable {
                    id: id.to_owned(),
                    number,
                    source: Box::new(error),
                })?;
                entries.push(read);
            }
            if nothing || entries.len() >= page.total {
                return Ok(Some((entries, page.status, page.fence)));
            }
        }
    }

    /// Claims a saga that has a workflow; `None` where the workflow has ended before the saga
    /// did, or there is none.
    async fn known(&self, id: &str) -> Result<Option<Claimed>, LogError> {
        let mut dead = None;
        for _ in 0..ATTEMPTS {
            match self.request(id, dead).await? {
                Some(Asked::Granted(fence)) => {
                    let read = self.read(id).await?;
                    return Ok(read.map(|(entries, _, _)| claimed(id, fence, entries)));
                }
                Some(Asked::Held { by, fence, .. }) if by.is_dead(&self.inner.by) => {
                    dead = Some(fence);
                }
                Some(Asked::Held { by, left, .. }) => {
                    return Err(LogError::Held {
                        id: id.to_owned(),
                        by: Box::new(ClaimedBy {
                            host: by.host,
                            pid: by.pid,
                            expires_in: Duration::from_millis(left),
                        }),
                    });
                }
                None => {
                    // It is over for long: whoever asks may read it, and has nothing to write.
                    let read = self.read(id).await?;
                    let over = read.filter(|(_, status, _)| status.is_over());
                    return Ok(over
                        .map(|(entries, _, fence)| claimed(id, fence.saturating_add(1), entries)));
                }
            }
        }
        Err(changing(id))
    }
}

#[async_trait]
impl SagaLog for TemporalLog {
    async fn claim(&self, id: &str, begin: Option<&Event>) -> Result<Claimed, LogError> {
        let Some(begin) = begin else {
            let known = self.known(id).await?;
            return known.ok_or_else(|| LogError::NotFound { id: id.to_owned() });
        };
        // One that somebody ends by hand in between is new again.
        for _ in 0..ATTEMPTS {
            if self.begin(id, begin).await? {
                return Ok(Claimed {
                    claim: Claim {
                        id: Arc::from(id),
                        fence: 1,
                    },
                    events: vec![begin.clone()],
                });
            }
            if let Some(claimed) = self.known(id).await? {
                return Ok(claimed);
            }
        }
        Err(changing(id))
    }

    async fn append(
        &self,
        claim: &Claim,
        events: &[Event],
        progress: &Progress,
        then: Then,
    ) -> Result<(), LogError> {
        let events = events.iter().map(|event| value(&claim.id, event));
        let write = Write {
            fence: claim.fence,
            events: events.collect::<Result<_, _>>()?,
            stands: Some(Stands {
                status: progress.status,
                step: progress.current().map(str::to_owned),
            }),
            keep: then == Then::Keep,
        };
        self.write(claim, write).await
    }

    async fn renew(&self, claim: &Claim) -> Result<(), LogError> {
        self.write(claim, nothing(claim, true)).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), LogError> {
        self.write(claim, nothing(claim, false)).await
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, LogError> {
        let read = self.read(id).await?;
        Ok(read.map(|(entries, _, _)| entries).unwrap_or_default())
    }

    async fn list(&self, status: Option<Status>, limit: u32) -> Result<Vec<Summary>, LogError> {
        let mark = self.place.mark();
        let mut query = format!(
            "WorkflowType = 'car-saga' AND CarConnector = '{mark}' \
             AND (ExecutionStatus = 'Running' OR ExecutionStatus = 'Completed')"
        );
        if let Some(status) = status {
            query.push_str(&format!(" AND CarStatus = '{}'", status.as_str()));
        }
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut list = Vec::new();
        let mut token = Vec::new();
        while list.len() < most {
            let page = limit.clamp(1, LARGEST_PAGE);
            let (page, next) = found(&self.inner.server, query.clone(), page, token)
                .await
                .map_err(storage("read"))?;
            let summaries = page.iter().filter_map(|found| self.place.summary(found));
            // The server finds by what it was told, and shows what it was told since.
            list.extend(summaries.filter(|saga| status.is_none_or(|status| saga.status == status)));
            token = next;
            if token.is_empty() {
                break;
            }
        }
        list.truncate(most);
        list.sort_by(|a, b| (b.updated, &b.id).cmp(&(a.updated, &a.id)));
        Ok(list)
    }

    fn ttl(&self) -> Duration {
        self.inner.options.ttl
    }
}

fn place(prefix: &str, name: &str) -> Result<Place, LogError> {
    let place = Place::new(prefix, name);
    if is_plain(&place.mark()) {
        return Ok(place);
    }
    Err(LogError::Storage {
        doing: "opened",
        full: false,
        source: format!("`{name}` is no name for a log: it has quotes or backslashes").into(),
    })
}

fn claimed(id: &str, fence: u64, entries: Vec<Entry>) -> Claimed {
    Claimed {
        claim: Claim {
            id: Arc::from(id),
            fence,
        },
        events: entries.into_iter().map(|entry| entry.event).collect(),
    }
}

/// Writes nothing, which renews a claim or gives it back.
fn nothing(claim: &Claim, keep: bool) -> Write {
    Write {
        fence: claim.fence,
        events: Vec::new(),
        stands: None,
        keep,
    }
}

fn value(id: &str, event: &Event) -> Result<Value, LogError> {
    serde_json::to_value(event).map_err(|error| LogError::Unreadable {
        id: id.to_owned(),
        number: 0,
        source: Box::new(error),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn changing(id: &str) -> LogError {
    LogError::Storage {
        doing: "written",
        full: false,
        source: format!("saga `{id}` changes hands all the time; ask again").into(),
    }
}
