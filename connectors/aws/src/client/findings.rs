//! What Security Hub and Inspector found, and whether what it is about still exists.

use std::collections::BTreeSet;

#[cfg(feature = "inspector")]
use aws_sdk_inspector2::types as inspector;
#[cfg(feature = "securityhub")]
use aws_sdk_securityhub::types as hub;
use aws_smithy_types::DateTime;
#[cfg(feature = "securityhub")]
use aws_smithy_types::date_time::Format;
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;
use crate::map::ec2::exists;
use crate::map::finding::{Finding, Living, Target};

/// Most findings that are listed in one call.
const MOST: u32 = 100;

/// Which findings to read.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    /// Those that are open.
    Open,
    /// Those that changed between two times, in milliseconds since 1970, also to closed.
    Updated {
        /// From then on.
        since: i64,
        /// Until then.
        until: i64,
    },
    /// Those that are open, about these things: at most [`MOST_TARGETS`].
    About(Vec<Target>),
}

/// Most things that can be asked for in one call.
pub(crate) const MOST_TARGETS: usize = 10;

#[cfg(feature = "securityhub")]
fn text_of(millis: i64) -> Option<String> {
    DateTime::from_millis(millis).fmt(Format::DateTime).ok()
}

impl Site {
    /// Reads a page of the findings of Security Hub about this account and region. One that
    /// gathers those of others would tell theirs too.
    #[cfg(feature = "securityhub")]
    pub(crate) async fn hub_findings(
        &self,
        which: &Which,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<hub::AwsSecurityFinding>, Option<Cursor>), Failure> {
        let client = aws_sdk_securityhub::Client::new(self.config());
        let is = |value: &str| {
            hub::StringFilter::builder()
                .value(value)
                .comparison(hub::StringFilterComparison::Equals)
                .build()
        };
        let mut filters = hub::AwsSecurityFindingFilters::builder()
            .aws_account_id(is(&self.account))
            .region(is(&self.region));
        if let Which::Updated { since, until } = which {
            let range = hub::DateFilter::builder()
                .set_start(text_of(*since))
                .set_end(text_of(*until))
                .build();
            filters = filters.updated_at(range);
        } else {
            filters = filters
                .record_state(is("ACTIVE"))
                .workflow_status(is("NEW"))
                .workflow_status(is("NOTIFIED"));
        }
        if let Which::About(targets) = which {
            for id in targets.iter().filter_map(|target| target.arn(self.place())) {
                filters = filters.resource_id(is(&id));
            }
        }
        let filters = filters.build();
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

    /// Reads a page of the findings of Inspector about this account.
    #[cfg(feature = "inspector")]
    pub(crate) async fn inspector_findings(
        &self,
        which: &Which,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<inspector::Finding>, Option<Cursor>), Failure> {
        let client = aws_sdk_inspector2::Client::new(self.config());
        let filter = |value: &str, comparison| {
            inspector::StringFilter::builder()
                .value(value)
                .comparison(comparison)
                .build()
                .ok()
        };
        let is = |value: &str| filter(value, inspector::StringComparison::Equals);
        let starts = |value: &str| filter(value, inspector::StringComparison::Prefix);
        let mut criteria = inspector::FilterCriteria::builder()
            .set_aws_account_id(is(&self.account).map(|filter| vec![filter]));
        if let Which::Updated { since, until } = which {
            let range = inspector::DateFilter::builder()
                .start_inclusive(DateTime::from_millis(*since))
                .end_inclusive(DateTime::from_millis(*until))
                .build();
            criteria = criteria.updated_at(range);
        } else {
            criteria = criteria.set_finding_status(is("ACTIVE").map(|filter| vec![filter]));
        }
        if let Which::About(targets) = which {
            let ids = targets.iter().filter_map(|target| match target {
                Target::Instance(id) => is(id),
                // Inspector knows a function by the ARN of one of its versions.
                Target::Asset(arn) if target.is_inspected() => starts(arn),
                _ => None,
            });
            criteria = criteria.set_resource_id(Some(ids.collect()));
        }
        let criteria = criteria.build();
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

    /// Takes what is not imported for what it is: worth knowing, but not there to be linked.
    pub(crate) fn known(&self, mut finding: Finding) -> Finding {
        for target in &mut finding.targets {
            let is_read = match target {
                Target::Instance(_) => self.reads("ec2"),
                Target::Principal(_) => self.reads("iam"),
                Target::Asset(arn) => match arn.split(':').nth(2) {
                    Some("elasticloadbalancing") => self.reads("elb"),
                    Some(service) => self.reads(service),
                    None => false,
                },
                Target::Other => true,
            };
            if !is_read {
                *target = Target::Other;
            }
        }
        finding.targets.sort();
        finding.targets.dedup();
        finding
    }

    /// Finds out which things that findings are about exist: one call for all instances of a
    /// page; databases, functions, users and the like once in a run, if there are findings about any.
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
        if targets().any(|target| target.is_of("rds")) {
            living.assets.extend(self.database_arns().await?.clone());
        }
        #[cfg(feature = "eks")]
        if targets().any(|target| target.is_of("eks")) {
            living.assets.extend(self.kubernetes_arns().await?.clone());
        }
        #[cfg(feature = "lambda")]
        if targets().any(|target| target.is_of("lambda")) {
            living.assets.extend(self.function_arns().await?.clone());
        }
        #[cfg(feature = "elb")]
        if targets().any(|target| target.is_of("elasticloadbalancing")) {
            living.assets.extend(self.balancer_arns().await?.clone());
        }
        #[cfg(feature = "iam")]
        if targets().any(|target| matches!(target, Target::Principal(_))) {
            living.principals.clone_from(self.principal_arns().await?);
        }
        Ok(living)
    }
}

#[cfg(all(test, feature = "securityhub"))]
mod tests {
    use super::text_of;

    #[test]
    fn defect_22_times_of_filters_are_in_utc() {
        let text = text_of(1_709_287_200_000);
        assert_eq!(text.as_deref(), Some("2024-03-01T10:00:00Z"));
    }
}
