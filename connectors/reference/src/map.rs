//! Turns the server's records into vertices, edges and deletions. Pure: no I/O, no state.

use std::collections::BTreeMap;

use car_core::record::{Deletion, Records};
use car_schema::edges::{
    ApplicationPort, ApplicationVulnerability, AssetApplication, AssetHostname, AssetIpaddress,
    AssetMacaddress, AssetVulnerability, IpaddressHostname, IpaddressMacaddress, IpaddressPort,
};
use car_schema::vertices::{self, Application, Hostname, Ipaddress, Macaddress};
use car_schema::{EndRef, GenericEdge, GenericVertex, Object};

use crate::extension::{SITE, SITE_ASSET};
use crate::source::{
    App, Asset, Collections, DeletedObject, Host, IpAddress, Link, MacAddress, NamedLinks, Names,
    Port, Record, RemovedLink, Site, Vulnerability,
};

impl Link {
    /// Returns the external id of an object that is known by its number.
    fn id(self) -> String {
        self.0.to_string()
    }
}

impl Record for Site {
    const COLLECTION: &'static str = "sites";
    const VERTEX: &'static str = SITE;
    const KEY: &'static str = "pk";

    fn emit(&self, _: &Names, out: &mut Records) {
        let mut site =
            GenericVertex::new(SITE, self.pk.to_string()).with("name", self.name.as_str());
        for (field, value) in [
            ("address", &self.address),
            ("description", &self.description),
        ] {
            if let Some(value) = value {
                site = site.with(field, value.as_str());
            }
        }
        out.emit(&site);
    }
}

impl Record for Asset {
    const COLLECTION: &'static str = "assets";
    const VERTEX: &'static str = vertices::Asset::COLLECTION;
    const KEY: &'static str = "pk";

    fn emit(&self, _: &Names, out: &mut Records) {
        let id = self.pk.to_string();
        let mut asset = vertices::Asset {
            description: self.description.clone(),
            asset_type: self.asset_type.clone(),
            business_value: self.business_value,
            risk: self.risk,
            ..vertices::Asset::new(id.as_str(), self.name.as_str())
        };
        if let Some(value) = self.initial_value {
            asset = asset.with("initial_value", value);
        }
        out.emit(&asset);
        if let Some(site) = self.site {
            out.emit(&site_asset(site.id(), id));
        }
    }
}

impl Record for Vulnerability {
    const COLLECTION: &'static str = "vulnerabilities";
    const VERTEX: &'static str = vertices::Vulnerability::COLLECTION;
    const KEY: &'static str = "external_id";

    fn named_links(&self, links: &mut NamedLinks) {
        links.xrefproperties.extend(&self.xref_properties);
    }

    fn emit(&self, names: &Names, out: &mut Records) {
        // The model wants an object; the server has a list, with several values of one name.
        let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for link in &self.xref_properties {
            if let Some(property) = names.xrefproperties.get(link) {
                let value = property.value.as_deref().unwrap_or_default();
                values.entry(&property.name).or_default().push(value);
            }
        }
        let references: Object = values
            .into_iter()
            .map(|(name, values)| (name.to_owned(), values.into()))
            .collect();
        out.emit(&vertices::Vulnerability {
            description: self.description.clone(),
            base_score: self.base_score,
            disclosed_on: self.disclosed_on,
            published_on: self.published_on,
            xref_properties: (!references.is_empty()).then_some(references),
            ..vertices::Vulnerability::new(self.external_id.as_str(), self.name.as_str())
        });
        for asset in &self.assets {
            out.emit(&AssetVulnerability::new(
                asset.id(),
                self.external_id.as_str(),
            ));
        }
    }
}

impl Record for MacAddress {
    const COLLECTION: &'static str = "mac_addresses";
    const VERTEX: &'static str = Macaddress::COLLECTION;
    const KEY: &'static str = "address";

    fn emit(&self, _: &Names, out: &mut Records) {
        out.emit(&Macaddress {
            interface: self.interface.clone(),
            ..Macaddress::new(self.address.as_str())
        });
        for asset in &self.assets {
            out.emit(&AssetMacaddress::new(asset.id(), self.address.as_str()));
        }
    }
}

impl Record for IpAddress {
    const COLLECTION: &'static str = "ip_addresses";
    const VERTEX: &'static str = Ipaddress::COLLECTION;
    const KEY: &'static str = "address";

    fn named_links(&self, links: &mut NamedLinks) {
        links.mac_addresses.extend(&self.mac_addresses);
    }

    fn emit(&self, names: &Names, out: &mut Records) {
        out.emit(&Ipaddress::new(self.address.as_str()));
        for asset in &self.assets {
            out.emit(&AssetIpaddress::new(asset.id(), self.address.as_str()));
        }
        for mac_address in self
            .mac_addresses
            .iter()
            .filter_map(|link| names.mac_addresses.get(link))
        {
            out.emit(&IpaddressMacaddress::new(
                self.address.as_str(),
                mac_address.as_str(),
            ));
        }
        for port in &self.ports {
            out.emit(&IpaddressPort::new(self.address.as_str(), port.id()));
        }
    }
}

