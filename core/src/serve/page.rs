//! The page for people, below `/ui/`: plain HTML made here, without scripts or outside assets.

mod form;
mod html;
#[cfg(feature = "saga")]
mod sagas;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::App;
use super::api::change;
use super::error::ApiError;
use crate::tasks::TaskId;
use form::Fields;
use html::{Page, plain, see};

const STYLE: &str = include_str!("page/style.css");

type Shared = State<Arc<App>>;

/// Returns the routes.
pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let guarded = Router::new()
        .route("/ui/", get(overview))
        .route("/ui/connectors/{name}", get(connector))
        .route("/ui/connectors/{name}/tasks/{task}", get(task))
        .route("/ui/connectors/{name}/sure/{action}", get(ask_again))
        .route("/ui/connectors/{name}/do/{action}", post(change_connector))
        .route(
            "/ui/connectors/{name}/tasks/{task}/do/{action}",
            post(change_task),
        )
        .route("/ui/logout", post(log_out));
    #[cfg(feature = "saga")]
    let guarded = match app.has_sagas() {
        true => guarded.merge(sagas::routes()),
        false => guarded,
    };
    let guarded = guarded.layer(axum::middleware::from_fn_with_state(Arc::clone(app), guard));
    Router::new()
        .route("/", get(async || see("/ui/")))
        .route("/ui", get(async || see("/ui/")))
        .route(
            "/ui/style.css",
            get(async || plain(StatusCode::OK, STYLE, "text/css; charset=utf-8")),
        )
        .route("/ui/login", get(ask).post(log_in))
        .merge(guarded)
}

/// Who looks at a page.
#[derive(Clone)]
struct Viewer {
    /// The text that the forms of the session carry.
    token: String,
    /// Whether there are sagas to look at.
    sagas: bool,
}

/// Lets only viewers through who are logged in.
async fn guard(
    State(app): Shared,
    mut request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    match app.access.token(request.headers()) {
        Some(token) => {
            let sagas = app.has_sagas();
            request.extensions_mut().insert(Viewer { token, sagas });
            next.run(request).await
        }
        None => see("/ui/login"),
    }
}

async fn ask(State(app): Shared) -> Response {
    login(&app, None)
}

fn login(app: &App, problem: Option<&str>) -> Response {
    let mut page = Page::new("Log in", &app.program.0);
    if let Some(problem) = problem {
        page.status = StatusCode::UNAUTHORIZED;
        page.body.alert(problem);
    }
    page.body
        .raw("<form method=\"post\" action=\"/ui/login\" class=\"fields\"><p><label for=\"key\">Key</label>")
        .raw("<input id=\"key\" name=\"key\" type=\"password\" autocomplete=\"current-password\" required></p>")
        .raw("<p><button>Log in</button></p></form>");
    page.answer(None)
}

async fn log_in(State(app): Shared, headers: HeaderMap, fields: Fields) -> Response {
    let key = match fields.checked(&headers) {
        Ok(fields) => fields.get("key").to_owned(),
        Err(error) => return refusal(&app, None, &error),
    };
    if !app.access.is_key(key.trim()) {
        return login(&app, Some("this is not the key"));
    }
    with_cookie(see("/ui/"), app.access.begin(&headers))
}

async fn log_out(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    headers: HeaderMap,
    fields: Fields,
) -> Response {
    match fields.of(&headers, &viewer.token) {
        Ok(_) => with_cookie(see("/ui/login"), app.access.end(&headers)),
        Err(error) => refusal(&app, Some(&viewer), &error),
    }
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

async fn overview(State(app): Shared, viewer: axum::Extension<Viewer>) -> Response {
    let page = views::overview(&app.manager, &app.program.0).await;
    page.answer(Some(&viewer))
}

async fn connector(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    Path(name): Path<String>,
) -> Response {
    let page = views::connector(&app.manager, &app.program.0, &name).await;
    show(&app, &viewer, page)
}

async fn task(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    Path((name, task)): Path<(String, String)>,
) -> Response {
    let task = TaskId::from_text(task);
    let page = views::task(&app.manager, &app.program.0, &name, &task, &viewer.token).await;
    show(&app, &viewer, page)
}

/// Asks once more before what cannot be taken back.
async fn ask_again(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    Path((name, action)): Path<(String, String)>,
) -> Response {
    match views::sure(&app.manager, &app.program.0, &name, &action, &viewer.token) {
        None => refusal(&app, Some(&viewer), &unknown()),
        Some(page) => show(&app, &viewer, page),
    }
}

async fn change_connector(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    headers: HeaderMap,
    Path((name, action)): Path<(String, String)>,
    fields: Fields,
) -> Response {
    if let Err(error) = fields.of(&headers, &viewer.token) {
        return refusal(&app, Some(&viewer), &error);
    }
    let done = match action.as_str() {
        "reset" => app.manager.reset(&name).await.map(drop),
        "uninstall" => app.manager.uninstall(&name).await,
        _ => return refusal(&app, Some(&viewer), &unknown()),
    };
    match (done, action.as_str()) {
        (Err(error), _) => refusal(&app, Some(&viewer), &error.into()),
        (Ok(()), "uninstall") => see("/ui/"),
        (Ok(()), _) => see(&format!("/ui/connectors/{name}")),
    }
}

async fn change_task(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    headers: HeaderMap,
    Path((name, task, action)): Path<(String, String, String)>,
    fields: Fields,
) -> Response {
    if let Err(error) = fields.of(&headers, &viewer.token) {
        return refusal(&app, Some(&viewer), &error);
    }
    let task = TaskId::from_text(task);
    match change(&**app.manager.engine(), &action, &name, &task).await {
        None => refusal(&app, Some(&viewer), &unknown()),
        Some(Err(error)) => refusal(&app, Some(&viewer), &error.into()),
        Some(Ok(_)) => see(&format!("/ui/connectors/{name}/tasks/{task}")),
    }
}

fn unknown() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_path",
        "there is no such button",
    )
}

fn show(app: &App, viewer: &Viewer, page: Result<Page, ApiError>) -> Response {
    match page {
        Ok(page) => page.answer(Some(viewer)),
        Err(error) => refusal(app, Some(viewer), &error),
    }
}

fn refusal(app: &App, viewer: Option<&Viewer>, error: &ApiError) -> Response {
    let mut page = Page::new("That did not work", &app.program.0);
    page.status = error.status;
    page.body.alert(&error.message);
    for hint in &error.hints {
        page.body.raw("<p class=\"note\">").text(hint).raw("</p>");
    }
    page.body
        .raw("<p><a href=\"/ui/\">Go to the overview</a></p>");
    page.answer(viewer).into_response()
}
