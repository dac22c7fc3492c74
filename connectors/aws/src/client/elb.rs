//! Load balancers of the second generation: application, network, gateway.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::LoadBalancer;
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;
use crate::map::network::Openings;

/// Most load balancers that are listed in one call.
const MOST: u32 = 400;

impl Site {
    /// Reads a page of all load balancers.
    pub(crate) async fn balancers(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<LoadBalancer>, Option<Cursor>), Failure> {
        let client = Client::new(self.config());
        self.page(actions::DESCRIBE_LOAD_BALANCERS, cursor, |marker| {
            let call = client
                .describe_load_balancers()
                .page_size(self.page_size(MOST))
                .set_marker(marker)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.load_balancers.unwrap_or_default(),
                    next: page.next_marker,
                })
            }
        })
        .await
    }

    /// Returns what the security groups of load balancers let in.
    pub(crate) async fn openings_of(
        &self,
        balancers: &[LoadBalancer],
    ) -> Result<BTreeMap<String, Openings>, Failure> {
        let groups = balancers.iter().flat_map(LoadBalancer::security_groups);
        self.openings(&groups.cloned().collect()).await
    }

    /// Returns the ARNs of all load balancers; asked for once in a run.
    pub(crate) async fn balancer_arns(&self) -> Result<&BTreeSet<String>, Failure> {
        self.memory
            .balancers
            .get_or_try_init(|| async {
                let mut arns = BTreeSet::new();
                let mut cursor = None;
                loop {
                    let (page, next) = self.balancers(cursor.as_ref()).await?;
                    arns.extend(page.into_iter().filter_map(|one| one.load_balancer_arn));
                    cursor = next;
                    if cursor.is_none() {
                        return Ok(arns);
                    }
                }
            })
            .await
    }
}
