//! What CloudTrail's events point at. Pure: no I/O.
//!
//! An event says that something was done, seldom what came of it, so it only names what to look
//! at again. Names are taken from wherever they stand in it: the places differ from call to call.

use std::collections::BTreeSet;

use aws_sdk_cloudtrail::types::Event;
use serde_json::Value;

/// Events that may leave a gap: what happened meanwhile is in no look-up.
const GAPS: [&str; 4] = [
    "StopLogging",
    "DeleteTrail",
    "UpdateTrail",
    "PutEventSelectors",
];

/// Calls of EC2 that change an instance without naming it, nor an interface of it.
const BLIND: [&str; 3] = [
    "DetachNetworkInterface",
    "DisassociateAddress",
    "AssociateAddress",
];

/// What to look at again in an account and a region.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Ids of EC2 instances.
    pub(crate) instances: BTreeSet<String>,
    /// Ids of network interfaces.
    pub(crate) interfaces: BTreeSet<String>,
    /// Ids of security groups.
    pub(crate) groups: BTreeSet<String>,
    /// Whether some instance changed of which nothing is known.
    pub(crate) any_instance: bool,
    /// Names of database instances that may be gone.
    pub(crate) databases: BTreeSet<String>,
    /// Names of database clusters that may be gone.
    pub(crate) clusters: BTreeSet<String>,
    /// Names of Beanstalk applications that may be gone.
    pub(crate) applications: BTreeSet<String>,
    /// ARNs of ECS clusters that may be gone.
    pub(crate) task_clusters: BTreeSet<String>,
    /// Names of EKS clusters that may be gone.
    pub(crate) kubernetes: BTreeSet<String>,
    /// Names of functions that may be gone.
    pub(crate) functions: BTreeSet<String>,
    /// ARNs of load balancers that may be gone.
    pub(crate) balancers: BTreeSet<String>,
    /// The event that left a gap.
    pub(crate) gap: Option<String>,
}

impl Touched {
    /// Gathers what events point at.
    pub(crate) fn of<'e>(events: impl Iterator<Item = &'e Event>) -> Self {
        let mut touched = Self::default();
        for event in events {
            touched.add(event);
        }
        touched
    }

    fn add(&mut self, event: &Event) {
        let source = event.event_source().unwrap_or_default();
        let name = event.event_name().unwrap_or_default();
        let body: Option<Value> = event
            .cloud_trail_event()
            .and_then(|text| serde_json::from_str(text).ok());
        // What was refused changed nothing.
        if body
            .as_ref()
            .is_some_and(|body| body.get("errorCode").is_some())
        {
            return;
        }
        let mut names = Vec::new();
        for resource in event.resources() {
            names.extend(resource.resource_name());
        }
        if let Some(body) = &body {
            for part in ["requestParameters", "responseElements"] {
                texts(body.get(part).unwrap_or(&Value::Null), &mut names);
            }
        }
        match source {
            "cloudtrail.amazonaws.com" if GAPS.contains(&name) => self.gap = Some(name.to_owned()),
            "ec2.amazonaws.com" => self.add_ec2(name, &names, body.is_some()),
            "rds.amazonaws.com" => self.add_rds(body.as_ref()),
            "elasticbeanstalk.amazonaws.com" if name == "DeleteApplication" => {
                self.applications
                    .extend(field(body.as_ref(), "applicationName"));
            }
            "eks.amazonaws.com" if name == "DeleteCluster" => {
                self.kubernetes.extend(field(body.as_ref(), "name"));
            }
            // The name of the call has the date of the interface: `DeleteFunction20150331`.
            "lambda.amazonaws.com" if name.starts_with("DeleteFunction2") => {
                let given = field(body.as_ref(), "functionName");
                self.functions.extend(given.as_deref().map(function_name));
            }
            "elasticloadbalancing.amazonaws.com" if name == "DeleteLoadBalancer" => {
                let arns = names.iter().filter(|name| name.contains(":loadbalancer/"));
                self.balancers.extend(arns.map(|name| (*name).to_owned()));
            }
            "ecs.amazonaws.com" if name == "DeleteCluster" => {
                let arns = names.iter().filter(|name| name.contains(":cluster/"));
                self.task_clusters
                    .extend(arns.map(|name| (*name).to_owned()));
            }
            _ => {}
        }
    }

    fn add_ec2(&mut self, event: &str, names: &[&str], is_readable: bool) {
        let mut is_named = false;
        for name in names {
            if is_id(name, "i-") {
                self.instances.insert((*name).to_owned());
                is_named = true;
            } else if is_id(name, "eni-") {
                self.interfaces.insert((*name).to_owned());
                is_named = true;
            } else if is_id(name, "sg-") && event.contains("SecurityGroup") {
                self.groups.insert((*name).to_owned());
            }
        }
        self.any_instance |= !is_named && (BLIND.contains(&event) || !is_readable);
    }

    fn add_rds(&mut self, body: Option<&Value>) {
        for name in ["dBInstanceIdentifier", "newDBInstanceIdentifier"] {
            self.databases.extend(field(body, name));
        }
        for name in ["dBClusterIdentifier", "newDBClusterIdentifier"] {
            self.clusters.extend(field(body, name));
        }
    }
}

/// Returns the name of a function that may be given as an ARN or a part of one.
fn function_name(given: &str) -> String {
    let name = match given.split_once("function:") {
        Some((_, name)) => name,
        None => given,
    };
    name.split(':').next().unwrap_or(name).to_owned()
}

/// Returns a text among the parameters of a request.
fn field(body: Option<&Value>, name: &str) -> Option<String> {
    let value = body?.get("requestParameters")?.get(name)?;
    value.as_str().map(str::to_owned)
}

/// Gathers every text in a value.
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(map) => map.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// Tells whether a text is an id of a kind, such as `i-0123456789abcdef0`.
fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        (8..=17).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests;
