//! Images of programs, and containers that run as a cluster would run them: command, variables,
//! volumes and confinement are read from what a chart renders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_yaml::Value;

use crate::place::Place;
use crate::process::{output, run};

/// How long a call that changes images may take.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// How often a container is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The roots of trust, where the systems that build this have them.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A folder that holds images and containers, apart from those of the machine.
pub struct Store {
    folder: PathBuf,
}

/// A container of a rendered object, and what it needs from beside it.
#[derive(Debug)]
pub struct Pod {
    container: Value,
    volumes: BTreeMap<String, Value>,
}

/// A running container, ended when this is dropped.
pub struct Container<'a> {
    store: &'a Store,
    place: &'a Place,
    name: String,
    child: Child,
}

/// What the containers of a test share.
pub struct Cluster<'a> {
    /// Where things are.
    pub place: &'a Place,
    /// The images.
    pub store: &'a Store,
    /// All rendered objects.
    pub objects: &'a [Value],
    /// A folder for volumes.
    pub folder: &'a Path,
    /// The container whose network the others join.
    pub network: Option<String>,
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
    ///
    /// # Errors
    ///
    /// When the script fails.
    pub fn build(&self, place: &Place, program: &str, programs: &Path) -> Result<String> {
        let mut build = place.command(place.root.join("deployment/build.sh"));
        build
            .args(["local", program, "-b", "buildah", "-t", "test", "-p"])
            .arg(programs)
            .env("STORAGE_OPTIONS", self.options().join(" "))
            // The same program is the same image, whatever commit it is of.
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .env("REVISION", "test");
        output(&mut build, LIMIT)?;
        let mut digest = place.command("buildah");
        digest
            .args(self.options())
            .args(["inspect", "--type", "image"]);
        digest.args(["--format", "{{.FromImageDigest}}", &image(program)]);
        Ok(output(&mut digest, LIMIT)?.trim().to_owned())
    }

    /// Writes an image as an OCI layout, and returns its compressed size in bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn layout(&self, place: &Place, program: &str, folder: &Path) -> Result<u64> {
        let mut push = place.command("buildah");
        push.args(self.options())
            .args(["push", "--quiet", &image(program)]);
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

    fn podman(&self, place: &Place) -> Command {
        let mut podman = place.command("podman");
        podman.args(self.options());
        podman.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
        podman
    }
}

/// The image that [`Store::build`] makes of a program.
fn image(program: &str) -> String {
    format!("localhost/{program}:test")
}

/// Puts static programs, without what only debuggers need, and the roots of trust into a folder.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn collect(place: &Place, programs: &[&str], built: &Path, folder: &Path) -> Result<()> {
    for program in programs {
        let mut strip = place.command("strip");
        strip.arg("-o").arg(folder.join(program));
        run(strip.arg(built.join(program)), LIMIT)?;
    }
    let to = folder.join("ca-certificates.crt");
    fs::copy(ROOTS, &to).with_context(|| format!("cannot copy {ROOTS}"))?;
    Ok(())
}

impl Pod {
    /// Finds the pod of an object by kind and name, and in it a container.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not confined as every pod must be.
    pub fn find(objects: &[Value], kind: &str, name: &str, container: &str) -> Result<Self> {
        let what = || format!("no container {container} of {kind} {name} is rendered");
        let object = object(objects, kind, name).with_context(what)?;
        let spec = match kind {
            "CronJob" => at(object, "spec.jobTemplate.spec.template.spec"),
            "Pod" => at(object, "spec"),
            _ => at(object, "spec.template.spec"),
        };
        let spec = spec.with_context(what)?;
        let containers = ["initContainers", "containers"].iter();
        let container = containers
            .filter_map(|list| at(spec, list)?.as_sequence())
            .flatten()
            .find(|one| text(one, "name") == Some(container))
            .with_context(what)?;
        let mut volumes = BTreeMap::new();
        for volume in at(spec, "volumes")
            .and_then(Value::as_sequence)
            .into_iter()
            .flatten()
        {
            if let Some(name) = text(volume, "name") {
                volumes.insert(name.to_owned(), volume.clone());
            }
        }
        // What a StatefulSet claims for itself is a volume of that name.
        for claim in list(object, "spec.volumeClaimTemplates") {
            if let Some(name) = text(claim, "metadata.name") {
                volumes.insert(
                    name.to_owned(),
                    serde_yaml::from_str(&format!("name: {name}"))?,
                );
            }
        }
        Ok(Self {
            container: container.clone(),
            volumes,
        })
    }

