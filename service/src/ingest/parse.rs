//! The envelope as a whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use car_schema::{Report, Source};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use super::row::RowSeed;
use super::rules::{CollectionRules, Rules};
use crate::error::{Error, Result};
use crate::store::ops::import::{Batch, ReadyRow};
use crate::store::ops::scope;

/// An envelope that was read and checked whole.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Who reports.
    pub(crate) source: Source,
    /// In which run.
    pub(crate) report: Report,
    /// The rows, each identity once, vertices first.
    pub(crate) batches: Vec<Batch>,
}

/// The first thing wrong with an envelope, kept beside the reader's own error.
#[derive(Debug, Default)]
pub(crate) struct Problem(RefCell<Option<Error>>);

impl Problem {
    fn set<E: de::Error>(&self, error: Error) -> E {
        let text = error.message().to_owned();
        *self.0.borrow_mut() = Some(error);
        E::custom(text)
    }

    /// Notes what is wrong with a row.
    pub(crate) fn row<E: de::Error>(
        &self,
        collection: &str,
        index: usize,
        field: Option<&str>,
        reason: &str,
    ) -> E {
        let place = field.map(|field| format!(" `{field}`")).unwrap_or_default();
        let details = json!({
            "collection": collection, "row": index, "field": field, "reason": reason,
        });
        let error = Error::bad_request(
            "invalid_row",
            format!(
                "row {index} of `{collection}`:{place} {reason}; nothing of this import was applied"
            ),
        );
        self.set(match details {
            serde_json::Value::Object(details) => error.with_details(details),
            _ => error,
        })
    }
}

/// Reads and checks an envelope.
///
/// # Errors
///
/// Names the collection, the row, the field and the reason of the first fault.
pub(crate) fn parse(body: &[u8], rules: &Rules) -> Result<Parsed> {
    let problem = Problem::default();
    let mut reader = serde_json::Deserializer::from_slice(body);
    let seed = EnvelopeSeed {
        rules,
        problem: &problem,
    };
    let parsed = seed
        .deserialize(&mut reader)
        .and_then(|parsed| reader.end().map(|()| parsed));
    parsed.map_err(|error| {
        problem.0.take().unwrap_or_else(|| {
            Error::bad_request(
                "invalid_envelope",
                format!("the body is not an import envelope: {error}; nothing of it was applied"),
            )
        })
    })
}

struct EnvelopeSeed<'r> {
    rules: &'r Rules,
    problem: &'r Problem,
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_> {
    type Value = Parsed;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parsed, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `source`, `report` and lists of rows by collection")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let (mut source, mut report) = (None, None);
        let mut gathered: Vec<Gathered> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "source" if source.is_some() => return Err(de::Error::duplicate_field("source")),
                "report" if report.is_some() => return Err(de::Error::duplicate_field("report")),
                "source" => source = Some(map.next_value::<Source>()?),
                "report" => report = Some(map.next_value::<Report>()?),
                _ => {
                    let Some(rules) = self.rules.get(&name) else {
                        return Err(self.problem.set(Error::bad_request(
                            "unknown_collection",
                            format!(
                                "the model has no collection `{name}`; nothing of this import was applied"
                            ),
                        )));
                    };
                    let known = gathered
                        .iter()
                        .position(|gathered| gathered.table == rules.table);
                    let place = known.unwrap_or_else(|| {
                        gathered.push(Gathered::new(rules.table));
                        gathered.len().saturating_sub(1)
                    });
                    if let Some(gathered) = gathered.get_mut(place) {
                        map.next_value_seed(RowsSeed {
                            rules,
                            problem: self.problem,
                            into: gathered,
                        })?;
                    }
                }
            }
        }
        let source = source.ok_or_else(|| de::Error::missing_field("source"))?;
        let report = report.ok_or_else(|| de::Error::missing_field("report"))?;
        check_header(&source, &report).map_err(|error| self.problem.set(error))?;
        gathered.sort_by_key(|gathered| gathered.table);
        Ok(Parsed {
            source,
            report,
            batches: gathered.into_iter().map(Gathered::into_batch).collect(),
        })
    }
}

