//! RDS: database instances and Aurora clusters.

use std::collections::BTreeSet;

use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbCluster, DbInstance};
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;
use crate::map::rds::is_there;

/// Most instances or clusters that are listed in one call.
const MOST: u32 = 100;

impl Site {
    fn rds(&self) -> Client {
        Client::new(self.config())
    }

    /// Reads a page of all database instances.
    pub(crate) async fn databases(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<DbInstance>, Option<Cursor>), Failure> {
        let client = self.rds();
        self.page(actions::DESCRIBE_DB_INSTANCES, cursor, |marker| {
            let call = client
                .describe_db_instances()
                .max_records(self.page_size(MOST).max(20))
                .set_marker(marker)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.db_instances.unwrap_or_default(),
                    next: page.marker,
                })
            }
        })
        .await
    }

    /// Reads a page of all clusters.
    pub(crate) async fn clusters(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<DbCluster>, Option<Cursor>), Failure> {
        let client = self.rds();
        self.page(actions::DESCRIBE_DB_CLUSTERS, cursor, |marker| {
            let call = client
                .describe_db_clusters()
                .max_records(self.page_size(MOST).max(20))
                .set_marker(marker)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.db_clusters.unwrap_or_default(),
                    next: page.marker,
                })
            }
        })
        .await
    }

    /// Returns the ARNs of all database instances and clusters; asked for once in a run.
    pub(crate) async fn database_arns(&self) -> Result<&BTreeSet<String>, Failure> {
        self.memory
            .databases
            .get_or_try_init(|| async {
                let mut arns = BTreeSet::new();
                let mut cursor = None;
                loop {
                    let (page, next) = self.databases(cursor.as_ref()).await?;
                    let page = page.into_iter();
                    let there = page.filter(|one| is_there(one.db_instance_status()));
                    arns.extend(there.filter_map(|one| one.db_instance_arn));
                    cursor = next;
                    if cursor.is_none() {
                        break;
                    }
                }
                loop {
                    let (page, next) = self.clusters(cursor.as_ref()).await?;
                    let there = page.into_iter().filter(|one| is_there(one.status()));
                    arns.extend(there.filter_map(|one| one.db_cluster_arn));
                    cursor = next;
                    if cursor.is_none() {
                        return Ok(arns);
                    }
                }
            })
            .await
    }
}
