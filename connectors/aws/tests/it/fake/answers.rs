//! What each call is answered with.

use std::collections::BTreeSet;

use axum::response::Response;
use serde_json::{Value, json};

use super::REGION;
use super::wire::{Asked, Protocol, page};
use super::world::{ACCOUNT, World, arn};

pub(super) fn answer(world: &World, asked: &Asked) -> Response {
    let nothing = World::default();
    let world = if asked.region == REGION {
        world
    } else {
        &nothing
    };
    let answer = match (asked.service.as_str(), asked.action.as_str()) {
        ("sts", "GetCallerIdentity") => json!({
            "Arn": format!("arn:aws:iam::{ACCOUNT}:user/reader"),
            "UserId": "AIDA", "Account": ACCOUNT,
        }),
        ("ec2", "DescribeRegions") => json!({ "regionInfo": [
            { "regionName": REGION, "optInStatus": "opt-in-not-required" },
            { "regionName": "us-east-2", "optInStatus": "opt-in-not-required" },
        ] }),
        ("ec2", _) => ec2(world, asked),
        ("rds", "DescribeDBInstances") => listed(asked, "DBInstances", world.databases.values()),
        ("rds", "DescribeDBClusters") => listed(asked, "DBClusters", world.clusters.values()),
        ("elasticbeanstalk", "DescribeApplications") => {
            let applications = world.applications.iter().map(|name| {
                let id = arn("elasticbeanstalk", &format!("application/{name}"));
                json!({ "ApplicationName": name, "ApplicationArn": id })
            });
            json!({ "Applications": applications.collect::<Vec<_>>() })
        }
        ("elasticbeanstalk", "DescribeEnvironments") => {
            json!({ "Environments": world.environments.values().collect::<Vec<_>>() })
        }
        ("elasticloadbalancing", "DescribeLoadBalancers") => {
            listed(asked, "LoadBalancers", world.balancers.values())
        }
        ("iam", "GetAccountAuthorizationDetails") => iam(world, asked),
        ("ecs", _) => ecs(world, asked),
        ("cloudtrail", "LookupEvents") => events(world, asked),
        ("securityhub", "GetFindings") => hub(world, asked),
        ("inspector2", "ListFindings") => inspector(world, asked),
        ("lambda", "ListFunctions") => {
            let most = asked.field("MaxItems").map(|most| most.parse().unwrap());
            let functions: Vec<&Value> = world.functions.values().collect();
            let (some, next) = page(&functions, most, asked.field("Marker"));
            json!({ "Functions": some, "NextMarker": next })
        }
        ("eks", _) => eks(world, asked),
        _ => Value::Null,
    };
    if answer.is_null() {
        let protocol = Protocol::of(&asked.service);
        return protocol.refuse(400, "ValidationError", &format!("no {}", asked.action));
    }
    asked.tell(&answer)
}

/// A page of a list of a service that speaks of markers.
fn listed<'v>(asked: &Asked, name: &str, all: impl Iterator<Item = &'v Value>) -> Value {
    let all: Vec<&Value> = all.collect();
    let most = asked.field("MaxRecords").or(asked.field("PageSize"));
    let most = most.map(|most| most.parse().unwrap());
    let (some, next) = page(&all, most, asked.field("Marker"));
    json!({ name: some, "Marker": next, "NextMarker": next })
}

