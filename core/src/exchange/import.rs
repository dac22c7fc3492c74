//! Any connector that imports as a data source: the rows of its collections.

use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;
use xxhash_rust::xxh3::xxh3_128;

use super::modes::{DataSource, ModeContext, Modes, Output, Turn};
use super::row::{Named, Rows, SEPARATOR};
use crate::connector::{Connector, Context, Cursor, Scope, Settings};
use crate::failure::{Failure, FailureKind};
use crate::record::KeyHash;

/// Reads what a connector would import, and gives the rows of some collections.
///
/// The columns are those of the model; underscores in front of their names go, because platforms
/// hide such columns. Where the import gives a row twice, the first one counts: the identities of
/// rows stay in memory, about 32 bytes each.
pub struct ImportSource<C> {
    connector: C,
    collections: Vec<String>,
    separator: String,
    scopes: Option<VecDeque<Scope>>,
    cursor: Option<Cursor>,
    seen: HashSet<u128>,
    /// How many rows there were of each collection, wanted or not.
    others: HashMap<String, u64>,
    given: u64,
}

impl<C: Connector> ImportSource<C> {
    /// Gives rows of these collections, with their collection as a column if there are several;
    /// of all, if none is named.
    #[must_use]
    pub fn new(connector: C, collections: Vec<String>) -> Self {
        Self {
            connector,
            collections,
            separator: SEPARATOR.to_owned(),
            scopes: None,
            cursor: None,
            seen: HashSet::new(),
            others: HashMap::new(),
            given: 0,
        }
    }

    /// Sets what joins the names of nested columns.
    #[must_use]
    pub fn separator(mut self, separator: &str) -> Self {
        separator.clone_into(&mut self.separator);
        self
    }

    fn is_wanted(&self, collection: &str) -> bool {
        self.collections.is_empty() || self.collections.iter().any(|wanted| wanted == collection)
    }

    /// Says that there is no row of what was asked for, and what there would be.
    fn nothing(&self) -> Failure {
        let mut there: Vec<&str> = self.others.keys().map(String::as_str).collect();
        there.sort_unstable();
        Failure::new(
            FailureKind::InvalidParameter,
            format!("there is no row of `{}`", self.collections.join("`, `")),
        )
        .hint(format!(
            "`--collection` takes names of collections; this source has {}",
            there.join(", ")
        ))
    }
}

#[async_trait]
impl<C: Connector> DataSource for ImportSource<C> {
    async fn read(&mut self, output: &mut Output) -> Result<Turn, Failure> {
        let import = self.connector.full_import();
        if self.scopes.is_none() {
            self.scopes = Some(import.scopes().await?.into());
        }
        let Some(scope) = self.scopes.as_ref().and_then(VecDeque::front) else {
            return Ok(Turn::End);
        };
        let page = import.fetch(scope, self.cursor.as_ref()).await?;
        let mut whole = Rows::new();
        for row in page.records.rows() {
            if !self.is_wanted(row.collection) {
                let count = self.others.entry(row.collection.to_owned()).or_default();
                *count = count.saturating_add(1);
                continue;
            }
            if !self.seen.insert(identity(row.collection, row.key)) {
                continue;
            }
            whole.clear();
            whole
                .push_json(row.json, &self.separator)
                .map_err(|error| {
                    Failure::new(FailureKind::SourceData, "a row cannot be flattened")
                        .with("collection", row.collection)
                        .because(error)
                })?;
            let named = [("collection", row.collection)];
            let columns: &[(&str, &str)] = if self.collections.len() == 1 {
                &[]
            } else {
                &named
            };
            for row in whole.iter() {
                let plain = row.fields().all(|(name, _)| !name.starts_with('_'));
                if plain && columns.is_empty() {
                    output.rows.push_row(row);
                } else {
                    output.rows.push_changed(row, &shown, columns);
                }
            }
            self.given = self.given.saturating_add(1);
        }
        for reject in page.records.rejects() {
            if self.is_wanted(&reject.collection) {
                let reason = format!("{}: {}", reject.collection, reject.reason);
                // A record in a language of its own fails as well, without its columns.
                drop(output.failures.record(&reject.record, reason));
            }
        }
        self.cursor = page.next;
        if self.cursor.is_some() {
            return Ok(Turn::More);
        }
        if let Some(scopes) = &mut self.scopes {
            scopes.pop_front();
            if !scopes.is_empty() {
                return Ok(Turn::More);
            }
        }
        if self.given == 0 && output.failures.is_empty() && !self.others.is_empty() {
            return Err(self.nothing());
        }
        Ok(Turn::End)
    }
}

/// Settings of a connector and the collections that it gives.
#[derive(Debug, clap::Args, schemars::JsonSchema)]
#[group(skip)]
struct ImportSettings<S: Settings> {
    #[command(flatten)]
    own: S,

    /// Collections whose rows are given, with the name as a column if there are several [default:
    /// all]
    #[arg(
        long,
        value_name = "NAMES",
        env = "COLLECTION",
        value_delimiter = ',',
        help_heading = "Exchange"
    )]
    collection: Vec<String>,
}

/// Declares the mode `data-source` for a connector that imports.
pub(crate) fn import_as_source<C: Connector>() -> Modes {
    Modes::none().data_source(
        |settings: ImportSettings<C::Settings>, context: ModeContext| {
            Ok(Unopened::<C>::New(Some((settings, context))))
        },
    )
}

/// A connector that is opened when it is read from.
enum Unopened<C: Connector> {
    New(Option<(ImportSettings<C::Settings>, ModeContext)>),
    Open(ImportSource<C>),
}

#[async_trait]
impl<C: Connector> DataSource for Unopened<C> {
    async fn read(&mut self, output: &mut Output) -> Result<Turn, Failure> {
        if let Self::New(settings) = self
            && let Some((settings, context)) = settings.take()
        {
            let context = Context {
                source: context.source,
                cancel: context.cancel,
            };
            let connector = C::open(settings.own, context).await?;
            *self = Self::Open(ImportSource::new(connector, settings.collection));
        }
        match self {
            Self::Open(source) => source.read(output).await,
            Self::New(_) => Ok(Turn::End),
        }
    }
}

/// Names a column so that platforms show it.
fn shown(name: &str) -> Named<'static> {
    match name.strip_prefix('_') {
        Some(rest) => Named::Other(rest.trim_start_matches('_').to_owned().into()),
        None => Named::Same,
    }
}

fn identity(collection: &str, key: KeyHash) -> u128 {
    let mut text = collection.as_bytes().to_vec();
    let parts = match key {
        KeyHash::Vertex(id) => [0, id, 0],
        KeyHash::Edge { from, to } => [1, from, to],
    };
    text.extend_from_slice(parts.map(u64::to_le_bytes).as_flattened());
    xxh3_128(&text)
}
