//! A container of a rendered object: what a cluster would read of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_yaml::Value;

use super::{at, list, object, text};

/// A container of a rendered object, and what it needs from beside it.
#[derive(Debug, Clone)]
pub struct Pod {
    pub(super) container: Value,
    pub(super) volumes: BTreeMap<String, Value>,
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

    /// The same pod with other arguments.
    ///
    /// # Errors
    ///
    /// When they cannot be written as YAML.
    pub fn with_arguments(&self, arguments: &[&str]) -> Result<Self> {
        self.with("args", serde_yaml::to_value(arguments)?)
    }

    /// The same pod with other variables.
    ///
    /// # Errors
    ///
    /// When they cannot be written as YAML.
    pub fn with_variables(&self, variables: &[(&str, &str)]) -> Result<Self> {
        let each = variables.iter();
        let each = each.map(|(name, value)| BTreeMap::from([("name", name), ("value", value)]));
        self.with("env", serde_yaml::to_value(each.collect::<Vec<_>>())?)
    }

    fn with(&self, part: &str, value: Value) -> Result<Self> {
        let mut other = self.clone();
        let container = other.container.as_mapping_mut();
        container
            .context("the container is no mapping")?
            .insert(part.into(), value);
        Ok(other)
    }

    /// What confines the container, as podman's options.
    pub(super) fn confinement(&self) -> Result<Vec<String>> {
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
