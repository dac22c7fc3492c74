//! The HTML itself. Text gets into a page only through [`Page::text`], which escapes it.

use serde_json::Value;

use super::form::{Form, addresses};
use crate::error::ApiError;
use crate::model::{Collection, Field, Kind, Relation};

/// Links shown per cell and object before the rest is only counted.
const LINKS: usize = 3;
/// Characters of a value shown in a table.
const CELL: usize = 80;

/// A page that is being written.
pub(super) struct Page {
    title: String,
    body: String,
}

impl Page {
    fn new(title: impl Into<String>) -> Self {
        let title = title.into();
        let mut page = Self {
            title,
            body: String::new(),
        };
        let heading = page.title.clone();
        page.html("<h1>").text(&heading).html("</h1>");
        page
    }

    /// Adds markup from this file.
    fn html(&mut self, markup: &'static str) -> &mut Self {
        self.body.push_str(markup);
        self
    }

    /// Adds text from anywhere.
    fn text(&mut self, text: &str) -> &mut Self {
        self.body.push_str(&escape(text));
        self
    }

    fn number(&mut self, number: i64) -> &mut Self {
        self.text(&number.to_string())
    }

    /// A link to the page of an object.
    fn link(&mut self, address: &str) -> &mut Self {
        self.html("<a href=\"/ui").text(address).html("\">");
        self.text(address.trim_matches('/')).html("</a>")
    }

