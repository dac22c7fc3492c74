//! The documents of the protocol besides the envelope, as client and service exchange them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Extension, Object, Report, Source};

/// The body of every answer that is not a success.
///
/// `code` is stable and for programs; `message` is for the caller and says what to do. Texts of
/// the service's insides never appear here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireError {
    /// Stable name of the error, in `snake_case`.
    pub code: String,
    /// What failed and what to do about it.
    pub message: String,
    /// Where in the request, for programs: collection, row, field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Object>,
}

/// `GET /v2/databases`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Databases {
    /// The databases of the tenant; one in practice.
    pub databases: Vec<Database>,
}

/// State of a tenant's database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Database {
    /// Name of the database.
    #[serde(default)]
    pub name: String,
    /// Name of the graph in it; empty when the graph was not made yet.
    #[serde(default)]
    pub graph_name: String,
    /// Whether imports can begin.
    #[serde(default)]
    pub is_ready: bool,
    /// Collections that the model has and the database lacks.
    #[serde(default)]
    pub missing_collections: Vec<String>,
    /// Collections whose indexes are not there yet.
    #[serde(default)]
    pub collections_without_indexes: Vec<String>,
    /// Collections that are there.
    #[serde(default)]
    pub collections: Vec<String>,
}

/// The answer to calls that start a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStarted {
    /// Name of the job, for `GET /v2/jobstatus/{id}`.
    pub job_id: String,
}

/// `GET /v2/jobstatus/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// How far the job is.
    pub status: JobState,
    /// Name of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Still at work.
    #[serde(rename = "INPROGRESS")]
    InProgress,
    /// Done.
    #[serde(rename = "COMPLETE")]
    Complete,
    /// Failed.
    #[serde(rename = "ERROR")]
    Error,
}

/// The answer to `POST /v2/imports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportStarted {
    /// Name of the import, for `GET /v2/importstatus`.
    pub id: String,
    /// How far it is, in the service's words.
    #[serde(default)]
    pub status: String,
}

/// `GET /v2/importstatus`. An id in neither list is done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImportStatus {
    /// Imports that failed.
    pub error_imports: Vec<ImportFailure>,
    /// Imports that are still at work.
    pub incomplete_imports: Vec<ImportReference>,
}

/// An import that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFailure {
    /// Name of the import.
    pub id: String,
    /// Why it failed.
    #[serde(default)]
    pub error: String,
    /// The HTTP status that fits the failure.
    #[serde(rename = "statusCode", default)]
    pub status_code: u16,
}

/// An import by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReference {
    /// Name of the import.
    pub id: String,
}

/// `GET /v3/importSchema`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportSchemaDocument {
    /// Version of the schema format.
    #[serde(default)]
    pub version: String,
    /// JSON schema of the envelope.
    pub schema: serde_json::Value,
}

/// `GET /v3/carSchema` without a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Extensions {
    /// All extensions of the tenant.
    pub schemas: Vec<Extension>,
}

/// What a service can do beyond the old protocol, told by `GET /v3/health`.
///
/// A service that does not tell has none of it; every field is then false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    /// `report.scope` of an envelope is kept, and closing a session sweeps only the scopes that
    /// [`SessionPatch`] lists as complete.
    pub scopes: bool,
    /// `POST /v3/imports/unchanged` takes [`Unchanged`], so that unchanged rows need not be sent.
    pub content_hashes: bool,
    /// `POST /v3/imports/compare` tells what an envelope would change, as a [`Comparison`], and
    /// `GET /v3/source/{source}/rows?collection=` what the source reported, as [`KnownRows`].
    pub compare: bool,
    /// `POST /v3/source/{source}/runs` keeps the report of a run.
    pub run_reports: bool,
    /// `DELETE /v2/source/{source}/{edge}?from=&to=` retires an edge.
    pub edge_deletion: bool,
    /// `GET /v2/source/{source}/full-import-in-progress` tells what closing the session would
    /// retire, as a [`SweepPreview`].
    pub sweep_preview: bool,
    /// `PATCH /v2/source/{source}/full-import-in-progress` takes a [`SessionPatch`].
    pub keep_rows: bool,
}

