//! Keys, for admins: who may call, making a key, taking one away.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::Pages;
use super::form::{Fields, Form, Query};
use super::format::{age, time};
use super::html::{Html, address};
use super::layout::{Page, alert, show};
use super::session::Viewer;
use crate::admin;
use crate::auth::{Credentials, Role, forbidden};
use crate::error::{Error, Result};
use crate::store::ops::keys::{self, RevokeKey, StoredSince};

/// Keys per page.
const KEYS: usize = 100;

const HERE: &str = "/ui/keys";

pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
    Query(query): Query,
) -> Response {
    let page = match query {
        Ok(query) => build(&pages, &viewer, &query, None).await,
        Err(error) => Err(error),
    };
    show(Some(&viewer), page)
}

/// What a form before had to say.
enum News {
    Made(Credentials),
    Gone(String),
    Refused(Error),
}

fn check_admin(viewer: &Viewer) -> Result<()> {
    match viewer.role {
        Role::Admin => Ok(()),
        Role::Connector(_) | Role::Consumer => {
            Err(forbidden("keys are for admins; log in with the key of one"))
        }
    }
}

async fn build(
    pages: &Pages,
    viewer: &Viewer,
    query: &Fields,
    news: Option<(News, &Fields)>,
) -> Result<Page> {
    check_admin(viewer)?;
    let mut page = Page::new("Keys").at(HERE);
    let mut entered = None;
    match &news {
        None => {}
        Some((News::Made(credentials), _)) => made(&mut page.body, credentials),
        Some((News::Gone(key), _)) => {
            page.body
                .raw("<p role=\"status\" class=\"done\">The key <code>")
                .text(key)
                .raw("</code> was taken away. Every replica refuses it within five seconds.</p>");
        }
        Some((News::Refused(error), fields)) => {
            page = page.status(error.status());
            alert(&mut page.body, error);
            entered = Some(*fields);
        }
    }
    let list = {
        let mut conn = pages.app.store.read().await?;
        keys::page(conn.as_mut(), query.get("after"), KEYS.saturating_add(1)).await?
    };
    table(&mut page.body, viewer, &list);
    form(&mut page.body, viewer, entered);
    Ok(page)
}

fn made(html: &mut Html, credentials: &Credentials) {
    html.raw(
        "<section class=\"done\" role=\"status\"><h2>The new key</h2><p>The password is shown now \
         and never again: only a hash of it is kept.</p><dl><dt>Key</dt><dd><code>",
    )
    .text(&credentials.key)
    .raw("</code></dd><dt>Password</dt><dd><code>")
    .text(&credentials.password)
    .raw("</code></dd></dl></section>");
}

fn table(html: &mut Html, viewer: &Viewer, list: &[StoredSince]) {
    if list.is_empty() {
        html.raw("<p>No key is stored.</p>");
    } else {
        html.table("Keys", &["Key", "Role", "Sources", "Made (UTC)", ""]);
        for stored in list.iter().take(KEYS) {
            row(html, viewer, stored);
        }
        html.end_table();
    }
    if list.len() > KEYS
        && let Some(last) = list.get(KEYS.saturating_sub(1))
    {
        html.raw("<p>")
            .link(&address(HERE, &[("after", &last.key.key)]), "More keys")
            .raw("</p>");
    }
    html.raw(
        "<p class=\"note\">Keys that are given to the service when it starts are not stored, and \
         not in this list.</p>",
    );
}

fn row(html: &mut Html, viewer: &Viewer, stored: &StoredSince) {
    let key = &stored.key.key;
    html.raw("<tr><th scope=\"row\"><code>").text(key);
    html.raw("</code></th><td>").raw(stored.key.role.name());
    html.raw("</td><td>");
    if let Role::Connector(sources) = &stored.key.role {
        html.text(&sources.join(", "));
    }
    html.raw("</td><td>").text(&time(stored.created));
    html.raw(" <span class=\"note\">")
        .text(&age(stored.created));
    html.raw("</span></td><td>");
    if *key == viewer.session.key {
        html.raw("<span class=\"note\">you are logged in with it</span>");
    } else {
        // The name of the link says which key, also where the row is not seen.
        html.raw("<a href=\"")
            .text(&address("/ui/keys/revoke", &[("key", key)]))
            .raw("\" aria-label=\"Take away ")
            .text(key)
            .raw("\">Take away</a>");
    }
    html.raw("</td></tr>");
}

