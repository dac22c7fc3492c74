//! Where fuzz targets reach what reads the server's answers.

use car_core::record::Records;

use crate::map;
use crate::source::{
    App, Asset, DeltaBody, Host, IpAddress, Link, MacAddress, Names, Objects, Port, Record, Site,
    Vulnerability, XrefProperty,
};

/// Reads a page of a collection, named by its position, and maps it.
pub fn page(collection: u8, body: &[u8], out: &mut Records) {
    match collection % 8 {
        0 => objects::<Site>(body, out),
        1 => objects::<Asset>(body, out),
        2 => objects::<Vulnerability>(body, out),
        3 => objects::<MacAddress>(body, out),
        4 => objects::<IpAddress>(body, out),
        5 => objects::<Host>(body, out),
        6 => objects::<Port>(body, out),
        _ => objects::<App>(body, out),
    }
}

/// Reads a page of a delta and maps it.
pub fn delta(body: &[u8], out: &mut Records) {
    let Ok(changes) = serde_json::from_slice::<DeltaBody>(body) else {
        return;
    };
    let all = changes.collections;
    emit(&all.sites.updates, out);
    emit(&all.assets.updates, out);
    emit(&all.vulnerabilities.updates, out);
    emit(&all.mac_addresses.updates, out);
    emit(&all.ip_addresses.updates, out);
    emit(&all.hosts.updates, out);
    emit(&all.ports.updates, out);
    emit(&all.apps.updates, out);
    map::deletions(&all, out);
    for link in &changes.removed_links {
        map::removed_link(link, out);
    }
}

fn objects<T: Record>(body: &[u8], out: &mut Records) {
    if let Ok(objects) = Objects::<T>::parse(body) {
        emit(&objects, out);
    }
}

/// Maps objects as if every second target of a link were known.
fn emit<T: Record>(objects: &Objects<T>, out: &mut Records) {
    let links = objects.named_links();
    let known = |links: std::collections::BTreeSet<Link>| links.into_iter().step_by(2);
    let text = |link: Link| (link, format!("target {}", link.0));
    let names = Names {
        mac_addresses: known(links.mac_addresses).map(text).collect(),
        ip_addresses: known(links.ip_addresses).map(text).collect(),
        vulnerabilities: known(links.vulnerabilities).map(text).collect(),
        xrefproperties: known(links.xrefproperties)
            .map(|link| {
                let property = XrefProperty {
                    pk: link.0,
                    name: "CWE".to_owned(),
                    value: link.0.is_multiple_of(3).then(|| link.0.to_string()),
                };
                (link, property)
            })
            .collect(),
    };
    for object in &objects.good {
        object.emit(&names, out);
    }
    for bad in &objects.bad {
        out.reject(
            T::VERTEX,
            bad.key.as_deref(),
            bad.reason.as_str(),
            bad.json.as_bytes(),
        );
    }
}
