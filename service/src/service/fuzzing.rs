//! Where fuzz targets reach the parts that read what callers send, without a network between.

use serde_json::Value;

use super::Service;
use crate::auth::Role;
use crate::error::{Error, Result};
use crate::{graphql, ingest};

#[doc(hidden)]
impl Service {
    /// Reads and checks an envelope as an import does, without storing it; gives the number of
    /// its batches.
    ///
    /// # Errors
    ///
    /// As for any wrong envelope.
    pub fn read_envelope(&self, body: &[u8]) -> Result<usize> {
        let snapshot = self.state.snapshot();
        ingest::parse(body, &snapshot.rules).map(|parsed| parsed.batches.len())
    }

    /// Answers a GraphQL request of an administrator.
    ///
    /// # Errors
    ///
    /// When the service cannot answer; what is wrong with a query is part of the answer.
    pub async fn query(&self, request: &[u8]) -> Result<Value> {
        let request: async_graphql::Request = match serde_json::from_slice(request) {
            Ok(request) => request,
            Err(error) => return Ok(Value::String(error.to_string())),
        };
        let request = request.data(Role::Admin);
        let answer = graphql::execute(&self.state, request, None).await?;
        serde_json::to_value(answer).map_err(|error| Error::internal("write the answer", error))
    }
}
