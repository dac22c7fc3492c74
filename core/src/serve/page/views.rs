//! What the pages show.

use serde_json::Value;

use super::html::{Html, Page};
use crate::serve::error::ApiError;
use crate::tasks::{Activity, Listing, Manager, Schedule, Status, TaskId, TaskView, When};
use crate::telemetry::timestamp;

/// Tasks without a parent on a page.
const ROOTS: u32 = 50;
/// Children of one task on a page.
const CHILDREN: u32 = 50;
/// Levels of the tree on a page.
const LEVELS: usize = 4;
/// Most tasks on a page.
const MOST: usize = 500;

/// All connectors.
pub(super) async fn overview(manager: &Manager, program: &str) -> Page {
    let mut page = Page::new("Connectors", program);
    let health = manager.engine().health().await;
    let html = &mut page.body;
    if let Some(trouble) = &health.trouble {
        html.alert(trouble);
    }
    let connectors = manager.connectors();
    if connectors.is_empty() {
        html.raw("<p>None is installed.</p>");
        return page;
    }
    let mut columns = vec!["Connector", "Kind", "State"];
    columns.extend(Status::ALL.map(word));
    columns.push("Last error");
    html.table("Connectors", &columns);
    for connector in connectors {
        html.raw("<tr><th scope=\"row\">");
        html.link(
            &format!("/ui/connectors/{}", connector.name),
            &connector.name,
        );
        html.raw("</th>")
            .cell(&connector.provider)
            .cell(connector.phase.as_str());
        let counts = health.tasks.get(&connector.name);
        for status in Status::ALL {
            let count = counts.and_then(|counts| counts.get(&status)).unwrap_or(&0);
            html.raw("<td class=\"number\">")
                .text(&count.to_string())
                .raw("</td>");
        }
        match connector.error {
            Some(error) => html.cell(&error),
            None => html.cell(&trouble(manager, &connector.name).await),
        };
        html.raw("</tr>");
    }
    html.end_table();
    page
}

/// Returns what the latest of a connector's own tasks complains of, empty when none does.
async fn trouble(manager: &Manager, name: &str) -> String {
    let listing = Listing {
        limit: Some(ROOTS),
        roots: true,
        ..Listing::default()
    };
    match manager.engine().tasks(name, &listing).await {
        Err(error) => error.to_string(),
        Ok(page) => {
            let mut complaints = page
                .tasks
                .into_iter()
                .filter_map(|task| task.reason.or(task.error));
            complaints.next().unwrap_or_default()
        }
    }
}

/// One connector with its tasks as a tree.
pub(super) async fn connector(
    manager: &Manager,
    program: &str,
    name: &str,
) -> Result<Page, ApiError> {
    let connector = manager.connector(name)?;
    let settings = manager.settings(name)?;
    let mut page = Page::new(name, program);
    let html = &mut page.body;
    if let Some(error) = &connector.error {
        html.alert(error);
    }
    html.raw("<p>")
        .text(&connector.provider)
        .raw(", ")
        .text(connector.phase.as_str());
    html.raw(", installed ")
        .text(&time(connector.created_at))
        .raw("</p>");
    if !connector.fixed {
        html.raw("<div class=\"actions\">");
        for (action, text) in [("reset", "Reset"), ("uninstall", "Uninstall")] {
            html.raw("<a class=\"button\" href=\"")
                .text(&format!("/ui/connectors/{name}/sure/{action}"))
                .raw("\">");
            html.text(text).raw("</a>");
        }
        html.raw("</div><h2>Settings</h2><dl>");
        for (key, value) in settings.as_object().into_iter().flatten() {
            html.raw("<dt>")
                .text(key)
                .raw("</dt><dd>")
                .text(&shown(value))
                .raw("</dd>");
        }
        html.raw("</dl>");
    }
    html.raw("<h2>Tasks</h2>");
    let listing = Listing {
        limit: Some(ROOTS),
        roots: true,
        ..Listing::default()
    };
    let roots = manager.engine().tasks(name, &listing).await?;
    let mut rows = Vec::new();
    for root in roots.tasks {
        tree(manager, name, root, &mut rows).await?;
    }
    html.table(
        "Tasks",
        &["Task", "State", "Doing", "Runs", "Next run", "Last error"],
    );
    for (level, task) in &rows {
        row(html, name, *level, task);
    }
    html.end_table();
    if rows.is_empty() {
        html.raw("<p>There are none.</p>");
    }
    if roots.next.is_some() || rows.len() >= MOST {
        html.raw("<p class=\"note\">The latest are shown; the API lists all.</p>");
    }
    Ok(page)
}

