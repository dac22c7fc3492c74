//! Lambda: functions.

use std::collections::BTreeSet;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::FunctionConfiguration;
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;

/// Most functions that are listed in one call.
const MOST: u32 = 50;

impl Site {
    /// Reads a page of all functions.
    pub(crate) async fn functions(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<FunctionConfiguration>, Option<Cursor>), Failure> {
        let client = Client::new(self.config());
        self.page(actions::LIST_FUNCTIONS, cursor, |marker| {
            let call = client
                .list_functions()
                .max_items(self.page_size(MOST))
                .set_marker(marker)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.functions.unwrap_or_default(),
                    next: page.next_marker,
                })
            }
        })
        .await
    }

    /// Returns the ARNs of all functions; asked for once in a run.
    pub(crate) async fn function_arns(&self) -> Result<&BTreeSet<String>, Failure> {
        self.memory
            .functions
            .get_or_try_init(|| async {
                let mut arns = BTreeSet::new();
                let mut cursor = None;
                loop {
                    let (page, next) = self.functions(cursor.as_ref()).await?;
                    arns.extend(page.into_iter().filter_map(|one| one.function_arn));
                    cursor = next;
                    if cursor.is_none() {
                        return Ok(arns);
                    }
                }
            })
            .await
    }
}
