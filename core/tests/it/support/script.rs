//! A data source that follows a script.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, Delta, FullImport, IncrementalImport,
    ModelState, Page, Scope,
};
use car_core::record::Records;
use car_core::{Failure, FailureKind};
use car_schema::{
    EdgeExtension, Extension, ExtensionSchema, PropertyExtension, PropertyType, Row,
    VertexExtension,
};

use tokio::sync::Semaphore;

use super::asset;

/// Settings of a connector that needs none.
#[derive(Debug, Default, clap::Args, schemars::JsonSchema)]
pub(crate) struct NoSettings {}

/// What a scope does when it is read.
enum Part {
    /// Gives these pages, one after the other.
    Pages(Vec<Records>),
    /// Gives these pages, then fails.
    Fails(Vec<Records>, FailureKind),
    /// Never answers.
    Hangs,
    /// Panics, as a connector with a defect would.
    Panics,
    /// Says always that another page follows, at the same cursor.
    Circles(Records),
    /// Gives these pages; each but the first needs a permit.
    Gated(Vec<Records>, Arc<Semaphore>),
}

/// What the source says when it is asked for changes.
enum Changes {
    Pages(Vec<Records>),
    NotPossible,
    /// Gives a page, then says that it cannot go on.
    NotPossibleAfter(Records),
    Fails(FailureKind),
}

/// A connector whose source follows a script. The parameters are what a connector declares about
/// itself: whether it can read changes, and whether it extends the model.
pub(crate) struct Script<const CHANGES: bool, const EXTENDS: bool> {
    scopes: Vec<(Scope, Part)>,
    scopes_fail: Option<FailureKind>,
    state: Option<String>,
    state_fails: Option<FailureKind>,
    changes: Changes,
}

/// Puts rows on a page.
pub(crate) fn records(rows: &[&dyn Emit]) -> Records {
    let mut records = Records::new();
    for row in rows {
        row.emit(&mut records);
    }
    records
}

/// A page with an asset for each id.
pub(crate) fn assets(ids: &[&str]) -> Records {
    let mut records = Records::new();
    for id in ids {
        records.emit(&asset(id));
    }
    records
}

/// A row of any type.
pub(crate) trait Emit {
    fn emit(&self, records: &mut Records);
}

impl<R: Row> Emit for R {
    fn emit(&self, records: &mut Records) {
        records.emit(self);
    }
}

impl<const CHANGES: bool, const EXTENDS: bool> Script<CHANGES, EXTENDS> {
    /// A source without scopes and without a state.
    pub(crate) fn new() -> Self {
        Self {
            scopes: Vec::new(),
            scopes_fail: None,
            state: None,
            state_fails: None,
            changes: Changes::Pages(Vec::new()),
        }
    }

    fn part(mut self, name: &str, part: Part) -> Self {
        self.scopes.push((Scope::new(name), part));
        self
    }

    pub(crate) fn scope(self, name: &str, pages: impl IntoIterator<Item = Records>) -> Self {
        self.part(name, Part::Pages(pages.into_iter().collect()))
    }

    pub(crate) fn failing(
        self,
        name: &str,
        pages: impl IntoIterator<Item = Records>,
        kind: FailureKind,
    ) -> Self {
        self.part(name, Part::Fails(pages.into_iter().collect(), kind))
    }

    pub(crate) fn hanging(self, name: &str) -> Self {
        self.part(name, Part::Hangs)
    }

    pub(crate) fn panicking(self, name: &str) -> Self {
        self.part(name, Part::Panics)
    }

    pub(crate) fn circling(self, name: &str, page: Records) -> Self {
        self.part(name, Part::Circles(page))
    }

    pub(crate) fn gated(
        self,
        name: &str,
        pages: impl IntoIterator<Item = Records>,
        gate: &Arc<Semaphore>,
    ) -> Self {
        self.part(
            name,
            Part::Gated(pages.into_iter().collect(), Arc::clone(gate)),
        )
    }

    /// Makes the last scope depend on another.
    pub(crate) fn depending_on(mut self, other: &str) -> Self {
        let (scope, part) = self.scopes.pop().unwrap();
        self.scopes.push((scope.depends_on(other), part));
        self
    }

    pub(crate) fn state(mut self, state: &str) -> Self {
        self.state = Some(state.to_owned());
        self
    }

    pub(crate) fn state_fails(mut self, kind: FailureKind) -> Self {
        self.state_fails = Some(kind);
        self
    }

    pub(crate) fn scopes_fail(mut self, kind: FailureKind) -> Self {
        self.scopes_fail = Some(kind);
        self
    }

    pub(crate) fn changes(mut self, pages: impl IntoIterator<Item = Records>) -> Self {
        self.changes = Changes::Pages(pages.into_iter().collect());
        self
    }

    pub(crate) fn changes_fail(mut self, kind: FailureKind) -> Self {
        self.changes = Changes::Fails(kind);
        self
    }

    pub(crate) fn no_changes_known(mut self) -> Self {
        self.changes = Changes::NotPossible;
        self
    }