/// Asks once more before a connector is changed for good; `None` for an action that there is not.
pub(super) fn sure(
    manager: &Manager,
    program: &str,
    name: &str,
    action: &str,
    token: &str,
) -> Option<Result<Page, ApiError>> {
    let (title, effect, text) = match action {
        "reset" => (
            format!("Reset {name}?"),
            "Its tasks end and are forgotten with all they have stored and their history; then it \
             starts from the beginning with the same settings. What it brought into the graph \
             stays.",
            "Reset it",
        ),
        "uninstall" => (
            format!("Uninstall {name}?"),
            "Its tasks end and are forgotten with all they have stored, their history and its \
             settings. What it brought into the graph stays.",
            "Uninstall it",
        ),
        _ => return None,
    };
    if let Err(error) = manager.connector(name) {
        return Some(Err(error.into()));
    }
    let mut page = Page::new(&title, program);
    let html = &mut page.body;
    html.raw("<p>")
        .text(effect)
        .raw("</p><div class=\"actions\">");
    let address = format!("/ui/connectors/{name}/do/{action}");
    html.button(&address, token, text, "")
        .link(&format!("/ui/connectors/{name}"), "Keep it as it is")
        .raw("</div>");
    Some(Ok(page))
}

/// Adds a task and those below it, level by level down to a limit.
async fn tree(
    manager: &Manager,
    name: &str,
    root: TaskView,
    rows: &mut Vec<(usize, TaskView)>,
) -> Result<(), ApiError> {
    let mut open = vec![(0_usize, root)];
    while let Some((level, task)) = open.pop() {
        if rows.len() >= MOST {
            return Ok(());
        }
        if level < LEVELS {
            let listing = Listing {
                limit: Some(CHILDREN),
                parent: Some(task.id.clone()),
                ..Listing::default()
            };
            let children = manager.engine().tasks(name, &listing).await?.tasks;
            // The last one that is put there comes out first.
            open.extend(
                children
                    .into_iter()
                    .rev()
                    .map(|child| (level.saturating_add(1), child)),
            );
        }
        rows.push((level, task));
    }
    Ok(())
}

fn row(html: &mut Html, connector: &str, level: usize, task: &TaskView) {
    // The indentation is the cell's own, so that a name that wraps keeps it.
    html.raw("<tr><th scope=\"row\" class=\"level-")
        .text(&level.min(LEVELS).to_string())
        .raw("\">");
    html.link(
        &format!("/ui/connectors/{connector}/tasks/{}", task.id),
        &task.name,
    );
    html.raw("</th>")
        .cell(word(task.status))
        .cell(doing(task.activity));
    html.raw("<td class=\"number\">")
        .text(&task.runs.to_string())
        .raw("</td>");
    html.whole(&task.next.map(time).unwrap_or_default());
    html.cell(
        task.reason
            .as_deref()
            .or(task.error.as_deref())
            .unwrap_or(""),
    );
    html.raw("</tr>");
}