    /// What confines the container, as podman's options.
    fn confinement(&self) -> Result<Vec<String>> {
        let context = at(&self.container, "securityContext").context("no securityContext")?;
        let yes = |name: &str| at(context, name).and_then(Value::as_bool);
        ensure!(
            yes("readOnlyRootFilesystem") == Some(true),
            "the root is writable"
        );
        ensure!(
            yes("allowPrivilegeEscalation") == Some(false),
            "privileges may grow"
        );
        let dropped = at(context, "capabilities.drop").and_then(Value::as_sequence);
        let all = dropped.is_some_and(|list| list.iter().any(|one| one.as_str() == Some("ALL")));
        ensure!(all, "capabilities are not dropped");
        let user = at(context, "runAsUser")
            .and_then(Value::as_u64)
            .context("no user")?;
        ensure!(user != 0, "the user is root");
        let user = format!("{user}:{user}");
        let options = [
            "--read-only",
            "--read-only-tmpfs=false",
            "--cap-drop",
            "ALL",
        ];
        let more = ["--security-opt", "no-new-privileges", "--user", &user];
        Ok(options
            .iter()
            .chain(&more)
            .map(|&option| option.to_owned())
            .collect())
    }
}

impl<'a> Cluster<'a> {
    /// Starts a container with the image of `program`, under a name of its own; what it writes
    /// goes to the file of that name and `.log`.
    ///
    /// # Errors
    ///
    /// When what the chart rendered cannot be run.
    pub fn start(&self, pod: &Pod, program: &str, name: &str) -> Result<Container<'a>> {
        let mut podman = self.store.podman(self.place);
        podman.args(["run", "--rm", "--pull", "never", "--name", name]);
        podman.args([
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
        ]);
        match &self.network {
            Some(other) => podman.arg(format!("--network=container:{other}")),
            None => podman.arg("--network=none"),
        };
        podman.args(pod.confinement()?);
        podman.arg(format!(
            "--volume={}:/etc/hosts:ro",
            self.hosts()?.display()
        ));
        for mount in list(&pod.container, "volumeMounts") {
            let (Some(volume), Some(path)) = (text(mount, "name"), text(mount, "mountPath")) else {
                bail!("a mount of {name} has no name or path");
            };
            let volume = pod.volumes.get(volume);
            let volume = volume.with_context(|| format!("{path} of {name} has no volume"))?;
            let folder = self.volume(volume)?;
            let read_only = at(mount, "readOnly").and_then(Value::as_bool) == Some(true);
            let mode = if read_only { "ro" } else { "rw" };
            podman.arg(format!("--volume={}:{path}:{mode}", folder.display()));
        }
        for variable in list(&pod.container, "env") {
            let key = text(variable, "name").context("a variable without a name")?;
            podman.arg(format!("--env={key}={}", self.value(variable)?));
        }
        podman.arg(image(program));
        for argument in list(&pod.container, "args") {
            podman.arg(argument.as_str().context("an argument that is no text")?);
        }
        let log = fs::File::create(self.log(name))?;
        podman
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = podman.spawn().context("cannot start podman")?;
        Ok(Container {
            store: self.store,
            place: self.place,
            name: name.to_owned(),
            child,
        })
    }

    /// Runs a container to its end and returns its exit code.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or has no end within `limit`.
    pub fn run(&self, pod: &Pod, program: &str, name: &str, limit: Duration) -> Result<i32> {
        let mut container = self.start(pod, program, name)?;
        container.ended(limit)?.code().context("podman was killed")
    }

    /// What a container wrote.
    #[must_use]
    pub fn said(&self, name: &str) -> String {
        fs::read_to_string(self.log(name)).unwrap_or_default()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// The folder behind a volume, which all containers with the same volume share.
    fn volume(&self, volume: &Value) -> Result<PathBuf> {
        if let Some(name) = text(volume, "configMap.name") {
            let folder = self.made(&format!("config-{name}"), 0o755)?;
            let object = object(self.objects, "ConfigMap", name);
            let object = object.with_context(|| format!("no ConfigMap {name} is rendered"))?;
            let data = at(object, "data").and_then(Value::as_mapping);
            for (file, content) in data.into_iter().flatten() {
                let (Some(file), Some(content)) = (file.as_str(), content.as_str()) else {
                    bail!("the ConfigMap {name} has what is no text");
                };
                fs::write(folder.join(file), content)?;
            }
            return Ok(folder);
        }
        let name = text(volume, "persistentVolumeClaim.claimName").or(text(volume, "name"));
        let name = name.context("a volume without a name")?;
        self.made(&format!("volume-{name}"), 0o770)
    }

    /// A folder of the containers' user, made where it is not there yet.
    fn made(&self, name: &str, mode: u32) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
        chown(&folder, Some(65532), Some(65532)).context("giving folders away needs root")?;
        Ok(folder)
    }

    /// A file that leads the names of all rendered services to this machine's loopback.
    fn hosts(&self) -> Result<PathBuf> {
        let path = self.folder.join("hosts");
        let mut hosts = String::from("127.0.0.1 localhost\n");
        for object in self.objects {
            if text(object, "kind") == Some("Service") {
                let name = text(object, "metadata.name").unwrap_or_default();
                hosts.push_str(&format!("127.0.0.1 {name}\n"));
            }
        }
        fs::write(&path, hosts)?;
        Ok(path)
    }

    /// The value of a variable, out of the rendered Secret where it names one.
    fn value(&self, variable: &Value) -> Result<String> {
        if let Some(value) = text(variable, "value") {
            return Ok(value.to_owned());
        }
        let from = |part| text(variable, &format!("valueFrom.secretKeyRef.{part}"));
        let (Some(name), Some(key)) = (from("name"), from("key")) else {
            bail!("a variable has neither a value nor a Secret");
        };
        let secret = object(self.objects, "Secret", name);
        let value = secret.and_then(|secret| text(at(secret, "stringData")?, key));
        let value = value.with_context(|| format!("no Secret {name} with {key} is rendered"))?;
        Ok(value.to_owned())
    }
}

