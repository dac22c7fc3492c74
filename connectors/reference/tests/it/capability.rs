//! What the connector declares is what it does.

use std::time::Duration;

use car_core::config::Span;
use car_core::connector::{Connector, Context};
use car_core::secret::Secret;
use reference_connector::ReferenceConnector;
use reference_connector::config::Settings;

#[tokio::test]
async fn the_declared_capability_is_the_real_one() {
    let settings = Settings {
        server: "http://127.0.0.1:9".to_owned(),
        username: "user".to_owned(),
        password: Secret::from("hidden-word"),
        page_size: 10,
        rate_limit: None,
        server_timeout: Span(Duration::from_secs(5)),
        rate_limit_dir: None,
    };
    assert!(!format!("{settings:?}").contains("hidden-word"));
    let context = Context {
        source: "any".to_owned(),
        cancel: Default::default(),
    };
    let connector = ReferenceConnector::open(settings, context).await.unwrap();
    let about = ReferenceConnector::about();
    assert_eq!(about.incremental, connector.incremental_import().is_some());
    let extension = about.extension.unwrap();
    car_schema::Model::core().extend(&extension.schema).unwrap();
    assert!(extension.version_number().unwrap() >= 1);
}

#[tokio::test]
async fn capabilities_are_told_on_the_command_line() {
    let ended = crate::support::program()
        .args(&["spec", "--capabilities"])
        .run()
        .await
        .with_code(0);
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        told["incremental_import"],
        ReferenceConnector::about().incremental,
        "{told}"
    );
}
