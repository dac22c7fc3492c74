//! What Security Hub and Inspector found, and whether what it is about still exists.

use std::collections::BTreeSet;

#[cfg(feature = "inspector")]
use aws_sdk_inspector2::types as inspector;
#[cfg(feature = "securityhub")]
use aws_sdk_securityhub::types as hub;
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;
use crate::map::ec2::exists;
use crate::map::finding::{Finding, Living, Target};

/// Most findings that are listed in one call.
const MOST: u32 = 100;

impl Site {
    /// Reads a page of the open findings of Security Hub about this account and region. One that
    /// gathers those of others would tell theirs too.
    #[cfg(feature = "securityhub")]
    pub(crate) async fn hub_findings(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<hub::AwsSecurityFinding>, Option<Cursor>), Failure> {
        let client = aws_sdk_securityhub::Client::new(self.config());
        let is = |value: &str| {
            hub::StringFilter::builder()
                .value(value)
                .comparison(hub::StringFilterComparison::Equals)
                .build()
        };
        let filters = hub::AwsSecurityFindingFilters::builder()
            .aws_account_id(is(&self.account))
            .region(is(&self.region))
            .record_state(is("ACTIVE"))
            .workflow_status(is("NEW"))
            .workflow_status(is("NOTIFIED"))
            .build();
        self.page(actions::GET_FINDINGS, cursor, |token| {
            let call = client
                .get_findings()
                .filters(filters.clone())
                .max_results(self.page_size(MOST))
                .set_next_token(token)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.findings.unwrap_or_default(),
                    next: page.next_token,
                })
            }
        })
        .await
    }

    /// Reads a page of the active findings of Inspector about this account.
    #[cfg(feature = "inspector")]
    pub(crate) async fn inspector_findings(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<inspector::Finding>, Option<Cursor>), Failure> {
        let client = aws_sdk_inspector2::Client::new(self.config());
        let is = |value: &str| {
            inspector::StringFilter::builder()
                .value(value)
                .comparison(inspector::StringComparison::Equals)
                .build()
                .ok()
        };
        let criteria = inspector::FilterCriteria::builder()
            .set_aws_account_id(is(&self.account).map(|filter| vec![filter]))
            .set_finding_status(is("ACTIVE").map(|filter| vec![filter]))
            .build();
        self.page(actions::LIST_FINDINGS, cursor, |token| {
            let call = client
                .list_findings()
                .filter_criteria(criteria.clone())
                .max_results(self.page_size(MOST))
                .set_next_token(token)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.findings.unwrap_or_default(),
                    next: page.next_token,
                })
            }
        })
        .await
    }

    /// Finds out which things that findings are about exist: one call for all instances of a
    /// page; databases, users and roles once in a run, if there are findings about any.
    pub(crate) async fn living(&self, findings: &[Finding]) -> Result<Living, Failure> {
        let mut living = Living::default();
        let targets = || findings.iter().flat_map(|finding| &finding.targets);
        let instances: BTreeSet<String> = targets()
            .filter_map(|target| match target {
                Target::Instance(id) => Some(id.clone()),
                _ => None,
            })
            .collect();
        for instance in self.instances_with("instance-id", &instances).await? {
            if exists(&instance) {
                living.instances.extend(instance.instance_id);
            }
        }
        #[cfg(feature = "rds")]
        if targets().any(|target| matches!(target, Target::Database(_))) {
            living.databases.clone_from(self.database_arns().await?);
        }
        #[cfg(feature = "iam")]
        if targets().any(|target| matches!(target, Target::Principal(_))) {
            living.principals.clone_from(self.principal_arns().await?);
        }
        Ok(living)
    }
}
