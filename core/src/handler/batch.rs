//! Batches: rows of one collection in one envelope, written as the rows come.

use bytes::Bytes;
use car_schema::{Report, Source};

use crate::failure::{Failure, FailureKind};

/// Most bytes of a batch before it is sent, unless a single row is larger.
pub(super) const LARGEST_BATCH: usize = 4 * 1024 * 1024;

/// The source and report that every envelope of a run carries.
#[derive(Debug, Clone)]
pub struct Header {
    /// `{"source":…,"report":…` without the closing brace: without a scope first, then one for
    /// each scope.
    envelopes: Vec<Vec<u8>>,
    source: Source,
    report: Report,
    /// What is added to edges: `"report":"…"`, `"source":"…"`, `"active":true`, `"timestamp":…`.
    edge_fields: [Vec<u8>; 4],
}

impl Header {
    /// Writes the header of a run.
    ///
    /// # Errors
    ///
    /// When source or report cannot be written as JSON.
    pub fn new(source: &Source, report: &Report) -> Result<Self, Failure> {
        Self::write(source, report).map_err(|error| {
            Failure::new(
                FailureKind::General,
                "the envelope's header cannot be written",
            )
            .because(error)
        })
    }

    fn write(source: &Source, report: &Report) -> Result<Self, serde_json::Error> {
        let field = |name: &str, value: String| format!("\"{name}\":{value}").into_bytes();
        let edge_fields = [
            field("report", serde_json::to_string(&report.key)?),
            field("source", serde_json::to_string(&source.key)?),
            field("active", "true".to_owned()),
            field("timestamp", serde_json::to_string(&report.timestamp)?),
        ];
        Ok(Self {
            envelopes: vec![begin(source, report)?],
            source: source.clone(),
            report: report.clone(),
            edge_fields,
        })
    }

    /// Leaves to the envelope what it says of all its edges, so that an edge that did not change
    /// has the same bytes in every run. For services that compare bytes.
    pub(crate) fn say_once(&mut self) {
        for field in &mut self.edge_fields {
            field.clear();
        }
    }

    /// Makes the beginning of the envelopes of a scope; the next index is its number.
    pub(super) fn add_scope(&mut self, name: &str) -> Result<(), Failure> {
        let report = Report {
            scope: Some(name.to_owned()),
            ..self.report.clone()
        };
        let envelope = begin(&self.source, &report).map_err(|error| {
            Failure::new(
                FailureKind::General,
                "the envelope's header cannot be written",
            )
            .because(error)
        })?;
        self.envelopes.push(envelope);
        Ok(())
    }

    fn envelope(&self, scope: u16) -> &[u8] {
        let envelope = self.envelopes.get(usize::from(scope));
        envelope.map_or(&[], Vec::as_slice)
    }

    /// Returns an envelope without rows: it makes source and report known.
    #[must_use]
    pub fn empty_envelope(&self) -> Bytes {
        let mut body = self.envelope(0).to_vec();
        body.push(b'}');
        body.into()
    }

    /// Appends an edge with the fields that it does not have yet.
    pub(super) fn complete_edge(&self, json: &[u8], has: [bool; 4], out: &mut Vec<u8>) {
        let Some(open) = json.strip_suffix(b"}") else {
            out.extend_from_slice(json);
            return;
        };
        out.extend_from_slice(open);
        let mut first = open == b"{";
        for (field, has) in self.edge_fields.iter().zip(has) {
            if !has && !field.is_empty() {
                if !first {
                    out.push(b',');
                }
                out.extend_from_slice(field);
                first = false;
            }
        }
        out.push(b'}');
    }
}

fn begin(source: &Source, report: &Report) -> Result<Vec<u8>, serde_json::Error> {
    let mut envelope = b"{\"source\":".to_vec();
    serde_json::to_writer(&mut envelope, source)?;
    envelope.extend_from_slice(b",\"report\":");
    serde_json::to_writer(&mut envelope, report)?;
    Ok(envelope)
}

/// Rows of one collection, ready to be sent.
#[derive(Debug)]
pub struct Batch {
    /// The collection.
    pub collection: String,
    /// How many rows; those that replace earlier ones do not count.
    pub rows: u64,
    /// The envelope.
    pub body: Bytes,
}

/// A batch that is being filled.
#[derive(Debug, Default)]
pub(super) struct OpenBatch {
    body: Vec<u8>,
    rows: usize,
    counted: u64,
}

impl OpenBatch {
    /// Adds a row; `counts` says whether it is one that was not sent before.
    pub(super) fn push(
        &mut self,
        (header, scope): (&Header, u16),
        collection: &str,
        json: &[u8],
        counts: bool,
    ) {
        if self.rows == 0 {
            self.body.extend_from_slice(header.envelope(scope));
            self.body.push(b',');
            // Names of collections are plain words; `{:?}` would escape as JSON does, too.
            self.body.push(b'"');
            self.body.extend_from_slice(collection.as_bytes());
            self.body.extend_from_slice(b"\":[");
        } else {
            self.body.push(b',');
        }
        self.body.extend_from_slice(json);
        self.rows = self.rows.saturating_add(1);
        self.counted = self.counted.saturating_add(u64::from(counts));
    }

    /// Returns whether the batch should go before another row of this size is added.
    pub(super) fn is_full(&self, most_rows: usize, next: usize) -> bool {
        self.rows >= most_rows
            || (self.rows > 0 && self.body.len().saturating_add(next) > LARGEST_BATCH)
    }

    /// Closes the batch and leaves an empty one.
    pub(super) fn take(&mut self, collection: &str) -> Option<Batch> {
        if self.rows == 0 {
            return None;
        }
        let capacity = self.body.capacity();
        let mut body = std::mem::replace(&mut self.body, Vec::with_capacity(capacity));
        body.extend_from_slice(b"]}");
        let rows = std::mem::take(&mut self.counted);
        self.rows = 0;
        Some(Batch {
            collection: collection.to_owned(),
            rows,
            body: body.into(),
        })
    }
}
