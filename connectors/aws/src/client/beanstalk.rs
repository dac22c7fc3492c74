//! Elastic Beanstalk: applications, environments, and the instances of these.

use aws_sdk_elasticbeanstalk::Client;
use aws_sdk_elasticbeanstalk::types::{ApplicationDescription, EnvironmentDescription};
use aws_smithy_types::DateTime;
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;

/// Most environments that are listed in one call.
const MOST: u32 = 1000;

impl Site {
    fn beanstalk(&self) -> Client {
        Client::new(self.config())
    }

    /// Reads all applications; the call has no pages.
    pub(crate) async fn applications(&self) -> Result<Vec<ApplicationDescription>, Failure> {
        let call = self.beanstalk().describe_applications().send();
        let answer = self.call(actions::DESCRIBE_APPLICATIONS, call).await?;
        Ok(answer.applications.unwrap_or_default())
    }

    /// Reads a page of the environments, with those that were deleted since a time in milliseconds
    /// since 1970, if one is given.
    pub(crate) async fn environments(
        &self,
        cursor: Option<&Cursor>,
        deleted_since: Option<i64>,
    ) -> Result<(Vec<EnvironmentDescription>, Option<Cursor>), Failure> {
        let client = self.beanstalk();
        self.page(actions::DESCRIBE_ENVIRONMENTS, cursor, |token| {
            let call = client
                .describe_environments()
                .include_deleted(deleted_since.is_some())
                .set_included_deleted_back_to(deleted_since.map(DateTime::from_millis))
                .max_records(self.page_size(MOST))
                .set_next_token(token)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.environments.unwrap_or_default(),
                    next: page.next_token,
                })
            }
        })
        .await
    }
}
