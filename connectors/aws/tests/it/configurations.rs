//! The files for the platform's connection page are what the program says of its settings.

use serde_json::Value;

use crate::support::program;

#[tokio::test]
async fn the_files_are_what_the_program_prints() {
    let ended = program().args(&["spec", "--cp4s"]).run().await.with_code(0);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    for (name, text) in [
        (
            "config.json",
            include_str!("../../configurations/config.json"),
        ),
        (
            "lang_en.json",
            include_str!("../../configurations/lang_en.json"),
        ),
    ] {
        let kept: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            kept, told[name],
            "configurations/{name} is not what `aws-connector spec --cp4s` prints"
        );
    }
}
