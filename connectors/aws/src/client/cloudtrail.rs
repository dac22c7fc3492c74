//! CloudTrail: what was changed, by whom does not matter.

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::types::{Event, LookupAttribute, LookupAttributeKey};
use aws_smithy_types::DateTime;
use car_core::Failure;

use super::Site;
use crate::actions;
use crate::error::{self, Place};

/// Most events that are told in one call.
const MOST: i32 = 50;

/// The cause and the place where changes cannot be told, or the failure of the look-up.
pub(crate) enum Untold {
    /// Changes cannot be told, however often they are asked for.
    Never(Failure),
    /// The look-up failed.
    Failed(Failure),
}

impl Site {
    /// Reads every change between two times, in milliseconds since 1970, oldest first.
    ///
    /// One look-up for all services: events that only read, which most are, are left out by
    /// CloudTrail itself. It allows two look-ups a second, so they leave at that pace.
    pub(crate) async fn changes(&self, since: i64, until: i64) -> Result<Vec<Event>, Untold> {
        let client = Client::new(self.config());
        let only_writes = LookupAttribute::builder()
            .attribute_key(LookupAttributeKey::ReadOnly)
            .attribute_value("false")
            .build()
            .map_err(|why| Untold::Failed(error::cannot_ask(actions::LOOKUP_EVENTS, why)))?;
        let mut events = Vec::new();
        let mut token = None;
        loop {
            self.trail_pace.wait().await;
            let answer = client
                .lookup_events()
                .lookup_attributes(only_writes.clone())
                .start_time(DateTime::from_millis(since))
                .end_time(DateTime::from_millis(until))
                .max_results(MOST)
                .set_next_token(token)
                .send()
                .await;
            let page = answer.map_err(|error| {
                let place = Place {
                    account: &self.account,
                    region: &self.region,
                };
                let failure = error::refused(actions::LOOKUP_EVENTS, place, error);
                match failure.kind() {
                    car_core::FailureKind::SourceForbidden => Untold::Never(failure),
                    _ => Untold::Failed(failure),
                }
            })?;
            events.extend(page.events.unwrap_or_default());
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                events.reverse();
                return Ok(events);
            }
        }
    }
}
