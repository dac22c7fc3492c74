//! Traffic of a source, kept in a file without its secrets, and a server that answers from it.
//!
//! What a source really sends is the best test data, and the source is not always there. Record it
//! once through an [`HttpProxy`](crate::HttpProxy), look at the file, keep it with the tests, and
//! replay it.

mod clean;
mod replay;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use replay::Replay;

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Name of the call, where a header has it.
    pub(crate) operation: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) reply: Reply,
}

/// The header by which some protocols tell calls apart that all go to one path.
const OPERATION: &str = "x-amz-target";

/// Returns the name of a call, if a header has it.
pub(crate) fn operation(headers: &hyper::HeaderMap) -> Option<String> {
    let name = headers.get(OPERATION)?.to_str().ok()?;
    Some(name.to_owned())
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: Bytes::copy_from_slice(text.as_bytes()),
        }
    }
}

/// Stands in a recording where the address of the server was.
const ADDRESS: &str = "recorded.invalid";

/// Recorded traffic.
///
/// Of a request only method, path, query, name of the call and body are kept, of an answer status, headers and body.
/// Cookies, credentials and tokens in them are taken out, by the names under which they usually
/// stand, and so are the values that [`without`](Self::without) names.
///
/// The file has one exchange per line, as JSON: bodies that are JSON or text are readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    exchanges: Vec<Exchange>,
}

impl Recording {
    /// Takes over what passed through a proxy with this address.
    pub(crate) fn new(exchanges: Vec<Exchange>, address: &str) -> Self {
        let clean = |exchange: &Exchange| clean::exchange(exchange, address);
        Self {
            exchanges: exchanges.iter().map(clean).collect(),
        }
    }

    /// Takes secret values out wherever they stand, in the forms in which they usually travel.
    #[must_use]
    pub fn without<'a>(mut self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let redactor = clean::redactor(secrets);
        for exchange in &mut self.exchanges {
            clean::values(exchange, &redactor);
        }
        self
    }

    /// Returns the number of exchanges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Tells whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// Writes the file.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn save(&self, file: &Path) {
        std::fs::write(file, self.to_text()).unwrap();
    }

    /// Reads the file.
    ///
    /// # Panics
    ///
    /// When it is no recording; the message has the line.
    #[must_use]
    pub fn load(file: &Path) -> Self {
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let exchange = |(number, line): (usize, &str)| {
            read(line).unwrap_or_else(|| {
                panic!("{}:{}: not a recorded exchange", file.display(), number + 1)
            })
        };
        Self {
            exchanges: text.lines().enumerate().map(exchange).collect(),
        }
    }

    /// Returns the text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.exchanges
            .iter()
            .map(|exchange| write(exchange).to_string() + "\n")
            .collect()
    }

    pub(crate) fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }
}

fn write(exchange: &Exchange) -> Value {
    let mut request = Map::new();
    request.insert("method".to_owned(), exchange.method.as_str().into());
    request.insert("target".to_owned(), exchange.target.as_str().into());
    if let Some(operation) = &exchange.operation {
        request.insert("operation".to_owned(), operation.as_str().into());
    }
    write_body(&mut request, &exchange.body);
    let mut answer = Map::new();
    answer.insert("status".to_owned(), exchange.reply.status.into());
    let headers = &exchange.reply.headers;
    let headers: Vec<Value> = headers.iter().map(|pair| json!(pair)).collect();
    answer.insert("headers".to_owned(), headers.into());
    write_body(&mut answer, &exchange.reply.body);
    json!({ "request": request, "answer": answer })
}

/// Writes a body as JSON where that gives the same bytes again, else as text, else in Base64.
fn write_body(to: &mut Map<String, Value>, body: &[u8]) {
    if body.is_empty() {
        return;
    }
    let exact = serde_json::from_slice::<Value>(body)
        .ok()
        .filter(|value| value.to_string().as_bytes() == body);
    let (name, value) = match (exact, std::str::from_utf8(body)) {
        (Some(value), _) => ("json", value),
        (None, Ok(text)) => ("text", text.into()),
        (None, Err(_)) => ("base64", STANDARD.encode(body).into()),
    };
    to.insert(name.to_owned(), value);
}

fn read(line: &str) -> Option<Exchange> {
    let value: Value = serde_json::from_str(line).ok()?;
    let (request, answer) = (&value["request"], &value["answer"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(Exchange {
        method: text(&request["method"])?,
        target: text(&request["target"])?,
        operation: text(&request["operation"]),
        body: read_body(request)?,
        reply: Reply {
            status: answer["status"].as_u64()?.try_into().ok()?,
            headers: serde_json::from_value(answer["headers"].clone()).ok()?,
            body: read_body(answer)?,
        },
    })
}

fn read_body(from: &Value) -> Option<Bytes> {
    if let Some(value) = from.get("json") {
        return Some(value.to_string().into());
    }
    if let Some(text) = from["text"].as_str() {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    match from.get("base64") {
        Some(text) => Some(STANDARD.decode(text.as_str()?).ok()?.into()),
        None => Some(Bytes::new()),
    }
}
