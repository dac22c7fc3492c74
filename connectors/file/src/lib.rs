//! Imports directories of files that security tools write, and takes in payments as they are
//! dropped into one.
//!
//! [`config`] holds the settings, `client` alone knows where files are, `listing` says what is
//! there, `read` gives out pages of what is in it, `map` turns content into vertices and edges,
//! `memory` knows what was there before, `watch` hears of what changes, and `error` says what it means that something cannot be
//! read.

mod client;
pub mod config;
mod error;
mod exchange;
mod format;
mod listing;
pub mod location;
mod map;
mod memory;
mod payments;
mod read;
mod rows;
mod try_map;
mod unpack;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, Delta, FullImport, IncrementalImport,
    ModelState, News, OwnVerb, Page, Scope,
};
use car_core::{Failure, FailureKind, Retry};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::Settings;
use crate::listing::{Entry, Listing};
use crate::location::Location;
use crate::map::MappingFile;
use crate::memory::{Contents, Memory};
use crate::read::{Reading, Stream};

/// Scopes among which files are spread by their names. The same in every run, however many files
/// there are, so that a scope that fails keeps what its files reported before.
const SCOPES: u64 = 256;

/// The connector of a directory.
pub struct FileConnector {
    settings: Settings,
    reading: Reading,
    /// The files, as they were when they were listed first.
    listing: tokio::sync::OnceCell<Arc<Listing>>,
    /// What is being read, by scope.
    streams: Mutex<HashMap<String, Stream>>,
    /// What the present delta is about.
    difference: Mutex<Option<Difference>>,
}

#[async_trait]
impl Connector for FileConnector {
    type Settings = Settings;

    fn about() -> About {
        About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            title: "Files",
            description: "Imports directories of files: SBOMs, advisories, scans, tables.",
            product_link: None,
            extension: None,
            incremental: true,
        }
    }

    async fn open(settings: Settings, context: Context) -> Result<Self, Failure> {
        let mapping = match &settings.mapping {
            Some(path) => read_mapping(path)?,
            None => (String::new(), MappingFile::default()),
        };
        let maps = map::Maps { own: mapping.1 };
        let memory = match memory_folder(&settings, &context.source) {
            Some(folder) => Some(Arc::new(Memory::open(&folder, mapping.0.as_bytes())?)),
            None => None,
        };
        let reading = Reading {
            files: client::open(&settings, &context.cancel)?,
            limits: unpack::Limits {
                file: settings.largest_file.0,
                expansion: settings.most_expansion.into(),
                document: settings.largest_document.0,
            },
            page_size: settings.page_size.into(),
            memory,
            maps: Arc::new(maps),
            cancel: context.cancel,
        };
        Ok(Self {
            settings,
            reading,
            listing: tokio::sync::OnceCell::new(),
            streams: Mutex::default(),
            difference: Mutex::default(),
        })
    }

    fn asset_server(&self) -> &dyn AssetServer {
        self
    }

    fn full_import(&self) -> &dyn FullImport {
        self
    }

    fn incremental_import(&self) -> Option<&dyn IncrementalImport> {
        Some(self)
    }

    fn modes() -> car_core::exchange::Modes {
        exchange::modes()
    }

    fn verbs() -> Vec<OwnVerb> {
        vec![try_map::verb()]
    }

    fn news(settings: &Settings) -> Option<Box<dyn News>> {
        match &settings.directory {
            Location::Folder(directory) => Some(Box::new(watch::DirectoryNews::new(
                directory,
                settings.settle.0,
            ))),
            Location::Web(_) | Location::Bucket { .. } | Location::Unusable(_) => None,
        }
    }

    fn task_providers() -> Vec<Arc<dyn car_core::tasks::Provider>> {
        vec![Arc::new(payments::Payments)]
    }

    #[cfg(feature = "temporal")]
    fn task_engines() -> Vec<Arc<dyn car_core::tasks::EngineKind>> {
        vec![Arc::new(car_temporal::Temporal)]
    }
}

#[async_trait]
impl AssetServer for FileConnector {
    async fn test_connection(&self) -> Result<(), Failure> {
        let files = Arc::clone(&self.reading.files);
        blocking(move || files.reach()).await
    }
}

