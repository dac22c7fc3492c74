//! The fields of an object as text to edit, and back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::{Collection, Field, Kind, Relation};

/// Text per field.
#[derive(Debug, Default)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// The form for an object as the store shows it.
    pub(super) fn of(collection: &Collection, object: &Value) -> Self {
        let fields = collection.fields.iter().map(|field| {
            let text = match object.get(field.name) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            (field.name.to_owned(), text)
        });
        let links = collection.relations.iter().map(|relation| {
            let pks: Vec<&str> = addresses(object, relation)
                .filter_map(|address| address.trim_end_matches('/').rsplit('/').next())
                .collect();
            (relation.name.to_owned(), pks.join(" "))
        });
        Self(fields.chain(links).collect())
    }

    /// Reads what a browser sent.
    pub(super) fn parse(body: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(body);
        // Browsers send line ends as CR LF.
        Self(
            pairs
                .map(|(name, text)| (name.into_owned(), text.replace("\r\n", "\n")))
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The object to store. What is not of the right type stays text, so that the store says what
    /// is wrong.
    pub(super) fn json(&self, collection: &Collection) -> Value {
        let fields = collection.fields.iter().map(|f| (f.name, self.field(f)));
        let links = collection.relations.iter().map(|r| (r.name, self.links(r)));
        let object: Map<String, Value> = fields
            .chain(links)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Value::Object(object)
    }

    fn field(&self, field: &Field) -> Value {
        let text = self.get(field.name);
        let trimmed = text.trim();
        match field.kind {
            _ if trimmed.is_empty() => Value::Null,
            Kind::Text => Value::from(text),
            Kind::Integer { .. } | Kind::Number | Kind::Boolean => {
                serde_json::from_str(trimmed).unwrap_or_else(|_| Value::from(text))
            }
        }
    }

    fn links(&self, relation: &Relation) -> Value {
        let words = self.get(relation.name).split([' ', '\n', '\t', ',']);
        let mut links: Vec<Value> = words
            .filter(|word| !word.is_empty())
            .map(|word| word.parse::<i64>().map_or(Value::from(word), Value::from))
            .collect();
        match (relation.single, links.len()) {
            (true, 0) => Value::Null,
            (true, 1) => links.remove(0),
            _ => Value::from(links),
        }
    }
}

/// The addresses that an object links to.
pub(super) fn addresses<'v>(
    object: &'v Value,
    relation: &Relation,
) -> impl Iterator<Item = &'v str> {
    let (one, many) = match object.get(relation.name) {
        Some(Value::String(address)) => (Some(address.as_str()), [].as_slice()),
        Some(Value::Array(list)) => (None, list.as_slice()),
        _ => (None, [].as_slice()),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::collection;

    #[test]
    fn an_object_survives_the_form() {
        let apps = collection("apps").unwrap();
        let object = json!({
            "pk": 1, "name": "a\n b ", "version": null, "is_os": false,
            "assets": ["/assets/7/", "/assets/9/"], "ports": [],
        });
        let form = Form::of(apps, &object);
        assert_eq!(form.get("assets"), "7 9");
        let back = form.json(apps);
        assert_eq!(back["name"], "a\n b ");
        assert_eq!(back["version"], Value::Null);
        assert_eq!(back["is_os"], false);
        assert_eq!(back["assets"], json!([7, 9]));
        assert_eq!(back["ports"], json!([]));
    }

    #[test]
    fn what_is_not_a_number_stays_text() {
        let assets = collection("assets").unwrap();
        let form = Form::parse(b"name=x%0D%0Ay&risk=high&site=1+2");
        let body = form.json(assets);
        assert_eq!(body["name"], "x\ny");
        assert_eq!(body["risk"], "high");
        assert_eq!(body["site"], json!([1, 2]));
    }
}
