//! EKS: clusters and their node groups.

use std::collections::BTreeSet;

use aws_sdk_eks::Client;
use aws_sdk_eks::types::Nodegroup;
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;
use crate::map::eks::ClusterPage;

/// Most clusters or node groups that are listed in one call.
const MOST: u32 = 100;

impl Site {
    fn eks(&self) -> Client {
        Client::new(self.config())
    }

    /// Reads a page of the names of all clusters.
    pub(crate) async fn kubernetes_names(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<String>, Option<Cursor>), Failure> {
        let client = self.eks();
        self.page(actions::LIST_EKS_CLUSTERS, cursor, |token| {
            let call = client
                .list_clusters()
                .max_results(self.page_size(MOST))
                .set_next_token(token)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.clusters.unwrap_or_default(),
                    next: page.next_token,
                })
            }
        })
        .await
    }

    /// Describes a cluster with its node groups and the instances of these; `None` when it is
    /// gone. EKS describes one thing in a call.
    pub(crate) async fn kubernetes(&self, name: &str) -> Result<Option<ClusterPage>, Failure> {
        let client = self.eks();
        let call = client.describe_cluster().name(name).send();
        let answer = self.call_about(actions::DESCRIBE_EKS_CLUSTER, call).await?;
        let Some(cluster) = answer.and_then(|answer| answer.cluster) else {
            return Ok(None);
        };
        let groups = self.node_groups(&client, name).await?;
        let instances = if groups.is_empty() {
            Vec::new()
        } else {
            let names = BTreeSet::from([name.to_owned()]);
            self.instances_with("tag:eks:cluster-name", &names).await?
        };
        Ok(Some(ClusterPage {
            cluster,
            groups,
            instances,
        }))
    }

    async fn node_groups(&self, client: &Client, cluster: &str) -> Result<Vec<Nodegroup>, Failure> {
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let call = client
                .list_nodegroups()
                .cluster_name(cluster)
                .max_results(self.page_size(MOST))
                .set_next_token(token)
                .send();
            let Some(page) = self.call_about(actions::LIST_NODEGROUPS, call).await? else {
                return Ok(Vec::new());
            };
            names.extend(page.nodegroups.unwrap_or_default());
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        let mut groups = Vec::with_capacity(names.len());
        for name in names {
            let call = client
                .describe_nodegroup()
                .cluster_name(cluster)
                .nodegroup_name(name)
                .send();
            let answer = self.call_about(actions::DESCRIBE_NODEGROUP, call).await?;
            groups.extend(answer.and_then(|answer| answer.nodegroup));
        }
        Ok(groups)
    }

    /// Returns the ARNs of all clusters; asked for once in a run.
    pub(crate) async fn kubernetes_arns(&self) -> Result<&BTreeSet<String>, Failure> {
        self.memory
            .kubernetes
            .get_or_try_init(|| async {
                let mut arns = BTreeSet::new();
                let mut cursor = None;
                loop {
                    let (names, next) = self.kubernetes_names(cursor.as_ref()).await?;
                    let arn = |name: String| self.place().arn("eks", &format!("cluster/{name}"));
                    arns.extend(names.into_iter().map(arn));
                    cursor = next;
                    if cursor.is_none() {
                        return Ok(arns);
                    }
                }
            })
            .await
    }
}
