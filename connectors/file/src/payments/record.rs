//! Payments and accounts: from JSON to rows, and what they add to the model.

use std::collections::BTreeMap;

use car_core::record::Records;
use car_schema::vertices::Account;
use car_schema::{
    EdgeExtension, EndRef, Extension, ExtensionSchema, GenericEdge, GenericVertex,
    PropertyExtension, PropertyType, VertexExtension,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

const PAYMENT: &str = "payment";
const ACCOUNT_PAYMENT: &str = "account_payment";
const PAYMENT_ACCOUNT: &str = "payment_account";

const TYPES: [&str; 4] = ["PAY-IN", "PAYOUT", "TRANSFER", "OTHER"];
const STATUSES: [&str; 11] = [
    "PENDING",
    "SUCCEEDED",
    "CANCELLED",
    "FAILED",
    "EXPIRED",
    "REFUNDED",
    "REFUNDED_FAILURE",
    "DISPUTE",
    "DISPUTE_WON",
    "DISPUTE_LOST",
    "OTHER",
];

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Wrong {
    Json(serde_json::Error),
    Field(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Field(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Wrong {}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// A file that says what it is.
#[derive(Deserialize)]
struct Kinded<'a> {
    kind: Option<String>,
    #[serde(borrow)]
    payment: Option<&'a RawValue>,
    #[serde(borrow)]
    account: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment<'a> {
    reference: String,
    #[serde(rename = "type")]
    ty: String,
    status: String,
    #[serde(borrow)]
    amount: &'a RawValue,
    #[serde(borrow)]
    initial_amount: Option<&'a RawValue>,
    asset: String,
    created_at: Option<String>,
    scheme: Option<String>,
    #[serde(alias = "sourceAccount", alias = "sourceAccountID")]
    source_account_id: Option<String>,
    #[serde(alias = "destinationAccount", alias = "destinationAccountID")]
    destination_account_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountFile {
    reference: String,
    #[serde(alias = "accountName")]
    name: Option<String>,
    #[serde(alias = "asset")]
    default_asset: Option<String>,
    #[serde(rename = "type")]
    ty: Option<String>,
    created_at: Option<String>,
}

/// Maps a file; says what was in it.
pub(super) fn map(text: &[u8], out: &mut Records) -> Result<String, Wrong> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let kinded: Kinded<'_> = serde_json::from_slice(text)?;
    let missing = |field: &str| Wrong::Field(format!("there is no `{field}`"));
    match kinded.kind.as_deref() {
        None => payment(&serde_json::from_slice(text)?, out),
        Some("payment") => {
            let inner = kinded.payment.ok_or_else(|| missing("payment"))?;
            payment(&serde_json::from_str(inner.get())?, out)
        }
        Some("account") => {
            let inner = kinded.account.ok_or_else(|| missing("account"))?;
            account(&serde_json::from_str(inner.get())?, out)
        }
        Some(other) => Err(Wrong::Field(format!(
            "`kind` is `{other}`, and may be `payment` or `account`"
        ))),
    }
}

fn payment(payment: &Payment<'_>, out: &mut Records) -> Result<String, Wrong> {
    required("reference", &payment.reference)?;
    one_of("type", &payment.ty, &TYPES)?;
    one_of("status", &payment.status, &STATUSES)?;
    asset(&payment.asset)?;
    let amount = integer("amount", payment.amount)?;
    let initial = payment
        .initial_amount
        .map(|amount| integer("initialAmount", amount))
        .transpose()?;
    let id = format!("{}/{}", payment.ty, payment.reference);
    let mut vertex = GenericVertex::new(PAYMENT, id.as_str())
        .with("reference", payment.reference.as_str())
        .with("payment_type", payment.ty.as_str())
        .with("status", payment.status.as_str())
        .with("amount", amount)
        .with("initial_amount", initial.unwrap_or(amount))
        .with("currency", payment.asset.as_str());
    if let Some(created) = time("createdAt", payment.created_at.as_deref())? {
        vertex = vertex.with("created_at", created);
    }
    if let Some(scheme) = &payment.scheme {
        vertex = vertex.with("scheme", scheme.as_str());
    }
    out.emit(&vertex);
    let end = |id: &str| EndRef::ExternalId(id.to_owned());
    if let Some(from) = payment
        .source_account_id
        .as_deref()
        .filter(|id| !id.is_empty())
    {
        out.emit(&Account::new(from, from));
        out.emit(&GenericEdge::new(ACCOUNT_PAYMENT, end(from), end(&id)));
    }
    let to = payment.destination_account_id.as_deref();
    if let Some(to) = to.filter(|id| !id.is_empty()) {
        out.emit(&Account::new(to, to));
        out.emit(&GenericEdge::new(PAYMENT_ACCOUNT, end(&id), end(to)));
    }
    Ok(format!("payment {id}"))
}

fn account(account: &AccountFile, out: &mut Records) -> Result<String, Wrong> {
    required("reference", &account.reference)?;
    let name = account.name.as_deref().filter(|name| !name.is_empty());
    let mut vertex = Account::new(
        account.reference.as_str(),
        name.unwrap_or(account.reference.as_str()),
    );
    if let Some(code) = &account.default_asset {
        asset(code)?;
        vertex = vertex.with("currency", code.as_str());
    }
    if let Some(ty) = &account.ty {
        vertex = vertex.with("account_type", ty.as_str());
    }
    vertex.created = time("createdAt", account.created_at.as_deref())?;
    out.emit(&vertex);
    Ok(format!("account {}", account.reference))
}

fn required(field: &str, text: &str) -> Result<(), Wrong> {
    match text.is_empty() {
        true => Err(Wrong::Field(format!("`{field}` is empty"))),
        false => Ok(()),
    }
}

fn one_of(field: &str, text: &str, allowed: &[&str]) -> Result<(), Wrong> {
    match allowed.contains(&text) {
        true => Ok(()),
        false => Err(Wrong::Field(format!(
            "`{field}` is `{text}`, and may be {}",
            allowed.join(", ")
        ))),
    }
}

/// Checks a currency with its decimals: `USD/2`.
fn asset(text: &str) -> Result<(), Wrong> {
    let (code, decimals) = match text.split_once('/') {
        Some((code, decimals)) => (code, Some(decimals)),
        None => (text, None),
    };
    let code_fits = (1..=17).contains(&code.len())
        && code.starts_with(|c: char| c.is_ascii_uppercase())
        && code
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let decimals_fit = decimals.is_none_or(|decimals| {
        (1..=6).contains(&decimals.len()) && decimals.chars().all(|c| c.is_ascii_digit())
    });
    match code_fits && decimals_fit {
        true => Ok(()),
        false => Err(Wrong::Field(format!(
            "`asset` is `{text}`, and looks like `USD/2`"
        ))),
    }
}

/// Reads an integer of any size as text: amounts do not fit into floating-point numbers.
fn integer<'a>(field: &str, raw: &'a RawValue) -> Result<&'a str, Wrong> {
    let text = raw.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    match !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) {
        true => Ok(text),
        false => Err(Wrong::Field(format!(
            "`{field}` is `{text:.40}`, and is an integer in the smallest unit"
        ))),
    }
}

