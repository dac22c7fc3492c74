//! What an AWS of canned pages has, in the words of its answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::REGION;

pub(super) const ACCOUNT: &str = "123456789012";

/// Long before any test.
const EARLIER: &str = "2026-01-01T00:00:00Z";

/// [`EARLIER`], in seconds since 1970.
const EARLIER_SECONDS: u64 = 1_767_225_600;

/// Everything of one account in one region.
#[derive(Default)]
pub(crate) struct World {
    pub(super) instances: BTreeMap<String, Value>,
    /// Ports that are open to everybody, by security group.
    pub(super) groups: BTreeMap<String, BTreeSet<u16>>,
    /// Names by id.
    pub(super) images: BTreeMap<String, String>,
    pub(super) databases: BTreeMap<String, Value>,
    pub(super) clusters: BTreeMap<String, Value>,
    pub(super) applications: BTreeSet<String>,
    pub(super) environments: BTreeMap<String, Value>,
    /// Tasks of ECS, by cluster and ARN.
    pub(super) tasks: BTreeMap<String, BTreeMap<String, Value>>,
    /// EC2 instances by container instance.
    pub(super) machines: BTreeMap<String, String>,
    pub(super) hub: BTreeMap<String, Value>,
    pub(super) inspected: BTreeMap<String, Value>,
    pub(super) users: BTreeSet<String>,
    pub(super) roles: BTreeSet<String>,
    /// Clusters of EKS with their node groups.
    pub(super) kubernetes: BTreeMap<String, (Value, BTreeMap<String, Value>)>,
    pub(super) functions: BTreeMap<String, Value>,
    pub(super) balancers: BTreeMap<String, Value>,
    /// Events of CloudTrail, oldest first.
    pub(super) events: Vec<Value>,
    made: u64,
}

/// Returns the ARN of something in the account.
pub(super) fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

impl World {
    /// Makes so many instances with an interface and a finding each, and nothing else.
    pub(crate) fn of_instances(count: usize) -> Self {
        let mut world = Self::default();
        for port in [22, 443, 8080] {
            world
                .groups
                .insert(format!("sg-{port:08x}"), BTreeSet::from([port]));
        }
        for number in 0..5 {
            let name = format!("image {number}");
            world.images.insert(format!("ami-{number:08x}"), name);
        }
        for number in 0..count {
            let id = world.run();
            let weakness = format!("CVE-2026-{:04}", number % 100);
            world.find(
                &format!("finding-{number:06}"),
                &id,
                Some(&weakness),
                EARLIER,
            );
        }
        world
    }

    /// Makes something of everything, with so many instances.
    pub(crate) fn of_everything(instances: usize) -> Self {
        let mut world = Self::of_instances(instances);
        let ids: Vec<String> = world.instances.keys().cloned().collect();
        for id in ids.iter().step_by(3) {
            world.find(&format!("open-{id}"), id, None, EARLIER);
        }
        for id in ids.iter().take(3) {
            world.inspect(id, "CVE-2026-9000", "ACTIVE", EARLIER_SECONDS);
        }
        for name in ["orders", "users"] {
            world.database(name);
        }
        let aurora = json!({
            "DBClusterIdentifier": "aurora", "DBClusterArn": arn("rds", "cluster:aurora"),
            "DbClusterResourceId": "cluster-AURORA", "Engine": "aurora-postgresql",
            "Status": "available", "Endpoint": "aurora.example", "MasterUsername": "admin",
            "Port": 5432,
        });
        world.clusters.insert("aurora".to_owned(), aurora);
        world
            .applications
            .extend(["shop".to_owned(), "blog".to_owned()]);
        world.environments.insert("e-shop".to_owned(), json!({
            "EnvironmentId": "e-shop", "EnvironmentName": "shop-prod", "ApplicationName": "shop",
            "EnvironmentArn": arn("elasticbeanstalk", "environment/shop/shop-prod"),
            "CNAME": "shop.example", "Status": "Ready",
        }));
        world.tag(&ids[0], "elasticbeanstalk:environment-id", "e-shop");
        for name in ["one", "two"] {
            world
                .tasks
                .insert(arn("ecs", &format!("cluster/{name}")), BTreeMap::new());
        }
        world
            .machines
            .insert(arn("ecs", "container-instance/one/m"), ids[1].clone());
        for cluster in ["one", "one", "two"] {
            world.task(cluster);
        }
        world.users.extend(["anna".to_owned(), "bert".to_owned()]);
        world.roles.insert("worker".to_owned());
        world.kubernetes("main", &["small"]);
        world.tag(&ids[2], "eks:nodegroup-name", "small");
        world.tag(&ids[2], "eks:cluster-name", "main");
        world.function("mailer");
        world.balancer("front");
        world
    }

