//! The service on PostgreSQL: the migration, two replicas, one of which is replaced while an
//! import goes through it, an answer of the other, and a rollback that cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, bail, ensure};

use super::first_try::SENDS;
use super::{ASSETS, GRACE, LIMIT, LISTENING, Scene, assets_of, expect, named, source};
use crate::images::{Pod, parse};
use crate::postgres::Postgres;
use crate::say::talk;

/// The service, and its parts' names.
const SERVICE: &str = "car-service";
/// Values that put the service of the first try on PostgreSQL.
const VALUES: [&str; 2] = [
    "car-service.database.type=postgresql",
    "car-service.database.postgresql.secretName=car-database",
];

/// Runs it.
pub(super) fn rolls(scene: &Scene<'_>) -> Result<()> {
    let volumes = scene.folder.join("on-postgresql");
    // Each pod has this folder as its /tmp. Replicas listen on the same port, so each has a
    // network of its own, and what they share is a socket in a folder.
    let socket = volumes.join("volume-scratch");
    fs::create_dir_all(&socket)?;
    fs::set_permissions(&volumes, fs::Permissions::from_mode(0o711))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777))?;
    let Some(database) = Postgres::start_with(scene.place, false, Some(&socket))? else {
        if scene.place.ci {
            bail!("PostgreSQL is missing: `cargo xtask setup` installs it");
        }
        talk("on PostgreSQL: skipped, for it is missing; `cargo xtask setup` installs it");
        return Ok(());
    };
    let assets = format!("inventory.assets={ASSETS}");
    let mut objects = scene.render("first-try.yaml", &[VALUES[0], VALUES[1], &assets])?;
    objects.extend(parse(&format!(
        "kind: Secret\nmetadata: {{name: car-database}}\nstringData: {{uri: '{}'}}\n",
        database.url_in("/tmp")
    ))?);
    let mut first = scene.cluster(&objects, &volumes, &[])?;
    let second = scene.cluster(&objects, &volumes, &[])?;

    let migrate = Pod::find(&objects, "Job", "car-car-service-migrate", "migrate")?;
    expect(&second, &migrate, SERVICE, &named("migrate"), 0)?;
    let check = Pod::find(&objects, "Pod", "car-car-service-test", "migrate-check")?;
    expect(&second, &check, SERVICE, &named("migrated"), 0)?;

    // The network of the source outlives the replica that is replaced in it.
    let holder = named("holder");
    let _source = source(&first, &objects, &holder)?;
    first.network = Some(holder);

    let replica = Pod::find(&objects, "Deployment", "car-car-service", "car-service")?;
    let (old, other) = (named("old"), named("other"));
    let mut old = first.start_until(&replica, SERVICE, &old, LISTENING, LIMIT)?;
    let other = second.start_until(&replica, SERVICE, &other, LISTENING, LIMIT)?;

    let import = Pod::find(&objects, "CronJob", "car-inventory", "connector")?;
    let name = named("import");
    let mut running = first.start_until(&import, "reference-connector", &name, SENDS, LIMIT)?;
    old.terminate()?;
    let status = old.ended(GRACE)?;
    ensure!(status.success(), "a replica ended with {status}");
    ensure!(
        running.runs()?,
        "the import ended before its replica: {}",
        first.said(&name)
    );
    let new = first.start_until(&replica, SERVICE, &named("new"), LISTENING, LIMIT)?;
    let status = running.ended(LIMIT)?;
    ensure!(
        status.success(),
        "the import ended with {status} when its replica was replaced: {}",
        first.said(&name)
    );
    let count = assets_of(&other, &objects)?;
    ensure!(
        count == ASSETS,
        "the other replica has {count} assets, not {ASSETS}"
    );
    for mut replica in [new, other] {
        replica.terminate()?;
        let status = replica.ended(GRACE)?;
        ensure!(status.success(), "a replica ended with {status}");
    }
    let rollback = Pod::find(&objects, "Job", "car-car-service-rollback", "rollback")?;
    expect(&second, &rollback, SERVICE, &named("rollback"), 0)?;
    database.execute("UPDATE meta SET value = '99' WHERE name = 'version'")?;
    let name = named("too-new");
    let code = second.run(&rollback, SERVICE, &name, LIMIT)?;
    let said = second.said(&name);
    ensure!(
        code != 0 && said.contains("has version 99"),
        "a rollback to a version that cannot read the tables ends with {code}: {said}"
    );
    talk(
        "on PostgreSQL: migrated, two replicas, one replaced during an import, the other asked, a rollback refused",
    );
    Ok(())
}
