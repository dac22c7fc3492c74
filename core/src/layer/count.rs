//! Counts calls and bytes.

use std::sync::Arc;

use async_trait::async_trait;

use crate::car::{Answer, Call, CallStats, CarCall};
use crate::failure::Failure;

/// Counts every attempt; innermost, so that retries count.
pub(crate) struct Count<C> {
    pub(crate) inner: C,
    pub(crate) stats: Arc<CallStats>,
}

#[async_trait]
impl<C: CarCall> CarCall for Count<C> {
    async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        self.stats
            .called(call.name, call.body.as_ref().map_or(0, bytes::Bytes::len));
        self.inner.call(call).await
    }
}