/// One task with its history.
pub(super) async fn task(
    manager: &Manager,
    program: &str,
    name: &str,
    id: &TaskId,
    token: &str,
) -> Result<Page, ApiError> {
    manager.connector(name)?;
    let history = manager.engine().history(name, id).await?;
    let task = &history.task;
    let mut page = Page::new(&task.name, program);
    let html = &mut page.body;
    html.raw("<p>Task of ")
        .link(&format!("/ui/connectors/{name}"), name);
    if let Some(parent) = &task.parent {
        html.raw(", spawned by ");
        html.link(
            &format!("/ui/connectors/{name}/tasks/{parent}"),
            "its parent",
        );
    }
    html.raw("</p>");
    if let Some(reason) = &task.reason {
        html.alert(reason);
    }
    if let Some(error) = &task.error {
        html.alert(error);
    }
    html.raw("<div class=\"actions\">");
    for (action, text) in actions(task.status) {
        let address = format!("/ui/connectors/{name}/tasks/{id}/do/{action}");
        html.button(&address, token, text, &task.name);
    }
    html.raw("</div><dl>");
    for (key, value) in [
        ("State", word(task.status).to_owned()),
        ("Doing", doing(task.activity).to_owned()),
        ("Runs", when(&task.schedule)),
        ("Next run", task.next.map(time).unwrap_or_default()),
        ("Descriptor", task.descriptor.to_string()),
        ("Stored", task.state.as_ref().map(shown).unwrap_or_default()),
        ("Changed", time(task.updated_at)),
    ] {
        html.raw("<dt>")
            .text(key)
            .raw("</dt><dd>")
            .text(&value)
            .raw("</dd>");
    }
    html.raw("</dl><h2>Runs</h2>");
    if history.runs.is_empty() {
        html.raw("<p>None has ended yet.</p>");
    }
    let columns = [
        "Run",
        "Began",
        "Ended",
        "Outcome",
        "Steps",
        "Failed attempts",
        "Error",
    ];
    html.table("Runs", &columns);
    for run in &history.runs {
        html.raw("<tr>")
            .cell(&run.run.to_string())
            .whole(&time(run.began_at));
        html.whole(&time(run.ended_at)).cell(run.outcome.as_str());
        html.cell(&run.steps.to_string())
            .cell(&run.failed_attempts.to_string());
        html.cell(run.error.as_deref().unwrap_or("")).raw("</tr>");
    }
    html.end_table();
    if history.attempts.is_empty() {
        return Ok(page);
    }
    html.raw("<h2>Failed attempts</h2>");
    html.table(
        "Failed attempts",
        &["Run", "Step", "Attempt", "Ended", "Wait", "Error"],
    );
    for attempt in &history.attempts {
        html.raw("<tr>")
            .cell(&attempt.run.to_string())
            .cell(&attempt.step.to_string());
        html.cell(&attempt.attempt.to_string())
            .whole(&time(attempt.ended_at));
        let wait = attempt.wait.map(|wait| format!("{} s", wait / 1000));
        html.cell(&wait.unwrap_or_else(|| "none".to_owned()))
            .cell(&attempt.error)
            .raw("</tr>");
    }
    html.end_table();
    Ok(page)
}

const fn actions(status: Status) -> &'static [(&'static str, &'static str)] {
    match status {
        Status::Active => &[("retry", "Run now"), ("pause", "Pause"), ("stop", "Stop")],
        Status::Paused => &[("resume", "Resume"), ("stop", "Stop")],
        Status::Stopped | Status::Terminated | Status::Failed => &[("retry", "Run again")],
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Paused => "paused",
        Status::Stopped => "stopped",
        Status::Terminated => "terminated",
        Status::Failed => "failed",
    }
}

const fn doing(activity: Activity) -> &'static str {
    match activity {
        Activity::None => "",
        Activity::Running => "running",
        Activity::Waiting => "waits for its time",
        Activity::Due => "is due",
        Activity::Retrying => "waits to try again",
        Activity::Children => "waits for children",
    }
}

fn when(schedule: &Schedule) -> String {
    match schedule.recurring().map(|recurring| &recurring.when) {
        None => "once".to_owned(),
        Some(When::Period(period)) => format!("every {}", length(*period)),
        Some(When::Cron(expression)) => format!("at {expression} (UTC)"),
    }
}

/// Writes a time of so many milliseconds in the largest unit that is exact.
fn length(millis: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1000, "s"),
    ];
    let exact = UNITS.iter().find(|(unit, _)| millis.is_multiple_of(*unit));
    match exact {
        Some((unit, name)) => format!("{} {name}", millis / unit),
        None => format!("{millis} ms"),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn time(millis: i64) -> String {
    let full = timestamp(millis.max(0).unsigned_abs().saturating_mul(1000));
    // To the second is enough for people.
    let second = full.split('.').next().unwrap_or_default();
    format!("{} UTC", second.replace('T', " "))
}
