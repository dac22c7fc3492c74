//! Numbers for monitoring, in the text form of Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::App;
use crate::tasks::Health;

pub(super) async fn answer(State(app): State<Arc<App>>) -> Response {
    let health = app.manager.engine().health().await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text(&health)).into_response()
}

/// Writes the numbers. Names of connectors need no escapes.
fn text(health: &Health) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, samples: Vec<(String, u64)>| {
        write(&mut text, name, "gauge", help, "", &samples);
    };
    let tasks = health.tasks.iter().flat_map(|(connector, counts)| {
        counts.iter().map(move |(status, count)| {
            let status = status.as_str().to_lowercase();
            (
                format!("{{connector=\"{connector}\",status=\"{status}\"}}"),
                *count,
            )
        })
    });
    gauge(
        "connector_tasks",
        "Tasks by where they stand",
        tasks.collect(),
    );
    let running = health.running.iter();
    let running =
        running.map(|(connector, count)| (format!("{{connector=\"{connector}\"}}"), *count));
    gauge(
        "connector_running_steps",
        "Steps at work",
        running.collect(),
    );
    let able = u64::from(health.trouble.is_none());
    gauge(
        "connector_store_up",
        "Whether tasks can go on",
        vec![(String::new(), able)],
    );
    let done = health.done;
    for (name, help, count) in [
        (
            "connector_steps",
            "Steps whose outcome is stored",
            done.steps,
        ),
        (
            "connector_failed_attempts",
            "Attempts that failed",
            done.failed_attempts,
        ),
        (
            "connector_failed_runs",
            "Runs that failed",
            done.failed_runs,
        ),
        (
            "connector_done_runs",
            "Runs that did what they were to do",
            done.done_runs,
        ),
        (
            "connector_store_commits",
            "Commits of the store",
            done.commits,
        ),
    ] {
        write(
            &mut text,
            name,
            "counter",
            help,
            "_total",
            &[(String::new(), count)],
        );
    }
    text.push_str("# EOF\n");
    text
}

fn write(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    suffix: &str,
    samples: &[(String, u64)],
) {
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    for (labels, value) in samples {
        text.push_str(&format!("{name}{suffix}{labels} {value}\n"));
    }
}
