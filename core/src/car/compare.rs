//! The protocol's calls that tell what the graph has, so that no more is sent than has to be.
//!
//! Each is only for services that tell the feature for it.

use bytes::Bytes;
use car_schema::WireError;
use car_schema::wire::{Changed, Comparison, KnownRows, Unchanged};

use super::address::encode;
use super::call::{Call, Method};
use super::client::{CarClient, parse, to_json};
use super::status;
use crate::failure::Failure;

/// Rows that are asked for in one page.
const PAGE: u32 = 5000;

impl CarClient {
    /// Tells what importing an envelope would change. Only with the feature `compare`.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn compare(&self, envelope: Bytes) -> Result<Comparison, Failure> {
        let call = Call::new("compare import", Method::Post, "imports/compare")
            .v3()
            .body(envelope);
        let answer = self.calls.call(&call).await?;
        parse(&call, &answer)
    }

    /// Returns a page of the rows that a source has in a collection, the first one without
    /// `after`; `None` when the service knows no such source or collection. Only with the
    /// feature `compare`.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn known_rows(
        &self,
        source: &str,
        collection: &str,
        after: Option<&str>,
    ) -> Result<Option<KnownRows>, Failure> {
        let mut query = format!("collection={}&limit={PAGE}", encode(collection));
        if let Some(after) = after {
            query.push_str(&format!("&after={}", encode(after)));
        }
        let path = format!("source/{}/rows", encode(source));
        let call = Call::new("list rows", Method::Get, path)
            .v3()
            .query(query)
            .accept(&[400, 404]);
        let answer = self.calls.call(&call).await?;
        if answer.status == 200 {
            return parse(&call, &answer).map(Some);
        }
        let error: Option<WireError> = serde_json::from_slice(&answer.body).ok();
        if answer.status == 404 || error.is_some_and(|error| error.code == "unknown_collection") {
            return Ok(None);
        }
        Err(status::failure(answer.status, &answer.body, None))
    }

    /// Asks which rows have to be sent, and reports the others as they are. Only with the
    /// feature `content_hashes`.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn report_unchanged(&self, rows: &Unchanged) -> Result<Changed, Failure> {
        let call = Call::new("report unchanged", Method::Post, "imports/unchanged")
            .v3()
            .body(to_json(rows)?);
        let answer = self.calls.call(&call).await?;
        parse(&call, &answer)
    }
}
