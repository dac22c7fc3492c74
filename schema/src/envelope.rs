//! The envelope: what one `POST /imports` carries.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::Object;

/// The connection of a connector that reports.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Source {
    /// Its name in the graph, the same in every run.
    #[serde(rename = "_key")]
    pub key: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Address of the product behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_link: Option<String>,
    /// Custom properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<Object>,
}

/// One run of a connector, by which reported rows can be told apart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Its name, one per run.
    #[serde(rename = "_key", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Start of the run, in milliseconds since 1970.
    pub timestamp: f64,
    /// Kind of report.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// What it is, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the run was asked to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<String>,
    /// A value of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The part of the source that the rows of this envelope were read from, 1 to 1024 bytes; only
    /// for services that tell [`Features::scopes`](crate::wire::Features::scopes). A row that is
    /// reported in several scopes belongs to all of them until it is retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// A source, a report and rows by collection. `R` is how a row is held, an [`Object`] unless
/// the caller has better use for the bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<R = Object> {
    /// Who reports.
    pub source: Source,
    /// In which run.
    pub report: Report,
    /// Rows by collection, in the order in which they came.
    pub collections: Vec<(String, Vec<R>)>,
}

/// Why a body is not an envelope.
#[derive(Debug, Error)]
#[error("the body is not an import envelope")]
pub struct EnvelopeError(#[from] serde_json::Error);

impl<R: DeserializeOwned> Envelope<R> {
    /// Reads an envelope from a request body.
    ///
    /// # Errors
    ///
    /// When the body is not JSON, `source` or `report` is missing, or a collection is not a list.
    pub fn from_slice(body: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(serde_json::from_slice(body)?)
    }
}

impl<R: Serialize> Serialize for Envelope<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.collections.len().saturating_add(2)))?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("report", &self.report)?;
        for (name, rows) in &self.collections {
            map.serialize_entry(name, rows)?;
        }
        map.end()
    }
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Envelope<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor(PhantomData))
    }
}

struct EnvelopeVisitor<R>(PhantomData<R>);

impl<'de, R: Deserialize<'de>> Visitor<'de> for EnvelopeVisitor<R> {
    type Value = Envelope<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `source`, `report` and lists of rows by collection")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut source, mut report) = (None, None);
        let mut collections: Vec<(String, Vec<R>)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "source" if source.is_some() => return Err(de::Error::duplicate_field("source")),
                "report" if report.is_some() => return Err(de::Error::duplicate_field("report")),
                "source" => source = Some(map.next_value()?),
                "report" => report = Some(map.next_value()?),
                _ => {
                    let rows: Vec<R> = map.next_value()?;
                    match collections.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => known.extend(rows),
                        None => collections.push((name, rows)),
                    }
                }
            }
        }
        Ok(Envelope {
            source: source.ok_or_else(|| de::Error::missing_field("source"))?,
            report: report.ok_or_else(|| de::Error::missing_field("report"))?,
            collections,
        })
    }
}
