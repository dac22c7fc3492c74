//! The log, for people and for programs.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::{Html, IntoResponse, Response};
use car_core::exchange::OutputType;
use serde_json::json;

use super::state::State;

pub(super) async fn logs(Shared(state): Shared<Arc<State>>) -> Response {
    let lines: Vec<_> = state
        .logs()
        .iter()
        .map(|line| {
            json!({
                "level": line.level.as_str(),
                "message": line.message,
                "context": line.context,
            })
        })
        .collect();
    axum::Json(lines).into_response()
}

pub(super) async fn page(Shared(state): Shared<Arc<State>>) -> Html<String> {
    let mut rows = String::new();
    for line in state.logs().iter().rev() {
        let context = line
            .context
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
            line.level.as_str(),
            escaped(&line.message),
            escaped(&context)
        ));
    }
    let counts: Vec<String> = OutputType::ALL
        .iter()
        .map(|output| {
            let rows = state
                .outputs()
                .get(output)
                .map_or(0, |written| written.rows);
            format!("{output}: {rows} rows")
        })
        .collect();
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Container API emulator</title></head>\n<body><h1>Container API emulator</h1>\n\
         <p>{}</p>\n<table><caption>Log, the latest line first</caption>\
         <thead><tr><th scope=\"col\">Level</th><th scope=\"col\">Message</th>\
         <th scope=\"col\">Context</th></tr></thead>\n<tbody>{rows}</tbody></table></body></html>\n",
        counts.join(", ")
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