impl Record for Host {
    const COLLECTION: &'static str = "hosts";
    const VERTEX: &'static str = Hostname::COLLECTION;
    const KEY: &'static str = "host_name";

    fn named_links(&self, links: &mut NamedLinks) {
        links.ip_addresses.extend(&self.ip_addresses);
    }

    fn emit(&self, names: &Names, out: &mut Records) {
        out.emit(&Hostname::new(
            self.host_name.as_str(),
            self.host_name.as_str(),
        ));
        for asset in &self.assets {
            out.emit(&AssetHostname::new(asset.id(), self.host_name.as_str()));
        }
        for address in self
            .ip_addresses
            .iter()
            .filter_map(|link| names.ip_addresses.get(link))
        {
            out.emit(&IpaddressHostname::new(
                address.as_str(),
                self.host_name.as_str(),
            ));
        }
    }
}

impl Record for Port {
    const COLLECTION: &'static str = "ports";
    const VERTEX: &'static str = vertices::Port::COLLECTION;
    const KEY: &'static str = "pk";

    fn emit(&self, _: &Names, out: &mut Records) {
        out.emit(&vertices::Port {
            status: self.status.clone(),
            description: self.description.clone(),
            ..vertices::Port::new(
                self.pk.to_string(),
                self.port_number,
                self.protocol.as_str(),
            )
        });
    }
}

impl Record for App {
    const COLLECTION: &'static str = "apps";
    const VERTEX: &'static str = Application::COLLECTION;
    const KEY: &'static str = "pk";

    fn named_links(&self, links: &mut NamedLinks) {
        links.vulnerabilities.extend(&self.vulnerabilities);
    }

    fn emit(&self, names: &Names, out: &mut Records) {
        let id = self.pk.to_string();
        let mut application = Application {
            description: self.description.clone(),
            cpe: self.cpe.clone(),
            owner: self.owner.clone(),
            is_os: self.is_os,
            ..Application::new(id.as_str(), self.name.as_str())
        };
        if let Some(version) = &self.version {
            application = application.with("version", version.as_str());
        }
        out.emit(&application);
        for asset in &self.assets {
            out.emit(&AssetApplication::new(asset.id(), id.as_str()));
        }
        for port in &self.ports {
            out.emit(&ApplicationPort::new(id.as_str(), port.id()));
        }
        let vulnerabilities = self.vulnerabilities.iter();
        for vulnerability in vulnerabilities.filter_map(|link| names.vulnerabilities.get(link)) {
            out.emit(&ApplicationVulnerability::new(
                id.as_str(),
                vulnerability.as_str(),
            ));
        }
    }
}

/// Emits the deletions of a delta.
pub(crate) fn deletions(changes: &Collections, out: &mut Records) {
    let mut emit = |vertex: &str, deleted: &[DeletedObject]| {
        for object in deleted {
            out.delete(Deletion::vertex(vertex, object.key.as_str()));
        }
    };
    emit(Site::VERTEX, &changes.sites.deletions);
    emit(Asset::VERTEX, &changes.assets.deletions);
    emit(Vulnerability::VERTEX, &changes.vulnerabilities.deletions);
    emit(MacAddress::VERTEX, &changes.mac_addresses.deletions);
    emit(IpAddress::VERTEX, &changes.ip_addresses.deletions);
    emit(Host::VERTEX, &changes.hosts.deletions);
    emit(Port::VERTEX, &changes.ports.deletions);
    emit(App::VERTEX, &changes.apps.deletions);
}

/// Emits the deletion of the edge that a link was.
pub(crate) fn removed_link(link: &RemovedLink, out: &mut Records) {
    let (owner, target) = (link.key.as_str(), link.target_key.as_str());
    let (edge, from, to) = match (link.collection.as_str(), link.field.as_str()) {
        (Asset::COLLECTION, "site") => (SITE_ASSET, target, owner),
        (Vulnerability::COLLECTION, "assets") => (AssetVulnerability::COLLECTION, target, owner),
        (MacAddress::COLLECTION, "assets") => (AssetMacaddress::COLLECTION, target, owner),
        (IpAddress::COLLECTION, "assets") => (AssetIpaddress::COLLECTION, target, owner),
        (IpAddress::COLLECTION, "mac_addresses") => {
            (IpaddressMacaddress::COLLECTION, owner, target)
        }
        (IpAddress::COLLECTION, "ports") => (IpaddressPort::COLLECTION, owner, target),
        (Host::COLLECTION, "assets") => (AssetHostname::COLLECTION, target, owner),
        (Host::COLLECTION, "ip_addresses") => (IpaddressHostname::COLLECTION, target, owner),
        (App::COLLECTION, "assets") => (AssetApplication::COLLECTION, target, owner),
        (App::COLLECTION, "ports") => (ApplicationPort::COLLECTION, owner, target),
        (App::COLLECTION, "vulnerabilities") => {
            (ApplicationVulnerability::COLLECTION, owner, target)
        }
        // Cross references are part of the vulnerability, which is among the updates.
        _ => return,
    };
    out.delete(Deletion::edge(edge, from, to));
}

fn site_asset(site: String, asset: String) -> GenericEdge {
    GenericEdge::new(
        SITE_ASSET,
        EndRef::ExternalId(site),
        EndRef::ExternalId(asset),
    )
}
