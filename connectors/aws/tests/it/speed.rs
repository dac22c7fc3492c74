//! Many instances: calls grow with pages, and memory does not grow with instances.
//!
//! `CAR_TEST_CASES=10000` sets how many.

use std::collections::BTreeMap;

use car_core::report::Mode;
use car_testkit::{Program, Service, cases};

use crate::fake::{Fake, REGION, World};
use crate::support::{SOURCE, reading};

/// Most memory of a run, in bytes.
const MOST_MEMORY: u64 = 128 << 20;

fn connector(fake: &Fake, service: &Service) -> Program {
    reading(&format!("http://{}", fake.address()))
        .env("CONFIGURATION_PARAMETER_REGIONS", REGION)
        .into_service(&service.url(), SOURCE)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_grow_with_pages_not_with_instances() {
    let instances = usize::try_from(cases(2_500)).unwrap();
    let fake = Fake::start(World::of_instances(instances)).await;
    let service = Service::start().await;
    let ended = connector(&fake, &service).run().await.with_code(0);
    let report = ended.report();
    assert_eq!(report.mode, Some(Mode::Full));
    let (pages, findings) = (instances.div_ceil(1000), instances.div_ceil(100));
    let expected = BTreeMap::from([
        ("ec2:DescribeImages", 1),
        // One for each page of them, and one for each page of findings, whether they still exist.
        ("ec2:DescribeInstances", pages + findings),
        ("ec2:DescribeRegions", 1),
        ("ec2:DescribeSecurityGroups", 1),
        ("ecs:ListClusters", 1),
        ("eks:ListClusters", 1),
        ("elasticbeanstalk:DescribeApplications", 1),
        ("elasticbeanstalk:DescribeEnvironments", 1),
        ("elasticloadbalancing:DescribeLoadBalancers", 1),
        ("iam:GetAccountAuthorizationDetails", 1),
        ("inspector2:ListFindings", 1),
        (
            "lambda:ListFunctions",
            usize::from(cfg!(feature = "lambda")),
        ),
        ("rds:DescribeDBClusters", 1),
        ("rds:DescribeDBInstances", 1),
        ("securityhub:GetFindings", findings),
        ("sts:GetCallerIdentity", 1),
    ]);
    let calls = fake.calls();
    for (name, count) in &expected {
        let made = calls.get(*name).copied().unwrap_or_default();
        assert_eq!(made, *count, "{name} of {calls:?}");
    }
    let all: usize = calls.values().sum();
    assert_eq!(all, expected.values().sum::<usize>(), "{calls:?}");
    let memory = report.peak_memory_bytes.unwrap();
    assert!(memory <= MOST_MEMORY, "{} MiB", memory >> 20);
    println!(
        "{instances} instances: {all} calls, {} rows in {} ms, {} MiB",
        report.totals().sent,
        report.duration_ms,
        memory >> 20
    );

    // A connector that asks for the image and the findings of each instance makes as many calls
    // as there are instances, twice.
    assert!(all < instances / 10 || instances < 500, "{all}");

    // What changed is looked at, nothing else: the calls are the same however many there are.
    fake.world().mutate(7);
    let ended = connector(&fake, &service).run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Incremental));
    let calls = fake.calls();
    let all: usize = calls.values().sum();
    println!(
        "a few changes: {all} calls in {} ms",
        ended.report().duration_ms
    );
    assert!(all < 40 + pages, "{calls:?}");
}
