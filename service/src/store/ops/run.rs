//! Reports of runs, which connectors hand in at their end.

use async_trait::async_trait;
use serde_json::value::RawValue;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::super::value::{Row, Value};
use super::{now, source};
use crate::error::{Error, Result};

/// Reports that are kept of each source.
pub(crate) const KEPT: usize = 100;

/// The report of one run, with what is looked up by.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Name of the report, one per run.
    pub(crate) report: String,
    /// When the run began, in milliseconds since 1970.
    pub(crate) started: i64,
    /// Where the run ended, in the connector's words.
    pub(crate) outcome: String,
    /// The exit code of the process.
    pub(crate) exit_code: i64,
    /// The whole report, as JSON.
    pub(crate) document: String,
}

/// Keeps the report of a run. A report that comes again replaces itself.
pub(crate) struct KeepRun {
    /// The source.
    pub(crate) source: String,
    /// The report.
    pub(crate) run: Run,
}

#[async_trait]
impl Operation for KeepRun {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        let header = car_schema::Source {
            key: self.source,
            ..car_schema::Source::default()
        };
        // A run can fail before its first import: then this makes the source.
        let source = source::upsert(conn, &header, None, None).await?.pk;
        conn.execute(
            "INSERT INTO runs (source, report, started, at, outcome, exit_code, document) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, report) DO UPDATE SET \
             started = excluded.started, at = excluded.at, outcome = excluded.outcome, \
             exit_code = excluded.exit_code, document = excluded.document"
                .into(),
            vec![
                source.into(),
                self.run.report.into(),
                self.run.started.into(),
                now().into(),
                self.run.outcome.into(),
                self.run.exit_code.into(),
                self.run.document.into(),
            ],
        )
        .await?;
        let sql = format!(
            "DELETE FROM runs WHERE source = $1 AND pk NOT IN \
             (SELECT pk FROM runs WHERE source = $1 ORDER BY started DESC, pk DESC LIMIT {KEPT})"
        );
        conn.execute(sql, vec![source.into()]).await?;
        Ok(())
    }
}

/// What [`decode`] reads.
const COLUMNS: &str = "SELECT report, started, outcome, exit_code, document FROM runs \
                       WHERE source = (SELECT pk FROM sources WHERE key = $1)";

/// Reads the newest reports of a source, newest first; none of a source that is not known.
pub(crate) async fn latest(conn: &mut dyn Conn, source: &str, limit: usize) -> Result<Vec<Run>> {
    let sql = format!("{COLUMNS} ORDER BY started DESC, pk DESC LIMIT {limit}");
    let rows = conn.fetch(sql, vec![Value::text(source)]).await?;
    Ok(rows.iter().map(decode).collect())
}

/// Reads one report of a source.
pub(crate) async fn one(conn: &mut dyn Conn, source: &str, report: &str) -> Result<Option<Run>> {
    let sql = format!("{COLUMNS} AND report = $2");
    let args = vec![Value::text(source), Value::text(report)];
    let rows = conn.fetch(sql, args).await?;
    Ok(rows.first().map(decode))
}

/// The latest run of a source that ended with an exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastRun {
    /// Key of the source.
    pub(crate) source: String,
    /// The exit code.
    pub(crate) exit_code: i64,
    /// When the run began, in milliseconds since 1970.
    pub(crate) started: i64,
}

/// Reads the latest run of every source for each exit code, of those whose reports are kept.
pub(crate) async fn ends(conn: &mut dyn Conn) -> Result<Vec<LastRun>> {
    let sql = "SELECT s.key, r.exit_code, max(r.started) FROM runs r \
               JOIN sources s ON s.pk = r.source GROUP BY s.key, r.exit_code";
    let rows = conn.fetch(sql.into(), Vec::new()).await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            Some(LastRun {
                source: row.str(0)?.to_owned(),
                exit_code: row.int(1)?,
                started: row.int(2)?,
            })
        })
        .collect())
}

fn decode(row: &Row) -> Run {
    let text = |index| row.str(index).unwrap_or_default().to_owned();
    let int = |index| row.int(index).unwrap_or_default();
    Run {
        report: text(0),
        started: int(1),
        outcome: text(2),
        exit_code: int(3),
        document: text(4),
    }
}

impl Run {
    /// Returns the report as it came.
    pub(crate) fn into_json(self) -> Result<Box<RawValue>> {
        RawValue::from_string(self.document)
            .map_err(|error| Error::internal("read the report of a run", error))
    }
}