    /// Counts what was made, for names that never come again.
    pub(super) fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// Starts an instance; returns its id.
    pub(super) fn run(&mut self) -> String {
        let number = self.number();
        let id = format!("i-{number:017x}");
        let image = format!("ami-{:08x}", number % 5);
        let interface = self.interface(&id);
        let mut tags = Vec::new();
        if !number.is_multiple_of(4) {
            tags.push(json!({ "key": "Name", "value": format!("machine {number}") }));
        }
        let instance = json!({
            "instanceId": id, "imageId": image, "instanceState": { "code": 16, "name": "running" },
            "instanceType": "t3.micro", "launchTime": EARLIER, "vpcId": "vpc-1",
            "platformDetails": "Linux/UNIX", "networkInterfaceSet": [interface], "tagSet": tags,
        });
        self.instances.insert(id.clone(), instance);
        id
    }

    /// Makes an interface of an instance.
    pub(super) fn interface(&mut self, instance: &str) -> Value {
        let number = self.number();
        let port = [22, 443, 8080][(number % 3) as usize];
        let bytes = number.to_be_bytes();
        let private = format!("10.{}.{}.{}", bytes[5], bytes[6], bytes[7]);
        let mut address = json!({
            "privateIpAddress": private, "primary": true,
            "privateDnsName": format!("ip-{}.internal", private.replace('.', "-")),
        });
        if number.is_multiple_of(2) {
            let public = format!("3.{}.{}.{}", bytes[5], bytes[6], bytes[7]);
            let name = format!("ec2-{}.example", public.replace('.', "-"));
            address["association"] = json!({ "publicIp": public, "publicDnsName": name });
        }
        json!({
            "networkInterfaceId": format!("eni-{number:017x}"), "vpcId": "vpc-1",
            "macAddress": format!("02:00:{:02x}:{:02x}:{:02x}:{:02x}", bytes[4], bytes[5], bytes[6], bytes[7]),
            "attachment": { "attachmentId": format!("eni-attach-{number:017x}"), "instanceId": instance },
            "groupSet": [{ "groupId": format!("sg-{port:08x}") }],
            "privateIpAddressesSet": [address],
        })
    }

