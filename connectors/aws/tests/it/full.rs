//! The full import: everything that AWS shows, to the last edge.

use car_core::report::Mode;
use serde_json::json;

use crate::moto::{ACCOUNT, At, IRELAND, OHIO};
use crate::support::Pair;

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_two_regions_come_with_their_addresses_and_openings() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let aws = &pair.aws;
    let image = aws
        .make(
            IRELAND,
            "ec2",
            "register_image",
            json!({ "Name": "golden-1" }),
        )
        .await["ImageId"]
        .as_str()
        .unwrap()
        .to_owned();
    let group = aws
        .make(
            IRELAND,
            "ec2",
            "create_security_group",
            json!({ "GroupName": "open", "Description": "ssh" }),
        )
        .await["GroupId"]
        .as_str()
        .unwrap()
        .to_owned();
    aws.make(
        IRELAND,
        "ec2",
        "authorize_security_group_ingress",
        json!({ "GroupId": group, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0" }),
    )
    .await;
    let run = |count: u32, tags: serde_json::Value| {
        json!({
            "ImageId": image, "MinCount": count, "MaxCount": count, "SecurityGroupIds": [group],
            "TagSpecifications": [{ "ResourceType": "instance", "Tags": tags }],
        })
    };
    let id = |answer: &serde_json::Value, at: usize| {
        answer["Instances"][at]["InstanceId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let named = aws
        .make(
            IRELAND,
            "ec2",
            "run_instances",
            run(1, json!([{ "Key": "Name", "Value": "web" }])),
        )
        .await;
    let web = id(&named, 0);
    let nameless = aws
        .make(
            IRELAND,
            "ec2",
            "run_instances",
            run(2, json!([{ "Key": "team", "Value": "a" }])),
        )
        .await;
    let (plain, gone) = (id(&nameless, 0), id(&nameless, 1));
    aws.make(
        IRELAND,
        "ec2",
        "terminate_instances",
        json!({ "InstanceIds": [gone] }),
    )
    .await;
    let far = aws
        .make(
            OHIO,
            "ec2",
            "run_instances",
            json!({ "ImageId": "ami-00000000", "MinCount": 1, "MaxCount": 1 }),
        )
        .await;
    let far = id(&far, 0);

    let ended = pair.import().await;
    let report = ended.report();
    assert_eq!(report.mode, Some(Mode::Full));
    let graph = pair.graph().await;
    let arn = |region: &str, id: &str| format!("arn:aws:ec2:{region}:{ACCOUNT}:instance/{id}");
    let web = arn("eu-west-1", &web);
    let asset = graph.get("asset", &web).unwrap();
    assert_eq!(asset["name"], "web");
    assert_eq!(asset["region"], "eu-west-1");
    assert_eq!(asset["exposed"], true);
    let asset = graph.get("asset", &arn("eu-west-1", &plain)).unwrap();
    assert_eq!(asset["name"], format!("EC2 id:{plain}"));
    assert!(graph.get("asset", &arn("eu-west-1", &gone)).is_none());
    assert!(graph.get("asset", &arn("us-east-2", &far)).is_some());
    assert_eq!(graph.identities("asset").count(), 3);
    assert!(graph.has_edge("asset_geolocation", &web, "eu-west-1"));
    assert!(graph.has_edge("asset_application", &web, &image));
    let system = graph.get("application", &image).unwrap();
    assert_eq!(
        (&system["name"], &system["is_os"]),
        (&json!("golden-1"), &json!(true))
    );

    let interface = &named["Instances"][0]["NetworkInterfaces"][0];
    let vpc = interface["VpcId"].as_str().unwrap();
    let address = interface["PrivateIpAddress"].as_str().unwrap();
    let key = format!("{address}@{vpc}");
    let private = graph.get("ipaddress", &key).unwrap();
    assert_eq!(
        (&private["name"], &private["region_id"]),
        (&json!(address), &json!(vpc))
    );
    let mac = interface["MacAddress"].as_str().unwrap();
    assert!(graph.has_edge("asset_ipaddress", &web, &key));
    assert!(graph.has_edge("asset_macaddress", &web, mac));
    assert!(graph.has_edge("ipaddress_macaddress", &key, mac));
    let port = format!("{group}/tcp/22-22");
    assert_eq!(graph.get("port", &port).unwrap()["port_number"], json!(22));

    let again = pair.connector().args(&["--full"]).run().await.with_code(0);
    assert_eq!(again.report().mode, Some(Mode::Full));
    pair.graph()
        .await
        .assert_is(&graph, "after a second full import");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_fails_its_scopes_alone_and_names_the_permission() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let instance = json!({ "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1 });
    for at in [IRELAND, OHIO] {
        pair.aws
            .make(at, "ec2", "run_instances", instance.clone())
            .await;
    }
    pair.aws
        .fail(json!([{
            "match": { "service": "ec2", "action": "DescribeInstances", "region": "us-east-2" },
            "status": 403, "code": "UnauthorizedOperation", "times": 100,
        }]))
        .await;
    let ended = pair
        .connector()
        .run()
        .await
        .with_code(11)
        .saying("ec2:DescribeInstances");
    let complete = |scope: &str| {
        let scopes = &ended.report().scopes;
        scopes
            .iter()
            .find(|one| one.name == scope)
            .unwrap()
            .complete
    };
    assert!(complete(&format!("ec2/{ACCOUNT}/eu-west-1")));
    assert!(!complete(&format!("ec2/{ACCOUNT}/us-east-2")));
    assert_eq!(pair.graph().await.identities("asset").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_names_its_accounts() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let all = json!({ "FeatureSet": "ALL" });
    let aws = &pair.aws;
    aws.make(IRELAND, "organizations", "create_organization", all)
        .await;
    let member = json!({ "AccountName": "shop", "Email": "shop@example.com" });
    let member = aws
        .make(IRELAND, "organizations", "create_account", member)
        .await;
    let member = member["CreateAccountStatus"]["AccountId"].as_str().unwrap();
    let there = At {
        account: member.to_owned().leak(),
        region: "us-east-2",
    };
    let one = json!({ "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1 });
    for at in [IRELAND, there] {
        aws.make(at, "ec2", "run_instances", one.clone()).await;
    }
    let everybody = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_ACCOUNTS", "organization")
        .env("CONFIGURATION_PARAMETER_ACCOUNT_ROLE", "reader");
    drop(everybody.run().await.with_code(0));
    let graph = pair.graph().await;
    let accounts: Vec<&str> = graph.identities("cloudaccount").collect();
    assert!(
        accounts.contains(&ACCOUNT) && accounts.contains(&member),
        "{accounts:?}"
    );
    assert_eq!(graph.identities("asset").count(), 2);
}
