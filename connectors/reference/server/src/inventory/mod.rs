//! Loading the machine that the program runs on, and keeping what was loaded in step with it.
//!
//! The table `inventory` remembers which objects came from which machine (by host name), so that a
//! second run updates them in place and deletes those that are gone, and never touches objects
//! that somebody else made.

mod loader;
mod machine;
mod packages;
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;

use self::loader::{Identity, Loader, forget, text};
use self::machine::Machine;
use self::packages::Package;
use crate::error::{ApiError, Error};
use crate::model::MAX_TEXT;
use crate::store::Store;

/// What [`inventory`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventoried {
    /// Name of this machine.
    pub host_name: String,
    /// Number of objects that come from this machine, per collection.
    pub objects: Vec<(&'static str, u64)>,
    /// Number of objects that were deleted because they are gone.
    pub deleted: u64,
    /// What could not be read on this system.
    pub notes: Vec<String>,
}

/// Loads this machine into the database at `data`: host name, operating system, interfaces with
/// their MAC and IP addresses, listening TCP and UDP ports, installed packages (with the ports that
/// they listen on, where that can be seen). One transaction.
///
/// # Errors
/// [`Error::Setting`] when the file cannot be used, [`Error::Machine`] when the machine cannot be
/// read, [`Error::Load`] when writing fails; nothing is changed then.
pub async fn inventory(data: &Path) -> Result<Inventoried, Error> {
    let machine = tokio::task::spawn_blocking(machine::read)
        .await
        .map_err(|e| Error::Machine {
            what: "this machine".to_owned(),
            source: e.into(),
        })??;
    let store = Store::open(data, u64::MAX).await?;
    let outcome = load(&store, &machine).await;
    store.close().await;
    outcome.map_err(|refused| Error::Load {
        what: "this machine's inventory",
        message: refused.message,
    })
}

async fn load(store: &Store, machine: &Machine) -> Result<Inventoried, ApiError> {
    let mut tx = store.begin_write().await?;
    let mut loader = Loader {
        machine: &machine.host_name,
        seen: Vec::new(),
    };
    let asset = put_machine(&mut tx, &mut loader, machine).await?;
    let mut deleted = 0;
    for (collection, seen) in &loader.seen {
        deleted += forget(&mut tx, loader.machine, collection, seen, asset).await?;
    }
    tx.commit().await?;
    Ok(Inventoried {
        host_name: machine.host_name.clone(),
        objects: loader
            .seen
            .iter()
            .map(|(c, seen)| (c.name, seen.len() as u64))
            .collect(),
        deleted,
        notes: machine.notes.clone(),
    })
}

fn port_identity(port: &Value) -> String {
    let number = port.get("port_number").and_then(Value::as_i64).unwrap_or(0);
    socket_identity(text(port, "protocol"), number)
}

fn socket_identity(protocol: &str, number: i64) -> String {
    format!("{protocol}/{number}")
}

async fn put_machine(
    connection: &mut SqliteConnection,
    loader: &mut Loader<'_>,
    machine: &Machine,
) -> Result<i64, ApiError> {
    // There is one asset per machine, whatever it is called.
    let asset = vec![json!({
        "name": cut(&machine.host_name), "asset_type": "host",
        "description": machine.system.description.as_deref().map(cut),
    })];
    let asset = loader
        .put(connection, "assets", |_| String::new(), asset)
        .await?;
    let asset: Vec<i64> = asset.into_values().collect();

    let macs = machine.macs.iter().map(|(mac, names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        json!({"address": mac, "interface": cut(&names.join(",")), "assets": asset})
    });
    let address: Identity = |object| text(object, "address").to_owned();
    let macs = macs.collect();
    let macs = loader
        .put(connection, "mac_addresses", address, macs)
        .await?;

    let ports = machine.listeners.iter().map(|((protocol, port), at)| {
        let at: Vec<String> = at.iter().map(IpAddr::to_string).collect();
        json!({
            "port_number": port, "protocol": protocol.name(), "status": "open",
            "description": cut(&format!("listens on {}", at.join(", "))),
        })
    });
    let ports = ports.collect();
    let ports = loader
        .put(connection, "ports", port_identity, ports)
        .await?;

    let ips = machine.ips.iter().map(|(ip, of_ip)| {
        let open = machine.listeners.iter().filter(|(_, at)| reached(at, *ip));
        let open = open.map(|((p, port), _)| socket_identity(p.name(), i64::from(*port)));
        json!({
            "address": ip.to_string(), "assets": asset,
            "mac_addresses": pks(&macs, of_ip.iter().cloned()), "ports": pks(&ports, open),
        })
    });
    let ips = ips.collect();
    let ips = loader.put(connection, "ip_addresses", address, ips).await?;
    let ips: Vec<i64> = ips.into_values().collect();

    let host = json!({
        "host_name": cut(&machine.host_name), "assets": asset, "ip_addresses": ips,
    });
    let host_name: Identity = |object| text(object, "host_name").to_owned();
    loader
        .put(connection, "hosts", host_name, vec![host])
        .await?;

    let system = app(&machine.system, true, &asset, &[]);
    let packages = machine.packages.iter().map(|(name, package)| {
        let listening = machine.listening.get(name).into_iter().flatten();
        let listening = listening.map(|(p, port)| socket_identity(p.name(), i64::from(*port)));
        app(package, false, &asset, &pks(&ports, listening))
    });
    let apps = std::iter::once(system).chain(packages).collect();
    let name: Identity = |app| {
        let system = app.get("is_os").and_then(Value::as_bool).unwrap_or(false);
        format!("{system} {}", text(app, "name"))
    };
    loader.put(connection, "apps", name, apps).await?;
    Ok(asset.first().copied().unwrap_or(0))
}

fn app(package: &Package, is_os: bool, asset: &[i64], ports: &[i64]) -> Value {
    json!({
        "name": cut(&package.name), "is_os": is_os, "assets": asset, "ports": ports,
        "version": package.version.as_deref().map(cut),
        "description": package.description.as_deref().map(cut),
        "cpe": package.cpe.as_deref().map(cut),
    })
}

/// Whether a socket that is bound to the addresses `at` answers on `ip`.
fn reached(at: &BTreeSet<IpAddr>, ip: IpAddr) -> bool {
    at.iter().any(|bound| match bound {
        IpAddr::V4(v4) => *bound == ip || (v4.is_unspecified() && ip.is_ipv4()),
        // By default a socket on `::` answers on IPv4 as well.
        IpAddr::V6(v6) => *bound == ip || v6.is_unspecified(),
    })
}

fn pks(known: &BTreeMap<String, i64>, names: impl Iterator<Item = String>) -> Vec<i64> {
    names.filter_map(|name| known.get(&name).copied()).collect()
}

/// Makes text from outside fit a field.
fn cut(text: &str) -> String {
    let clean: String = text.chars().filter(|c| *c != '\0').collect();
    clean
        .get(..clean.floor_char_boundary(MAX_TEXT))
        .unwrap_or_default()
        .to_owned()
}
