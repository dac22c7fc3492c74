//! Images of programs, and containers that run as a cluster would run them: command, variables,
//! volumes and confinement are read from what a chart renders.

mod cluster;
mod pod;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_yaml::Value;

pub use cluster::{Cluster, Container};
pub use pod::Pod;

use crate::place::Place;
use crate::process::{output, run};

/// How long a call that changes images may take.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// The roots of trust, where the systems that build this have them.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A folder that holds images and containers, apart from those of the machine.
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Takes a folder for images.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Options of buildah and podman that lead to the folder.
    #[must_use]
    pub fn options(&self) -> Vec<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        ["--root", &path("images"), "--runroot", &path("run")]
            .into_iter()
            .chain(["--storage-driver", "vfs"])
            .map(str::to_owned)
            .collect()
    }

    /// Builds the image of a static program with the script that people use; returns its digest.
    /// With a revision, the same program is the same image whatever commit it is of.
    ///
    /// # Errors
    ///
    /// When the script fails.
    pub fn build(
        &self,
        place: &Place,
        program: &str,
        tag: &str,
        programs: &Path,
        revision: Option<&str>,
    ) -> Result<String> {
        let mut build = place.command(place.root.join("deployment/build.sh"));
        build
            .args(["local", program, "-b", "buildah", "-t", tag, "-p"])
            .arg(programs)
            .env("STORAGE_OPTIONS", self.options().join(" "));
        if let Some(revision) = revision {
            build
                .env("SOURCE_DATE_EPOCH", "1700000000")
                .env("REVISION", revision);
        }
        output(&mut build, LIMIT)?;
        let mut digest = place.command("buildah");
        digest
            .args(self.options())
            .args(["inspect", "--type", "image"]);
        digest.args(["--format", "{{.FromImageDigest}}", &image(program, tag)]);
        Ok(output(&mut digest, LIMIT)?.trim().to_owned())
    }

    /// Writes an image as an OCI layout, and returns its compressed size in bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn layout(&self, place: &Place, program: &str, tag: &str, folder: &Path) -> Result<u64> {
        let mut push = place.command("buildah");
        push.args(self.options())
            .args(["push", "--quiet", &image(program, tag)]);
        run(
            push.arg(format!("oci:{}:{program}", folder.display())),
            LIMIT,
        )?;
        let blobs = folder.join("blobs/sha256");
        let mut size = 0;
        for blob in fs::read_dir(&blobs).with_context(|| format!("no {}", blobs.display()))? {
            size += blob?.metadata()?.len();
        }
        Ok(size)
    }

    /// Tells why this machine lets nobody run containers, if it does not: a program that does
    /// nothing is tried, with nothing asked for.
    ///
    /// # Errors
    ///
    /// When podman cannot be called.
    pub fn refusal(&self, place: &Place, program: &str, tag: &str) -> Result<Option<String>> {
        /// What podman ends with when it fails itself, and not the program.
        const OWN_FAILURE: i32 = 125;
        let mut podman = self.podman(place);
        podman.args(["run", "--rm", "--pull", "never", "--network", "none"]);
        let tried = podman.args([&image(program, tag), "--version"]).output();
        let tried = tried.context("cannot run podman")?;
        Ok(match tried.status.code() {
            Some(OWN_FAILURE) => Some(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
            _ => None,
        })
    }

    fn podman(&self, place: &Place) -> Command {
        let mut podman = place.command("podman");
        podman.args(self.options());
        podman.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        podman
    }
}

/// The image that [`Store::build`] makes of a program.
fn image(program: &str, tag: &str) -> String {
    format!("localhost/{program}:{tag}")
}

/// Most bytes of a compressed image.
pub const LARGEST: u64 = 25_000_000;

/// Puts programs, without what only debuggers need, and the roots of trust into a folder; beside
/// them, in `libs`, what programs that are not static need of this machine. Tells whether all are
/// static, as those are that are shipped.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn collect(place: &Place, programs: &[&str], built: &Path, folder: &Path) -> Result<bool> {
    let mut all_static = true;
    for program in programs {
        for library in libraries(place, &built.join(program))? {
            let to = folder.join("libs").join(library.trim_start_matches('/'));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::copy(&library, &to).with_context(|| format!("cannot copy {library}"))?;
            all_static = false;
        }
        let mut strip = place.command("strip");
        strip.arg("-o").arg(folder.join(program));
        run(strip.arg(built.join(program)), LIMIT)?;
    }
    let to = folder.join("ca-certificates.crt");
    fs::copy(ROOTS, &to).with_context(|| format!("cannot copy {ROOTS}"))?;
    Ok(all_static)
}

/// The libraries of this machine that a program needs, and what loads them; none when it is static.
fn libraries(place: &Place, program: &Path) -> Result<Vec<String>> {
    let mut ask = place.command("ldd");
    // It ends with 1 for a static program, and says so.
    let told = ask.arg(program).output().context("cannot run ldd")?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let paths = told.lines().filter_map(|line| {
        let path = line.split("=>").last()?.split_whitespace().next()?;
        path.starts_with('/').then(|| path.to_owned())
    });
    // The program itself is told when there is something wrong with it.
    Ok(paths.filter(|path| path.contains(".so")).collect())
}

/// Reads what Helm rendered.
///
/// # Errors
///
/// When it is no YAML.
pub fn parse(rendered: &str) -> Result<Vec<Value>> {
    crate::charts::objects(rendered)
        .map(|object| serde_yaml::from_str(object).context("Helm rendered what is no YAML"))
        .collect()
}

/// Finds a rendered object by kind and name.
#[must_use]
pub fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| {
        text(object, "kind") == Some(kind) && text(object, "metadata.name") == Some(name)
    })
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// Reads the text at a path of keys with points between them.
#[must_use]
pub fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at(value, path).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    at(value, path)
        .and_then(Value::as_sequence)
        .into_iter()
        .flatten()
}
