//! Turns the vendor's things into vertices and edges. Pure: no I/O, no state.

use car_core::record::Records;
use car_schema::edges::AccountApplication;
use car_schema::vertices::{Account, Application};
use serde_json::Value;

use crate::client::Thing;

/// Emits the account of a user.
pub(crate) fn user(thing: &Thing, out: &mut Records) {
    let Some(email) = text(&thing.value, "email") else {
        reject(thing, Account::COLLECTION, "it has no `email`", out);
        return;
    };
    out.emit(&Account::new(thing.key.as_str(), email));
}

/// Emits the application that a licence is for, and the link of the account that has it.
pub(crate) fn licence(thing: &Thing, out: &mut Records) {
    let (product, user) = (text(&thing.value, "product"), text(&thing.value, "user"));
    let (Some(product), Some(user)) = (product, user) else {
        let reason = "it lacks `product` or `user`";
        reject(thing, Application::COLLECTION, reason, out);
        return;
    };
    out.emit(&Application::new(product, product));
    out.emit(&AccountApplication::new(user, product));
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    let text = value.get(name)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

fn reject(thing: &Thing, collection: &str, reason: &str, out: &mut Records) {
    let record = thing.value.to_string();
    out.reject(collection, Some(&thing.key), reason, record.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_lacks_something_is_rejected() {
        let thing = |value| Thing {
            key: "k".to_owned(),
            value,
        };
        let mut out = Records::new();
        user(&thing(json!({"email": "a@b"})), &mut out);
        licence(&thing(json!({"product": "P", "user": "k"})), &mut out);
        assert_eq!((out.rows().count(), out.rejects().len()), (3, 0));
        user(&thing(json!({"email": ""})), &mut out);
        licence(&thing(json!(null)), &mut out);
        assert_eq!((out.rows().count(), out.rejects().len()), (3, 2));
    }
}
