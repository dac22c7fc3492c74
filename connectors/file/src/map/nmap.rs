//! Nmap XML: hosts that are up are assets, with addresses, names, ports and what listens there.
//!
//! Read host by host. Entities of a document type are not expanded, elements may not be nested
//! deeply, and no single tag may be large: a report needs neither.

use std::io::{self, BufRead, Read};

use car_schema::edges::{
    ApplicationPort, AssetApplication, AssetHostname, AssetIpaddress, AssetMacaddress,
    IpaddressHostname, IpaddressMacaddress, IpaddressPort,
};
use car_schema::vertices::{Application, Asset, Hostname, Ipaddress, Macaddress, Port};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::error::{Broken, Limit};
use crate::rows::{Out, Rows};

/// Deepest nesting of elements.
const DEEPEST: usize = 64;

/// Largest tag, comment or text, in bytes.
const LARGEST: u64 = 16 << 20;

/// Counts lines, and stops at what is too large.
struct Lines<'a> {
    inner: &'a mut dyn BufRead,
    line: u64,
    column: u64,
    since: u64,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.fill_buf()?.read(buffer)?;
        self.consume(size);
        Ok(size)
    }
}

impl BufRead for Lines<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since > LARGEST {
            return Err(io::Error::other(Limit(
                "a tag, comment or text has more than 16 MiB".to_owned(),
            )));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, size: usize) {
        // What is consumed is in the buffer, so looking at it again costs nothing.
        if let Ok(buffer) = self.inner.fill_buf() {
            let part = buffer.get(..size).unwrap_or(buffer);
            for at in memchr::memchr_iter(b'\n', part) {
                self.line = self.line.saturating_add(1);
                self.column = 0;
                let rest = part.len().saturating_sub(at).saturating_sub(1);
                self.column = rest as u64;
            }
            if memchr::memchr(b'\n', part).is_none() {
                self.column = self.column.saturating_add(part.len() as u64);
            }
        }
        self.since = self.since.saturating_add(size as u64);
        self.inner.consume(size);
    }
}

/// A host, as far as it was read.
#[derive(Default)]
struct Host {
    up: bool,
    addresses: Vec<String>,
    hardware: Option<(String, Option<String>)>,
    names: Vec<String>,
    ports: Vec<Service>,
    system: Option<String>,
}

/// A port and what listens there.
#[derive(Default)]
struct Service {
    number: i64,
    protocol: String,
    state: String,
    name: Option<String>,
    product: Option<String>,
    version: Option<String>,
    cpe: Option<String>,
}

/// Reads a report.
pub(super) fn read(content: &mut dyn BufRead, out: &mut Out<'_>) -> Result<(), Broken> {
    let mut reader = Reader::from_reader(Lines {
        inner: content,
        line: 1,
        column: 0,
        since: 0,
    });
    let mut buffer = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut seen_root = false;
    let mut host: Option<Host> = None;
    loop {
        buffer.clear();
        reader.get_mut().since = 0;
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => return Err(broken(error, reader.get_ref())),
        };
        let at = reader.get_ref();
        let wrong = |error: quick_xml::Error| broken(error, at);
        match event {
            Event::Eof => break,
            Event::Start(tag) => {
                if open.len() >= DEEPEST {
                    return Err(Broken::at(
                        at.line,
                        at.column,
                        format!("elements are nested deeper than {DEEPEST} levels"),
                    ));
                }
                seen_root |= tag.name().0 == "nmaprun";
                if tag.name().0 == "host" {
                    host = Some(Host::default());
                } else if let Some(host) = &mut host {
                    element(host, &tag).map_err(wrong)?;
                }
                open.push(tag.name().0.to_owned());
            }
            Event::Empty(tag) => {
                if let Some(host) = &mut host {
                    element(host, &tag).map_err(wrong)?;
                }
            }
            Event::Text(text) => {
                let is_cpe = open.last().is_some_and(|name| name == "cpe")
                    && open.iter().any(|name| name == "service");
                let service = host.as_mut().and_then(|host| host.ports.last_mut());
                if let (true, Some(service)) = (is_cpe, service) {
                    service
                        .cpe
                        .get_or_insert_with(|| text.xml10_content().into_owned());
                }
            }
            Event::End(tag) => {
                open.pop();
                if tag.name().0 == "host"
                    && let Some(host) = host.take()
                {
                    out.record(|rows| emit(&host, rows))?;
                }
            }
            _ => {}
        }
    }
    let at = reader.get_ref();
    match open.last() {
        _ if !seen_root => Err(Broken::at(
            at.line,
            at.column,
            "there is no element `nmaprun`",
        )),
        Some(element) => Err(Broken::at(
            at.line,
            at.column,
            format!("the file ends inside of element `{element}`"),
        )),
        None => Ok(()),
    }
}

