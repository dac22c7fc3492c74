//! The verbs beside the import.

use car_testkit::Service;

use crate::fake::{Fake, REGION, World};
use crate::support::{SOURCE, program, reading};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_what_would_come_and_writes_nothing() {
    let aws = Fake::start(World::of_everything(6)).await;
    let service = Service::start().await;
    let connector = reading(&format!("http://{}", aws.address()))
        .env("CONFIGURATION_PARAMETER_REGIONS", REGION)
        .into_service(&service.url(), SOURCE);
    drop(connector.run().await.with_code(0));
    let before = service.graph(SOURCE).await;
    aws.world().mutate(1);
    aws.world().mutate(2);
    let plan = connector.args(&["plan", "--output", "json"]);
    let ended = plan.run().await.with_code(0);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(told.to_string().contains("asset"), "{told}");
    let after = service.graph(SOURCE).await;
    after.assert_is(&before, "a plan");
}

#[tokio::test]
async fn without_settings_the_first_missing_one_is_named() {
    let bare = program().without_settings();
    drop(bare.run().await.with_code(2).saying("CONNECTION_NAME"));
    let healthy = bare.args(&["--health-check"]);
    drop(healthy.run().await.with_code(0));
}
