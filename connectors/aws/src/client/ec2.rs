//! EC2: instances, what they were started from, and what their security groups let in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, Instance};
use car_core::Failure;
use car_core::connector::Cursor;

use super::{Listed, Site};
use crate::actions;
use crate::map::ec2::{Images, Surroundings};
#[cfg(feature = "ecs")]
use crate::map::network::Interface;
use crate::map::network::Openings;

/// Most values of a filter.
const FILTER_VALUES: usize = 200;

/// Most instances that are listed in one call.
const MOST_INSTANCES: u32 = 1000;

/// What was looked up already in this run.
#[derive(Debug, Default)]
pub(crate) struct Known {
    images: Mutex<Images>,
    groups: Mutex<BTreeMap<String, Openings>>,
}

impl Site {
    fn ec2(&self) -> Client {
        Client::new(self.config())
    }

    /// Reads a page of all instances.
    pub(crate) async fn instances(
        &self,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<Instance>, Option<Cursor>), Failure> {
        let client = self.ec2();
        self.page(actions::DESCRIBE_INSTANCES, cursor, |token| {
            let call = client
                .describe_instances()
                .max_results(self.page_size(MOST_INSTANCES))
                .set_next_token(token)
                .send();
            async move {
                let page = call.await?;
                let next = page.next_token;
                let reservations = page.reservations.unwrap_or_default();
                let items = reservations
                    .into_iter()
                    .flat_map(|reservation| reservation.instances.unwrap_or_default())
                    .collect();
                Ok(Listed { items, next })
            }
        })
        .await
    }

    /// Reads the instances that a filter finds. Names that are gone are not found, which is not
    /// an error as it would be if they were asked for by id.
    pub(crate) async fn instances_with(
        &self,
        filter: &str,
        values: &BTreeSet<String>,
    ) -> Result<Vec<Instance>, Failure> {
        let client = self.ec2();
        let mut found = Vec::new();
        for some in chunks(values) {
            let mut token = None;
            loop {
                let call = client
                    .describe_instances()
                    .max_results(self.page_size(MOST_INSTANCES))
                    .filters(filter_of(filter, &some))
                    .set_next_token(token)
                    .send();
                let page = self.call(actions::DESCRIBE_INSTANCES, call).await?;
                token = page.next_token.filter(|token| !token.is_empty());
                let reservations = page.reservations.unwrap_or_default();
                found.extend(
                    reservations
                        .into_iter()
                        .flat_map(|reservation| reservation.instances.unwrap_or_default()),
                );
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Returns the instances that have interfaces which a filter finds.
    pub(crate) async fn instances_behind(
        &self,
        filter: &str,
        values: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Failure> {
        let client = self.ec2();
        let mut found = BTreeSet::new();
        for some in chunks(values) {
            let mut token = None;
            loop {
                let call = client
                    .describe_network_interfaces()
                    .max_results(self.page_size(MOST_INSTANCES))
                    .filters(filter_of(filter, &some))
                    .set_next_token(token)
                    .send();
                let page = self
                    .call(actions::DESCRIBE_NETWORK_INTERFACES, call)
                    .await?;
                token = page.next_token.filter(|token| !token.is_empty());
                let attached = page.network_interfaces.unwrap_or_default();
                found.extend(
                    attached
                        .into_iter()
                        .filter_map(|interface| interface.attachment?.instance_id),
                );
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Looks up what instances refer to: one call for all images that are new, one for all
    /// security groups.
    pub(crate) async fn surroundings(
        &self,
        instances: &[Instance],
    ) -> Result<Surroundings, Failure> {
        let images = instances
            .iter()
            .filter_map(|instance| instance.image_id().map(str::to_owned))
            .collect();
        let groups = instances
            .iter()
            .flat_map(|instance| instance.network_interfaces())
            .flat_map(|interface| interface.groups())
            .filter_map(|group| group.group_id().map(str::to_owned))
            .collect();
        Ok(Surroundings {
            images: self.images(&images).await?,
            groups: self.openings(&groups).await?,
        })
    }

    async fn images(&self, wanted: &BTreeSet<String>) -> Result<Images, Failure> {
        let missing = missing(&self.memory.known.images, wanted);
        let client = self.ec2();
        for some in chunks(&missing) {
            let call = client
                .describe_images()
                .filters(filter_of("image-id", &some))
                .send();
            let answer = self.call(actions::DESCRIBE_IMAGES, call).await?;
            let mut known = lock(&self.memory.known.images);
            // An image that is gone, or not ours to see, is not asked for again.
            known.extend(some.into_iter().map(|id| (id, None)));
            for image in answer.images.unwrap_or_default() {
                if let Some(id) = image.image_id.clone() {
                    known.insert(id, Some((&image).into()));
                }
            }
        }
        Ok(selected(&self.memory.known.images, wanted))
    }

    /// Looks up interfaces by id; those that are gone are left out.
    #[cfg(feature = "ecs")]
    pub(crate) async fn interfaces(
        &self,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Interface>, Failure> {
        let client = self.ec2();
        let mut interfaces = BTreeMap::new();
        for some in chunks(wanted) {
            let call = client
                .describe_network_interfaces()
                .filters(filter_of("network-interface-id", &some))
                .send();
            let answer = self
                .call(actions::DESCRIBE_NETWORK_INTERFACES, call)
                .await?;
            interfaces.extend(
                answer
                    .network_interfaces
                    .unwrap_or_default()
                    .iter()
                    .map(Interface::from)
                    .map(|interface| (interface.id.clone(), interface)),
            );
        }
        Ok(interfaces)
    }

    /// Returns what security groups let in from everywhere.
    pub(crate) async fn openings(
        &self,
        wanted: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Openings>, Failure> {
        let missing = missing(&self.memory.known.groups, wanted);
        let client = self.ec2();
        for some in chunks(&missing) {
            let call = client
                .describe_security_groups()
                .filters(filter_of("group-id", &some))
                .send();
            let answer = self.call(actions::DESCRIBE_SECURITY_GROUPS, call).await?;
            let mut known = lock(&self.memory.known.groups);
            known.extend(some.into_iter().map(|id| (id, Openings::default())));
            for group in answer.security_groups.unwrap_or_default() {
                if let Some(id) = group.group_id.clone() {
                    known.insert(id, Openings::of(&group));
                }
            }
        }
        Ok(selected(&self.memory.known.groups, wanted))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing<T>(known: &Mutex<BTreeMap<String, T>>, wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let known = lock(known);
    wanted
        .iter()
        .filter(|id| !known.contains_key(*id))
        .cloned()
        .collect()
}

fn selected<T: Clone>(
    known: &Mutex<BTreeMap<String, T>>,
    wanted: &BTreeSet<String>,
) -> BTreeMap<String, T> {
    let known = lock(known);
    wanted
        .iter()
        .filter_map(|id| Some((id.clone(), known.get(id)?.clone())))
        .collect()
}

fn chunks(values: &BTreeSet<String>) -> Vec<Vec<String>> {
    let all: Vec<String> = values.iter().cloned().collect();
    all.chunks(FILTER_VALUES).map(<[String]>::to_vec).collect()
}

fn filter_of(name: &str, values: &[String]) -> Filter {
    Filter::builder()
        .name(name)
        .set_values(Some(values.to_vec()))
        .build()
}
