//! What an author implements, and what a connector declares it can do.
//!
//! An author supplies data; the engine owns order, paging, batching, retries, save points and
//! deletion. Authors who know the Python framework find its classes again: `BaseApp` is
//! [`Connector`], `BaseAssetServer` is [`AssetServer`], `BaseFullImport` is [`FullImport`],
//! `BaseIncrementalImport` is [`IncrementalImport`], and `BaseDataHandler` is the engine's own
//! [`DataHandler`](crate::handler::DataHandler), which nobody has to write any more.

use std::fmt;

use async_trait::async_trait;
use car_schema::Extension;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::record::Records;

/// What a connector is, known without settings.
#[derive(Debug, Clone)]
pub struct About {
    /// Name of the program and of the connector: `reference-connector`.
    pub name: &'static str,
    /// Version of the connector.
    pub version: &'static str,
    /// Name of the data source for people: `Reference Server`.
    pub title: &'static str,
    /// What the connector imports, in a sentence.
    pub description: &'static str,
    /// Address of the product behind the source, if it has one for all customers.
    pub product_link: Option<&'static str>,
    /// What it adds to the model.
    pub extension: Option<Extension>,
    /// Whether [`Connector::incremental_import`] gives something.
    pub incremental: bool,
}

/// What the engine gives a connector when it opens it.
#[derive(Debug, Clone)]
pub struct Context {
    /// Name of the source in the graph.
    pub source: String,
    /// Cancelled when the run has to end; long waits of a connector should watch it.
    pub cancel: CancellationToken,
}

/// A connector: one data source, opened with its settings.
#[async_trait]
pub trait Connector: Sized + Send + Sync + 'static {
    /// Its settings: one struct, each field documented, secrets of type
    /// [`Secret`](crate::secret::Secret).
    type Settings: Settings;

    /// Says what the connector is.
    fn about() -> About;

    /// Makes the client of the data source. Does not talk to it yet.
    ///
    /// # Errors
    ///
    /// [`InvalidParameter`](crate::failure::FailureKind::InvalidParameter) when settings that
    /// are well-formed each do not fit together.
    async fn open(settings: Self::Settings, context: Context) -> Result<Self, Failure>;

    /// Returns the means to test the connection.
    fn asset_server(&self) -> &dyn AssetServer;

    /// Returns the means to read everything.
    fn full_import(&self) -> &dyn FullImport;

    /// Returns the kinds of connectors with tasks that `serve` can install, beside the imports
    /// that every connector has.
    #[cfg(feature = "tasks")]
    fn task_providers() -> Vec<std::sync::Arc<dyn crate::tasks::Provider>> {
        Vec::new()
    }

    /// Returns what hears of changes in the source, where something tells. While `serve` runs, a
    /// change is then imported soon, and not only when its time has come.
    #[cfg(feature = "tasks")]
    fn news(_settings: &Self::Settings) -> Option<Box<dyn News>> {
        None
    }

    /// Returns the modes in which the connector exchanges rows, beside `data-source` with
    /// `--collection`, which every connector has.
    #[cfg(feature = "exchange")]
    fn modes() -> crate::exchange::Modes {
        crate::exchange::Modes::none()
    }

    /// Returns the verbs of the command line that this connector has beside those of all.
    fn verbs() -> Vec<OwnVerb> {
        Vec::new()
    }

    /// Returns the kinds of engines that `serve --tasks-on` can keep tasks on.
    #[cfg(feature = "tasks")]
    fn task_engines() -> Vec<std::sync::Arc<dyn crate::tasks::EngineKind>> {
        Vec::new()
    }

    /// Returns the verbs of this connector that need its settings: those that work for a while,
    /// and end when a signal asks for it.
    fn settings_verbs() -> Vec<SettingsVerb<Self::Settings>> {
        Vec::new()
    }

    /// Returns what opens the sagas of this connector for `serve`, which shows them, goes on with
    /// them when it is told to, and may work on what is pending.
    #[cfg(feature = "saga")]
    fn sagas() -> Option<crate::saga::OpenSagas<Self::Settings>> {
        None
    }

    /// Returns the means to read changes, if the source can tell them.
    ///
    /// Must agree with [`About::incremental`].
    fn incremental_import(&self) -> Option<&dyn IncrementalImport> {
        None
    }
}

/// Tells that something changed in a source.
///
/// It may keep silent, so imports by time remain; and it may tell what is none, since an import
/// that finds nothing new changes nothing.
#[async_trait]
pub trait News: Send {
    /// Returns when something has changed since the last call, and has come to rest. Where
    /// nothing can be heard, it does not return.
    async fn next(&mut self);
}

/// A verb of the command line that one connector has: what needs neither a service nor all of the
/// settings.
#[derive(Debug, Clone)]
pub struct OwnVerb {
    /// Its name, what it does, and its arguments.
    pub command: clap::Command,
    /// Does it, and returns what is printed on standard output. Settings from the command line
    /// are among the arguments, by the names of their fields.
    pub run: fn(&clap::ArgMatches) -> Result<String, Failure>,
}

/// What a [`SettingsVerb`] does; it returns what is printed on standard output.
pub type VerbWork = std::pin::Pin<Box<dyn Future<Output = Result<String, Failure>> + Send>>;