/// `GET /v2/source/{source}/full-import-in-progress`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SweepPreview {
    /// Whether a session is open.
    pub open: bool,
    /// When it was opened, in milliseconds since 1970.
    #[serde(default)]
    pub started_at: Option<i64>,
    /// How many rows closing it now would retire, by collection; none are left out.
    #[serde(default)]
    pub would_retire: BTreeMap<String, u64>,
    /// The scopes that the source has rows of, those of earlier sessions included.
    #[serde(default)]
    pub scopes: BTreeSet<String>,
}

/// `PATCH /v2/source/{source}/full-import-in-progress`: what closing the session must not retire.
///
/// Fields that are absent leave what was said before; rows add to those of earlier calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionPatch {
    /// Rows that the source has though it could not report them: external ids or natural keys by
    /// vertex collection; the edges at them are kept, too.
    pub vertices: BTreeMap<String, BTreeSet<String>>,
    /// Rows that the source has though it could not report them: both ends by edge collection.
    pub edges: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The scopes that were read to their end. Once given, closing retires only rows of which
    /// every scope is listed here, and none that was only ever reported without a scope; edges
    /// go with their vertices. A later list replaces an earlier one. Names that the service does
    /// not know are no fault, so that scopes that ended can be listed, too. Leave the list out
    /// when the whole source was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_scopes: Option<BTreeSet<String>>,
}

/// `POST /v3/imports/unchanged`: asks which rows need not be sent, and reports those.
///
/// A row is unchanged when this source was the last to write it, with the same bytes, and it is
/// not retired. It then counts as reported by `report`, as if it had been sent. A row with
/// `report`, `source` or `timestamp` is never unchanged: these say again what the envelope says,
/// and a run that leaves them out has the same bytes as the one before it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Unchanged {
    /// Who reports.
    pub source: Source,
    /// In which run; names the scope, too.
    pub report: Report,
    /// By collection, for each row its key and its [`content_hash`]: `[external id or natural
    /// key, hash]` of a vertex, `[from, to, hash]` of an edge.
    pub rows: BTreeMap<String, Vec<Vec<String>>>,
}

/// Returns the hash of a row by which both sides tell whether it changed: XXH3 with 128 bits over
/// the row's JSON text just as it stands in the envelope, as 32 lower-case hexadecimal digits.
#[must_use]
pub fn content_hash(row: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(row))
}

/// The answer to [`Unchanged`]: positions of the rows that have to be sent, by collection, in
/// ascending order. A collection without any is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changed {
    /// Positions by collection.
    #[serde(default)]
    pub changed: BTreeMap<String, Vec<u64>>,
}

/// The answer to `POST /v3/imports/compare`, whose body is an envelope: what importing it would
/// do, by collection. Nothing is written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// By collection; those without rows are left out.
    #[serde(default)]
    pub collections: BTreeMap<String, CollectionComparison>,
}

/// What importing the rows of a collection would do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectionComparison {
    /// Positions of rows that are not there, or retired, in ascending order.
    pub created: Vec<u64>,
    /// Rows that are there with other values, in ascending order.
    pub changed: Vec<RowChange>,
    /// How many rows are there as they are.
    pub unchanged: u64,
}

/// A row that is there with other values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RowChange {
    /// Position in the envelope.
    pub row: u64,
    /// Old and new value by field; `null` where there is none.
    pub fields: BTreeMap<String, (serde_json::Value, serde_json::Value)>,
}

/// `GET /v3/source/{source}/rows?collection=&after=&limit=`: the rows of a collection that the
/// source has in the graph now, a page of them, in a stable order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KnownRows {
    /// External ids or natural keys, of a vertex collection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vertices: Vec<String>,
    /// Both ends, of an edge collection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<(String, String)>,
    /// What to give as `after` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v3/health`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// `ok` when calls are answered.
    #[serde(default)]
    pub status: String,
    /// Version of the service.
    #[serde(default)]
    pub version: String,
    /// What the service can do beyond the old protocol.
    #[serde(default)]
    pub features: Features,
}