/// Checks what says who reports and in which run.
///
/// # Errors
///
/// When one of the two cannot be kept as it is.
pub(crate) fn check_header(source: &Source, report: &Report) -> Result<()> {
    match header_fault(source, report) {
        Some(reason) => Err(Error::bad_request("invalid_envelope", reason)),
        None => Ok(()),
    }
}

fn header_fault(source: &Source, report: &Report) -> Option<String> {
    if !car_schema::is_key(&source.key) {
        return Some(
            "`source._key` must have 1 to 254 characters: letters, digits and _ : @ = ; ! ' % - . ( ) + , $ *"
                .into(),
        );
    }
    let texts = [
        &source.name,
        &source.description,
        &source.product_link,
        &report.ty,
        &report.description,
        &report.parameters,
        &report.value,
    ];
    if texts
        .iter()
        .any(|text| text.as_ref().is_some_and(|text| text.contains('\0')))
    {
        return Some("`source` or `report` contains a zero character".into());
    }
    if report
        .scope
        .as_deref()
        .is_some_and(|name| !scope::is_name(name))
    {
        return Some(format!("`report.scope` is not right: {}", scope::RULE));
    }
    match &report.key {
        Some(key) if !car_schema::is_key(key) => Some(
            "`report._key` must have 1 to 254 characters: letters, digits and _ : @ = ; ! ' % - . ( ) + , $ *"
                .into(),
        ),
        _ => None,
    }
}

/// Rows of a collection, the last of each identity.
struct Gathered {
    table: usize,
    rows: Vec<ReadyRow>,
    places: HashMap<(u64, u64), usize>,
    /// Rows that came, those that a later one replaced included.
    taken: u64,
}

impl Gathered {
    fn new(table: usize) -> Self {
        Self {
            table,
            rows: Vec::new(),
            places: HashMap::new(),
            taken: 0,
        }
    }

    fn push(&mut self, mut row: ReadyRow) {
        row.position = self.taken;
        self.taken = self.taken.saturating_add(1);
        use xxhash_rust::xxh3::xxh3_64;
        // The map holds hashes, not copies of the identities; the rows themselves decide.
        let mut key = (xxh3_64(row.id.as_bytes()), xxh3_64(row.to.as_bytes()));
        loop {
            match self.places.entry(key) {
                Entry::Vacant(vacant) => {
                    vacant.insert(self.rows.len());
                    self.rows.push(row);
                    return;
                }
                Entry::Occupied(occupied) => {
                    if let Some(known) = self.rows.get_mut(*occupied.get())
                        && known.id == row.id
                        && known.to == row.to
                    {
                        *known = row;
                        return;
                    }
                    key.0 = key.0.wrapping_add(1);
                }
            }
        }
    }

    fn into_batch(self) -> Batch {
        Batch {
            table: self.table,
            rows: self.rows,
        }
    }
}

/// Leaves the place within the row out: the reader adds the place in the body.
fn place<E: de::Error>(error: &serde_json::Error) -> E {
    let text = error.to_string();
    E::custom(
        text.rsplit_once(" at line ")
            .map_or(&*text, |(text, _)| text),
    )
}

/// Returns what is remembered of the bytes of a row: their hash, bound to the rules by which they
/// were read, so that it is another one when they would mean something else today.
pub(crate) fn raw_hash(content: u128, fingerprint: u64) -> i64 {
    xxh3_64_with_seed(&content.to_le_bytes(), fingerprint).cast_signed()
}

struct RowsSeed<'r> {
    rules: &'r CollectionRules,
    problem: &'r Problem,
    into: &'r mut Gathered,
}

impl<'de> DeserializeSeed<'de> for RowsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of rows of `{}`", self.rules.name)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        // The text of a row is needed as it stands, for its hash.
        while let Some(text) = seq.next_element::<&'de RawValue>()? {
            let text = text.get();
            let seed = RowSeed {
                rules: self.rules,
                problem: self.problem,
                index,
                raw: raw_hash(xxh3_128(text.as_bytes()), self.rules.fingerprint),
            };
            let row = seed
                .deserialize(&mut serde_json::Deserializer::from_str(text))
                .map_err(|error| place(&error))?;
            self.into.push(row);
            index = index.saturating_add(1);
        }
        Ok(())
    }
}
