//! Picks what is due: by index, and marks it as at work in the same transaction.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::rows::from_json;
use super::storage;
use crate::tasks::descriptor::{TaskDescriptor, TaskId};
use crate::tasks::error::TaskError;
use crate::tasks::policy::Policy;
use crate::tasks::step::Waited;

/// A step that is to be done now.
#[derive(Debug)]
pub(super) struct Picked {
    pub(super) number: i64,
    pub(super) generation: i64,
    pub(super) id: TaskId,
    pub(super) descriptor: String,
    pub(super) state: Option<Arc<str>>,
    pub(super) policy: Policy,
    pub(super) run: u64,
    pub(super) step: u64,
    pub(super) attempt: u32,
    pub(super) waited: Vec<Waited>,
}

/// Picks at most so many tasks of a connector that are due, the longest due first.
pub(super) async fn pick(
    connection: &mut SqliteConnection,
    connector: &str,
    free: usize,
    now: i64,
) -> Result<Vec<Picked>, TaskError> {
    let rows = sqlx::query(
        "UPDATE task SET running = 1, run = run + (run_began IS NULL), \
         run_began = coalesce(run_began, ?) WHERE number IN (\
           SELECT number FROM task WHERE connector = ? AND running = 0 AND due IS NOT NULL \
           AND due <= ? ORDER BY due LIMIT ?) \
         RETURNING number, generation, id, descriptor, state, policy, run, step, attempt, \
           EXISTS (SELECT 1 FROM awaited WHERE parent = number) AS waited",
    )
    .bind(now)
    .bind(connector)
    .bind(now)
    .bind(i64::try_from(free).unwrap_or(i64::MAX))
    .fetch_all(&mut *connection)
    .await
    .map_err(storage("written"))?;
    let mut picked = Vec::with_capacity(rows.len());
    for row in &rows {
        let read = || -> sqlx::Result<(Picked, bool)> {
            let state: Option<&str> = row.try_get("state")?;
            let (run, step): (i64, i64) = (row.try_get("run")?, row.try_get("step")?);
            let id: String = row.try_get("id")?;
            let picked = Picked {
                number: row.try_get("number")?,
                generation: row.try_get("generation")?,
                id: TaskId::from_text(id),
                descriptor: row.try_get("descriptor")?,
                state: state.map(Arc::from),
                policy: from_json(row.try_get("policy")?),
                run: run.unsigned_abs(),
                step: step.unsigned_abs(),
                attempt: row.try_get("attempt")?,
                waited: Vec::new(),
            };
            Ok((picked, row.try_get("waited")?))
        };
        let (mut task, waited) = read().map_err(storage("read"))?;
        if waited {
            task.waited = children(connection, task.number).await?;
        }
        picked.push(task);
    }
    Ok(picked)
}

async fn children(
    connection: &mut SqliteConnection,
    parent: i64,
) -> Result<Vec<Waited>, TaskError> {
    let rows: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT task.descriptor, awaited.error FROM awaited \
         JOIN task ON task.number = awaited.child WHERE awaited.parent = ? ORDER BY task.number",
    )
    .bind(parent)
    .fetch_all(connection)
    .await
    .map_err(storage("read"))?;
    rows.into_iter()
        .map(|(descriptor, error)| {
            let descriptor = TaskDescriptor::parse(&descriptor)?;
            Ok(Waited { descriptor, error })
        })
        .collect()
}

/// Returns when the next task of a connector is due.
pub(super) async fn next_due(
    connection: &mut SqliteConnection,
    connector: &str,
) -> Result<Option<i64>, TaskError> {
    sqlx::query_scalar(
        "SELECT due FROM task WHERE connector = ? AND running = 0 AND due IS NOT NULL \
         ORDER BY due LIMIT 1",
    )
    .bind(connector)
    .fetch_optional(connection)
    .await
    .map_err(storage("read"))
}