#[async_trait]
impl FullImport for FileConnector {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        let listing = self.listing().await?;
        let mut names: Vec<String> = listing
            .entries
            .iter()
            .map(|entry| scope_of(&entry.file.name))
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(Scope::new).collect())
    }

    async fn fetch(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        let listing = self.listing().await?;
        let of_scope = |entry: &&Entry| scope_of(&entry.file.name) == scope.name;
        if !listing.entries.iter().any(|entry| of_scope(&entry)) {
            return Err(error::unknown_scope(&scope.name));
        }
        let pull = self
            .page(&scope.name, cursor, || {
                listing.entries.iter().filter(of_scope).cloned().collect()
            })
            .await?;
        match pull {
            Pulled::Page(page) => Ok(page),
            Pulled::Last(page, failures) => match partly(failures) {
                None => Ok(page),
                Some(failure) => Err(failure),
            },
        }
    }
}

#[async_trait]
impl IncrementalImport for FileConnector {
    async fn model_state(&self) -> Result<Option<ModelState>, Failure> {
        let listing = self.listing().await?;
        let Some(memory) = self.reading.memory.clone() else {
            return Ok(None);
        };
        blocking(move || memory.keep(&listing).map(Some)).await
    }

    async fn delta(
        &self,
        since: &ModelState,
        until: &ModelState,
        cursor: Option<&Cursor>,
    ) -> Result<Delta, Failure> {
        let not_possible = |reason: &str| {
            Ok(Delta::NotPossible {
                reason: reason.to_owned(),
            })
        };
        let listing = self.listing().await?;
        if let Some(failure) = listing.entries.iter().find_map(Entry::unreadable) {
            return not_possible(&failure.chain().join(": "));
        }
        let Some(memory) = self.reading.memory.clone() else {
            return not_possible("the connector has no memory");
        };
        if cursor.is_none()
            && let Some(reason) = self.difference(since, until, &listing).await?
        {
            return not_possible(&reason);
        }
        let Some(difference) = self.differences().clone() else {
            return not_possible(
                "the connector does not remember the files and rows of that state",
            );
        };
        let pull = self
            .page("delta", cursor, || difference.entries.to_vec())
            .await?;
        let (mut page, failures) = match pull {
            Pulled::Page(page) => return Ok(Delta::Page(page)),
            Pulled::Last(page, failures) => (page, failures),
        };
        match partly(failures) {
            // A server that is away, or takes nobody in, is not so for one file alone.
            Some(failure)
                if failure.retry() != Retry::Never
                    || failure.kind() == FailureKind::SourceAuthentication =>
            {
                return Err(failure);
            }
            Some(failure) => return not_possible(&failure.chain().join(": ")),
            None => {}
        }
        let deletions = blocking(move || {
            let deletions = memory.deletions(&difference.gone, &difference.present);
            memory.tidy();
            Ok(deletions)
        })
        .await?;
        match deletions {
            Some(deletions) => {
                page.records.append(deletions);
                Ok(Delta::Page(page))
            }
            None => not_possible("the connector does not remember the rows of files that are gone"),
        }
    }
}

/// What is different between two states.
#[derive(Clone)]
struct Difference {
    /// Files to read.
    entries: Arc<Vec<Entry>>,
    /// Contents that may be in the graph, and are not there any more.
    gone: Arc<BTreeSet<(String, u128)>>,
    /// Contents that are there.
    present: Arc<Contents>,
}

/// What came of reading on.
enum Pulled {
    Page(Page),
    Last(Page, Vec<Failure>),
}

impl FileConnector {
    /// Lists the files, once.
    async fn listing(&self) -> Result<Arc<Listing>, Failure> {
        let make = || async {
            let files = Arc::clone(&self.reading.files);
            let memory = self.reading.memory.clone();
            let settle = self.settings.settle.0;
            let cancel = self.reading.cancel.clone();
            blocking(move || {
                let before = memory.map(|memory| memory.before()).unwrap_or_default();
                Listing::make(&*files, settle, &before, &cancel).map(Arc::new)
            })
            .await
        };
        self.listing.get_or_try_init(make).await.map(Arc::clone)
    }

