//! Payments: a connector with tasks. It looks into a directory from time to time, and takes in
//! each file once: a payment, or an account.
//!
//! The root task lists the directory and spawns a task for each file. A file that is no payment
//! fails its own task, which shows why; the root goes on.

mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use car_core::config::Span;
use car_core::connector::About;
use car_core::record::Records;
use car_core::tasks::{
    ConnectorContext, Ingester, MOST_CHILDREN, Outcome, Policy, Provider, Restart, Schedule, Step,
    Task, TaskConnector, TaskDescriptor, TaskError, TaskSpec,
};
use car_core::{Failure, FailureKind, Retry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::error;
use crate::watch::{Scope, Watch};

/// How often the directory is listed when nobody says.
const USUAL_PERIOD: &str = "10s";

/// How long files may come in together before one listing is for all of them.
const TOGETHER: Duration = Duration::from_millis(50);

/// Largest file, in bytes.
const LARGEST: u64 = 1 << 20;

/// The kind of connector.
pub(crate) struct Payments;

/// Its settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    directory: PathBuf,
    polling_period: String,
    // Connectors that were installed earlier have no word on it.
    #[serde(default = "yes")]
    watch: bool,
}

const fn yes() -> bool {
    true
}

#[async_trait]
impl Provider for Payments {
    fn name(&self) -> &str {
        "payments"
    }

    fn description(&self) -> String {
        "Takes in payments and accounts, each a file that is dropped into a directory.".to_owned()
    }

    fn schema(&self) -> Value {
        json!({
            "type": "object",
            "required": ["directory"],
            "additionalProperties": false,
            "properties": {
                "directory": {
                    "type": "string",
                    "minLength": 1,
                    "description": "Directory with one JSON file for each payment or account."
                },
                "pollingPeriod": {
                    "type": "string",
                    "default": USUAL_PERIOD,
                    "description": "How often the directory is listed."
                },
                "watch": {
                    "type": "boolean",
                    "default": true,
                    "description": "List it at once, too, when the system tells that something came."
                }
            }
        })
    }

    fn complete(&self, mut settings: Value) -> Value {
        if let Some(settings) = settings.as_object_mut() {
            settings
                .entry("pollingPeriod")
                .or_insert_with(|| USUAL_PERIOD.into());
            settings.entry("watch").or_insert(true.into());
        }
        settings
    }

    fn hide(&self, settings: &Value) -> Value {
        settings.clone()
    }

    async fn load(
        &self,
        settings: &Value,
        context: &ConnectorContext,
    ) -> Result<Arc<dyn TaskConnector>, Failure> {
        let invalid = |text: String| Failure::new(FailureKind::InvalidParameter, text);
        let settings: Settings = serde_json::from_value(settings.clone())
            .map_err(|error| invalid(format!("the settings are not valid: {error}")))?;
        if settings.directory.as_os_str().is_empty() {
            return Err(invalid("`directory` is empty".to_owned()));
        }
        let period: Span = settings
            .polling_period
            .parse()
            .map_err(|error| invalid(format!("`pollingPeriod`: {error}")))?;
        let root = root(period.0).map_err(|error| invalid(format!("`pollingPeriod`: {error}")))?;
        let ingester = context.ingester(context.name(), about())?;
        let watch = settings
            .watch
            .then(|| Arc::new(Watch::new(Scope::Arrivals)));
        let waking = watch
            .as_ref()
            .map(|watch| wake_when_told(watch, context, root.clone()));
        Ok(Arc::new(Directory {
            directory: settings.directory,
            root,
            watch,
            _waking: waking.map(AbortOnDropHandle::new),
            ingester,
        }))
    }
}

fn about() -> About {
    About {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        title: "Payments",
        description: "Payments and accounts from a directory.",
        product_link: None,
        extension: Some(record::extension()),
        incremental: false,
    }
}

/// What a task is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum What {
    /// Lists the directory.
    Directory,
    /// Takes in the file of this name.
    File(String),
}

/// An installed connector.
struct Directory {
    directory: PathBuf,
    root: TaskSpec,
    watch: Option<Arc<Watch>>,
    /// Held for its end.
    _waking: Option<AbortOnDropHandle<()>>,
    ingester: Arc<Ingester>,
}

/// Begins to have the directory listed when there is news of it.
fn wake_when_told(
    watch: &Arc<Watch>,
    context: &ConnectorContext,
    root: TaskSpec,
) -> JoinHandle<()> {
    let (watch, context) = (Arc::clone(watch), context.clone());
    tokio::spawn(async move {
        let cancel = context.cancel().clone();
        let wake = async {
            loop {
                watch.told().await;
                tokio::time::sleep(TOGETHER).await;
                if let Err(error) = context.wake(root.clone()).await {
                    tracing::debug!(%error, "news of a directory have to wait");
                }
            }
        };
        cancel.run_until_cancelled(wake).await;
    })
}