fn ec2(world: &World, asked: &Asked) -> Value {
    let filters = asked.filters();
    let passes = |name: &str, value: &str| {
        let values = filters.get(name);
        values.is_none_or(|values| values.contains(value))
    };
    let most = asked.field("MaxResults").map(|most| most.parse().unwrap());
    let token = asked.field("NextToken");
    match asked.action.as_str() {
        "DescribeInstances" => {
            let tagged = |instance: &Value| {
                let tags = instance["tagSet"].as_array().unwrap();
                filters.iter().all(|(name, values)| {
                    let Some(key) = name.strip_prefix("tag:") else {
                        return true;
                    };
                    tags.iter().any(|tag| {
                        tag["key"] == key && values.contains(tag["value"].as_str().unwrap())
                    })
                })
            };
            let fits: Vec<&Value> = world
                .instances
                .iter()
                .filter(|(id, instance)| passes("instance-id", id) && tagged(instance))
                .map(|(_, instance)| instance)
                .collect();
            let (some, next) = page(&fits, most, token);
            // As AWS tells instances that were started one by one.
            let reservations = some.iter().map(|one| json!({ "instancesSet": [one] }));
            json!({ "reservationSet": reservations.collect::<Vec<_>>(), "nextToken": next })
        }
        "DescribeNetworkInterfaces" => {
            let fits: Vec<Value> = world
                .interfaces()
                .filter(|interface| {
                    let groups = interface["groupSet"].as_array().unwrap();
                    passes(
                        "network-interface-id",
                        interface["networkInterfaceId"].as_str().unwrap(),
                    ) && (!filters.contains_key("group-id")
                        || groups
                            .iter()
                            .any(|group| passes("group-id", group["groupId"].as_str().unwrap())))
                })
                .collect();
            let (some, next) = page(&fits, most, token);
            json!({ "networkInterfaceSet": some, "nextToken": next })
        }
        "DescribeImages" => {
            let images = world.images.iter().filter(|(id, _)| passes("image-id", id));
            let images = images.map(|(id, name)| json!({ "imageId": id, "name": name }));
            json!({ "imagesSet": images.collect::<Vec<_>>() })
        }
        "DescribeSecurityGroups" => {
            let groups = world.groups.iter().filter(|(id, _)| passes("group-id", id));
            let groups = groups.map(|(id, ports)| {
                let rules = ports.iter().map(|port| {
                    json!({
                        "ipProtocol": "tcp", "fromPort": port, "toPort": port,
                        "ipRanges": [{ "cidrIp": "0.0.0.0/0" }],
                    })
                });
                json!({ "groupId": id, "ipPermissions": rules.collect::<Vec<_>>() })
            });
            json!({ "securityGroupInfo": groups.collect::<Vec<_>>() })
        }
        _ => Value::Null,
    }
}

fn iam(world: &World, asked: &Asked) -> Value {
    let principals: Vec<(&str, &String)> = world
        .users
        .iter()
        .map(|name| ("user", name))
        .chain(world.roles.iter().map(|name| ("role", name)))
        .collect();
    let most = asked.field("MaxItems").map(|most| most.parse().unwrap());
    let (some, next) = page(&principals, most, asked.field("Marker"));
    let of = |kind: &str, field: &str| -> Vec<Value> {
        let named = some.iter().filter(|(one, _)| *one == kind);
        named
            .map(|(_, name)| {
                json!({
                    field: name, "Arn": format!("arn:aws:iam::{ACCOUNT}:{kind}/{name}"),
                    "CreateDate": "2026-01-01T00:00:00Z",
                })
            })
            .collect()
    };
    json!({
        "UserDetailList": of("user", "UserName"), "RoleDetailList": of("role", "RoleName"),
        "IsTruncated": next.is_some(), "Marker": next,
    })
}