    /// Finds what is different between two states; none when that is not known. Returns why a
    /// full import has to look, whose guard holds deletions, when so much is gone that the files
    /// may only be out of sight.
    async fn difference(
        &self,
        since: &ModelState,
        until: &ModelState,
        listing: &Arc<Listing>,
    ) -> Result<Option<String>, Failure> {
        let Some(memory) = self.reading.memory.clone() else {
            return Ok(None);
        };
        let (since, until, listing) = (since.clone(), until.clone(), Arc::clone(listing));
        let find = move || {
            let (old, present) = (memory.contents(&since)?, memory.contents(&until)?);
            if let Some(reason) = too_few(&old, &present) {
                return Some(Err(reason));
            }
            let gone = memory.others(&since, &present)?;
            let sharing = memory.sharing(&gone, &present)?;
            let names: BTreeSet<&String> = gone.iter().map(|(name, _)| name).collect();
            let is_read = |entry: &&Entry| {
                let name = &entry.file.name;
                present.contains_key(name)
                    && (!old.contains_key(name) || names.contains(name) || sharing.contains(name))
            };
            Some(Ok(Difference {
                entries: Arc::new(listing.entries.iter().filter(is_read).cloned().collect()),
                gone: Arc::new(gone),
                present: Arc::new(present),
            }))
        };
        let (difference, reason) = match blocking(move || Ok(find())).await? {
            Some(Ok(difference)) => (Some(difference), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        *self.differences() = difference;
        Ok(reason)
    }

    fn differences(&self) -> MutexGuard<'_, Option<Difference>> {
        self.difference
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the next page of some files, from a thread that reads them already if there is one.
    async fn page(
        &self,
        name: &str,
        cursor: Option<&Cursor>,
        entries: impl FnOnce() -> Vec<Entry>,
    ) -> Result<Pulled, Failure> {
        let streams = || self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let running = streams().remove(name).filter(|stream| stream.is_at(cursor));
        let mut stream = match running {
            Some(stream) => stream,
            None => Stream::start(self.reading.clone(), Arc::new(entries()), cursor)?,
        };
        let (page, stream) = blocking(move || Ok((stream.pull(), stream))).await?;
        if page.next.is_none() {
            return Ok(Pulled::Last(page, stream.failures()));
        }
        streams().insert(name.to_owned(), stream);
        Ok(Pulled::Page(page))
    }
}

/// Files that may vanish without more ado.
const FEW: usize = 100;

/// Says so when all files are gone, or many: a file system that is not mounted looks like that.
fn too_few(old: &Contents, present: &Contents) -> Option<String> {
    if present.is_empty() && !old.is_empty() {
        return Some("all files are gone".to_owned());
    }
    let gone = old.keys().filter(|name| !present.contains_key(*name));
    let gone = gone.count();
    let is_much = gone > FEW && gone.saturating_mul(10) > old.len().saturating_mul(3);
    is_much.then(|| format!("{gone} of {} files are gone", old.len()))
}

/// Makes one failure of those of several files.
fn partly(mut failures: Vec<Failure>) -> Option<Failure> {
    // While one of them is worth another try, all are.
    failures.sort_by_key(|failure| failure.retry() == Retry::Never);
    let mut failures = failures.into_iter();
    let first = failures.next()?;
    Some(failures.fold(first, |first, other| {
        first.hint(format!("besides: {}", other.chain().join(": ")))
    }))
}

fn scope_of(name: &str) -> String {
    format!("files/{:02x}", xxh3_64(name.as_bytes()) % SCOPES)
}

/// Reads a mapping file; gives its text, too.
fn read_mapping(path: &Path) -> Result<(String, MappingFile), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| error::mapping(path, error))?;
    match MappingFile::parse(&text) {
        Ok(mapping) => Ok((text, mapping)),
        Err(reason) => Err(error::mapping(path, reason)),
    }
}

/// Finds the folder of the memory.
fn memory_folder(settings: &Settings, source: &str) -> Option<PathBuf> {
    let none = Path::new("none");
    let folder = match &settings.memory {
        Some(folder) if folder == none => return None,
        Some(folder) => folder.clone(),
        None => std::env::home_dir()?.join(".local/state/car-connectors/file-connector"),
    };
    let directory = settings.directory.to_string();
    let safe: String = source
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(80)
        .collect();
    let own = xxh3_64(source.as_bytes()) ^ xxh3_64(directory.as_bytes()).rotate_left(1);
    Some(folder.join(format!("{safe}-{own:016x}")))
}

/// Does work that waits for the file system.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Failure::new(FailureKind::General, "reading files ended unexpectedly").because(error)
    })?
}
