//! Changes that a test makes, with the events that AWS would tell of them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};

use super::world::{World, arn};

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    /// Returns a number below another one.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    fn one_of<T: Clone>(&mut self, all: impl Iterator<Item = T>) -> Option<T> {
        let all: Vec<T> = all.collect();
        (!all.is_empty()).then(|| all[self.below(all.len())].clone())
    }
}

fn now() -> DateTime {
    DateTime::from(SystemTime::now())
}

impl World {
    /// Changes some things.
    pub(crate) fn mutate(&mut self, seed: u64) {
        let mut dice = Dice(seed);
        for _ in 0..4 {
            let instance = dice.one_of(self.instances.keys().cloned());
            let instance = instance.unwrap_or_else(|| self.start());
            self.change(dice.below(23), &instance, &mut dice);
        }
    }

    fn event(&mut self, source: &str, name: &str, body: &Value) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let number = self.number();
        self.events.push(json!({
            "EventId": format!("event-{number}"), "EventName": name,
            "EventSource": format!("{source}.amazonaws.com"),
            "EventTime": time.as_secs_f64(), "CloudTrailEvent": body.to_string(),
        }));
    }

    fn event_of_instance(&mut self, name: &str, instance: &str) {
        let items = json!({ "instancesSet": { "items": [{ "instanceId": instance }] } });
        self.event("ec2", name, &json!({ "requestParameters": items }));
    }

    fn start(&mut self) -> String {
        let id = self.run();
        self.event_of_instance("RunInstances", &id);
        id
    }

    /// Whether tasks run on an instance.
    fn is_machine(&self, instance: &str) -> bool {
        self.machines.values().any(|machine| machine == instance)
    }

    fn interfaces_of(&mut self, instance: &str) -> &mut Vec<Value> {
        let instance = self.instances.get_mut(instance).unwrap();
        instance["networkInterfaceSet"].as_array_mut().unwrap()
    }

    fn change(&mut self, what: usize, instance: &str, dice: &mut Dice) {
        let number = self.number();
        let when = now().fmt(Format::DateTime).unwrap();
        let seconds = u64::try_from(now().secs()).unwrap();
        match what {
            0 => drop(self.start()),
            1 | 2 if self.instances.len() > 4 && !self.is_machine(instance) => {
                let state = json!({ "code": 48, "name": "terminated" });
                let gone = self.instances.get_mut(instance).unwrap();
                gone["instanceState"] = state;
                gone["networkInterfaceSet"] = json!([]);
                if what == 1 {
                    self.instances.remove(instance);
                }
                self.event_of_instance("TerminateInstances", instance);
            }
            3 => {
                self.tag(instance, "Name", &format!("renamed {number}"));
                self.event_of_instance("CreateTags", instance);
            }
            4 => {
                let interface = self.interface(instance);
                let name = interface["networkInterfaceId"].clone();
                self.interfaces_of(instance).push(interface);
                let asked = json!({ "networkInterfaceId": name, "instanceId": instance });
                let body = json!({ "requestParameters": asked });
                self.event("ec2", "AttachNetworkInterface", &body);
            }
            5 => {
                if let Some(gone) = self.interfaces_of(instance).pop() {
                    let asked = json!({ "attachmentId": gone["attachment"]["attachmentId"] });
                    let body = json!({ "requestParameters": asked });
                    self.event("ec2", "DetachNetworkInterface", &body);
                }
            }
            6 | 7 => self.readdress(instance, number, what == 6),
            8 => {
                let group = dice.one_of(self.groups.keys().cloned()).unwrap();
                let ports = self.groups.get_mut(&group).unwrap();
                if ports.pop_first().is_none() {
                    ports.insert(8000 + (number % 100) as u16);
                }
                let body = json!({ "requestParameters": { "groupId": group } });
                self.event("ec2", "RevokeSecurityGroupIngress", &body);
            }
            9 => self.find(
                &format!("finding-{number:06}"),
                instance,
                Some("CVE-2026-0001"),
                &when,
            ),
            10 => self.find(&format!("open-{number}"), instance, None, &when),
            11 => {
                if let Some(id) = dice.one_of(self.hub.keys().cloned()) {
                    let finding = self.hub.get_mut(&id).unwrap();
                    finding["RecordState"] = "ARCHIVED".into();
                    finding["UpdatedAt"] = when.into();
                }
            }
            12 => self.inspect(instance, "CVE-2026-9001", "ACTIVE", seconds),
            13 => {
                if let Some(id) = dice.one_of(self.inspected.keys().cloned()) {
                    let finding = self.inspected.get_mut(&id).unwrap();
                    finding["status"] = "CLOSED".into();
                    finding["updatedAt"] = seconds.into();
                }
            }
            14 => self.change_databases(number, dice),
            15 => {
                if let Some(tasks) = self.tasks.values_mut().find(|tasks| tasks.len() > 1) {
                    tasks.pop_first();
                }
                self.task(["one", "two"][dice.below(2)]);
            }
            16 => {
                self.users.pop_first();
                self.users.insert(format!("user-{number}"));
            }
            20 => self.change_environments(number),
            17 => {
                self.tag(instance, "elasticbeanstalk:environment-id", "e-shop");
                self.event_of_instance("CreateTags", instance);
            }
            18 => {
                let name = format!("function-{number}");
                self.function(&name);
                if let Some((gone, _)) = self.functions.pop_first() {
                    let body = json!({ "requestParameters": { "functionName": gone } });
                    self.event("lambda", "DeleteFunction20150331", &body);
                }
            }
            19 => {
                self.balancer(&format!("balancer-{number}"));
                if let Some((gone, _)) = self.balancers.pop_first() {
                    let body = json!({ "requestParameters": { "loadBalancerArn": gone } });
                    self.event("elasticloadbalancing", "DeleteLoadBalancer", &body);
                }
            }
            _ => self.change_kubernetes(number, instance),
        }
    }

    /// Gives an instance an address more, or takes one away.
    fn readdress(&mut self, instance: &str, number: u64, is_more: bool) {
        let Some(interface) = self.interfaces_of(instance).first_mut() else {
            return;
        };
        let name = interface["networkInterfaceId"].clone();
        let addresses = interface["privateIpAddressesSet"].as_array_mut().unwrap();
        let event = if is_more {
            let private = format!("10.200.0.{}", number % 250);
            addresses.push(json!({ "privateIpAddress": private, "primary": false }));
            "AssignPrivateIpAddresses"
        } else {
            if addresses.len() > 1 {
                addresses.pop();
            }
            "UnassignPrivateIpAddresses"
        };
        let body = json!({ "requestParameters": { "networkInterfaceId": name } });
        self.event("ec2", event, &body);
    }

    /// Makes a database, renames one, has one go.
    fn change_databases(&mut self, number: u64, dice: &mut Dice) {
        self.database(&format!("database-{number}"));
        let Some(name) = dice.one_of(self.databases.keys().cloned()) else {
            return;
        };
        let mut old = self.databases.remove(&name).unwrap();
        let asked = if dice.below(2) == 0 {
            let renamed = format!("renamed-{number}");
            old["DBInstanceIdentifier"] = renamed.as_str().into();
            old["DBInstanceArn"] = arn("rds", &format!("db:{renamed}")).into();
            self.databases.insert(renamed.clone(), old);
            json!({ "dBInstanceIdentifier": name, "newDBInstanceIdentifier": renamed })
        } else {
            json!({ "dBInstanceIdentifier": name })
        };
        self.event(
            "rds",
            "ModifyDBInstance",
            &json!({ "requestParameters": asked }),
        );
    }

    /// Has an environment come, and another one end: it is listed for an hour.
    fn change_environments(&mut self, number: u64) {
        for environment in self.environments.values_mut() {
            if environment["EnvironmentId"] != "e-shop" {
                environment["Status"] = "Terminated".into();
            }
        }
        let (id, name) = (format!("e-{number}"), format!("blog-{number}"));
        let made = json!({
            "EnvironmentId": id, "EnvironmentName": name, "ApplicationName": "blog",
            "EnvironmentArn": arn("elasticbeanstalk", &format!("environment/blog/{name}")),
            "CNAME": format!("{name}.example"), "Status": "Ready",
        });
        self.environments.insert(id, made);
    }

    /// Has a cluster come, another go, and a node group grow.
    fn change_kubernetes(&mut self, number: u64, instance: &str) {
        let name = format!("cluster-{number}");
        self.kubernetes(&name, &["blue", "green"]);
        self.tag(instance, "eks:cluster-name", &name);
        self.tag(instance, "eks:nodegroup-name", "blue");
        self.event_of_instance("CreateTags", instance);
        if number.is_multiple_of(2) {
            self.kubernetes.get_mut(&name).unwrap().1.remove("green");
        }
        if self.kubernetes.len() > 2
            && let Some((gone, _)) = self.kubernetes.pop_first()
        {
            let body = json!({ "requestParameters": { "name": gone } });
            self.event("eks", "DeleteCluster", &body);
        }
    }
}
