//! The pages for people, below `/ui/`: plain HTML made here, without scripts or outside assets.
//!
//! Every page reads a bounded part of the graph through an index, so that it is quick at any
//! size: lists are paged by key and counts stop early.

mod browse;
mod cursor;
mod entity;
mod filter;
mod form;
mod format;
mod history;
mod html;
mod imports;
mod keys;
mod layout;
mod login;
mod neighbours;
mod overview;
mod query;
mod risk;
mod session;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::timeout::RequestBodyTimeoutLayer;

use self::form::Fields;
use self::html::address;
use self::layout::{plain, see, show};
use self::session::{Sessions, Viewer};
use crate::error::{Error, Result};
use crate::state::AppState;

const STYLE: &str = include_str!("style.css");

/// How long a browser may pause while it sends a form.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// What the pages need.
#[derive(Debug)]
pub(crate) struct Pages {
    app: Arc<AppState>,
    sessions: Sessions,
}

/// Returns the routes of the pages.
pub(crate) fn router(app: Arc<AppState>) -> Router {
    let pages = Arc::new(Pages {
        app,
        sessions: Sessions::default(),
    });
    let guarded = Router::new()
        .route("/ui/", get(overview::page))
        .route("/ui/browse", get(browse::page))
        .route("/ui/entity", get(entity::page))
        .route("/ui/risk", get(risk::page))
        .route("/ui/imports", get(imports::page))
        .route("/ui/source", get(sources::page))
        .route("/ui/query", get(query::ask).post(query::answer))
        .route("/ui/keys", get(keys::page).post(keys::create))
        .route("/ui/keys/revoke", get(keys::confirm).post(keys::revoke))
        .route("/ui/logout", post(login::log_out))
        .route("/ui/{*rest}", get(unknown))
        .layer(middleware::from_fn_with_state(Arc::clone(&pages), guard));
    Router::new()
        .route("/", get(async || see("/ui/")))
        .route("/ui", get(async || see("/ui/")))
        .route("/ui/style.css", get(style))
        .route("/ui/login", get(login::ask).post(login::log_in))
        .merge(guarded)
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE))
        .with_state(pages)
}

/// Lets only viewers through who are logged in; others get the form, and come back after it.
async fn guard(State(pages): State<Arc<Pages>>, mut request: Request, next: Next) -> Response {
    let Some(session) = pages.sessions.find(request.headers()) else {
        return to_login(&request);
    };
    let credentials = [(header::AUTHORIZATION, session.credentials.clone())];
    let checked = pages
        .app
        .access
        .check(&pages.app.store, &credentials.into_iter().collect(), None)
        .await;
    match checked {
        Ok(role) => {
            request.extensions_mut().insert(Viewer { session, role });
            next.run(request).await
        }
        // The key was revoked.
        Err(error) if error.status() == StatusCode::UNAUTHORIZED => {
            pages.sessions.end(request.headers());
            to_login(&request)
        }
        Err(error) => show(None, Err(error)),
    }
}

fn to_login(request: &Request) -> Response {
    let wanted = match request.uri().path_and_query() {
        Some(wanted) if request.method() == Method::GET => wanted.as_str(),
        _ => "",
    };
    let wanted = if wanted == "/ui/" { "" } else { wanted };
    see(&address("/ui/login", &[("next", wanted)]))
}

/// Refuses a form that was not made for this session.
fn check_token(viewer: &Viewer, fields: &Fields) -> Result<()> {
    if viewer.sent(fields.get("token")) {
        return Ok(());
    }
    Err(Error::new(
        StatusCode::FORBIDDEN,
        "foreign_form",
        "the form is not of this session; load its page again",
    ))
}

async fn style() -> Response {
    let mut response = plain(StatusCode::OK, STYLE, "text/css; charset=utf-8");
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("max-age=300"),
    );
    response
}

async fn unknown(axum::Extension(viewer): axum::Extension<Viewer>) -> Response {
    show(
        Some(&viewer),
        Err(Error::not_found("unknown_page", "there is no such page")),
    )
}
