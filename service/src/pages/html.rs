//! Writing HTML. Text from anywhere gets into a page only escaped; markup only from this program.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that stay as they are in the value of a parameter.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Columns of tables that hold numbers, which stand at their right.
const NUMBERS: [&str; 8] = [
    "Count",
    "Rows",
    "Sent",
    "Withheld",
    "Pages",
    "Worst score",
    "Own risk",
    "Score",
];

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
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\0' => {
                    self.0.push('\u{fffd}');
                }
                c => self.0.push(c),
            }
        }
        self
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        self.text(&number.to_string())
    }

    /// Adds a link.
    pub(super) fn link(&mut self, address: &str, text: &str) -> &mut Self {
        self.raw("<a href=\"").text(address).raw("\">");
        self.text(text).raw("</a>")
    }

    /// Adds finished markup.
    pub(super) fn add(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    /// Adds a hidden field of a form.
    pub(super) fn hidden(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw("<input type=\"hidden\" name=\"").raw(name);
        self.raw("\" value=\"").text(value).raw("\">")
    }

    /// Adds a choice of a form.
    pub(super) fn option(&mut self, value: &str, shown: &str, chosen: &str) -> &mut Self {
        self.raw("<option value=\"").text(value);
        self.raw(if value == chosen {
            "\" selected>"
        } else {
            "\">"
        });
        self.text(shown).raw("</option>")
    }

    /// Begins a table that scrolls by itself where it is too wide.
    pub(super) fn table(&mut self, caption: &str, columns: &[&str]) -> &mut Self {
        self.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"")
            .text(caption)
            .raw("\"><table><thead><tr>");
        for column in columns {
            self.raw(if NUMBERS.contains(column) {
                "<th scope=\"col\" class=\"number\">"
            } else {
                "<th scope=\"col\">"
            });
            self.text(column).raw("</th>");
        }
        self.raw("</tr></thead><tbody>")
    }

    /// Ends a table.
    pub(super) fn end_table(&mut self) -> &mut Self {
        self.raw("</tbody></table></div>")
    }

    /// Returns what was written.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Writes an address with parameters; empty ones are left out.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut text = path.to_owned();
    let mut joint = '?';
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        text.push(joint);
        text.push_str(name);
        text.push('=');
        text.extend(utf8_percent_encode(value, VALUE));
        joint = '&';
    }
    text
}

/// Shortens text to a number of characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            let mut short = text.get(..end).unwrap_or_default().to_owned();
            short.push('…');
            short
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut html = Html::default();
        html.link("/?a=\"><b>", "<script>'\u{202e}&");
        assert_eq!(
            html.into_string(),
            "<a href=\"/?a=&quot;&gt;&lt;b&gt;\">&lt;script&gt;&#39;\u{fffd}&amp;</a>"
        );
    }

    #[test]
    fn parameters_keep_their_text() {
        assert_eq!(
            address("/ui", &[("a", "x&y=é/ +"), ("b", ""), ("c", "1")]),
            "/ui?a=x%26y%3D%C3%A9%2F%20%2B&c=1"
        );
        assert_eq!(shorten("äöü", 2), "äö…");
        assert_eq!(shorten("äö", 2), "äö");
    }
}
