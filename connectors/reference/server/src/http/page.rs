//! The page for people.
use super::App;
use axum::Router;
/// Routes of the page.
pub(super) fn routes() -> Router<App> {
    Router::new()
}
