//! The writes of the service, and the few reads that belong to them.

pub(crate) mod catalog;
pub(crate) mod import;
pub(crate) mod keep;
pub(crate) mod keys;
pub(crate) mod late;
pub(crate) mod natural;
pub(crate) mod patch;
pub(crate) mod refused;
pub(crate) mod retention;
pub(crate) mod retire;
pub(crate) mod retire_edge;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod scope;
pub(crate) mod session;
pub(crate) mod setup;
pub(crate) mod source;
pub(crate) mod tags;
pub(crate) mod token;
pub(crate) mod unchanged;
pub(crate) mod unique;

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::conn::Conn;
pub(crate) use super::job::Operation;
use super::value::Value;
use crate::error::{Error, Result};

/// Returns milliseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|time| i64::try_from(time.as_millis()).ok())
        .unwrap_or_default()
}

/// Writes a list of texts as the JSON that `Dialect::texts` reads.
pub(crate) fn json_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    let list: Vec<serde_json::Value> = texts.into_iter().map(Into::into).collect();
    Value::Text(serde_json::Value::from(list).to_string())
}

/// Writes a list of numbers as the JSON that `Dialect::ints` reads.
pub(crate) fn json_ints(numbers: &[i64]) -> Value {
    Value::Text(serde_json::Value::from(numbers.to_vec()).to_string())
}

/// Writes a list of pairs as the JSON that `Dialect::pairs` reads.
pub(crate) fn json_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let list: Vec<serde_json::Value> = pairs
        .into_iter()
        .map(|(a, b)| serde_json::Value::from(vec![a, b]))
        .collect();
    Value::Text(serde_json::Value::from(list).to_string())
}

/// What the tenant's database is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    /// Whether its tables were made.
    pub(crate) created: bool,
    /// Counts the changes of the model.
    pub(crate) model: i64,
}

/// Reads what the tenant's database is like.
pub(crate) async fn state(conn: &mut dyn Conn) -> Result<State> {
    read_state(conn, "").await
}

/// Reads what the tenant's database is like and keeps it so until the transaction ends, for
/// this and other writers.
async fn keep_state(conn: &mut dyn Conn) -> Result<State> {
    let lock = conn.dialect().for_share();
    read_state(conn, lock).await
}

/// Reads what the tenant's database is like in order to change it: nobody else may.
pub(crate) async fn state_for_change(conn: &mut dyn Conn) -> Result<State> {
    if let Some(lock) = conn.dialect().lock_tables() {
        conn.fetch(lock.into(), Vec::new()).await?;
    }
    let lock = conn.dialect().for_update();
    read_state(conn, lock).await
}

async fn read_state(conn: &mut dyn Conn, lock: &str) -> Result<State> {
    let mut state = State::default();
    let sql = format!("SELECT name, value FROM meta WHERE name IN ('created', 'model'){lock}");
    for row in conn.fetch(sql, Vec::new()).await? {
        match row.str(0) {
            Some("created") => state.created = row.str(1) == Some("yes"),
            Some("model") => {
                state.model = row
                    .str(1)
                    .and_then(|text| text.parse().ok())
                    .unwrap_or_default();
            }
            _ => {}
        }
    }
    Ok(state)
}

/// Refuses a write that was prepared for another model than the one in force.
pub(crate) async fn check_state(conn: &mut dyn Conn, model: i64) -> Result<()> {
    let state = keep_state(conn).await?;
    if !state.created {
        return Err(not_created());
    }
    if state.model != model {
        return Err(Error::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            MODEL_CHANGED,
            "the schema changed while the call was read; send it again",
        ));
    }
    Ok(())
}

/// Code of the error of calls that need the tenant's database.
pub(crate) const DATABASE_NOT_CREATED: &str = "database_not_created";

/// Code of the error that asks to prepare a write again.
pub(crate) const MODEL_CHANGED: &str = "model_changed";

/// The error of calls that need the tenant's database.
pub(crate) fn not_created() -> Error {
    Error::bad_request(
        DATABASE_NOT_CREATED,
        "the tenant's database does not exist yet; create it with POST /v2/databases",
    )
}

/// Sets a value of `meta`.
pub(crate) async fn set_meta(conn: &mut dyn Conn, name: &str, value: &str) -> Result<()> {
    conn.execute(
        "INSERT INTO meta (name, value) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value"
            .into(),
        vec![name.into(), value.into()],
    )
    .await?;
    Ok(())
}

/// Writes nothing of note, to see that writing works.
pub(crate) struct Touch;

#[async_trait]
impl Operation for Touch {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        set_meta(conn, "touched", &now().to_string()).await
    }
}

/// Writes down that a job failed.
pub(crate) struct FailJob {
    /// Name of the job.
    pub(crate) id: String,
    /// What it was for.
    pub(crate) kind: &'static str,
    /// Why it failed.
    pub(crate) error: String,
}

#[async_trait]
impl Operation for FailJob {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        finish_job(conn, &self.id, self.kind, Some(&self.error)).await
    }
}

/// Writes down that a job is done.
pub(crate) async fn finish_job(
    conn: &mut dyn Conn,
    id: &str,
    kind: &str,
    error: Option<&str>,
) -> Result<()> {
    let status = if error.is_some() { "ERROR" } else { "COMPLETE" };
    conn.execute(
        "INSERT INTO jobs (id, kind, status, error, at) VALUES ($1, $2, $3, $4, $5)".into(),
        vec![
            id.into(),
            kind.into(),
            status.into(),
            Value::opt_text(error),
            now().into(),
        ],
    )
    .await?;
    Ok(())
}