impl Container<'_> {
    /// Sends SIGTERM to the program, as a cluster does.
    ///
    /// # Errors
    ///
    /// When there is no such container any more.
    pub fn terminate(&self) -> Result<()> {
        let mut kill = self.store.podman(self.place);
        kill.args(["kill", "--signal", "TERM", &self.name]);
        output(&mut kill, LIMIT).map(drop)
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// When it does not come within `limit`.
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
        bail!("{} did not end within {} s", self.name, limit.as_secs())
    }

    /// Waits until `is_so`, while the container runs.
    ///
    /// # Errors
    ///
    /// When the container ends, or `limit` passes.
    pub fn wait_until(&mut self, limit: Duration, mut is_so: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if is_so() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended too early ({status})", self.name);
            }
            std::thread::sleep(LOOK);
        }
        bail!("{} was not ready within {} s", self.name, limit.as_secs())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let mut remove = self.store.podman(self.place);
        drop(output(
            remove.args(["rm", "--force", "--time", "5", &self.name]),
            LIMIT,
        ));
        drop(self.child.kill());
        drop(self.child.wait());
    }
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

fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| {
        text(object, "kind") == Some(kind) && text(object, "metadata.name") == Some(name)
    })
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at(value, path).and_then(Value::as_str)
}

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    at(value, path)
        .and_then(Value::as_sequence)
        .into_iter()
        .flatten()
}
