//! Addresses, names and openings of network interfaces.
//!
//! A private address or name means something only inside its VPC, so both are kept apart by it:
//! their keys end in `@vpc-…`. Public ones are the same everywhere.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use car_core::record::Records;
use car_schema::edges::{
    AssetHostname, AssetIpaddress, AssetMacaddress, IpaddressHostname, IpaddressMacaddress,
    IpaddressPort,
};
use car_schema::vertices::{Hostname, Ipaddress, Macaddress, Port};

/// A network interface, whatever it belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) id: String,
    pub(crate) vpc: Option<String>,
    pub(crate) mac: Option<String>,
    pub(crate) private: Vec<Private>,
    pub(crate) public: Vec<Named>,
    pub(crate) ipv6: Vec<String>,
    pub(crate) groups: Vec<String>,
}

/// An address inside a VPC.
pub(crate) type Private = Named;

/// An address and its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) address: String,
    pub(crate) name: Option<String>,
}

impl Named {
    pub(crate) fn new(address: Option<&str>, name: Option<&str>) -> Option<Self> {
        let set = |text: &&str| !text.is_empty();
        Some(Self {
            address: address.filter(set)?.to_owned(),
            name: name.filter(set).map(str::to_owned),
        })
    }
}

/// What a security group lets in from everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Openings(pub(crate) Vec<Opening>);

/// Ports that anybody may reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opening {
    /// `tcp`, `udp`, `icmp`, or `all`.
    pub(crate) protocol: String,
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) over_ipv4: bool,
    pub(crate) over_ipv6: bool,
}

#[cfg(feature = "ec2")]
impl Openings {
    /// Reads what a security group lets in from everywhere.
    pub(crate) fn of(group: &aws_sdk_ec2::types::SecurityGroup) -> Self {
        let openings = group.ip_permissions().iter().filter_map(|rule| {
            let over_ipv4 = rule
                .ip_ranges()
                .iter()
                .any(|range| range.cidr_ip() == Some("0.0.0.0/0"));
            let over_ipv6 = rule
                .ipv6_ranges()
                .iter()
                .any(|range| range.cidr_ipv6() == Some("::/0"));
            let (protocol, from, to) = match rule.ip_protocol()? {
                "-1" => ("all", 0, 65535),
                protocol => (
                    protocol,
                    rule.from_port().unwrap_or(0),
                    rule.to_port().unwrap_or(65535),
                ),
            };
            (over_ipv4 || over_ipv6).then(|| Opening {
                protocol: protocol.to_owned(),
                from,
                to,
                over_ipv4,
                over_ipv6,
            })
        });
        let mut openings: Vec<Opening> = openings.collect();
        openings.sort();
        Self(openings)
    }
}

/// Key of something that has a meaning only inside a network.
pub(crate) fn key_in(network: Option<&str>, plain: &str) -> String {
    match network {
        Some(network) => format!("{plain}@{network}"),
        None => plain.to_owned(),
    }
}

/// Tells whether an address is the same everywhere. Unreadable ones are not.
fn is_public(address: &str) -> bool {
    match address.parse() {
        Ok(IpAddr::V4(address)) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && (64..128).contains(&second);
            !(address.is_private() || address.is_loopback() || address.is_link_local() || shared)
        }
        Ok(IpAddr::V6(address)) => is_public_ipv6(&address),
        Err(_) => false,
    }
}

fn is_public_ipv6(address: &Ipv6Addr) -> bool {
    !(address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback())
}

/// What an interface came to.
#[derive(Debug, Default)]
pub(crate) struct Emitted {
    /// Keys of its addresses.
    pub(crate) addresses: Vec<String>,
    /// Whether anybody may reach a port of it.
    pub(crate) is_exposed: bool,
}

impl Interface {
    /// Emits addresses, names and openings, linked to an asset where there is one.
    pub(crate) fn emit(
        &self,
        asset: Option<&str>,
        groups: &BTreeMap<String, Openings>,
        out: &mut Records,
    ) -> Emitted {
        let mut emitted = Emitted::default();
        let vpc = self.vpc.as_deref();
        if let Some(mac) = &self.mac {
            out.emit(&Macaddress {
                interface: Some(self.id.clone()),
                ..Macaddress::new(mac.as_str())
            });
            if let Some(asset) = asset {
                out.emit(&AssetMacaddress::new(asset, mac.as_str()));
            }
        }
        for private in &self.private {
            let key = self.address(&private.address, asset, out);
            if let Some(name) = &private.name {
                name_of(&key, name, vpc, asset, out);
            }
            emitted.addresses.push(key);
        }
        let ipv6 = self.ipv6.iter().map(|address| Named {
            address: address.clone(),
            name: None,
        });
        for public in self.public.iter().cloned().chain(ipv6) {
            let key = self.address(&public.address, asset, out);
            if let Some(name) = &public.name {
                name_of(&key, name, None, asset, out);
            }
            if is_public(&public.address) {
                emitted.is_exposed |= self.openings(&key, groups, out);
            }
            emitted.addresses.push(key);
        }
        emitted
    }

    fn address(&self, address: &str, asset: Option<&str>, out: &mut Records) -> String {
        let network = match is_public(address) {
            true => None,
            false => self.vpc.as_deref(),
        };
        let key = key_in(network, address);
        out.emit(&Ipaddress {
            name: Some(address.to_owned()),
            region_id: network.map(str::to_owned),
            ..Ipaddress::new(key.as_str())
        });
        if let Some(asset) = asset {
            out.emit(&AssetIpaddress::new(asset, key.as_str()));
        }
        if let Some(mac) = &self.mac {
            out.emit(&IpaddressMacaddress::new(key.as_str(), mac.as_str()));
        }
        key
    }

    /// Emits the ports that anybody may reach at an address; tells whether there are any.
    fn openings(
        &self,
        address: &str,
        groups: &BTreeMap<String, Openings>,
        out: &mut Records,
    ) -> bool {
        let is_ipv6 = address.contains(':');
        let mut is_open = false;
        for group in &self.groups {
            let openings = groups.get(group).map_or(&[][..], |openings| &openings.0);
            for opening in openings.iter().filter(|opening| {
                if is_ipv6 {
                    opening.over_ipv6
                } else {
                    opening.over_ipv4
                }
            }) {
                is_open = true;
                let id = opening.id(group);
                out.emit(&opening.port(&id, group));
                out.emit(&IpaddressPort::new(address, id));
            }
        }
        is_open
    }
}

impl Opening {
    fn id(&self, group: &str) -> String {
        let Self {
            protocol, from, to, ..
        } = self;
        format!("{group}/{protocol}/{from}-{to}")
    }

    fn port(&self, id: &str, group: &str) -> Port {
        Port {
            status: Some("open".to_owned()),
            description: Some(format!("security group {group} lets everybody in")),
            ..Port::new(id, self.from, self.protocol.as_str())
        }
        .with("last_port_number", self.to)
    }
}

/// Emits a name of an address.
fn name_of(
    address: &str,
    name: &str,
    network: Option<&str>,
    asset: Option<&str>,
    out: &mut Records,
) {
    let key = key_in(network, name);
    let mut hostname = Hostname::new(key.as_str(), name);
    if let Some(network) = network {
        hostname = hostname.with("region_id", network);
    }
    out.emit(&hostname);
    out.emit(&IpaddressHostname::new(address, key.as_str()));
    if let Some(asset) = asset {
        out.emit(&AssetHostname::new(asset, key.as_str()));
    }
}
