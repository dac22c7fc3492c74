//! What is said is said to the platform.

use car_core::exchange::{ContainerApi, LogLevel};
use car_testkit::{Emulator, TestFolder};
use serde_json::json;

use super::support::client;

#[tokio::test]
async fn every_level_arrives() {
    let folder = TestFolder::new();
    let emulator = Emulator::of(folder.path()).await;
    let client = client(&emulator.url());
    let context = json!({"rows": 3});
    for level in LogLevel::ALL {
        client
            .log(level, level.as_str(), Some(&context))
            .await
            .unwrap();
    }
    // The platform refuses blank messages, and a log is no reason to fail.
    client.log(LogLevel::Info, " ", None).await.unwrap();
    let logs = emulator.logs();
    assert_eq!(logs.len(), LogLevel::ALL.len() + 1);
    for (entry, level) in logs.iter().zip(LogLevel::ALL) {
        assert_eq!(entry.level, level);
        assert_eq!(entry.message, level.as_str());
        assert_eq!(entry.context.as_ref(), Some(&context));
    }
}