/// The task that lists the directory.
fn root(period: Duration) -> Result<TaskSpec, TaskError> {
    // A directory that is not there may come yet, so listing it is never given up.
    let policy = Policy::default()
        .waits(Duration::from_secs(1), period.max(Duration::from_secs(1)))
        .attempts(0);
    Ok(TaskSpec::of(What::Directory)?
        .name("directory")
        .schedule(Schedule::every(period)?)
        .restart(Restart::IfNotActive)
        .policy(policy))
}

#[async_trait]
impl TaskConnector for Directory {
    async fn install(&self, context: &ConnectorContext) -> Result<(), Failure> {
        context.schedule(self.root.clone()).await?;
        Ok(())
    }

    fn resolve(&self, descriptor: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure> {
        let what = descriptor.read().map_err(|error| {
            Failure::new(
                FailureKind::General,
                format!("there is no task {descriptor} in a connector of payments"),
            )
            .because(error)
        })?;
        Ok(match what {
            What::Directory => Arc::new(List {
                directory: self.directory.clone(),
                watch: self.watch.clone(),
            }),
            What::File(name) => Arc::new(Ingest {
                path: self.directory.join(&name),
                name,
                ingester: Arc::clone(&self.ingester),
            }),
        })
    }
}

/// Lists the directory.
struct List {
    directory: PathBuf,
    watch: Option<Arc<Watch>>,
}

/// Where the listing stands: a directory may have more files than one step can spawn tasks for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Listed {
    after: Option<String>,
    files: u64,
}

#[async_trait]
impl Task for List {
    async fn step(&self, step: Step) -> Result<Outcome, Failure> {
        let state: Listed = step.state()?;
        let (directory, watch) = (self.directory.clone(), self.watch.clone());
        let names = crate::blocking(move || {
            if let Some(watch) = watch {
                watch.arm(&directory);
            }
            names(&directory).map_err(|error| {
                error::unreadable_directory(&directory, error).with_retry(Retry::Backoff)
            })
        })
        .await?;
        let files = names.len() as u64;
        let mut left = names.into_iter();
        if let Some(after) = &state.after {
            while left.as_slice().first().is_some_and(|name| name <= after) {
                left.next();
            }
        }
        let part: Vec<String> = left.by_ref().take(MOST_CHILDREN).collect();
        let more = left.next().is_some();
        let after = part.last().cloned().filter(|_| more);
        let children: Result<Vec<TaskSpec>, Failure> = part.into_iter().map(child).collect();
        let outcome = if more {
            Outcome::again()
        } else {
            Outcome::done()
        };
        outcome
            .spawn_all(children?)
            .with_state(&Listed { after, files })
    }
}

fn child(name: String) -> Result<TaskSpec, Failure> {
    let policy = Policy::default()
        .waits(Duration::from_secs(1), Duration::from_secs(60))
        .attempts(8);
    // A file that was taken in is not taken in again.
    Ok(TaskSpec::of(What::File(name.clone()))?
        .name(name)
        .restart(Restart::Never)
        .policy(policy))
}

/// Lists the files with names that end in `.json`, in order.
fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // A name that is no text cannot name a task.
        let Ok(name) = entry.file_name().into_string() else {
            tracing::warn!(
                directory = %directory.display(),
                "a file is left out, because its name is no text"
            );
            continue;
        };
        if name.ends_with(".json") && !name.starts_with('.') && entry.path().is_file() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Takes in one file.
struct Ingest {
    path: PathBuf,
    name: String,
    ingester: Arc<Ingester>,
}

#[async_trait]
impl Task for Ingest {
    async fn step(&self, _: Step) -> Result<Outcome, Failure> {
        let (path, name) = (self.path.clone(), self.name.clone());
        let text = crate::blocking(move || read(&path, &name)).await?;
        let mut records = Records::new();
        let what = record::map(&text, &mut records).map_err(|wrong| self.wrong(wrong))?;
        let ingested = self.ingester.ingest(&records).await?;
        if ingested.rejected > 0 {
            return Err(Failure::new(
                FailureKind::SourceData,
                "the graph does not take the payment",
            )
            .with("file", &self.name)
            .hint("the quarantine says why"));
        }
        Outcome::done().with_state(&json!({ "ingested": what }))
    }
}

impl Ingest {
    fn wrong(&self, wrong: record::Wrong) -> Failure {
        let failure = Failure::new(FailureKind::SourceData, "the file is no payment or account")
            .with("file", &self.name);
        // One that ends too early may be in the middle of being written.
        let retry = match &wrong {
            record::Wrong::Json(error) if error.is_eof() => Retry::Backoff,
            _ => Retry::Never,
        };
        failure
            .with_retry(retry)
            .because(wrong)
            .hint("mend the file, then have its task run again")
    }
}

fn read(path: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;

    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST.saturating_add(1)).read_to_end(&mut text))
        .map_err(|error| error::unreadable_file(name, error))?;
    if text.len() as u64 > LARGEST {
        return Err(Failure::new(
            FailureKind::SourceData,
            "the file is larger than a payment can be",
        )
        .with("file", name)
        .with("limit in bytes", LARGEST));
    }
    Ok(text)
}
