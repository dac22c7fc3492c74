//! What a connector's program says, and with which code it ends.

use car_core::connector::Connector;
use serde_json::Value;

use super::Fixture;
use super::stage::{Stage, THINGS, unused_address};
use crate::{At, Deed, Ended, Program};

/// Most memory of a run, in bytes.
const MOST_MEMORY: u64 = 128 << 20;

/// Things in the source of the test of memory.
const MANY_THINGS: usize = 300;

/// Secrets are in no output: streams, report, files.
pub async fn no_secret_is_in_any_output<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let mut secrets = stage.fixture.secrets();
    secrets.push(crate::Service::credentials().password.to_owned());
    assert!(
        secrets.iter().all(|secret| secret.len() >= 4),
        "secrets that short are in ordinary words"
    );
    let program = stage.program("talkative").args(&["--full", "--debug"]);
    let text = program.clone().args(&["--log-format", "text"]);
    // A source that repeats what it was sent, and one that breaks in the middle.
    let echo = Deed::Text(format!("you sent {}", secrets.join(" and ")));
    for (program, deed) in [
        (&program, Deed::Pass),
        (&text, Deed::Pass),
        (&program, Deed::Answer(401)),
        (&text, Deed::Answer(500)),
        (&program, echo),
        (&text, Deed::Truncate),
    ] {
        let what = format!("{deed:?}");
        stage.proxy.on(At::From(2), deed);
        let program = program.clone().args(&["--source-retry-for", "1ms"]);
        let ended = program.run().await;
        stage.proxy.clear();
        for secret in &secrets {
            let found = places(&ended)
                .into_iter()
                .find(|(_, text)| text.contains(secret));
            if let Some((place, text)) = found {
                panic!(
                    "{what}: a secret is in {place}: {}",
                    text.replace(secret, "SECRET")
                );
            }
        }
    }
}

/// Returns everything that a run left, by name.
fn places(ended: &Ended) -> Vec<(String, String)> {
    let mut places = vec![
        ("stdout".to_owned(), ended.stdout.clone()),
        ("stderr".to_owned(), ended.stderr.clone()),
    ];
    places.extend(ended.files());
    places
}

/// A run with many things stays within 128 MiB.
pub async fn memory_stays_bounded<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(MANY_THINGS).await;
    let ended = stage.full("large").await;
    let peak = ended.report().peak_memory_bytes.unwrap();
    assert!(
        peak <= MOST_MEMORY,
        "{} MiB for {} rows",
        peak >> 20,
        ended.report().totals().sent
    );
}

/// Each cause has the exit code of the table.
pub async fn every_cause_has_its_exit_code<C: Connector, F: Fixture>() {
    let stage = Stage::<F>::start(THINGS).await;
    let program = || stage.program("codes").args(&["--source-retry-for", "1ms"]);
    let unreachable = stage.fixture.program(&unused_address());
    let unreachable = unreachable
        .into_service(&stage.service.url(), "codes")
        .args(&["--source-retry-for", "1ms"]);
    let nobody = format!("http://{}/api/car/v2", unused_address());
    let once = ["--car-retry-for", "1ms"];
    let (url, password) = ("CAR_SERVICE_URL", "CAR_SERVICE_PASSWORD");
    for (what, program, deed, code) in [
        ("success", program(), Deed::Pass, 0),
        (
            "an unknown flag",
            program().args(&["--no-such-flag"]),
            Deed::Pass,
            2,
        ),
        (
            "no CAR service",
            program().env(url, nobody).args(&once),
            Deed::Pass,
            10,
        ),
        (
            "a wrong password of the CAR service",
            program().env(password, "wrong"),
            Deed::Pass,
            10,
        ),
        ("no source", unreachable, Deed::Pass, 51),
        ("401", program(), Deed::Answer(401), 52),
        ("403", program(), Deed::Answer(403), 53),
        ("429", program(), Deed::Answer(429), 51),
        ("500", program(), Deed::Answer(500), 51),
        ("503", program(), Deed::Answer(503), 51),
        ("a reset", program(), Deed::Reset, 51),
    ] {
        assert_code(&stage, what, program, deed, &[code]).await;
    }
    let html = Deed::Text("<html>Please log in</html>".to_owned());
    assert_code(&stage, "a page for people", program(), html, &[50, 54, 55]).await;
    if stage.fixture.clear().await {
        let empty = program().args(&["--full"]);
        assert_code(&stage, "an empty source", empty, Deed::Pass, &[12]).await;
        assert!(!stage.graph("codes").await.is_empty());
        let approved = program().args(&["--full", "--approve-deletions"]);
        assert_code(&stage, "approval", approved, Deed::Pass, &[0]).await;
        assert!(stage.graph("codes").await.is_empty());
    }
}

async fn assert_code<F: Fixture>(
    stage: &Stage<F>,
    what: &str,
    program: Program,
    deed: Deed,
    codes: &[i32],
) {
    stage.proxy.clear();
    stage.proxy.on(At::All, deed);
    let ended = program.run().await;
    stage.proxy.clear();
    assert!(
        ended.code.is_some_and(|code| codes.contains(&code)),
        "{what} ends with {:?} and not {codes:?}: {}",
        ended.code,
        ended.stderr
    );
    if ended.code != Some(0) {
        assert!(
            !ended.stderr.trim().is_empty(),
            "{what}: it does not say why"
        );
    }
}

/// Help, description, completions and manual page are there without any setting.
pub async fn help_and_spec_need_no_settings<C: Connector, F: Fixture>() {
    let fixture = F::start(0).await;
    let program = fixture.program(&unused_address()).without_settings();
    let about = C::about();
    let says = async |arguments: &[&str]| {
        let ended = program.clone().args(arguments).run().await.with_code(0);
        assert!(!ended.stdout.is_empty(), "{arguments:?} prints nothing");
        ended.stdout
    };
    let help = says(&["--help"]).await;
    assert!(says(&["--version"]).await.contains(about.version));
    let schema: Value = serde_json::from_str(&says(&["spec"]).await).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    for (name, property) in properties {
        let flag = format!("--{name}");
        assert!(help.contains(&flag), "`{flag}` is not in the help");
        let described = property["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        assert!(described, "`{name}` has no description");
    }
    let capabilities: Value =
        serde_json::from_str(&says(&["spec", "--capabilities"]).await).unwrap();
    assert_eq!(
        capabilities["incremental_import"], about.incremental,
        "{capabilities}"
    );
    serde_json::from_str::<Value>(&says(&["spec", "--cp4s"]).await).unwrap();
    says(&["completions", "bash"]).await;
    says(&["man"]).await;
}
