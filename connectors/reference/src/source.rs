//! The server's records, as it sends them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use car_core::record::Records;
use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A link to an object, which the server writes as an address: `http://host/assets/7/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Link(pub(crate) u64);

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Address;
        impl Visitor<'_> for Address {
            type Value = Link;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address that ends in a number, such as `/assets/7/`")
            }
            fn visit_str<E: Error>(self, address: &str) -> Result<Link, E> {
                let number = address.trim_end_matches('/').rsplit('/').next();
                let number = number.and_then(|number| number.parse().ok());
                number
                    .map(Link)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(address), &self))
            }
        }
        deserializer.deserialize_str(Address)
    }
}

/// A record that becomes a vertex and the edges that it lists.
pub(crate) trait Record: DeserializeOwned + Send + Sync {
    /// Name of the server's collection.
    const COLLECTION: &'static str;

    /// Name of the vertex collection.
    const VERTEX: &'static str;

    /// Names the field that identifies the vertex.
    const KEY: &'static str;

    /// Adds the links whose targets are known by another name than their number.
    fn named_links(&self, _: &mut NamedLinks) {}

    /// Emits the vertex and its edges.
    fn emit(&self, names: &Names, out: &mut Records);
}

/// Links whose targets are known by another name than their number.
#[derive(Debug, Default)]
pub(crate) struct NamedLinks {
    pub(crate) mac_addresses: BTreeSet<Link>,
    pub(crate) ip_addresses: BTreeSet<Link>,
    pub(crate) vulnerabilities: BTreeSet<Link>,
    pub(crate) xrefproperties: BTreeSet<Link>,
}

/// The names of the targets of links. A target that is gone meanwhile is not in it.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) mac_addresses: HashMap<Link, String>,
    pub(crate) ip_addresses: HashMap<Link, String>,
    pub(crate) vulnerabilities: HashMap<Link, String>,
    pub(crate) xrefproperties: HashMap<Link, XrefProperty>,
}

/// A site.
#[derive(Debug, Deserialize)]
pub(crate) struct Site {
    pub(crate) pk: u64,
    pub(crate) name: String,
    pub(crate) address: Option<String>,
    pub(crate) description: Option<String>,
}

/// An asset.
#[derive(Debug, Deserialize)]
pub(crate) struct Asset {
    pub(crate) pk: u64,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) asset_type: Option<String>,
    pub(crate) initial_value: Option<f64>,
    pub(crate) business_value: Option<f64>,
    pub(crate) risk: Option<f64>,
    pub(crate) site: Option<Link>,
}

/// A vulnerability.
#[derive(Debug, Deserialize)]
pub(crate) struct Vulnerability {
    pub(crate) external_id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) base_score: Option<f64>,
    pub(crate) disclosed_on: Option<f64>,
    pub(crate) published_on: Option<f64>,
    #[serde(default)]
    pub(crate) xref_properties: Vec<Link>,
    #[serde(default)]
    pub(crate) assets: Vec<Link>,
}

/// A reference of a vulnerability to another catalogue.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct XrefProperty {
    pub(crate) pk: u64,
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// A hardware address.
#[derive(Debug, Deserialize)]
pub(crate) struct MacAddress {
    pub(crate) address: String,
    pub(crate) interface: Option<String>,
    #[serde(default)]
    pub(crate) assets: Vec<Link>,
}

/// An IP address.
#[derive(Debug, Deserialize)]
pub(crate) struct IpAddress {
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) assets: Vec<Link>,
    #[serde(default)]
    pub(crate) mac_addresses: Vec<Link>,
    #[serde(default)]
    pub(crate) ports: Vec<Link>,
}

/// A host name.
#[derive(Debug, Deserialize)]
pub(crate) struct Host {
    pub(crate) host_name: String,
    #[serde(default)]
    pub(crate) assets: Vec<Link>,
    #[serde(default)]
    pub(crate) ip_addresses: Vec<Link>,
}

/// A port.
#[derive(Debug, Deserialize)]
pub(crate) struct Port {
    pub(crate) pk: u64,
    pub(crate) port_number: i64,
    pub(crate) protocol: String,
    pub(crate) status: Option<String>,
    pub(crate) description: Option<String>,
}

/// An application.
#[derive(Debug, Deserialize)]
pub(crate) struct App {
    pub(crate) pk: u64,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) cpe: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) is_os: Option<bool>,
    #[serde(default)]
    pub(crate) assets: Vec<Link>,
    #[serde(default)]
    pub(crate) ports: Vec<Link>,
    #[serde(default)]
    pub(crate) vulnerabilities: Vec<Link>,
}

/// What changed between two states.
#[derive(Debug, Deserialize)]
pub(crate) struct DeltaBody {
    pub(crate) collections: Collections,
    #[serde(default)]
    pub(crate) removed_links: Vec<RemovedLink>,
}

/// Changes by collection.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Collections {
    pub(crate) sites: Changes<Site>,
    pub(crate) assets: Changes<Asset>,
    pub(crate) vulnerabilities: Changes<Vulnerability>,
    pub(crate) mac_addresses: Changes<MacAddress>,
    pub(crate) ip_addresses: Changes<IpAddress>,
    pub(crate) hosts: Changes<Host>,
    pub(crate) ports: Changes<Port>,
    pub(crate) apps: Changes<App>,
}

/// Changes of one collection.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Record")]
pub(crate) struct Changes<T> {
    #[serde(default = "Objects::none", deserialize_with = "each")]
    pub(crate) updates: Objects<T>,
    #[serde(default)]
    pub(crate) deletions: Vec<DeletedObject>,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self {
            updates: Objects::none(),
            deletions: Vec::new(),
        }
    }
}

/// An object that is gone, by the name that it was known by.
#[derive(Debug, Deserialize)]
pub(crate) struct DeletedObject {
    pub(crate) key: String,
}

/// A link that is gone though both its ends are there.
#[derive(Debug, Deserialize)]
pub(crate) struct RemovedLink {
    pub(crate) collection: String,
    pub(crate) field: String,
    pub(crate) key: String,
    pub(crate) target_key: String,
}

/// Objects of a collection; one that is not as expected does not hurt the others.
#[derive(Debug)]
pub(crate) struct Objects<T> {
    pub(crate) good: Vec<T>,
    pub(crate) bad: Vec<BadObject>,
}

/// An object that is not as expected.
#[derive(Debug)]
pub(crate) struct BadObject {
    /// Name that its vertex would have, as far as it can be told.
    pub(crate) key: Option<String>,
    pub(crate) reason: String,
    pub(crate) json: String,
}

impl<T> Objects<T> {
    const fn none() -> Self {
        Self {
            good: Vec::new(),
            bad: Vec::new(),
        }
    }
}

impl<T: Record> Objects<T> {
    /// Reads a list of objects.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        // Almost always every object is as expected, and one pass will do.
        if let Ok(good) = serde_json::from_slice(body) {
            return Ok(Self {
                good,
                bad: Vec::new(),
            });
        }
        Ok(Self::sort(serde_json::from_slice(body)?))
    }

    /// Returns the links whose targets are known by another name than their number.
    pub(crate) fn named_links(&self) -> NamedLinks {
        let mut links = NamedLinks::default();
        for object in &self.good {
            object.named_links(&mut links);
        }
        links
    }

    fn sort(objects: Vec<&RawValue>) -> Self {
        let mut sorted = Self::none();
        for object in objects {
            match serde_json::from_str(object.get()) {
                Ok(good) => sorted.good.push(good),
                Err(error) => sorted.bad.push(BadObject {
                    key: key::<T>(object.get()),
                    reason: format!("the server's object is not as expected: {error}"),
                    json: object.get().to_owned(),
                }),
            }
        }
        sorted
    }
}

fn each<'de, T: Record, D: Deserializer<'de>>(deserializer: D) -> Result<Objects<T>, D::Error> {
    let objects = Vec::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(Objects::sort(objects.iter().map(AsRef::as_ref).collect()))
}

/// Returns the name that an object's vertex would have.
fn key<T: Record>(object: &str) -> Option<String> {
    match serde_json::from_str::<serde_json::Value>(object)
        .ok()?
        .get(T::KEY)?
    {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_ends_in_a_number() {
        let link = |json: &str| serde_json::from_str::<Link>(json).ok();
        for address in ["\"http://host:1/assets/7/\"", "\"/assets/7\"", "\"7\""] {
            assert_eq!(link(address), Some(Link(7)), "{address}");
        }
        for wrong in [
            "\"http://host/assets/\"",
            "\"\"",
            "7",
            "null",
            "\"/assets/-7/\"",
        ] {
            assert_eq!(link(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_bad_object_leaves_the_others_good() {
        let body =
            br#"[{"pk": 1, "name": "a"}, {"pk": 2}, {"name": 3}, 4, {"pk": 5, "name": "e"}]"#;
        let sites = Objects::<Site>::parse(body).unwrap();
        let good: Vec<u64> = sites.good.iter().map(|site| site.pk).collect();
        assert_eq!(good, [1, 5]);
        let bad: Vec<Option<&str>> = sites.bad.iter().map(|bad| bad.key.as_deref()).collect();
        assert_eq!(bad, [Some("2"), None, None]);
        assert!(
            sites
                .bad
                .iter()
                .all(|bad| bad.reason.contains("not as expected"))
        );
        assert!(Objects::<Site>::parse(b"{}").is_err());
    }
}
