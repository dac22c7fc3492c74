//! Tasks on a Temporal server: a process that serves and schedules, and a worker, both as the chart
//! renders them; an import is done, and SIGTERM ends both.

use anyhow::{Result, bail, ensure};

use super::beside::Beside;
use super::{ASSETS, GRACE, LIMIT, LISTENING, Scene, assets_of, named, source};
use crate::images::Pod;
use crate::say::talk;
use crate::temporal::arguments;
use crate::tools::Tool;

/// The connector.
const CONNECTOR: &str = "reference-connector";
/// The server as the example names it, and its ports.
const SERVER: &str = "temporal-frontend.temporal";
const PORTS: [u16; 3] = [7233, 7234, 7235];
/// Every minute, so that a run comes soon.
const SCHEDULE: &str = "car-connector.connections[0].schedule=* * * * *";

/// What a worker and what a process that serves say once they are ready.
const WORKING: &str = "\"message\":\"working\"";
const SERVING: &str = "\"message\":\"listening\"";

/// Runs it.
pub(super) fn work(scene: &Scene<'_>) -> Result<()> {
    let Some(program) = Tool::named("temporal").and_then(|tool| tool.program(scene.place)) else {
        if scene.place.ci {
            bail!("temporal is missing: `cargo xtask setup` installs it");
        }
        talk("on Temporal: skipped, for it is missing; `cargo xtask setup` installs it");
        return Ok(());
    };
    let assets = format!("inventory.assets={ASSETS}");
    let objects = scene.render("on-temporal.yaml", &[SCHEDULE, &assets])?;
    let volumes = scene.folder.join("on-temporal");
    let mut cluster = scene.cluster(&objects, &volumes, &[SERVER])?;
    let service = Pod::find(&objects, "StatefulSet", "car-car-service", "car-service")?;
    let network = named("temporal-service");
    let service = cluster.start_until(&service, "car-service", &network, LISTENING, LIMIT)?;
    cluster.network = Some(network);
    let _source = source(&cluster, &objects, &named("temporal-source"))?;
    let [_, http, _] = PORTS;
    let address = format!("http://127.0.0.1:{http}/");
    let _server = Beside::start(&service, &program, &arguments(PORTS), &address)?;

    let worker = Pod::find(&objects, "Deployment", "car-inventory-workers", "connector")?;
    let name = named("worker");
    let worker = cluster.start_until(&worker, CONNECTOR, &name, WORKING, LIMIT)?;
    let serve = Pod::find(&objects, "Deployment", "car-inventory", "connector")?;
    let mut serve = cluster.start_until(&serve, CONNECTOR, &named("serve"), SERVING, LIMIT)?;
    let imported = || assets_of(&service, &objects).is_ok_and(|count| count == ASSETS);
    serve.wait_until(LIMIT, imported)?;
    for mut container in [serve, worker] {
        container.terminate()?;
        let status = container.ended(GRACE)?;
        ensure!(status.success(), "a container ended with {status}");
    }
    talk("on Temporal: served, worked, imported, and SIGTERM ended both");
    Ok(())
}