fn ecs(world: &World, asked: &Asked) -> Value {
    let most = asked.json["maxResults"].as_u64().map(|most| most as usize);
    let token = asked.json["nextToken"].as_str();
    let cluster = || world.tasks.get(asked.json["cluster"].as_str()?);
    let texts = |name: &str| -> BTreeSet<String> {
        let list = asked.json[name].as_array().into_iter().flatten();
        list.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    match (asked.action.as_str(), cluster()) {
        ("ListClusters", _) => {
            let clusters: Vec<&String> = world.tasks.keys().collect();
            let (some, next) = page(&clusters, most, token);
            json!({ "clusterArns": some, "nextToken": next })
        }
        ("ListTasks", Some(tasks)) => {
            let tasks: Vec<&String> = tasks.keys().collect();
            let (some, next) = page(&tasks, most, token);
            json!({ "taskArns": some, "nextToken": next })
        }
        ("DescribeTasks", Some(tasks)) => {
            let wanted = texts("tasks");
            let tasks = tasks.iter().filter(|(id, _)| wanted.contains(*id));
            json!({ "tasks": tasks.map(|(_, task)| task).collect::<Vec<_>>() })
        }
        ("DescribeContainerInstances", Some(_)) => {
            let machines = texts("containerInstances").into_iter().filter_map(|id| {
                let instance = world.machines.get(&id)?;
                Some(json!({ "containerInstanceArn": id, "ec2InstanceId": instance }))
            });
            json!({ "containerInstances": machines.collect::<Vec<_>>() })
        }
        _ => Value::Null,
    }
}

fn events(world: &World, asked: &Asked) -> Value {
    let (start, end) = (
        asked.json["StartTime"].as_f64(),
        asked.json["EndTime"].as_f64(),
    );
    let mut fits: Vec<&Value> = world
        .events
        .iter()
        .filter(|event| {
            let time = event["EventTime"].as_f64().unwrap();
            start.is_none_or(|start| start <= time) && end.is_none_or(|end| time <= end)
        })
        .collect();
    fits.reverse();
    let most = asked.json["MaxResults"].as_u64().map(|most| most as usize);
    let (some, next) = page(&fits, most, asked.json["NextToken"].as_str());
    json!({ "Events": some, "NextToken": next })
}

fn hub(world: &World, asked: &Asked) -> Value {
    let filters = asked.json["Filters"].as_object();
    let passes = |finding: &Value| {
        filters.into_iter().flatten().all(|(name, rules)| {
            let rules = rules.as_array().unwrap();
            let value = match name.as_str() {
                "WorkflowStatus" => &finding["Workflow"]["Status"],
                "ResourceId" => &finding["Resources"][0]["Id"],
                name => &finding[name],
            };
            let value = value.as_str().unwrap();
            rules.iter().any(|rule| match rule["Start"].as_str() {
                Some(start) => start <= value && value <= rule["End"].as_str().unwrap(),
                None => rule["Value"] == value,
            })
        })
    };
    let fits: Vec<&Value> = world.hub.values().filter(|one| passes(one)).collect();
    let most = asked.json["MaxResults"].as_u64().map(|most| most as usize);
    let (some, next) = page(&fits, most, asked.json["NextToken"].as_str());
    json!({ "Findings": some, "NextToken": next })
}

fn inspector(world: &World, asked: &Asked) -> Value {
    let criteria = asked.json["filterCriteria"].as_object();
    let passes = |finding: &Value| {
        criteria.into_iter().flatten().all(|(name, rules)| {
            let rules = rules.as_array().unwrap();
            let value = match name.as_str() {
                "findingStatus" => &finding["status"],
                "resourceId" => &finding["resources"][0]["id"],
                name => &finding[name],
            };
            rules
                .iter()
                .any(|rule| match rule["startInclusive"].as_f64() {
                    Some(start) => {
                        let (value, end) = (value.as_f64(), rule["endInclusive"].as_f64());
                        value >= Some(start) && value <= end
                    }
                    None => rule["value"] == *value,
                })
        })
    };
    let fits: Vec<&Value> = world.inspected.values().filter(|one| passes(one)).collect();
    let most = asked.json["maxResults"].as_u64().map(|most| most as usize);
    let (some, next) = page(&fits, most, asked.json["nextToken"].as_str());
    json!({ "findings": some, "nextToken": next })
}

fn eks(world: &World, asked: &Asked) -> Value {
    let most = asked.field("maxResults").map(|most| most.parse().unwrap());
    let token = asked.field("nextToken");
    let cluster = || world.kubernetes.get(asked.path.get(1)?);
    match (asked.action.as_str(), cluster()) {
        ("ListClusters", _) => {
            let names: Vec<&String> = world.kubernetes.keys().collect();
            let (some, next) = page(&names, most, token);
            json!({ "clusters": some, "nextToken": next })
        }
        ("DescribeCluster", Some((cluster, _))) => json!({ "cluster": cluster }),
        ("ListNodegroups", Some((_, groups))) => {
            let names: Vec<&String> = groups.keys().collect();
            let (some, next) = page(&names, most, token);
            json!({ "nodegroups": some, "nextToken": next })
        }
        ("DescribeNodegroup", Some((_, groups))) => match groups.get(&asked.path[3]) {
            Some(group) => json!({ "nodegroup": group }),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}
