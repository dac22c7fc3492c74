//! A CAR service that says yes to everything and keeps nothing.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use car_core::connector::Connector;
use car_schema::{Model, import_schema};
use reference_connector::ReferenceConnector;
use serde_json::{Value, json};

/// Serves until the process is ended; prints its port first.
pub(crate) fn serve() -> anyhow::Result<()> {
    let mut model = Model::core();
    if let Some(extension) = ReferenceConnector::about().extension {
        model.extend(&extension.schema)?;
    }
    let schema = json!({ "version": "v2", "schema": import_schema(&model) });
    let job = async || Json(json!({ "job_id": "job" }));
    let none = async || Json(json!({ "error_imports": [], "incomplete_imports": [] }));
    let v2 = Router::new()
        .route("/databases", get(async || Json(json!({ "databases": [{ "name": "assets", "graph_name": "assets", "is_ready": true }] }))))
        .route("/jobstatus/{id}", get(async || Json(json!({ "status": "COMPLETE" }))))
        .route("/imports", post(async |_: Bytes| Json(json!({ "id": "import", "status": "COMPLETE" }))))
        .route("/importstatus", get(none))
        .route("/source", patch(async || Json(json!({}))))
        .route("/source/{source}", get(async || StatusCode::NOT_FOUND))
        .route(
            "/source/{source}/full-import-in-progress",
            // One session, so that what a run keeps to go on is measured too.
            get(async || Json(json!({ "open": true, "started_at": 1 })))
                .post(job)
                .delete(job),
        );
    let v3 = Router::new()
        .route(
            "/carSchema",
            post(async || (StatusCode::CREATED, Json(json!({})))),
        )
        .route("/carSchema/{key}", get(async || StatusCode::NOT_FOUND))
        .route(
            "/health",
            get(async || Json(json!({ "features": { "sweep_preview": true } }))),
        )
        .route("/importSchema", get(async move || Json::<Value>(schema)));
    let router = Router::new()
        .nest("/api/car/v2", v2)
        .nest("/api/car/v3", v3);
    crate::measure::serve(router.layer(axum::extract::DefaultBodyLimit::disable()))
}
