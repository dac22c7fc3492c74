//! An estate with something of everything that is imported, and changes to it.

mod listed;

use serde_json::{Value, json};

use crate::moto::{ACCOUNT, At, IRELAND, Moto, OHIO, ago};

/// The other account.
pub(crate) const OTHER: &str = "222222222222";

/// Every account in every region.
const SITES: [At; 6] = [
    IRELAND,
    OHIO,
    At {
        account: ACCOUNT,
        region: "ap-south-1",
    },
    At {
        account: OTHER,
        region: "eu-west-1",
    },
    At {
        account: OTHER,
        region: "us-east-2",
    },
    At {
        account: OTHER,
        region: "ap-south-1",
    },
];

/// What of the estate is changed later.
pub(crate) struct Made {
    image: String,
    group: String,
    subnet: String,
    instances: Vec<String>,
    first_interface: String,
    attachment: String,
    environment: String,
    task: String,
    listed: listed::Listed,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn run(aws: &Moto, at: At, image: &str, count: u32, extra: Value) -> Value {
    let mut args = json!({ "ImageId": image, "MinCount": count, "MaxCount": count });
    args.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    aws.make(at, "ec2", "run_instances", args).await
}

fn finding(id: &str, resource: (&str, &str), extra: Value) -> Value {
    let mut finding = json!({
        "SchemaVersion": "2018-10-08", "Id": id, "GeneratorId": "g", "Title": format!("finding {id}"),
        "ProductArn": format!("arn:aws:securityhub:eu-west-1:{ACCOUNT}:product/{ACCOUNT}/default"),
        "AwsAccountId": ACCOUNT, "Region": "eu-west-1", "Description": "made up",
        "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": ago(5), "RecordState": "ACTIVE",
        "Workflow": { "Status": "NEW" }, "Severity": { "Label": "HIGH", "Normalized": 70 },
        "Types": ["Software and Configuration Checks"],
        "Resources": [{ "Type": resource.0, "Id": resource.1 }],
    });
    finding
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    finding
}

fn cve(name: &str) -> Value {
    json!({ "Vulnerabilities": [{ "Id": name, "Cvss": [{ "Version": "3.1", "BaseScore": 9.1 }] }] })
}

async fn hub(aws: &Moto, findings: Value) {
    aws.make(
        IRELAND,
        "securityhub",
        "batch_import_findings",
        json!({ "Findings": findings }),
    )
    .await;
}

fn inspected(name: &str, instance: &str, status: &str) -> Value {
    json!({ "account": ACCOUNT, "region": "eu-west-1", "finding": {
        "findingArn": format!("arn:aws:inspector2:eu-west-1:{ACCOUNT}:finding/{name}"),
        "awsAccountId": ACCOUNT, "type": "PACKAGE_VULNERABILITY", "title": name,
        "description": "made up", "severity": "HIGH", "status": status,
        "firstObservedAt": 1_700_000_000, "lastObservedAt": 1_700_000_000,
        "updatedAt": std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() - 5,
        "remediation": { "recommendation": { "text": "update" } },
        "resources": [{ "type": "AWS_EC2_INSTANCE", "id": instance, "region": "eu-west-1" }],
        "packageVulnerabilityDetails": {
            "vulnerabilityId": name, "source": "NVD", "vulnerablePackages": [],
            "cvss": [{ "baseScore": 8.1, "scoringVector": "v", "version": "3.1", "source": "NVD" }],
        },
    } })
}

pub(crate) fn arn(instance: &str) -> String {
    format!("arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/{instance}")
}

/// Makes the estate.
pub(crate) async fn make(aws: &Moto) -> Made {
    for at in SITES {
        run(aws, at, "ami-12345678", 1, json!({})).await;
    }
    let at = IRELAND;
    let image = aws
        .make(at, "ec2", "register_image", json!({ "Name": "golden" }))
        .await;
    let image = text(&image["ImageId"]);
    let group = json!({ "GroupName": "open", "Description": "ssh" });
    let group = text(&aws.make(at, "ec2", "create_security_group", group).await["GroupId"]);
    open_port(aws, &group, 22).await;
    let many = run(aws, at, &image, 4, json!({ "SecurityGroupIds": [group] })).await;
    let instances: Vec<String> = many["Instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(&one["InstanceId"]))
        .collect();
    let first = &many["Instances"][0];
    let subnet = text(&first["SubnetId"]);
    let second = json!({ "SubnetId": subnet });
    let second = aws
        .make(at, "ec2", "create_network_interface", second)
        .await;
    let second = text(&second["NetworkInterface"]["NetworkInterfaceId"]);
    let attach =
        json!({ "NetworkInterfaceId": second, "InstanceId": instances[1], "DeviceIndex": 1 });
    let attachment = aws
        .make(at, "ec2", "attach_network_interface", attach)
        .await;
    let address = aws
        .make(at, "ec2", "allocate_address", json!({ "Domain": "vpc" }))
        .await;
    let associate = json!({ "AllocationId": address["AllocationId"], "InstanceId": instances[2] });
    aws.make(at, "ec2", "associate_address", associate).await;

    for name in ["orders", "users"] {
        database(aws, at, name, json!({})).await;
    }
    let cluster = json!({
        "DBClusterIdentifier": "aurora", "Engine": "aurora-postgresql",
        "MasterUsername": "admin", "MasterUserPassword": "not-a-secret",
    });
    aws.make(at, "rds", "create_db_cluster", cluster).await;
    let member = json!({ "DBClusterIdentifier": "aurora", "Engine": "aurora-postgresql" });
    database(aws, at, "aurora-1", member).await;

    for name in ["shop", "blog"] {
        aws.make(
            at,
            "elasticbeanstalk",
            "create_application",
            json!({ "ApplicationName": name }),
        )
        .await;
    }
    let environment = json!({
        "ApplicationName": "shop", "EnvironmentName": "shop-prod",
        "SolutionStackName": "64bit Amazon Linux 2 v3.0.0 running Python 3.8",
    });
    let environment = aws
        .make(at, "elasticbeanstalk", "create_environment", environment)
        .await;
    let environment = text(&environment["EnvironmentId"]);
    name_instances(
        aws,
        &instances[..1],
        "elasticbeanstalk:environment-id",
        &environment,
    )
    .await;

    let task = tasks(aws, &instances[1], &subnet, &group).await;

    let role = json!({ "RoleName": "worker", "AssumeRolePolicyDocument": "{}" });
    aws.make(at, "iam", "create_role", role).await;
    let listed = listed::make(aws, at, &instances[2]).await;
    hub(aws, json!(listed::findings(&listed, at))).await;
    hub(
        aws,
        json!([
            finding(
                "f-cve",
                ("AwsEc2Instance", &arn(&instances[0])),
                cve("CVE-2026-0001")
            ),
            finding(
                "f-cve-2",
                ("AwsEc2Instance", &arn(&instances[1])),
                cve("CVE-2026-0002")
            ),
            finding("f-open", ("AwsEc2Instance", &arn(&instances[1])), json!({})),
            finding(
                "f-user",
                ("AwsIamUser", &format!("arn:aws:iam::{ACCOUNT}:user/anna")),
                json!({})
            ),
            finding(
                "f-old",
                ("AwsEc2Instance", &arn(&instances[0])),
                json!({ "RecordState": "ARCHIVED" })
            ),
        ]),
    )
    .await;
    aws.inspector(json!([
        inspected("CVE-2026-0002", &instances[1], "ACTIVE"),
        inspected("CVE-2026-0003", &instances[2], "ACTIVE"),
    ]))
    .await;
    for name in ["anna", "bert"] {
        aws.make(at, "iam", "create_user", json!({ "UserName": name }))
            .await;
    }
    Made {
        image,
        group,
        subnet,
        first_interface: text(&first["NetworkInterfaces"][0]["NetworkInterfaceId"]),
        instances,
        attachment: text(&attachment["AttachmentId"]),
        environment,
        task,
        listed,
    }
}

async fn open_port(aws: &Moto, group: &str, port: u16) {
    let rule = json!({
        "GroupId": group, "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
        "CidrIp": "0.0.0.0/0",
    });
    aws.make(IRELAND, "ec2", "authorize_security_group_ingress", rule)
        .await;
}

async fn database(aws: &Moto, at: At, name: &str, extra: Value) {
    let mut args = json!({
        "DBInstanceIdentifier": name, "DBInstanceClass": "db.t3.micro", "Engine": "postgres",
        "MasterUsername": "admin", "MasterUserPassword": "not-a-secret", "AllocatedStorage": 20,
    });
    args.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    aws.make(at, "rds", "create_db_instance", args).await;
}

async fn name_instances(aws: &Moto, instances: &[String], key: &str, value: &str) {
    let args = json!({ "Resources": instances, "Tags": [{ "Key": key, "Value": value }] });
    aws.make(IRELAND, "ec2", "create_tags", args).await;
}

/// Makes two clusters with tasks on a machine and on Fargate; returns a task that can be stopped.
async fn tasks(aws: &Moto, machine: &str, subnet: &str, group: &str) -> String {
    let at = IRELAND;
    for cluster in ["one", "two"] {
        aws.make(
            at,
            "ecs",
            "create_cluster",
            json!({ "clusterName": cluster }),
        )
        .await;
    }
    let document = json!({ "instanceId": machine }).to_string();
    let machine = json!({ "cluster": "one", "instanceIdentityDocument": document });
    aws.make(at, "ecs", "register_container_instance", machine)
        .await;
    let containers = json!([
        { "name": "app", "image": "app:1", "memory": 64 }, { "name": "sidecar", "image": "log:1", "memory": 64 },
    ]);
    let on_machine = json!({ "family": "on-machine", "containerDefinitions": containers });
    aws.make(at, "ecs", "register_task_definition", on_machine)
        .await;
    let on_fargate = json!({
        "family": "on-fargate", "containerDefinitions": containers, "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
    });
    aws.make(at, "ecs", "register_task_definition", on_fargate)
        .await;
    let started = json!({ "cluster": "one", "taskDefinition": "on-machine", "count": 2 });
    let started = aws.make(at, "ecs", "run_task", started).await;
    run_on_fargate(aws, subnet, group).await;
    text(&started["tasks"][0]["taskArn"])
}

async fn run_on_fargate(aws: &Moto, subnet: &str, group: &str) -> String {
    let started = json!({
        "cluster": "two", "taskDefinition": "on-fargate", "launchType": "FARGATE",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": [group] } },
    });
    let started = aws.make(IRELAND, "ecs", "run_task", started).await;
    text(&started["tasks"][0]["taskArn"])
}

/// Changes something of everything, and has CloudTrail tell of it as AWS does.
pub(crate) async fn change(aws: &Moto, made: &Made) {
    let at = IRELAND;
    let ids = |instances: &[&str]| -> Value {
        let items = instances.iter().map(|id| json!({ "instanceId": id }));
        json!({ "instancesSet": { "items": items.collect::<Vec<_>>() } })
    };
    // One goes, one comes, one comes and goes.
    let gone = made.instances[3].as_str();
    aws.make(
        at,
        "ec2",
        "terminate_instances",
        json!({ "InstanceIds": [gone] }),
    )
    .await;
    aws.event(
        at,
        "ec2",
        "TerminateInstances",
        json!({ "requestParameters": ids(&[gone]) }),
    )
    .await;
    let new = run(aws, at, &made.image, 2, json!({})).await;
    let (new, brief) = (
        text(&new["Instances"][0]["InstanceId"]),
        text(&new["Instances"][1]["InstanceId"]),
    );
    aws.event(
        at,
        "ec2",
        "RunInstances",
        json!({ "responseElements": ids(&[&new, &brief]) }),
    )
    .await;
    aws.make(
        at,
        "ec2",
        "terminate_instances",
        json!({ "InstanceIds": [brief] }),
    )
    .await;
    aws.event(
        at,
        "ec2",
        "TerminateInstances",
        json!({ "requestParameters": ids(&[&brief]) }),
    )
    .await;
    // Two get a name in one call; a call that was refused changes nothing.
    name_instances(aws, &made.instances[..2], "Name", "named").await;
    let resources: Vec<Value> = made.instances[..2]
        .iter()
        .map(|id| json!({ "resourceId": id }))
        .collect();
    let tagged = json!({ "requestParameters": { "resourcesSet": { "items": resources } } });
    aws.event(at, "ec2", "CreateTags", tagged).await;
    aws.event(
        at,
        "ec2",
        "RunInstances",
        json!({ "errorCode": "Client.UnauthorizedOperation" }),
    )
    .await;
    // Addresses come; an interface comes, another goes without being named.
    let assign =
        json!({ "NetworkInterfaceId": made.first_interface, "PrivateIpAddresses": ["10.9.9.9"] });
    aws.make(at, "ec2", "assign_private_ip_addresses", assign)
        .await;
    let assigned = json!({ "requestParameters": { "networkInterfaceId": made.first_interface } });
    aws.event(at, "ec2", "AssignPrivateIpAddresses", assigned)
        .await;
    aws.make(
        at,
        "ec2",
        "detach_network_interface",
        json!({ "AttachmentId": made.attachment }),
    )
    .await;
    let detached = json!({ "requestParameters": { "attachmentId": made.attachment } });
    aws.event(at, "ec2", "DetachNetworkInterface", detached)
        .await;
    // Another port is open.
    let closed = json!({
        "GroupId": made.group, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0",
    });
    aws.make(at, "ec2", "revoke_security_group_ingress", closed)
        .await;
    open_port(aws, &made.group, 443).await;
    let opened = json!({ "requestParameters": { "groupId": made.group } });
    aws.event(at, "ec2", "AuthorizeSecurityGroupIngress", opened)
        .await;
    change_databases(aws).await;
    listed::change(aws, at, &made.listed, &made.instances[2]).await;
    // Tasks come and go without anybody calling.
    aws.make(
        at,
        "ecs",
        "stop_task",
        json!({ "cluster": "one", "task": made.task }),
    )
    .await;
    run_on_fargate(aws, &made.subnet, &made.group).await;
    aws.make(
        at,
        "elasticbeanstalk",
        "delete_application",
        json!({ "ApplicationName": "blog" }),
    )
    .await;
    let deleted =
        json!({ "requestParameters": { "applicationName": "blog" }, "responseElements": null });
    aws.event(at, "elasticbeanstalk", "DeleteApplication", deleted)
        .await;
    name_instances(
        aws,
        &made.instances[2..3],
        "elasticbeanstalk:environment-id",
        &made.environment,
    )
    .await;
    aws.event(at, "ec2", "CreateTags", "no JSON at all".into())
        .await;
    hub(
        aws,
        json!([
            finding(
                "f-cve",
                ("AwsEc2Instance", &arn(&made.instances[0])),
                json!({ "RecordState": "ARCHIVED" })
            ),
            finding(
                "f-open",
                ("AwsEc2Instance", &arn(&made.instances[1])),
                json!({ "RecordState": "ARCHIVED" })
            ),
            finding(
                "f-new",
                ("AwsEc2Instance", &arn(&made.instances[2])),
                cve("CVE-2026-0004")
            ),
        ]),
    )
    .await;
    aws.inspector(json!([
        inspected("CVE-2026-0002", &made.instances[1], "CLOSED"),
        inspected("CVE-2026-0003", &made.instances[2], "ACTIVE"),
    ]))
    .await;
    aws.make(at, "iam", "delete_user", json!({ "UserName": "bert" }))
        .await;
    aws.make(at, "iam", "create_user", json!({ "UserName": "carl" }))
        .await;
}

async fn change_databases(aws: &Moto) {
    let at = IRELAND;
    let renamed = json!({
        "DBInstanceIdentifier": "orders", "NewDBInstanceIdentifier": "orders-2", "ApplyImmediately": true,
    });
    aws.make(at, "rds", "modify_db_instance", renamed).await;
    let told = json!({ "requestParameters": {
        "dBInstanceIdentifier": "orders", "newDBInstanceIdentifier": "orders-2",
    } });
    aws.event(at, "rds", "ModifyDBInstance", told).await;
    let gone = json!({ "DBInstanceIdentifier": "users", "SkipFinalSnapshot": true });
    aws.make(at, "rds", "delete_db_instance", gone).await;
    let told = json!({ "requestParameters": { "dBInstanceIdentifier": "users" } });
    aws.event(at, "rds", "DeleteDBInstance", told).await;
    database(aws, at, "events", json!({})).await;
}
