//! Instances of EC2 with their images and interfaces.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Image, Instance, InstanceNetworkInterface, InstanceStateName, Tag};
use car_core::record::Records;
use car_schema::edges::AssetApplication;
use car_schema::vertices::Application;

use super::network::{Interface, Named, Openings};
use super::{Place, milliseconds};

/// What images are called; `None` for those that cannot be seen.
pub(crate) type Images = BTreeMap<String, Option<ImageName>>;

/// What an image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
}

impl From<&Image> for ImageName {
    fn from(image: &Image) -> Self {
        let name = image.name().or(image.image_id()).unwrap_or_default();
        Self {
            name: name.to_owned(),
            description: image.description().map(str::to_owned),
        }
    }
}

/// What instances refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    pub(crate) images: Images,
    pub(crate) groups: BTreeMap<String, Openings>,
}

/// Returns the id in the graph of an instance that AWS knows by its own.
pub(crate) fn instance_arn(place: Place<'_>, id: &str) -> String {
    place.arn("ec2", &format!("instance/{id}"))
}

/// Tells whether an instance still exists: a terminated one is listed for an hour.
pub(crate) fn exists(instance: &Instance) -> bool {
    let state = instance.state().and_then(|state| state.name());
    !matches!(state, Some(InstanceStateName::Terminated))
}

/// Emits an instance, unless it is gone. Returns the keys of its addresses.
pub(crate) fn instance(
    place: Place<'_>,
    instance: &Instance,
    surroundings: &Surroundings,
    out: &mut Records,
) -> Vec<String> {
    let mut addresses = Vec::new();
    let Some(id) = instance.instance_id() else {
        out.reject(
            "asset",
            None,
            "the instance has no id",
            format!("{instance:?}"),
        );
        return addresses;
    };
    if !exists(instance) {
        return addresses;
    }
    let arn = instance_arn(place, id);
    let mut is_exposed = false;
    for interface in interfaces(instance) {
        let emitted = interface.emit(Some(&arn), &surroundings.groups, out);
        is_exposed |= emitted.is_exposed;
        addresses.extend(emitted.addresses);
    }
    let name = match tag(instance.tags(), "Name") {
        Some(name) => name.to_owned(),
        None => format!("EC2 id:{id}"),
    };
    let mut asset = place
        .asset(&arn, &name, "EC2 instance")
        .with("exposed", is_exposed);
    let texts = [
        (
            "state",
            instance
                .state()
                .and_then(|state| state.name())
                .map(InstanceStateName::as_str),
        ),
        (
            "instance_type",
            instance.instance_type().map(|kind| kind.as_str()),
        ),
        ("platform", instance.platform_details()),
        ("vpc_id", instance.vpc_id()),
        (
            "environment_id",
            tag(instance.tags(), "elasticbeanstalk:environment-id"),
        ),
    ];
    for (field, value) in texts {
        if let Some(value) = value {
            asset = asset.with(field, value);
        }
    }
    if let Some(launched) = instance.launch_time().and_then(milliseconds) {
        asset = asset.with("launched", launched);
    }
    out.emit(&asset);
    place.locate(&arn, out);
    if let Some(image) = instance.image_id() {
        let known = surroundings.images.get(image).and_then(Option::as_ref);
        out.emit(&Application {
            is_os: Some(true),
            description: known.and_then(|known| known.description.clone()),
            ..Application::new(image, known.map_or(image, |known| known.name.as_str()))
        });
        out.emit(&AssetApplication::new(arn, image));
    }
    addresses
}

/// Returns the value of a tag; an empty one does not count.
pub(crate) fn tag<'t>(tags: &'t [Tag], key: &str) -> Option<&'t str> {
    tags.iter()
        .find(|tag| tag.key() == Some(key))
        .and_then(Tag::value)
        .filter(|value| !value.is_empty())
}

/// Returns the interfaces that are attached.
fn interfaces(instance: &Instance) -> impl Iterator<Item = Interface> {
    instance
        .network_interfaces()
        .iter()
        .filter(|interface| interface.attachment().is_some())
        .map(Interface::from)
}

/// Reads an interface: the two types of the SDK differ in nothing but their names.
macro_rules! read_interface {
    ($type:ty) => {
        impl From<&$type> for Interface {
            fn from(from: &$type) -> Self {
                let private = from.private_ip_addresses();
                let first = from.association();
                let public = private.iter().filter_map(|private| private.association());
                let public = first.into_iter().chain(public);
                let names = private
                    .iter()
                    .map(|private| (private.private_ip_address(), private.private_dns_name()));
                Self {
                    id: from.network_interface_id().unwrap_or_default().to_owned(),
                    vpc: from.vpc_id().map(str::to_owned),
                    mac: from.mac_address().map(str::to_owned),
                    private: distinct(names),
                    public: distinct(
                        public.map(|public| (public.public_ip(), public.public_dns_name())),
                    ),
                    ipv6: from
                        .ipv6_addresses()
                        .iter()
                        .filter_map(|address| address.ipv6_address().map(str::to_owned))
                        .collect(),
                    groups: from
                        .groups()
                        .iter()
                        .filter_map(|group| group.group_id().map(str::to_owned))
                        .collect(),
                }
            }
        }
    };
}

read_interface!(InstanceNetworkInterface);
#[cfg(feature = "ecs")]
read_interface!(aws_sdk_ec2::types::NetworkInterface);

/// Returns the addresses without those that come again, with their names.
fn distinct<'a>(pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    for named in pairs.filter_map(|(address, name)| Named::new(address, name)) {
        match all.iter_mut().find(|known| known.address == named.address) {
            Some(known) => known.name = known.name.take().or(named.name),
            None => all.push(named),
        }
    }
    all
}
