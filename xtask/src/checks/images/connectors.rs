//! The other connectors: each tells its version confined as it runs, and does what the example
//! with one connection of each renders, against what stands in for its source.

use anyhow::{Result, bail, ensure};
use serde_yaml::Value;

use super::beside::Beside;
use super::{GRACE, LIMIT, LISTENING, Scene, expect, named};
use crate::images::{Cluster, Container, Pod, parse};
use crate::process::output;
use crate::say::talk;
use crate::tools::test_python;

/// The example.
const EXAMPLE: &str = "every-connector.yaml";
/// Where the platform and the vendor of the fulfilment connector are.
const PLATFORM: &str = "platform.example.com";
/// What the example takes for granted.
const SECRETS: &str = "
kind: Secret
metadata: {name: fulfilment}
stringData: {platform-key: ApiKey SU-1, vendor-token: token}
---
kind: Secret
metadata: {name: cloud}
stringData: {id: testing, secret: testing}
";
/// Where they listen, and values that lead there.
const VALUES: [&str; 5] = [
    "car-connector.connections[0].settings.endpoint-url=http://127.0.0.1:5000",
    "car-connector.connections[2].settings.platform=http://platform.example.com:8020/public/v1",
    "car-connector.connections[2].settings.vendor=http://platform.example.com:8020/vendor/v1",
    "car-connector.connections[3].settings.platform=http://platform.example.com:8020/public/v1",
    "car-connector.connections[3].settings.vendor=http://platform.example.com:8020/vendor/v1",
];
/// A purchase, as a platform would have it.
const PURCHASE: &str = r#"{"type": "purchase", "asset": {"id": "AS-1", "product": {"id": "PRD-1"},
    "params": [{"id": "email", "value": "ada@example.org"}]}}"#;

/// Runs the connectors that are among `names`.
pub(super) fn import(scene: &Scene<'_>, names: &[&str]) -> Result<()> {
    let mut objects = scene.render(EXAMPLE, &VALUES)?;
    objects.extend(parse(SECRETS)?);
    let volumes = scene.folder.join("connectors");
    let mut cluster = scene.cluster(&objects, &volumes, &[PLATFORM])?;
    let service = Pod::find(&objects, "StatefulSet", "car-car-service", "car-service")?;
    let network = named("every-service");
    let service = cluster.start_until(&service, "car-service", &network, LISTENING, LIMIT)?;
    cluster.network = Some(network);

    let any = Pod::find(&objects, "CronJob", "car-scans", "connector")?;
    for name in names {
        let run = named(&format!("{name}-version"));
        expect(
            &cluster,
            &any.with_arguments(&["--version"])?,
            name,
            &run,
            0,
        )?;
    }
    if names.contains(&"file-connector") {
        once(&cluster, &objects, "car-scans", "file-connector")?;
    }
    if names.contains(&"fulfillment-connector") && names.contains(&"fulfillment-server") {
        fulfil(&cluster, &objects)?;
    }
    if names.contains(&"aws-connector") {
        cloud(scene, &cluster, &objects, &service)?;
    }
    Ok(())
}

/// Runs the job of a connection.
fn once(cluster: &Cluster<'_>, objects: &[Value], job: &str, program: &str) -> Result<()> {
    let import = Pod::find(objects, "CronJob", job, "connector")?;
    let name = named(job);
    expect(cluster, &import, program, &name, 0)?;
    talk(format!("{program}: imported as {job}"));
    Ok(())
}

/// Has a request fulfilled, and stops the pod that does.
fn fulfil(cluster: &Cluster<'_>, objects: &[Value]) -> Result<()> {
    let any = Pod::find(objects, "CronJob", "car-provisioned", "connector")?;
    let server = any
        .with_arguments(&["--listen=0.0.0.0:8020"])?
        .with_variables(&[
            ("FULFILLMENT_SERVER_KEY", "ApiKey SU-1"),
            ("FULFILLMENT_SERVER_TOKEN", "token"),
        ])?;
    let program = "fulfillment-server";
    let server = cluster.start_until(&server, program, &named("platform"), "http", LIMIT)?;
    call(&server, &["--data", PURCHASE], "requests")?;

    let run = Pod::find(objects, "Deployment", "car-fulfilment", "connector")?;
    let program = "fulfillment-connector";
    let mut run = cluster.start(&run, program, &named("fulfilment"))?;
    let approved =
        || call(&server, &[], "requests").is_ok_and(|text| text.contains("\"approved\""));
    run.wait_until(LIMIT, approved)?;
    run.terminate()?;
    let status = run.ended(GRACE)?;
    ensure!(status.success(), "the fulfilment ended with {status}");
    talk("fulfillment-connector: a purchase was fulfilled, and SIGTERM ended it");
    once(cluster, objects, "car-provisioned", program)
}

/// Imports from a stand-in for AWS, where there is one.
fn cloud(
    scene: &Scene<'_>,
    cluster: &Cluster<'_>,
    objects: &[Value],
    service: &Container<'_>,
) -> Result<()> {
    let program = test_python(scene.place).with_file_name("moto_server");
    if !program.exists() {
        if scene.place.ci {
            bail!("moto[server] is missing: `cargo xtask setup` installs it");
        }
        talk("aws-connector: imported nothing, for moto[server] is missing");
        return Ok(());
    }
    let arguments = ["-H", "127.0.0.1", "-p", "5000"].map(str::to_owned);
    let _cloud = Beside::start(
        service,
        &program,
        &arguments,
        "http://127.0.0.1:5000/moto-api/",
    )?;
    once(cluster, objects, "car-cloud", "aws-connector")
}

/// Calls the platform.
fn call(server: &Container<'_>, arguments: &[&str], path: &str) -> Result<String> {
    let mut curl = server.beside("curl")?;
    curl.args(["--silent", "--show-error", "--fail"]);
    curl.args(["--header", "Authorization: ApiKey SU-1"]);
    curl.args(["--header", "Content-Type: application/json"]);
    curl.args(arguments);
    curl.arg(format!("http://127.0.0.1:8020/public/v1/{path}"));
    output(&mut curl, LIMIT)
}