fn form(html: &mut Html, viewer: &Viewer, entered: Option<&Fields>) {
    let value = |name: &str| entered.map(|fields| fields.get(name)).unwrap_or_default();
    let role = match value("role") {
        "" => "connector",
        role => role,
    };
    html.raw("<h2>Make a key</h2><form method=\"post\" action=\"/ui/keys\" class=\"fields\">")
        .hidden("token", &viewer.session.form_token)
        .raw("<p><label for=\"role\">Role</label><select id=\"role\" name=\"role\">")
        .option("connector", "connector: imports as its sources, and queries", role)
        .option("consumer", "consumer: queries", role)
        .option("admin", "admin: everything", role)
        .raw("</select></p><p><label for=\"sources\">Sources of a connector, separated by spaces</label>")
        .raw("<input id=\"sources\" name=\"sources\" autocomplete=\"off\" spellcheck=\"false\" value=\"")
        .text(value("sources"))
        .raw("\"></p><p><button>Make the key</button></p></form>");
}

/// Makes a key and shows its password, once.
pub(super) async fn create(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
    Form(fields): Form,
) -> Response {
    let fields = match checked(&viewer, fields) {
        Ok(fields) => fields,
        Err(error) => return show(Some(&viewer), Err(error)),
    };
    let sources = fields.get("sources").split_whitespace();
    let made = admin::create_key(
        &pages.app.store,
        fields.get("role"),
        sources.map(str::to_owned).collect(),
    )
    .await;
    let news = match made {
        Ok(credentials) => {
            pages.app.access.forget();
            tracing::info!(
                target: "audit",
                by = viewer.session.key,
                key = credentials.key,
                role = fields.get("role"),
                sources = fields.get("sources"),
                "a key was made"
            );
            News::Made(credentials)
        }
        Err(error) => News::Refused(error),
    };
    let page = build(&pages, &viewer, &Fields::default(), Some((news, &fields))).await;
    show(Some(&viewer), page)
}

fn checked(viewer: &Viewer, fields: Result<Fields>) -> Result<Fields> {
    let fields = fields?;
    super::check_token(viewer, &fields)?;
    check_admin(viewer)?;
    Ok(fields)
}

/// Asks whether the key shall really go.
pub(super) async fn confirm(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
    Query(query): Query,
) -> Response {
    let page = match query {
        Ok(query) => question(&pages, &viewer, query.get("key")).await,
        Err(error) => Err(error),
    };
    show(Some(&viewer), page)
}

async fn question(pages: &Pages, viewer: &Viewer, key: &str) -> Result<Page> {
    check_admin(viewer)?;
    let stored = {
        let mut conn = pages.app.store.read().await?;
        keys::one(conn.as_mut(), key).await?
    };
    let stored = stored.ok_or_else(|| unknown(key))?;
    let mut page = Page::new("Take a key away").at(HERE);
    page.body
        .raw("<p>The key <code>")
        .text(key)
        .raw("</code> (")
        .raw(stored.key.role.name());
    if let Role::Connector(sources) = &stored.key.role {
        page.body.raw(" of ").text(&sources.join(", "));
    }
    page.body
        .raw(
            ") will be refused from now on. What was imported with it stays. This cannot be \
             undone; a new key can be made.</p>\
             <form method=\"post\" action=\"/ui/keys/revoke\" class=\"actions\">",
        )
        .hidden("token", &viewer.session.form_token)
        .hidden("key", key)
        .raw("<button>Take it away</button> <a href=\"/ui/keys\">Keep it</a></form>");
    Ok(page)
}

fn unknown(key: &str) -> Error {
    Error::not_found("unknown_key", format!("there is no key `{key}`"))
}

/// Takes a key away.
pub(super) async fn revoke(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
    Form(fields): Form,
) -> Response {
    let fields = match checked(&viewer, fields) {
        Ok(fields) => fields,
        Err(error) => return show(Some(&viewer), Err(error)),
    };
    let page = take_away(&pages, &viewer, &fields).await;
    show(Some(&viewer), page)
}

async fn take_away(pages: &Pages, viewer: &Viewer, fields: &Fields) -> Result<Page> {
    let key = fields.get("key");
    if key == viewer.session.key {
        return Err(Error::new(
            axum::http::StatusCode::CONFLICT,
            "own_key",
            "this session uses that key; log in with another one to take it away",
        ));
    }
    if !pages.app.store.write(RevokeKey(key.to_owned())).await? {
        return Err(unknown(key));
    }
    pages.app.access.forget();
    tracing::info!(target: "audit", by = viewer.session.key, key, "a key was taken away");
    let news = News::Gone(key.to_owned());
    build(pages, viewer, &Fields::default(), Some((news, fields))).await
}