fn broken(error: quick_xml::Error, at: &Lines<'_>) -> Broken {
    match error {
        quick_xml::Error::Io(error) => match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Limit>())
        {
            Some(limit) => Broken::at(at.line, at.column, limit.0.clone()),
            None => io::Error::new(error.kind(), error.to_string()).into(),
        },
        error => Broken::at(at.line, at.column, error.to_string()),
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, quick_xml::Error> {
    for attribute in tag.attributes() {
        let attribute = attribute?;
        if attribute.key.0 == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
            return Ok(Some(value.into_owned()).filter(|value| !value.is_empty()));
        }
    }
    Ok(None)
}

/// Takes what an element inside of a host says.
fn element(host: &mut Host, tag: &BytesStart<'_>) -> Result<(), quick_xml::Error> {
    let get = |name| attribute(tag, name);
    match tag.name().0 {
        "status" => host.up = get("state")?.as_deref() == Some("up"),
        "address" => match (get("addr")?, get("addrtype")?.as_deref()) {
            (Some(address), Some("mac")) => {
                host.hardware = Some((address.to_lowercase(), get("vendor")?));
            }
            (Some(address), _) => host.addresses.push(address),
            (None, _) => {}
        },
        "hostname" => host
            .names
            .extend(get("name")?.map(|name| name.to_lowercase())),
        "port" => host.ports.push(Service {
            number: get("portid")?
                .and_then(|number| number.parse().ok())
                .unwrap_or(-1),
            protocol: get("protocol")?.unwrap_or_default(),
            ..Service::default()
        }),
        "state" => {
            if let Some(port) = host.ports.last_mut() {
                port.state = get("state")?.unwrap_or_default();
            }
        }
        "service" => {
            if let Some(port) = host.ports.last_mut() {
                port.name = get("name")?;
                port.product = get("product")?;
                port.version = get("version")?;
            }
        }
        // The likeliest comes first.
        "osmatch" if host.system.is_none() => host.system = get("name")?,
        _ => {}
    }
    Ok(())
}

fn emit(host: &Host, rows: &mut Rows) {
    // A hardware address alone is a host, too: one that was found on the link.
    let id = match (host.addresses.first(), &host.hardware) {
        _ if !host.up => return,
        (Some(address), _) => address,
        (None, Some((hardware, _))) => hardware,
        (None, None) => return rows.reject("asset", None, "a host has no address", ""),
    };
    let name = host.names.first().unwrap_or(id);
    rows.emit(&Asset {
        description: host.system.clone(),
        ..Asset::new(id.as_str(), name.as_str())
    });
    for address in &host.addresses {
        rows.emit(&Ipaddress::new(address.as_str()));
        rows.emit(&AssetIpaddress::new(id.as_str(), address.as_str()));
    }
    if let Some((hardware, vendor)) = &host.hardware {
        let mac = Macaddress::new(hardware.as_str());
        rows.emit(&match vendor {
            Some(vendor) => mac.with("vendor", vendor.as_str()),
            None => mac,
        });
        rows.emit(&AssetMacaddress::new(id.as_str(), hardware.as_str()));
        for address in &host.addresses {
            rows.emit(&IpaddressMacaddress::new(
                address.as_str(),
                hardware.as_str(),
            ));
        }
    }
    for name in &host.names {
        rows.emit(&Hostname::new(name.as_str(), name.as_str()));
        rows.emit(&AssetHostname::new(id.as_str(), name.as_str()));
        for address in &host.addresses {
            rows.emit(&IpaddressHostname::new(address.as_str(), name.as_str()));
        }
    }
    for port in host
        .ports
        .iter()
        .filter(|port| port.state.starts_with("open"))
    {
        emit_port(id, host, port, rows);
    }
}

fn emit_port(asset: &str, host: &Host, service: &Service, rows: &mut Rows) {
    if service.number < 0 {
        return rows.reject("port", None, format!("a port of {asset} has no number"), "");
    }
    let id = format!("{asset}/{}/{}", service.protocol, service.number);
    rows.emit(&Port {
        status: Some(service.state.clone()),
        name: service.name.clone(),
        ..Port::new(id.as_str(), service.number, service.protocol.as_str())
    });
    for address in &host.addresses {
        rows.emit(&IpaddressPort::new(address.as_str(), id.as_str()));
    }
    let Some(product) = &service.product else {
        return;
    };
    let application = match &service.version {
        Some(version) => Application::new(format!("{product} {version}"), product.as_str())
            .with("version", version.as_str()),
        None => Application::new(product.as_str(), product.as_str()),
    };
    let application = Application {
        cpe: service.cpe.clone(),
        ..application
    };
    rows.emit(&application);
    rows.emit(&AssetApplication::new(
        asset,
        application.external_id.as_str(),
    ));
    rows.emit(&ApplicationPort::new(
        application.external_id.as_str(),
        id.as_str(),
    ));
}