    pub(crate) fn no_changes_known_after(mut self, page: Records) -> Self {
        self.changes = Changes::NotPossibleAfter(page);
        self
    }
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "the script says so")
}

/// Gives one page of several; the cursor is the number of the next one.
fn page(pages: &[Records], cursor: Option<&Cursor>) -> Page {
    let index: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
    let next = index + 1;
    Page {
        records: pages.get(index).cloned().unwrap_or_default(),
        next: (next < pages.len()).then(|| Cursor(next.to_string())),
    }
}

#[async_trait]
impl<const CHANGES: bool, const EXTENDS: bool> Connector for Script<CHANGES, EXTENDS> {
    type Settings = NoSettings;

    fn about() -> About {
        About {
            name: "script",
            version: "1.2.3",
            title: "Script",
            description: "Follows a script.",
            product_link: None,
            extension: EXTENDS.then(extension),
            incremental: CHANGES,
        }
    }

    async fn open(_: NoSettings, _: Context) -> Result<Self, Failure> {
        Ok(Self::new())
    }

    fn asset_server(&self) -> &dyn AssetServer {
        self
    }

    fn full_import(&self) -> &dyn FullImport {
        self
    }

    fn incremental_import(&self) -> Option<&dyn IncrementalImport> {
        CHANGES.then_some(self as _)
    }
}

/// Adds a collection, an edge and a property.
pub(crate) fn extension() -> Extension {
    let name = PropertyExtension::new(PropertyType::Text, "Name.");
    let value = PropertyExtension::new(PropertyType::Numeric, "Value.");
    Extension {
        key: "0d5c3f0e-4a0b-4c1e-9d59-1f3f6b0a7c11".to_owned(),
        owner: "script".to_owned(),
        version: "2".to_owned(),
        schema: ExtensionSchema {
            vertices: vec![
                VertexExtension {
                    name: "site".to_owned(),
                    properties: BTreeMap::from([("name".to_owned(), name)]),
                    ..VertexExtension::default()
                },
                VertexExtension {
                    name: "asset".to_owned(),
                    properties: BTreeMap::from([("initial_value".to_owned(), value)]),
                    ..VertexExtension::default()
                },
            ],
            edges: vec![EdgeExtension {
                end1: "site".to_owned(),
                end2: "asset".to_owned(),
                ..EdgeExtension::default()
            }],
        },
    }
}

#[async_trait]
impl<const CHANGES: bool, const EXTENDS: bool> AssetServer for Script<CHANGES, EXTENDS> {
    async fn test_connection(&self) -> Result<(), Failure> {
        Ok(())
    }
}

#[async_trait]
impl<const CHANGES: bool, const EXTENDS: bool> FullImport for Script<CHANGES, EXTENDS> {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        match self.scopes_fail {
            Some(kind) => Err(failure(kind)),
            None => Ok(self.scopes.iter().map(|(scope, _)| scope.clone()).collect()),
        }
    }

    async fn fetch(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        let (_, part) = self
            .scopes
            .iter()
            .find(|(known, _)| known == scope)
            .unwrap();
        match part {
            Part::Pages(pages) => Ok(page(pages, cursor)),
            Part::Fails(pages, kind) => {
                let index = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
                let Some(records) = pages.get(index).cloned() else {
                    return Err(failure(*kind));
                };
                let next = Some(Cursor((index + 1).to_string()));
                Ok(Page { records, next })
            }
            Part::Panics => panic!("the script says so"),
            Part::Hangs => std::future::pending().await,
            Part::Gated(pages, gate) => {
                if cursor.is_some() {
                    gate.acquire().await.unwrap().forget();
                }
                Ok(page(pages, cursor))
            }
            Part::Circles(records) => Ok(Page {
                records: records.clone(),
                next: Some(Cursor("again".to_owned())),
            }),
        }
    }
}

#[async_trait]
impl<const CHANGES: bool, const EXTENDS: bool> IncrementalImport for Script<CHANGES, EXTENDS> {
    async fn model_state(&self) -> Result<Option<ModelState>, Failure> {
        match self.state_fails {
            Some(kind) => Err(failure(kind)),
            None => Ok(self.state.clone().map(ModelState)),
        }
    }

    async fn delta(
        &self,
        _since: &ModelState,
        _until: &ModelState,
        cursor: Option<&Cursor>,
    ) -> Result<Delta, Failure> {
        let not_possible = || Delta::NotPossible {
            reason: "its log is too short".to_owned(),
        };
        match &self.changes {
            Changes::Pages(pages) => Ok(Delta::Page(page(pages, cursor))),
            Changes::NotPossible => Ok(not_possible()),
            Changes::NotPossibleAfter(records) if cursor.is_none() => Ok(Delta::Page(Page {
                records: records.clone(),
                next: Some(Cursor("more".to_owned())),
            })),
            Changes::NotPossibleAfter(_) => Ok(not_possible()),
            Changes::Fails(kind) => Err(failure(*kind)),
        }
    }
}
