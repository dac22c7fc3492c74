//! Containers that share volumes and a network, as those of a cluster do.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_yaml::Value;

use super::{LIMIT, Pod, Store, at, image, list, object, text};
use crate::place::Place;
use crate::process::output;

/// How often a container is looked at.
const LOOK: Duration = Duration::from_millis(50);

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
    /// Tag of the images.
    pub tag: &'a str,
    /// Names of machines that no chart renders, and that are in the same network.
    pub others: &'a [&'a str],
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
        podman.arg(image(program, self.tag));
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

    /// Starts a container, and waits until it has written `words`.
    ///
    /// # Errors
    ///
    /// When it does not, with what it wrote.
    pub fn start_until(
        &self,
        pod: &Pod,
        program: &str,
        name: &str,
        words: &str,
        limit: Duration,
    ) -> Result<Container<'a>> {
        let mut container = self.start(pod, program, name)?;
        container
            .wait_until(limit, || self.said(name).contains(words))
            .with_context(|| self.said(name))?;
        Ok(container)
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
        if let Some(name) = text(volume, "secret.secretName") {
            let folder = self.made(&format!("secret-{name}"), 0o750)?;
            for item in list(volume, "secret.items") {
                let (Some(key), Some(path)) = (text(item, "key"), text(item, "path")) else {
                    bail!("an item of the Secret {name} has no key or path");
                };
                fs::write(folder.join(path), self.secret(name, key)?)?;
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
        for name in self.others {
            hosts.push_str(&format!("127.0.0.1 {name}\n"));
        }
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
        self.secret(name, key)
    }

    /// An entry of a Secret that is rendered, or that the test gives.
    fn secret(&self, name: &str, key: &str) -> Result<String> {
        let secret = object(self.objects, "Secret", name);
        let value = secret.and_then(|secret| text(at(secret, "stringData")?, key));
        let value = value.with_context(|| format!("there is no Secret {name} with {key}"))?;
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

    /// A command of this machine in the network of the container.
    ///
    /// # Errors
    ///
    /// When there is no such container any more.
    pub fn beside(&self, program: &str) -> Result<Command> {
        let mut inspect = self.store.podman(self.place);
        inspect.args(["inspect", "--format", "{{.State.Pid}}", &self.name]);
        let process = output(&mut inspect, LIMIT)?;
        let mut command = self.place.command("nsenter");
        command.args(["--net", "--target", process.trim(), "--", program]);
        Ok(command)
    }

    /// Tells whether it still runs.
    ///
    /// # Errors
    ///
    /// When that cannot be told.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
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
