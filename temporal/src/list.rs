//! Lists of tasks, from the server's visibility.

use std::collections::BTreeMap;
use std::time::Duration;

use car_core::tasks::{Listing, Status, TaskError, TaskId, TaskPage};
use futures::StreamExt as _;
use temporalio_client::tonic::IntoRequest as _;
use temporalio_client::{
    Client, WorkflowCountOptions, WorkflowExecutionDescription, WorkflowTerminateOptions,
};
use temporalio_common::protos::temporal::api::enums::v1::{IndexedValueType, PendingActivityState};
use temporalio_common::protos::temporal::api::operatorservice::v1::{
    AddSearchAttributesRequest, ListSearchAttributesRequest,
};
use temporalio_common::protos::temporal::api::workflow::v1::WorkflowExecutionInfo;
use temporalio_common::protos::temporal::api::workflowservice::v1::ListWorkflowExecutionsRequest;

use crate::called::{Called, Missing};
use crate::engine::TemporalEngine;
use crate::server::Server;
use crate::start::handle;

/// Tasks in a page when nobody says how many.
const USUAL_PAGE: u32 = 50;
/// Most tasks in a page.
pub(crate) const LARGEST_PAGE: u32 = 1000;
/// Tasks of a page that are asked for at the same time.
const AT_ONCE: usize = 16;
/// How long a listing has to stay empty before a connector counts as forgotten: what the server
/// has just taken may be missing from its lists for a moment.
const LAG: Duration = Duration::from_secs(1);
const LOOKS: u32 = 3;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Sees to it that the server can find tasks by connector, status and parent.
pub(crate) async fn prepare(client: &Client) -> Result<(), Failed> {
    let namespace = client.options().namespace.clone();
    let mut operator = client.connection().operator_service();
    let request = ListSearchAttributesRequest {
        namespace: namespace.clone(),
    };
    let known = operator
        .list_search_attributes(request.into_request())
        .await?
        .into_inner();
    let missing: Vec<&str> = ["CarConnector", "CarStatus", "CarParent"]
        .into_iter()
        .filter(|name| !known.custom_attributes.contains_key(*name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let attributes = missing
        .iter()
        .map(|name| ((*name).to_owned(), IndexedValueType::Keyword.into()));
    let request = AddSearchAttributesRequest {
        search_attributes: attributes.collect(),
        namespace,
    };
    operator
        .add_search_attributes(request.into_request())
        .await?;
    Ok(())
}

impl From<temporalio_client::tonic::Status> for Called {
    fn from(error: temporalio_client::tonic::Status) -> Self {
        Self::Failed(error.into())
    }
}

impl From<temporalio_client::errors::ClientError> for Called {
    fn from(error: temporalio_client::errors::ClientError) -> Self {
        Self::Failed(error.into())
    }
}

/// Returns whether a text can stand in a query as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(['\'', '"', '\\', '`'])
}

/// Returns what the tasks of a connector are found by, `None` for a name that no connector has.
fn query(engine: &TemporalEngine, connector: &str) -> Option<String> {
    let mark = engine.ways.mark(connector);
    if !is_plain(&mark) {
        return None;
    }
    Some(format!(
        "WorkflowType = 'car-task' AND ExecutionStatus = 'Running' AND CarConnector = '{mark}'"
    ))
}

/// Lists tasks.
pub(crate) async fn page(
    engine: &TemporalEngine,
    connector: &str,
    listing: &Listing,
) -> Result<TaskPage, TaskError> {
    let nothing = TaskPage {
        tasks: Vec::new(),
        next: None,
    };
    let Some(mut query) = query(engine, connector) else {
        return Ok(nothing);
    };
    if let Some(status) = listing.status {
        query.push_str(&format!(" AND CarStatus = '{}'", status.as_str()));
    }
    match &listing.parent {
        Some(parent) if parent.as_str().chars().all(|c| c.is_ascii_alphanumeric()) => {
            query.push_str(&format!(" AND CarParent = '{parent}'"));
        }
        Some(_) => return Ok(nothing),
        None if listing.roots => query.push_str(" AND CarParent IS NULL"),
        None => {}
    }
    let token = match &listing.after {
        None => Vec::new(),
        // A mark that is none leads to an empty page.
        Some(mark) => match from_hex(mark) {
            Some(token) => token,
            None => return Ok(nothing),
        },
    };
    let limit = listing.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let (ids, token) = ids(engine, connector, query, limit, token).await?;
    let looks = ids
        .into_iter()
        .map(|id| async move { engine.look(connector, &id).await });
    let looks: Vec<_> = futures::stream::iter(looks)
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut tasks = Vec::with_capacity(looks.len());
    for look in looks {
        match look {
            Ok(view) => tasks.push(view),
            // It was forgotten meanwhile.
            Err(TaskError::NoTask { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(TaskPage {
        tasks,
        next: (!token.is_empty()).then(|| to_hex(&token)),
    })
}

/// Returns the ids on a page, and the mark of the next one.
async fn ids(
    engine: &TemporalEngine,
    connector: &str,
    query: String,
    limit: u32,
    token: Vec<u8>,
) -> Result<(Vec<TaskId>, Vec<u8>), TaskError> {
    let (found, token) = found(&engine.server, query, limit, token).await?;
    let prefix = engine.ways.workflow(connector, &TaskId::from_text(""));
    let ids = found
        .iter()
        .filter_map(|found| found.execution.as_ref())
        .filter_map(|found| found.workflow_id.strip_prefix(&prefix))
        .map(TaskId::from_text);
    Ok((ids.collect(), token))
}

/// Returns a page of workflows, and the mark of the next one, empty for the last.
pub(crate) async fn found(
    server: &Server,
    query: String,
    limit: u32,
    token: Vec<u8>,
) -> Result<(Vec<WorkflowExecutionInfo>, Vec<u8>), TaskError> {
    let mut service = server.client.connection().workflow_service();
    let request = ListWorkflowExecutionsRequest {
        namespace: server.client.options().namespace.clone(),
        page_size: i32::try_from(limit).unwrap_or(i32::MAX),
        next_page_token: token,
        query,
    };
    let list = service.list_workflow_executions(request.into_request());
    match server.call("list its workflows", false, list).await {
        Ok(page) => {
            let page = page.into_inner();
            Ok((page.executions, page.next_page_token))
        }
        Err(Missing::NotThere) => Ok((Vec::new(), Vec::new())),
        Err(Missing::Failed(error)) => Err(error),
    }
}

/// Ends all workflows of a connector.
pub(crate) async fn forget(engine: &TemporalEngine, connector: &str) -> Result<(), TaskError> {
    let Some(query) = query(engine, connector) else {
        return Ok(());
    };
    let mut empty = 0;
    loop {
        let (found, _) = ids(engine, connector, query.clone(), LARGEST_PAGE, Vec::new()).await?;
        let ends = found
            .into_iter()
            .map(|id| async move { end(engine, connector, &id).await });
        let ends: Vec<_> = futures::stream::iter(ends)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        // Those that had ended are in the list for a moment yet.
        let ended: Result<Vec<bool>, TaskError> = ends.into_iter().collect();
        empty = match ended?.contains(&true) {
            true => 0,
            false => empty + 1,
        };
        if empty >= LOOKS {
            return Ok(());
        }
        tokio::time::sleep(LAG / LOOKS).await;
    }
}

/// Ends a workflow; returns whether there was one to end.
async fn end(engine: &TemporalEngine, connector: &str, id: &TaskId) -> Result<bool, TaskError> {
    let task = handle(&engine.server.client, &engine.ways.workflow(connector, id));
    let options = WorkflowTerminateOptions::builder()
        .reason("the connector was uninstalled")
        .build();
    match engine
        .server
        .call("forget a task", true, task.terminate(options))
        .await
    {
        Ok(()) => Ok(true),
        Err(Missing::NotThere) => Ok(false),
        Err(Missing::Failed(error)) => Err(error),
    }
}

/// Counts the tasks of a connector by where they stand.
pub(crate) async fn counts(
    engine: &TemporalEngine,
    connector: &str,
) -> Result<BTreeMap<Status, u64>, TaskError> {
    let mut counts = BTreeMap::new();
    let Some(query) = query(engine, connector) else {
        return Ok(counts);
    };
    for status in Status::ALL {
        let query = format!("{query} AND CarStatus = '{}'", status.as_str());
        let count = engine
            .server
            .client
            .count_workflows(query, WorkflowCountOptions::default());
        match engine.server.call("count tasks", false, count).await {
            Ok(count) if count.count() > 0 => {
                let count = u64::try_from(count.count()).unwrap_or(u64::MAX);
                counts.insert(status, count);
            }
            Ok(_) | Err(Missing::NotThere) => {}
            Err(Missing::Failed(error)) => return Err(error),
        }
    }
    Ok(counts)
}

/// Returns whether a process has begun the step of a task.
pub(crate) fn step_has_begun(described: &WorkflowExecutionDescription) -> bool {
    let waits = i32::from(PendingActivityState::Scheduled);
    described.raw().pending_activities.iter().any(|activity| {
        let name = activity
            .activity_type
            .as_ref()
            .map(|kind| kind.name.as_str());
        name == Some("car-step") && activity.state != waits
    })
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pair = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}