/// A verb of the command line that one connector has, and that needs its settings.
#[derive(Debug, Clone)]
pub struct SettingsVerb<S> {
    /// Its name, what it does, and its arguments.
    pub command: clap::Command,
    /// Does it with the settings, wherever they came from. The context's token is cancelled when
    /// a signal asks for the end, which then has to come within seconds.
    pub run: fn(S, Context, clap::ArgMatches) -> VerbWork,
}

/// Settings of a connector: a struct with `clap::Args` and `schemars::JsonSchema` derived.
///
/// Each field has a documentation comment, a long flag and an environment variable. Its `Debug`
/// must not show secrets, which fields of type [`Secret`](crate::secret::Secret) see to.
pub trait Settings: clap::Args + schemars::JsonSchema + fmt::Debug + Send + Sync + 'static {}

impl<T: clap::Args + schemars::JsonSchema + fmt::Debug + Send + Sync + 'static> Settings for T {}

/// Reaches the data source.
#[async_trait]
pub trait AssetServer: Send + Sync {
    /// Reaches the data source and authenticates, nothing else.
    ///
    /// # Errors
    ///
    /// A failure of one of the `Source…` kinds, so that the exit code tells an operator whether
    /// the address, the credentials or the permissions are wrong.
    async fn test_connection(&self) -> Result<(), Failure>;
}

/// Reads everything that the source has.
#[async_trait]
pub trait FullImport: Send + Sync {
    /// Lists the scopes: the parts of the source that are read, and proved complete, on their
    /// own.
    ///
    /// # Errors
    ///
    /// Any failure; the run then ends before anything is written.
    async fn scopes(&self) -> Result<Vec<Scope>, Failure>;

    /// Reads one page of a scope, the first one without a cursor.
    ///
    /// # Behaviour
    ///
    /// - May be called again with the same arguments, and then emits an equal graph.
    /// - Is called for several scopes at a time, and for one scope page after page.
    /// - A page without [`Page::next`] is the last: the scope has been read to its end. Whatever
    ///   was not emitted by then counts as gone, so a source that cannot tell the end from a
    ///   failure must fail.
    ///
    /// # Errors
    ///
    /// Any failure; those with a [`Retry`](crate::failure::Retry) other than `Never` are tried
    /// again.
    async fn fetch(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure>;
}

/// Reads what changed.
#[async_trait]
pub trait IncrementalImport: Send + Sync {
    /// Names the present state of the source, or `None` when it has no state to name.
    ///
    /// Whatever changes after the call must be in a later delta from this state; it may be there
    /// twice, but must not be missing.
    ///
    /// # Errors
    ///
    /// Any failure. It ends the run: a source that cannot answer is not one without a state.
    async fn model_state(&self) -> Result<Option<ModelState>, Failure>;

    /// Reads one page of what changed from one state to another, the first without a cursor.
    ///
    /// # Behaviour
    ///
    /// - Emits changed vertices and edges as a full import would, and a
    ///   [`Deletion`](crate::record::Deletion) for each thing that is gone.
    /// - Applying a delta twice gives the same graph as applying it once.
    /// - What appeared and went away again between the two states is a deletion, too: a full
    ///   import may have read in between. The difference of two snapshots does not tell it.
    ///
    /// # Errors
    ///
    /// Any failure. That a delta is not possible is not a failure but [`Delta::NotPossible`].
    async fn delta(
        &self,
        since: &ModelState,
        until: &ModelState,
        cursor: Option<&Cursor>,
    ) -> Result<Delta, Failure>;

    /// Names the vertices that exist only as long as others refer to them.
    ///
    /// When a delta takes away the last edge that holds one, because a vertex was told
    /// [whole](Records::whole), the engine retires it, and looks at what it held in turn. None,
    /// unless overridden.
    fn dependents(&self) -> &[Dependent] {
        &[]
    }
}

/// Vertices that exist only as long as others refer to them: an address that no asset has is no
/// address of the source any more.
#[derive(Debug, Clone, Copy)]
pub struct Dependent {
    /// The vertex collection.
    pub collection: &'static str,
    /// Tells by the external id or natural key which vertices of it; all of them, if there is
    /// none.
    pub only: Option<fn(&str) -> bool>,
    /// The edge collections of which it needs an edge.
    pub held_by: &'static [&'static str],
    /// The edge collections by which it holds others.
    pub holds: &'static [&'static str],
}

/// A part of a source that is read, and proved complete, on its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    /// Its name, unique in the source and the same in every run: `assets`, or
    /// `instances/123456789012/eu-west-1`.
    pub name: String,
    /// Scopes without which this one is not complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

impl Scope {
    /// Makes a scope that depends on no other.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            depends_on: Vec::new(),
        }
    }

    /// Says that this scope is not complete unless another one is.
    #[must_use]
    pub fn depends_on(mut self, scope: impl Into<String>) -> Self {
        self.depends_on.push(scope.into());
        self
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Where the next page begins; its text is the connector's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor(pub String);

/// The name of a state of the source: the save point once everything up to it is in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelState(pub String);

impl fmt::Display for ModelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one fetch returns.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What was read.
    pub records: Records,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// A page of changes, or the news that changes cannot be told.
#[derive(Debug, Clone)]
pub enum Delta {
    /// Changes.
    Page(Page),
    /// The source no longer knows what changed since then; the run becomes a full one.
    NotPossible {
        /// Why, for the log and the report.
        reason: String,
    },
}
