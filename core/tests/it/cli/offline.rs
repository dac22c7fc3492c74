//! What works without a CAR service.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{Probe, lines};

#[tokio::test]
async fn the_help_is_grouped() {
    let help = Probe::new("--help").run().await;
    assert_eq!(help.code, 0);
    assert_eq!(help.stderr, "");
    insta::assert_snapshot!(help.stdout);
    let verb = Probe::new("import -h")
        .env("CAR_SERVICE_PASSWORD", "hush-car")
        .run()
        .await;
    assert_eq!(verb.code, 0);
    assert!(
        verb.stdout.contains("CAR_SERVICE_PASSWORD"),
        "{}",
        verb.stdout
    );
}

#[tokio::test]
async fn the_version_is_printed_without_settings() {
    for line in [
        "--version",
        "-V",
        "import --version",
        "--version import",
        "-version",
    ] {
        let ended = Probe::new(line).run().await;
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (0, "probe 1.2.3\n"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_health_check_needs_nothing() {
    for line in [
        "--health-check",
        "import --health-check",
        "--health-check --config /nowhere",
        "-health-check",
    ] {
        let ended = Probe::new(line).run().await;
        assert_eq!(
            (ended.code, ended.stdout + &ended.stderr),
            (0, String::new()),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_spec_is_json() {
    let spec = Probe::new("spec")
        .env("CONFIGURATION_AUTH_PASSWORD", "hush-source")
        .run()
        .await;
    assert_eq!(spec.code, 0);
    let schema: Value = serde_json::from_str(&spec.stdout).unwrap();
    let password = &schema["properties"]["password"];
    assert_eq!(password["writeOnly"], true);
    assert_eq!(password["x-env"], "CONFIGURATION_AUTH_PASSWORD");
    assert_eq!(password["x-flag"], "--password");
    assert_eq!(
        schema["required"],
        serde_json::json!(["server", "password"])
    );

    let capabilities = Probe::new("spec --capabilities").run().await;
    insta::assert_snapshot!(capabilities.stdout, @r#"
    {
      "description": "Imports made assets, to show what the command line does",
      "extension": null,
      "format": 1,
      "full_import": true,
      "incremental_import": false,
      "name": "probe",
      "product_link": null,
      "title": "Probe",
      "verbs": [
        "import",
        "plan",
        "test-connection",
        "quarantine",
        "serve",
        "worker",
        "tasks",
        "spec",
        "completions",
        "man",
        "data-source"
      ],
      "version": "1.2.3"
    }
    "#);
}

#[tokio::test]
async fn the_connection_page_follows_the_variables() {
    let page = Probe::new("spec --cp4s").run().await;
    assert_eq!(page.code, 0, "{}", page.stderr);
    insta::assert_snapshot!(page.stdout);
    let both = Probe::new("spec --cp4s --capabilities").run().await;
    assert_eq!(both.code, 2);
}

#[tokio::test]
async fn shells_and_man_get_their_descriptions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Probe::new(&format!("completions {shell}")).run().await;
        assert_eq!(script.code, 0, "{}", script.stderr);
        assert!(script.stdout.contains("car-service-url"), "{shell}");
    }
    let page = Probe::new("man").run().await;
    assert_eq!(page.code, 0);
    assert!(
        page.stdout.contains(".TH probe") && page.stdout.contains("DATA SOURCE"),
        "{}",
        page.stdout
    );
    let none = Probe::new("completions --log-format text").run().await;
    assert_eq!(none.code, 2);
    insta::assert_snapshot!(none.stderr, @"error: <SHELL> is missing");
}

#[tokio::test]
async fn a_wrong_command_line_is_an_invalid_parameter() {
    let text = Probe::new("--sorce x --log-format text").run().await;
    assert_eq!(text.code, 2);
    insta::assert_snapshot!(text.stderr, @r"
    error: unknown flag `--sorce`

    hint: did you mean `--source`?
    hint: `probe --help` lists verbs and flags
    ");
    let json = Probe::new("imprt").run().await;
    assert_eq!(json.code, 2);
    let line = &lines(&json.stderr)[0];
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["message"], "unknown verb `imprt`");
    assert_eq!(line["exit_code"], 2);
    for line in [
        "--car-service-pasword=hush-car",
        "--car-service-password hush-car --unknown hush-car",
        "-car-service-password hush-car hush-car",
    ] {
        // That nothing is leaked is checked for every process.
        let ended = Probe::new(line).run().await;
        assert_eq!(ended.code, 2, "{line}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_connection_that_works_says_so() {
    for line in [
        "test-connection",
        "--connection-test",
        "import -connection-test",
    ] {
        let ended = Probe::new(line).source().run().await;
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let told = lines(&ended.stderr);
        assert_eq!(told[0]["message"], "the connection works", "{line}");
        assert_eq!(told[0]["connector"], "probe");
        assert_eq!(told[0]["source"], "s1");
    }
    let by_environment = Probe::new("")
        .source()
        .env("DATASOURCE_CONNECTION_TEST", "true")
        .env("CONNECTOR_NAME", "mine")
        .env("CONNECTOR_VERSION", "7")
        .run()
        .await;
    assert_eq!(by_environment.code, 0);
    let told = lines(&by_environment.stderr);
    assert_eq!(
        (&told[0]["connector"], &told[0]["version"]),
        (&"mine".into(), &"7".into())
    );
}

#[tokio::test]
async fn each_failure_of_the_source_has_its_code() {
    for (behaviour, code) in [
        ("unavailable", 51),
        ("unauthorised", 52),
        ("forbidden", 53),
        ("invalid", 54),
        ("garbage", 55),
        ("panics", 1),
    ] {
        let line = format!("test-connection --behaviour {behaviour}");
        let ended = Probe::new(&line).source().run().await;
        assert_eq!(ended.code, code, "{behaviour}: {}", ended.stderr);
        assert_eq!(lines(&ended.stderr).last().unwrap()["level"], "ERROR");
    }
    let text = Probe::new("test-connection --behaviour unauthorised --log-format text");
    insta::assert_snapshot!(text.source().run().await.stderr, @r"
    error: cannot use Probe
      Caused by: the source does not accept the password (address http://source)
      Caused by: 401: wrong password [secret]

    hint: check --server and --password
    ");
}

#[tokio::test]
async fn debug_lines_hide_secrets_too() {
    let ended =
        Probe::new("test-connection -d --password hush-source --server http://u:hush-source@h/")
            .run()
            .await;
    assert_eq!(ended.code, 0);
    let told = lines(&ended.stderr);
    let opening = told
        .iter()
        .find(|line| line["message"] == "opening the source")
        .unwrap();
    assert_eq!(opening["level"], "DEBUG");
    let settings = opening["settings"].as_str().unwrap();
    assert!(settings.contains("u:[secret]@h"), "{settings}");
}

#[tokio::test]
async fn settings_that_are_wrong_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.json");
    let line = format!("--report {} --log-format text", file.display());
    let ended = Probe::new(&line).source().env("DEBUG", "maybe").run().await;
    assert_eq!(ended.code, 2);
    insta::assert_snapshot!(ended.stderr, @"error: `debug` must be true or false, not `maybe`: environment variable DEBUG");
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["exit_code"], 2);
    assert_eq!(report["outcome"], "failed");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let nowhere = Probe::new("--report /nonexistent/report.json --log-format text");
    let nowhere = nowhere.source().run().await;
    assert_eq!(nowhere.code, 2);
    insta::with_settings!({filters => vec![(r"\.tmp\w+", ".tmp")]}, {
        insta::assert_snapshot!(nowhere.stderr, @r#"
        error: cannot write the run report to /nonexistent/report.json: flag --report
          Caused by: No such file or directory (os error 2) at path "/nonexistent/.tmp"

        hint: its folder must exist and be writable
        "#);
    });
    let device = Probe::new("--report /dev/null --log-format text");
    let device = device.source().run().await;
    assert_eq!(device.code, 2);
    assert!(
        device.stderr.contains("to /dev/null: flag --report"),
        "{}",
        device.stderr
    );
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}