fn time(field: &str, text: Option<&str>) -> Result<Option<f64>, Wrong> {
    let Some(text) = text else {
        return Ok(None);
    };
    let time: Timestamp = text.parse().map_err(|_| {
        Wrong::Field(format!(
            "`{field}` is `{text:.40}`, and is a time in RFC 3339"
        ))
    })?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of this age are exact in 53 bits"
    )]
    Ok(Some(time.as_millisecond() as f64))
}

/// Describes what payments add to the model. A change of it needs a higher version.
pub(super) fn extension() -> Extension {
    let text = |description| PropertyExtension::new(PropertyType::Text, description);
    let required = |description| PropertyExtension {
        required: true,
        indexed: true,
        ..PropertyExtension::new(PropertyType::Text, description)
    };
    let edge = |from: &str, to: &str| EdgeExtension {
        end1: from.to_owned(),
        end2: to.to_owned(),
        properties: BTreeMap::new(),
        validation: None,
    };
    let properties = [
        ("reference", required("Name that the provider gave it.")),
        (
            "payment_type",
            required("PAY-IN, PAYOUT, TRANSFER or OTHER."),
        ),
        ("status", required("State, such as SUCCEEDED.")),
        (
            "amount",
            text("Amount now, an integer in the smallest unit."),
        ),
        (
            "initial_amount",
            text("Amount at first, an integer in the smallest unit."),
        ),
        (
            "currency",
            text("Currency and its decimals, such as USD/2."),
        ),
        ("scheme", text("Way of payment, such as visa or sepa.")),
        (
            "created_at",
            PropertyExtension::new(
                PropertyType::Numeric,
                "When it was made, in milliseconds since 1970.",
            ),
        ),
    ];
    Extension {
        key: "9b1d7c52-5a0e-4f0b-8f3a-2f5cf5d0c0a6".to_owned(),
        owner: env!("CARGO_PKG_NAME").to_owned(),
        version: "1".to_owned(),
        schema: ExtensionSchema {
            vertices: vec![VertexExtension {
                name: PAYMENT.to_owned(),
                properties: properties
                    .into_iter()
                    .map(|(name, property)| (name.to_owned(), property))
                    .collect(),
                validation: None,
            }],
            edges: vec![edge("account", PAYMENT), edge(PAYMENT, "account")],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"reference": "r1", "type": "PAY-IN", "status": "SUCCEEDED",
        "amount": 123456789012345678901234567890, "asset": "USD/2",
        "createdAt": "2026-01-01T00:00:00Z", "sourceAccountID": "a", "destinationAccount": "b"}"#;

    fn mapped(text: &str) -> Result<Records, String> {
        let mut records = Records::new();
        map(text.as_bytes(), &mut records).map_err(|wrong| wrong.to_string())?;
        Ok(records)
    }

    #[test]
    fn both_forms_are_taken() {
        let plain = mapped(GOOD).unwrap();
        let kinded = mapped(&format!("{{\"kind\": \"payment\", \"payment\": {GOOD}}}")).unwrap();
        assert_eq!(plain.bytes(), kinded.bytes());
        let collections: Vec<&str> = plain.rows().map(|row| row.collection).collect();
        assert_eq!(
            collections,
            [
                PAYMENT,
                "account",
                ACCOUNT_PAYMENT,
                "account",
                PAYMENT_ACCOUNT
            ]
        );
        let row = plain.rows().next().unwrap();
        let row = String::from_utf8_lossy(row.json).into_owned();
        assert!(row.contains("\"123456789012345678901234567890\""), "{row}");
        let account = mapped(r#"{"kind": "account", "account": {"reference": "a"}}"#).unwrap();
        assert_eq!(account.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, says) in [
            ("\"r1\"", "\"\"", "`reference` is empty"),
            ("PAY-IN", "GIFT", "`type` is `GIFT`"),
            ("SUCCEEDED", "DONE", "`status` is `DONE`"),
            ("USD/2", "usd", "`asset` is `usd`"),
            ("123456789012345678901234567890", "1.5", "`amount` is `1.5`"),
            ("2026-01-01T00:00:00Z", "today", "`createdAt` is `today`"),
            ("\"asset\"", "\"currency\"", "missing field `asset`"),
            ("}", "", "EOF"),
        ] {
            let error = mapped(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(
            mapped(r#"{"kind": "refund"}"#)
                .unwrap_err()
                .contains("`kind` is `refund`")
        );
    }
}
