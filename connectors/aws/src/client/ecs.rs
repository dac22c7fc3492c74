//! ECS: tasks that run, with the machines and interfaces they run on.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::Task;
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;
use crate::map::ecs::{TaskPage, interface_id};

/// Most tasks or machines that are listed or described in one call.
const MOST: u32 = 100;

/// As a list's length.
const PER_CALL: usize = 100;

/// Between the cluster and the cursor of its tasks: no ARN has it.
const SEPARATOR: char = ' ';

impl Site {
    fn ecs(&self) -> Client {
        Client::new(self.config())
    }

    /// Reads a page of the tasks that run, cluster after cluster.
    pub(crate) async fn tasks(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(TaskPage, Option<Cursor>), Failure> {
        let clusters = self.task_clusters().await?;
        let (cluster, inside) = match cursor.map(|cursor| cursor.0.split_once(SEPARATOR)) {
            Some(Some((cluster, ""))) => (Some(cluster.to_owned()), None),
            Some(Some((cluster, inside))) => {
                (Some(cluster.to_owned()), Some(Cursor(inside.to_owned())))
            }
            Some(None) | None => (clusters.first().cloned(), None),
        };
        let Some(cluster) = cluster else {
            return Ok((TaskPage::default(), None));
        };
        let (names, next) = self.task_names(&cluster, inside.as_ref()).await?;
        let page = self.task_page(&cluster, &names).await?;
        let next = match next {
            Some(Cursor(inside)) => Some((cluster, inside)),
            // Each cluster has its own list, begun anew.
            None => clusters
                .range::<String, _>((
                    std::ops::Bound::Excluded(&cluster),
                    std::ops::Bound::Unbounded,
                ))
                .next()
                .map(|next| (next.clone(), String::new())),
        };
        let next = next.map(|(cluster, inside)| Cursor(format!("{cluster}{SEPARATOR}{inside}")));
        Ok((page, next))
    }

    /// Returns the clusters; asked for once in a run.
    async fn task_clusters(&self) -> Result<&BTreeSet<String>, Failure> {
        self.memory
            .clusters
            .get_or_try_init(|| async {
                let client = self.ecs();
                let mut clusters = BTreeSet::new();
                let mut token = None;
                loop {
                    let call = client
                        .list_clusters()
                        .max_results(self.page_size(MOST))
                        .set_next_token(token)
                        .send();
                    let page = self.call(actions::LIST_CLUSTERS, call).await?;
                    clusters.extend(page.cluster_arns.unwrap_or_default());
                    token = page.next_token;
                    if token.is_none() {
                        return Ok(clusters);
                    }
                }
            })
            .await
    }

    async fn task_names(
        &self,
        cluster: &str,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<String>, Option<Cursor>), Failure> {
        let client = self.ecs();
        self.page(actions::LIST_TASKS, cursor, |token| {
            let call = client
                .list_tasks()
                .cluster(cluster)
                .max_results(self.page_size(MOST))
                .set_next_token(token)
                .send();
            async move {
                let page = call.await?;
                Ok(Listed {
                    items: page.task_arns.unwrap_or_default(),
                    next: page.next_token,
                })
            }
        })
        .await
    }

    /// Describes tasks of a cluster, with what they run on. Tasks that are gone are left out.
    pub(crate) async fn task_page(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<TaskPage, Failure> {
        let client = self.ecs();
        let mut tasks: Vec<Task> = Vec::new();
        for some in names.chunks(PER_CALL) {
            let call = client
                .describe_tasks()
                .cluster(cluster)
                .set_tasks(Some(some.to_vec()))
                .send();
            let answer = self.call(actions::DESCRIBE_TASKS, call).await?;
            tasks.extend(answer.tasks.unwrap_or_default());
        }
        let machines = tasks
            .iter()
            .filter_map(|task| task.container_instance_arn.clone())
            .collect();
        let interfaces: BTreeSet<String> = tasks.iter().filter_map(interface_id).collect();
        let interfaces = self.interfaces(&interfaces).await?;
        let groups = interfaces
            .values()
            .flat_map(|interface| interface.groups.iter().cloned())
            .collect();
        Ok(TaskPage {
            cluster: Some(cluster.to_owned()),
            machines: self.machines(cluster, &machines).await?,
            groups: self.openings(&groups).await?,
            interfaces,
            tasks,
        })
    }

    /// Returns the EC2 instances behind container instances.
    async fn machines(
        &self,
        cluster: &str,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let client = self.ecs();
        let wanted: Vec<String> = wanted.iter().cloned().collect();
        let mut machines = BTreeMap::new();
        for some in wanted.chunks(PER_CALL) {
            let call = client
                .describe_container_instances()
                .cluster(cluster)
                .set_container_instances(Some(some.to_vec()))
                .send();
            let answer = self
                .call(actions::DESCRIBE_CONTAINER_INSTANCES, call)
                .await?;
            machines.extend(
                answer
                    .container_instances
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|one| Some((one.container_instance_arn?, one.ec2_instance_id?))),
            );
        }
        Ok(machines)
    }
}
