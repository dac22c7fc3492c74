//! Tasks of ECS with their containers, on EC2 and on Fargate.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::Task;
use car_core::record::Records;
use car_schema::edges::{AssetContainer, IpaddressContainer};
use car_schema::vertices::{Application, Container};
use car_schema::{EndRef, GenericEdge};

use super::Place;
use super::ec2::instance_arn;
use super::network::{Interface, Openings};

/// Tasks, and what they refer to.
#[derive(Debug, Default)]
pub(crate) struct TaskPage {
    /// ARN of the cluster; none where there is no cluster.
    pub(crate) cluster: Option<String>,
    pub(crate) tasks: Vec<Task>,
    /// EC2 instances by container instance.
    pub(crate) machines: BTreeMap<String, String>,
    /// Interfaces by id.
    pub(crate) interfaces: BTreeMap<String, Interface>,
    /// What security groups let in, by id.
    pub(crate) groups: BTreeMap<String, Openings>,
}

/// Returns the id of the interface that a task has of its own.
pub(crate) fn interface_id(task: &Task) -> Option<String> {
    detail(task, "networkInterfaceId").map(str::to_owned)
}

fn detail<'t>(task: &'t Task, name: &str) -> Option<&'t str> {
    task.attachments()
        .iter()
        .flat_map(|attachment| attachment.details())
        .find(|detail| detail.name() == Some(name))?
        .value()
}

/// The edge from a cluster to its containers.
const APPLICATION_CONTAINER: &str = "application_container";

/// Emits the cluster and its tasks that run.
pub(crate) fn tasks(place: Place<'_>, page: &TaskPage, out: &mut Records) {
    if let Some(cluster) = &page.cluster {
        let name = cluster.rsplit('/').next().unwrap_or(cluster);
        out.emit(&Application {
            app_type: Some("ECS cluster".to_owned()),
            ..Application::new(cluster.as_str(), name)
        });
    }
    for task in page
        .tasks
        .iter()
        .filter(|task| task.last_status() == Some("RUNNING"))
    {
        emit(place, task, page, out);
    }
}

fn emit(place: Place<'_>, task: &Task, page: &TaskPage, out: &mut Records) {
    let Some(id) = task.task_arn() else {
        out.reject(
            "container",
            None,
            "the task has no ARN",
            format!("{task:?}"),
        );
        return;
    };
    let launch_type = task.launch_type().map(|kind| kind.as_str());
    let machine = task.container_instance_arn();
    // On Fargate nobody sees the machine, so the task stands for it. A machine outside of AWS
    // has an id that EC2 does not know.
    let asset = match machine {
        Some(machine) => page
            .machines
            .get(machine)
            .filter(|id| id.starts_with("i-"))
            .map(|id| instance_arn(place, id)),
        None => Some(id.to_owned()),
    };
    let interface = interface_id(task).and_then(|id| page.interfaces.get(&id));
    let owner = if machine.is_none() { Some(id) } else { None };
    let network = interface.map(|interface| interface.emit(owner, &page.groups, out));
    if let Some(id) = owner {
        let name = match task.group() {
            Some(group) => format!("ECS task of {group}"),
            None => format!("ECS task {id}"),
        };
        let is_exposed = network.as_ref().is_some_and(|network| network.is_exposed);
        let mut asset = place
            .asset(id, &name, "ECS task on Fargate")
            .with("exposed", is_exposed);
        if let Some(vpc) = interface.and_then(|interface| interface.vpc.as_deref()) {
            asset = asset.with("vpc_id", vpc);
        }
        out.emit(&asset);
        place.locate(id, out);
    }
    for container in task.containers() {
        let Some(arn) = container.container_arn() else {
            continue;
        };
        let name = container.name().unwrap_or(arn);
        let mut vertex = Container {
            image: container.image().map(str::to_owned),
            ..Container::new(arn, name)
        }
        .with("task_id", id);
        let texts = [
            ("cluster_id", task.cluster_arn()),
            ("launch_type", launch_type),
            ("image_digest", container.image_digest()),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                vertex = vertex.with(field, value);
            }
        }
        out.emit(&vertex);
        if let Some(cluster) = &page.cluster {
            out.emit(&GenericEdge::new(
                APPLICATION_CONTAINER,
                EndRef::ExternalId(cluster.clone()),
                EndRef::ExternalId(arn.to_owned()),
            ));
        }
        if let Some(asset) = &asset {
            out.emit(&AssetContainer::new(asset.as_str(), arn));
        }
        for address in network.iter().flat_map(|network| &network.addresses) {
            out.emit(&IpaddressContainer::new(address.as_str(), arn));
        }
    }
}
