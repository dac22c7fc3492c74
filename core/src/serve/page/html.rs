//! Writing HTML. Text from anywhere gets into a page only escaped; markup only from this program.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::Viewer;

/// No scripts, nothing from elsewhere, no frames.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Markup that is being written.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup of this program.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, also inside the quotes of an attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // Would turn the direction of what follows, or end the document for some readers.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\0' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Adds a link.
    pub(super) fn link(&mut self, address: &str, text: &str) -> &mut Self {
        self.raw("<a href=\"").text(address).raw("\">");
        self.text(text).raw("</a>")
    }

    /// Adds what went wrong.
    pub(super) fn alert(&mut self, text: &str) -> &mut Self {
        self.raw("<p role=\"alert\" class=\"alert\">")
            .text(text)
            .raw("</p>")
    }

    /// Adds a button that sends a form of its own.
    pub(super) fn button(
        &mut self,
        address: &str,
        token: &str,
        text: &str,
        about: &str,
    ) -> &mut Self {
        self.raw("<form method=\"post\" action=\"").text(address);
        self.raw("\"><input type=\"hidden\" name=\"token\" value=\"")
            .text(token);
        self.raw("\"><button aria-label=\"").text(text);
        if !about.is_empty() {
            self.raw(" ").text(about);
        }
        self.raw("\">");
        self.text(text).raw("</button></form>")
    }

    /// Begins a table that scrolls by itself where it is too wide.
    pub(super) fn table(&mut self, caption: &str, columns: &[&str]) -> &mut Self {
        self.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"")
            .text(caption)
            .raw("\"><table><thead><tr>");
        for column in columns {
            self.raw("<th scope=\"col\">").text(column).raw("</th>");
        }
        self.raw("</tr></thead><tbody>")
    }

    /// Adds a cell.
    pub(super) fn cell(&mut self, text: &str) -> &mut Self {
        self.raw("<td>").text(text).raw("</td>")
    }

    /// Adds a cell whose text is never broken into lines, such as a time.
    pub(super) fn whole(&mut self, text: &str) -> &mut Self {
        self.raw("<td class=\"whole\">").text(text).raw("</td>")
    }

    /// Ends a table.
    pub(super) fn end_table(&mut self) -> &mut Self {
        self.raw("</tbody></table></div>")
    }
}

/// A page without its frame.
pub(super) struct Page {
    title: String,
    program: String,
    pub(super) status: StatusCode,
    pub(super) body: Html,
}

impl Page {
    /// Begins a page with its heading.
    pub(super) fn new(title: &str, program: &str) -> Self {
        let mut body = Html::default();
        body.raw("<h1>").text(title).raw("</h1>");
        Self {
            title: title.to_owned(),
            program: program.to_owned(),
            status: StatusCode::OK,
            body,
        }
    }

    /// Puts the frame around.
    pub(super) fn answer(self, viewer: Option<&Viewer>) -> Response {
        let mut html = Html::default();
        html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
            .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>")
            .text(&self.title)
            .raw(" - ")
            .text(&self.program)
            .raw("</title><link rel=\"stylesheet\" href=\"/ui/style.css\"></head><body>")
            .raw("<a class=\"skip\" href=\"#main\">Skip to content</a><header>");
        html.raw("<p class=\"brand\">")
            .text(&self.program)
            .raw("</p>");
        if let Some(viewer) = viewer {
            html.raw("<nav aria-label=\"Main\"><a href=\"/ui/\">Connectors</a>");
            if viewer.sagas {
                html.raw(" <a href=\"/ui/sagas\">Sagas</a>");
            }
            html.raw("</nav>");
            html.button("/ui/logout", &viewer.token, "Log out", "");
        }
        html.raw("</header><main id=\"main\">");
        html.0.push_str(&self.body.0);
        html.raw("</main></body></html>\n");
        let mut response = plain(self.status, html.0, "text/html; charset=utf-8");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Answers with an address to look at next.
pub(super) fn see(address: &str) -> Response {
    let mut response = plain(StatusCode::SEE_OTHER, String::new(), "text/plain");
    let address =
        HeaderValue::from_str(address).unwrap_or_else(|_| HeaderValue::from_static("/ui/"));
    response.headers_mut().insert(header::LOCATION, address);
    response
}

/// Answers with text and the headers that all answers have.
pub(super) fn plain(status: StatusCode, body: impl Into<Body>, kind: &'static str) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With "no-referrer" browsers would hide where a form comes from.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