    /// Returns every interface.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = Value> {
        let of_instances = self.instances.values().flat_map(|instance| {
            let interfaces = instance["networkInterfaceSet"].as_array();
            interfaces.into_iter().flatten().cloned()
        });
        let tasks = self.tasks.values().flat_map(BTreeMap::values);
        let of_tasks = tasks.filter_map(|task| {
            let interface = task["interface"].as_object()?.clone();
            Some(Value::from(interface))
        });
        of_instances.chain(of_tasks)
    }

    pub(super) fn tag(&mut self, instance: &str, key: &str, value: &str) {
        let instance = self.instances.get_mut(instance).unwrap();
        let tags = instance["tagSet"].as_array_mut().unwrap();
        tags.retain(|tag| tag["key"] != key);
        tags.push(json!({ "key": key, "value": value }));
    }

    /// Has Security Hub find something about an instance.
    pub(super) fn find(&mut self, id: &str, instance: &str, weakness: Option<&str>, when: &str) {
        let mut finding = json!({
            "SchemaVersion": "2018-10-08", "Id": id, "GeneratorId": "g", "Title": format!("finding {id}"),
            "ProductArn": arn("securityhub", "product/p"), "AwsAccountId": ACCOUNT, "Region": REGION,
            "Description": "made up", "CreatedAt": EARLIER, "UpdatedAt": when,
            "RecordState": "ACTIVE", "Workflow": { "Status": "NEW" },
            "Severity": { "Label": "HIGH", "Normalized": 70 }, "Types": ["Checks"],
            "Resources": [{ "Type": "AwsEc2Instance", "Id": arn("ec2", &format!("instance/{instance}")) }],
        });
        if let Some(weakness) = weakness {
            let score = json!([{ "Version": "3.1", "BaseScore": 9.1 }]);
            finding["Vulnerabilities"] = json!([{ "Id": weakness, "Cvss": score }]);
        }
        self.hub.insert(id.to_owned(), finding);
    }

    /// Has Inspector find something about an instance.
    pub(super) fn inspect(&mut self, instance: &str, weakness: &str, status: &str, when: u64) {
        let id = arn("inspector2", &format!("finding/{instance}-{weakness}"));
        let cvss =
            json!([{ "baseScore": 8.1, "scoringVector": "v", "version": "3.1", "source": "NVD" }]);
        self.inspected.insert(id.clone(), json!({
            "findingArn": id, "awsAccountId": ACCOUNT, "type": "PACKAGE_VULNERABILITY",
            "title": weakness, "description": "made up", "severity": "HIGH", "status": status,
            "firstObservedAt": EARLIER_SECONDS, "lastObservedAt": EARLIER_SECONDS, "updatedAt": when,
            "remediation": { "recommendation": { "text": "update" } },
            "resources": [{ "type": "AWS_EC2_INSTANCE", "id": instance }],
            "packageVulnerabilityDetails": {
                "vulnerabilityId": weakness, "source": "NVD", "vulnerablePackages": [], "cvss": cvss,
            },
        }));
    }

    pub(super) fn database(&mut self, name: &str) {
        let number = self.number();
        self.databases.insert(
            name.to_owned(),
            json!({
                "DBInstanceIdentifier": name, "DBInstanceArn": arn("rds", &format!("db:{name}")),
                "DbiResourceId": format!("db-{number:026}"), "Engine": "postgres",
                "DBInstanceStatus": "available", "MasterUsername": "admin",
                "Endpoint": { "Address": format!("{name}.db.example"), "Port": 5432 },
            }),
        );
    }

    /// Starts a task: in the first cluster on a machine, in the other on Fargate.
    pub(super) fn task(&mut self, cluster: &str) {
        let number = self.number();
        let id = arn("ecs", &format!("task/{cluster}/{number:032x}"));
        let containers = ["app", "sidecar"].map(|name| {
            let id = arn("ecs", &format!("container/{cluster}/{number:032x}/{name}"));
            json!({ "containerArn": id, "name": name, "image": format!("{name}:1") })
        });
        let cluster = arn("ecs", &format!("cluster/{cluster}"));
        let mut task = json!({
            "taskArn": id, "clusterArn": cluster, "lastStatus": "RUNNING",
            "group": "service:web", "containers": containers,
        });
        if cluster.ends_with("/one") {
            task["launchType"] = "EC2".into();
            task["containerInstanceArn"] = self.machines.keys().next().unwrap().as_str().into();
        } else {
            let mut interface = self.interface("");
            interface.as_object_mut().unwrap().remove("attachment");
            let name = interface["networkInterfaceId"].clone();
            let detail = json!({ "name": "networkInterfaceId", "value": name });
            task["launchType"] = "FARGATE".into();
            task["attachments"] =
                json!([{ "type": "ElasticNetworkInterface", "details": [detail] }]);
            task["interface"] = interface;
        }
        self.tasks.get_mut(&cluster).unwrap().insert(id, task);
    }

    pub(super) fn kubernetes(&mut self, name: &str, groups: &[&str]) {
        let cluster = json!({
            "name": name, "arn": arn("eks", &format!("cluster/{name}")), "version": "1.35",
            "endpoint": format!("https://{name}.eks.example"), "status": "ACTIVE",
            "resourcesVpcConfig": {
                "vpcId": "vpc-1", "endpointPublicAccess": true, "publicAccessCidrs": ["0.0.0.0/0"],
            },
        });
        let groups = groups.iter().map(|group| {
            (
                (*group).to_owned(),
                json!({
                    "nodegroupName": group, "clusterName": name, "status": "ACTIVE",
                    "nodegroupArn": arn("eks", &format!("nodegroup/{name}/{group}/id")),
                }),
            )
        });
        self.kubernetes
            .insert(name.to_owned(), (cluster, groups.collect()));
    }

    pub(super) fn function(&mut self, name: &str) {
        self.functions.insert(
            name.to_owned(),
            json!({
                "FunctionName": name, "FunctionArn": arn("lambda", &format!("function:{name}")),
                "Runtime": "python3.13", "Description": "made up",
                "LastModified": "2026-01-01T00:00:00.000+0000", "VpcConfig": { "VpcId": "vpc-1" },
            }),
        );
    }

    pub(super) fn balancer(&mut self, name: &str) {
        let id = arn(
            "elasticloadbalancing",
            &format!("loadbalancer/app/{name}/0"),
        );
        self.balancers.insert(id.clone(), json!({
            "LoadBalancerArn": id, "LoadBalancerName": name, "DNSName": format!("{name}.elb.example"),
            "Scheme": "internet-facing", "Type": "application", "VpcId": "vpc-1",
            "State": { "Code": "active" }, "SecurityGroups": [format!("sg-{:08x}", 443)],
        }));
    }
}