    /// The whole document.
    pub(super) fn finish(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta \
             name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{} - \
             reference-server</title><link rel=\"stylesheet\" href=\"/ui/style.css\"></head><body>\
             <a class=\"skip\" href=\"#main\">Skip to content</a><header><nav aria-label=\"Main\">\
             <a href=\"/\">reference-server</a></nav></header><main id=\"main\">{}</main></body>\
             </html>\n",
            escape(&self.title),
            self.body
        )
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

pub(super) fn refusal(error: &ApiError) -> Page {
    let mut page = Page::new("That did not work");
    page.html("<p role=\"alert\" class=\"alert\">")
        .text(&error.message)
        .html("</p><p><a href=\"/\">All collections</a></p>");
    page
}

pub(super) fn home(counts: &[(&'static Collection, i64)], state: &str) -> Page {
    let mut page = Page::new("Inventory");
    page.html(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Collection</th><th \
         scope=\"col\" class=\"number\">Objects</th></tr></thead><tbody>",
    );
    for (collection, count) in counts {
        page.html("<tr><th scope=\"row\"><a href=\"/ui/")
            .text(collection.name)
            .html("/\">")
            .text(collection.name)
            .html("</a></th><td class=\"number\">")
            .number(*count)
            .html("</td></tr>");
    }
    page.html("</tbody></table></div><p>State: <code>")
        .text(state)
        .html("</code></p>");
    page
}

pub(super) fn list(
    collection: &Collection,
    objects: &[Value],
    after: i64,
    next: Option<i64>,
) -> Page {
    let mut page = Page::new(collection.name);
    page.html("<div class=\"actions\"><a class=\"button\" href=\"/ui/")
        .text(collection.name)
        .html("/new/\">Add an object</a>")
        .html("<form method=\"get\"><label for=\"pk\">Go to pk</label> <input id=\"pk\" ")
        .html("name=\"pk\" inputmode=\"numeric\" required size=\"8\"> <button>Go</button></form>")
        .html("</div>");
    if objects.is_empty() {
        page.html("<p>Nothing here.</p>");
    } else {
        table(&mut page, collection, objects);
    }
    page.html("<nav class=\"actions\" aria-label=\"Pages\">");
    if after > 0 {
        page.html("<a class=\"button\" href=\"?\">First page</a>");
    }
    if let Some(next) = next {
        page.html("<a class=\"button\" rel=\"next\" href=\"?after=")
            .number(next)
            .html("\">Next page</a>");
    }
    page.html("</nav>");
    page
}

fn table(page: &mut Page, collection: &Collection, objects: &[Value]) {
    page.html("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">pk</th>");
    let fields = collection.fields.iter().map(|f| f.name);
    for name in fields.chain(collection.relations.iter().map(|r| r.name)) {
        page.html("<th scope=\"col\">").text(name).html("</th>");
    }
    page.html("</tr></thead><tbody>");
    for object in objects {
        let pk = object.get("pk").and_then(Value::as_i64).unwrap_or(0);
        page.html("<tr><th scope=\"row\"><a href=\"/ui/")
            .text(collection.name)
            .html("/")
            .number(pk)
            .html("/\">")
            .number(pk)
            .html("</a></th>");
        for field in collection.fields {
            page.html("<td>");
            match object.get(field.name) {
                None | Some(Value::Null) => page.html(""),
                Some(Value::String(text)) => page.text(&shorten(text)),
                Some(other) => page.text(&other.to_string()),
            };
            page.html("</td>");
        }
        for relation in collection.relations {
            page.html("<td>");
            links(page, object, relation);
            page.html("</td>");
        }
        page.html("</tr>");
    }
    page.html("</tbody></table></div>");
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= CELL {
        return text.to_owned();
    }
    text.chars().take(CELL).chain(['…']).collect()
}

fn links(page: &mut Page, object: &Value, relation: &Relation) {
    for (at, address) in addresses(object, relation).take(LINKS).enumerate() {
        if at > 0 {
            page.html(", ");
        }
        page.link(address);
    }
    let more = addresses(object, relation).count().saturating_sub(LINKS);
    if more > 0 {
        page.html(" and ").text(&more.to_string()).html(" more");
    }
}

/// The form of an object; `pk` is `None` for one that is to be added.
pub(super) fn object(
    collection: &Collection,
    pk: Option<i64>,
    form: &Form,
    problem: Option<&str>,
) -> Page {
    let title = match pk {
        Some(pk) => format!("{} {pk}", collection.name),
        None => format!("Add to {}", collection.name),
    };
    let mut page = Page::new(title);
    if let Some(problem) = problem {
        page.html("<p role=\"alert\" class=\"alert\">Not saved: ")
            .text(problem)
            .html("</p>");
    }
    page.html("<form method=\"post\" class=\"object\" action=\"/ui/")
        .text(collection.name)
        .html("/");
    if let Some(pk) = pk {
        page.number(pk).html("/");
    }
    page.html("\">");
    for field in collection.fields {
        input(&mut page, field, form.get(field.name));
    }
    for relation in collection.relations {
        link_input(&mut page, relation, form.get(relation.name));
    }
    page.html("<p><button>Save</button></p></form>");
    if let Some(pk) = pk {
        page.html("<form method=\"post\" action=\"/ui/")
            .text(collection.name)
            .html("/")
            .number(pk)
            .html("/delete/\"><button class=\"danger\">Delete this object</button></form>");
    }
    page.html("<p><a href=\"/ui/")
        .text(collection.name)
        .html("/\">All ")
        .text(collection.name)
        .html("</a></p>");
    page
}

fn label(page: &mut Page, name: &str, note: &str) {
    page.html("<p><label for=\"f-")
        .text(name)
        .html("\">")
        .text(name);
    if !note.is_empty() {
        page.html(" <span class=\"note\">(")
            .text(note)
            .html(")</span>");
    }
    page.html("</label>");
}

fn input(page: &mut Page, field: &Field, value: &str) {
    let note = match (field.kind, field.required) {
        (Kind::Integer { max, .. }, _) if max > 1_000_000_000_000 => "ms since 1970",
        (_, true) => "required",
        _ => "",
    };
    label(page, field.name, note);
    let attributes = |page: &mut Page| {
        page.html(" id=\"f-")
            .text(field.name)
            .html("\" name=\"")
            .text(field.name)
            .html(if field.required { "\" required" } else { "\"" });
    };
    match field.kind {
        Kind::Boolean => {
            page.html("<select");
            attributes(page);
            page.html(">");
            for (option, shown) in [("", "not known"), ("true", "yes"), ("false", "no")] {
                page.html("<option value=\"").text(option);
                page.html(if option == value {
                    "\" selected>"
                } else {
                    "\">"
                });
                page.text(shown).html("</option>");
            }
            page.html("</select>");
        }
        // One-line inputs would drop line ends; the first line end after the tag is not content.
        Kind::Text if field.name == "description" || value.contains('\n') => {
            page.html("<textarea rows=\"3\"");
            attributes(page);
            page.html(">\n").text(value).html("</textarea>");
        }
        Kind::Text | Kind::Integer { .. } | Kind::Number => {
            page.html("<input");
            attributes(page);
            if field.kind != Kind::Text {
                page.html(" inputmode=\"decimal\"");
            }
            page.html(" value=\"").text(value).html("\">");
        }
    }
    page.html("</p>");
}

fn link_input(page: &mut Page, relation: &Relation, value: &str) {
    let note = if relation.single {
        format!("pk of one of {}", relation.target)
    } else {
        format!("pks of {}, with spaces between them", relation.target)
    };
    label(page, relation.name, &note);
    page.html("<input id=\"f-")
        .text(relation.name)
        .html("\" name=\"")
        .text(relation.name)
        .html("\" value=\"")
        .text(value)
        .html("\">");
    let pks = value
        .split_whitespace()
        .filter(|pk| pk.parse::<i64>().is_ok());
    for pk in pks.take(LINKS) {
        page.html(" ").link(&format!("/{}/{pk}/", relation.target));
    }
    page.html("</p>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut page = Page::new("<script>");
        page.text("\"'><img src=x onerror=alert(1)>&");
        let html = page.finish();
        assert!(
            !html.contains("<script>") && !html.contains("<img"),
            "{html}"
        );
        assert!(html.contains("&quot;&#39;&gt;&lt;img src=x onerror=alert(1)&gt;&amp;"));
    }
}
