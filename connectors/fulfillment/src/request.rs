//! Requests as the platform sends them: objects with much that nobody here looks at, and that
//! stays as it is.

use car_core::saga::middleware::OfflineFacts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Model {
    /// An asset: a subscription of a customer.
    Asset,
    /// A tier config: what a reseller has set up for a product.
    TierConfig,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// What it is about.
    pub(crate) model: Model,
    /// As the platform sent it, with the traces of steps.
    pub(crate) body: Value,
}

impl Request {
    fn text(&self, pointer: &str) -> &str {
        let value = self.body.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.text("/id")
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/type")
    }

    pub(crate) fn status(&self) -> &str {
        self.text("/status")
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.status() == "pending"
    }

    /// The name of what has the parameters.
    const fn subject(&self) -> &'static str {
        match self.model {
            Model::Asset => "asset",
            Model::TierConfig => "configuration",
        }
    }

    pub(crate) fn product(&self) -> &str {
        match self.text(&format!("/{}/product/id", self.subject())) {
            "" => "product",
            product => product,
        }
    }

    /// Returns how many of the first item are ordered; the platform sends numbers as texts too.
    pub(crate) fn quantity(&self) -> u64 {
        let items = self.body.pointer("/asset/items").and_then(Value::as_array);
        let quantity = items
            .and_then(|items| items.first())
            .and_then(|item| item.get("quantity"));
        match quantity {
            Some(Value::String(text)) => text.parse().unwrap_or(1),
            Some(number) => number.as_u64().unwrap_or(1),
            None => 1,
        }
    }

    /// Returns a parameter's value: one of the request, or of what it is about.
    pub(crate) fn parameter(&self, id: &str) -> Option<&str> {
        let of_subject = format!("/{}/params", self.subject());
        ["/params", of_subject.as_str()].iter().find_map(|place| {
            let list = self.body.pointer(place)?.as_array()?;
            value_of(list, id).filter(|value| !value.is_empty())
        })
    }

    /// Leaves a trace: a parameter of what the request is about.
    pub(crate) fn set_parameter(&mut self, id: &str, value: &str) {
        let subject = self.subject();
        let Some(body) = self.body.as_object_mut() else {
            return;
        };
        let subject = body.entry(subject).or_insert_with(|| json!({}));
        let Some(subject) = subject.as_object_mut() else {
            return;
        };
        let list = subject.entry("params").or_insert_with(|| json!([]));
        let Some(list) = list.as_array_mut() else {
            return;
        };
        let found = list
            .iter_mut()
            .find(|entry| entry.get("id") == Some(&json!(id)));
        match found.and_then(Value::as_object_mut) {
            Some(entry) => drop(entry.insert("value".to_owned(), json!(value))),
            None => list.push(json!({"id": id, "value": value})),
        }
    }

    /// Returns what the platform is told of the traces.
    pub(crate) fn traces(&self, ids: &[&str]) -> Value {
        let params: Vec<Value> = ids
            .iter()
            .filter_map(|id| Some(json!({"id": id, "value": self.parameter(id)?})))
            .collect();
        let mut body = Map::new();
        body.insert(self.subject().to_owned(), json!({"params": params}));
        Value::Object(body)
    }

    /// Takes over what a later delivery brings, but keeps the traces.
    pub(crate) fn refresh(&mut self, delivered: Self, traces: &[&str]) {
        let kept: Vec<(&str, String)> = traces
            .iter()
            .filter_map(|id| Some((*id, self.parameter(id)?.to_owned())))
            .collect();
        *self = delivered;
        for (id, value) in kept {
            self.set_parameter(id, &value);
        }
    }
}

fn value_of<'a>(list: &'a [Value], id: &str) -> Option<&'a str> {
    let found = list
        .iter()
        .find(|entry| entry.get("id") == Some(&json!(id)));
    found?.get("value")?.as_str()
}

impl OfflineFacts for Request {
    fn request_type(&self) -> &str {
        self.kind()
    }

    fn asset_id(&self) -> Option<&str> {
        Some(self.text("/asset/id")).filter(|id| !id.is_empty())
    }

    fn offline_mode(&self) -> Option<&str> {
        self.parameter("offline_mode")
    }

    fn offline_mode_list_has(&self, asset: &str) -> bool {
        let list = self.body.pointer("/asset/configuration/params");
        let found = list.and_then(Value::as_array).and_then(|list| {
            list.iter()
                .find(|entry| entry.get("id") == Some(&json!("offline_mode_list")))
        });
        let assets = found.and_then(|entry| entry.get("structured_value"));
        match assets {
            Some(Value::Array(assets)) => assets.iter().any(|id| id == asset),
            Some(Value::Object(assets)) => assets.contains_key(asset),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Value) -> Request {
        Request {
            model: Model::Asset,
            body,
        }
    }

    #[test]
    fn traces_are_parameters_and_stay() {
        let mut kept = request(json!({"id": "PR-1", "asset": {"params": [{"id": "email"}]}}));
        kept.set_parameter("user", "u1");
        kept.set_parameter("email", "a@b");
        assert_eq!(kept.parameter("email"), Some("a@b"));
        let delivered = json!({"id": "PR-1", "params": [{"id": "note", "value": "hurry"}]});
        kept.refresh(request(delivered), &["user"]);
        assert_eq!(kept.parameter("user"), Some("u1"));
        assert_eq!(kept.parameter("note"), Some("hurry"));
        assert_eq!(kept.parameter("email"), None);
        let told = kept.traces(&["user", "never"]);
        assert_eq!(
            told,
            json!({"asset": {"params": [{"id": "user", "value": "u1"}]}})
        );
    }

    #[test]
    fn odd_requests_are_read_without_a_panic() {
        for body in [
            json!(null),
            json!([]),
            json!({"asset": 1}),
            json!({"asset": {"params": 2}}),
        ] {
            let mut odd = request(body);
            odd.set_parameter("user", "u1");
            assert_eq!((odd.id(), odd.kind(), odd.quantity()), ("", "", 1));
            assert!(!odd.is_pending());
        }
        let items = json!({"asset": {"items": [{"quantity": "12"}]}});
        assert_eq!(request(items).quantity(), 12);
    }

    #[test]
    fn offline_facts() {
        let asset = json!({"type": "cancel", "asset": {"id": "AS-1", "configuration": {"params":
            [{"id": "offline_mode_list", "structured_value": ["AS-1"]}]}}});
        let asset = request(asset);
        assert_eq!(
            (asset.request_type(), asset.asset_id()),
            ("cancel", Some("AS-1"))
        );
        assert!(asset.offline_mode_list_has("AS-1") && !asset.offline_mode_list_has("AS-2"));
    }
}
