//! Settings from all places, and what is said when one is wrong.

use std::ffi::OsString;
use std::fs;

use car_core::Failure;
use car_core::cli::render;
use car_core::config::{
    CarCredentials, Catalog, CommandLine, Common, Environment, Limit, Loaded, Origin, Refused,
};
use car_core::secret::{Redactor, Secret};
use clap::{Args, Command, ValueEnum};
use schemars::JsonSchema;
use serde_json::Value;
use tempfile::TempDir;

#[derive(Debug, Args, JsonSchema)]
struct Own {
    /// Address of the source
    #[arg(long, value_name = "URL", env = "OWN_SERVER")]
    server: String,
    /// Password of the source
    #[arg(long, env = "OWN_PASSWORD")]
    password: Secret,
    /// Second password
    #[arg(long, env = "OWN_TOKEN")]
    token: Option<Secret>,
    /// Pages at a time
    #[arg(long, env = "OWN_COUNT", default_value_t = 3)]
    count: u8,
    /// Whether to look into archives
    #[arg(long, env = "OWN_ARCHIVES")]
    archives: bool,
    /// Whether to keep what is old
    #[arg(long, env = "OWN_KEEP", default_value_t = true, action = clap::ArgAction::Set)]
    keep: bool,
    /// Regions
    #[arg(long, env = "OWN_REGIONS", value_delimiter = ',')]
    regions: Vec<String>,
    /// How deep to look
    #[arg(long, value_enum)]
    depth: Option<Depth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Depth {
    /// Only names.
    Names,
    /// Everything.
    All,
}

/// The places where settings are, in a folder of its own.
struct Places {
    dir: TempDir,
    environment: Vec<(&'static str, String)>,
    flags: Vec<String>,
}

impl Places {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secrets = dir.path().join("secrets");
        let environment = vec![("CAR_SECRETS_DIR", secrets.display().to_string())];
        Self {
            dir,
            environment,
            flags: Vec::new(),
        }
    }

    /// Places with all that is required.
    fn complete() -> Self {
        Self::new()
            .flags("--server http://s --password hush-hush --source s1")
            .env("CAR_SERVICE_URL", "https://h/api/car/v2")
            .env("CAR_SERVICE_KEY", "key-key")
            .env("CAR_SERVICE_PASSWORD", "hush-car")
    }

    fn flags(mut self, flags: &str) -> Self {
        self.flags
            .extend(flags.split_whitespace().map(str::to_owned));
        self
    }

    fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn yaml(self, text: &str) -> Self {
        let file = self.dir.path().join("config.yaml");
        fs::write(&file, text).unwrap();
        self.flags(&format!("--config {}", file.display()))
    }

    /// Adds a secret file that holds the text of [`Encrypted`].
    fn secret(self, name: &str) -> Self {
        let encrypted = Encrypted::kept();
        let dir = self.dir.path().join("secrets");
        fs::create_dir_all(dir.join(".jwk")).unwrap();
        fs::write(dir.join(".jwk/key.jwk"), encrypted.key).unwrap();
        fs::write(dir.join(name), encrypted.token).unwrap();
        self
    }

    fn load(&self) -> Result<Loaded, Failure> {
        let line = self.line()?;
        let environment: Environment = self.environment.iter().cloned().collect();
        catalog().load(&line, &environment, &mut Vec::new())
    }

    fn line(&self) -> Result<CommandLine, Failure> {
        let words = std::iter::once("own").chain(self.flags.iter().map(String::as_str));
        catalog()
            .read(words.map(OsString::from))
            .map_err(|refused| match refused {
                Refused::Wrong { failure, .. } => failure,
                Refused::Help(help) => panic!("asks for help: {help}"),
            })
    }

    fn own(&self) -> Own {
        self.load().unwrap().settings().unwrap()
    }

    /// Loads everything and gives the error as it is printed.
    fn error(&self) -> String {
        let failure = self
            .load()
            .and_then(|loaded| {
                loaded.require_own_and(&["source"])?;
                loaded.settings::<Own>()?;
                CarCredentials::from_settings(&loaded.settings::<Common>()?, &loaded)
            })
            .unwrap_err();
        assert_eq!(failure.kind(), car_core::FailureKind::InvalidParameter);
        // Without a filter: a secret must not get that far.
        let text = render(&failure, &Redactor::default(), false);
        text.replace(&self.dir.path().display().to_string(), "DIR")
    }
}

struct Encrypted {
    key: String,
    token: String,
    text: String,
}

impl Encrypted {
    fn kept() -> Self {
        let made: Value = serde_json::from_str(include_str!("fixtures/jwe/cases.json")).unwrap();
        let case = made["cases"]
            .as_array()
            .unwrap()
            .iter()
            .find(|case| case["name"] == "A256KW A256CBC-HS512")
            .unwrap();
        Self {
            key: made["keys"]["oct256"].to_string(),
            token: case["token"].as_str().unwrap().to_owned(),
            text: case["text"].as_str().unwrap().to_owned(),
        }
    }
}

fn catalog() -> Catalog {
    Catalog::new::<Own>(Command::new("own").subcommand(Command::new("import")))
}

#[test]
fn the_first_place_that_has_a_value_wins() {
    let from_file = Encrypted::kept().text;
    for present in 0..16_u8 {
        let has = |place: u8| present & (1 << place) != 0;
        let mut places = Places::complete();
        let mut expected: Option<(&str, &str)> = None;
        if has(0) {
            places = places.yaml("token: from-yaml");
            expected = Some(("from-yaml", "key `token` in line 1 of"));
        }
        if has(1) {
            places = places.secret("OWN_TOKEN");
            expected = Some((&from_file, "secret file"));
        }
        if has(2) {
            places = places.env("OWN_TOKEN", "from-environment");
            expected = Some(("from-environment", "environment variable OWN_TOKEN"));
        }
        if has(3) {
            places = places.flags("--token from-flag");
            expected = Some(("from-flag", "flag --token"));
        }
        let loaded = places.load().unwrap();
        let own: Own = loaded.settings().unwrap();
        assert_eq!(
            own.token.as_ref().map(Secret::expose),
            expected.map(|(value, _)| value),
            "{present:04b}"
        );
        let origin = loaded.origin("token");
        match expected {
            Some((_, place)) => assert!(origin.to_string().starts_with(place), "{origin}"),
            None => assert_eq!(origin, Origin::Default),
        }
    }
}

#[test]
fn a_default_gives_way_to_every_place() {
    assert_eq!(Places::complete().own().count, 3);
    assert_eq!(Places::complete().yaml("count: 4").own().count, 4);
    assert_eq!(Places::complete().env("OWN_COUNT", "5").own().count, 5);
    assert_eq!(Places::complete().flags("--count=6").own().count, 6);
    assert_eq!(Places::complete().flags("-count 6 import").own().count, 6);
    assert_eq!(Places::complete().flags("import -count=7").own().count, 7);
}

#[test]
fn switches_are_real_booleans() {
    for (value, expected) in [
        ("true", true),
        ("1", true),
        ("Yes", true),
        ("false", false),
        ("0", false),
        ("off", false),
    ] {
        let own = Places::complete()
            .env("OWN_ARCHIVES", value)
            .env("OWN_KEEP", value)
            .own();
        assert_eq!((own.archives, own.keep), (expected, expected), "{value}");
        let debug = Places::complete().env("DEBUG", value).load().unwrap();
        let debug = debug.settings::<Common>().unwrap().debug;
        assert_eq!(debug, expected, "DEBUG={value}");
    }
    assert!(Places::complete().yaml("archives: true").own().archives);
    let overruled = Places::complete()
        .yaml("archives: true")
        .env("OWN_ARCHIVES", "false");
    assert!(
        !overruled.own().archives,
        "the environment comes before the file"
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let places = Places::complete()
        .yaml("token: from-yaml")
        .env("OWN_TOKEN", "")
        .env("DEBUG", "")
        .env("OWN_COUNT", "")
        .env("CONNECTOR_VERSION", "");
    let own = places.own();
    assert_eq!(own.token, Some(Secret::from("from-yaml")));
    assert_eq!(own.count, 3);
}

#[test]
fn lists_come_from_every_place() {
    let expected = ["eu", "us"];
    assert_eq!(
        Places::complete().yaml("regions: [eu, us]").own().regions,
        expected
    );
    assert_eq!(
        Places::complete().yaml("regions: eu,us").own().regions,
        expected
    );
    assert_eq!(
        Places::complete().env("OWN_REGIONS", "eu,us").own().regions,
        expected
    );
    let flags = Places::complete().flags("--regions eu --regions us");
    assert_eq!(flags.own().regions, expected);
}

#[test]
fn the_file_takes_underscores_and_words_in_quotes() {
    let places = Places::complete().yaml("\"car_timeout\": 5s\nmax-rejects: 0.5\ndepth: all\n");
    let loaded = places.load().unwrap();
    let common: Common = loaded.settings().unwrap();
    assert_eq!(common.car_timeout.0.as_secs(), 5);
    assert_eq!(common.max_rejects, Limit::Share(0.5));
    assert_eq!(places.own().depth, Some(Depth::All));
    assert!(
        Places::complete().yaml("").load().is_ok(),
        "an empty file has no settings"
    );
    assert_eq!(Places::complete().yaml("count:\n").own().count, 3);
}

#[test]
fn values_may_look_like_flags_and_assignments() {
    let places = Places::complete()
        .env("OWN_TOKEN", "--full=a b")
        .yaml("regions: [\"-x\"]");
    let own = places.own();
    assert_eq!(own.token, Some(Secret::from("--full=a b")));
    assert_eq!(own.regions, ["-x"]);
    let own = Places::complete().flags("--token -hush").own();
    assert_eq!(own.token, Some(Secret::from("-hush")));
}

#[test]
fn both_ways_to_sign_in_work() {
    let sign_in = |places: Places| {
        let loaded = places.load().unwrap();
        CarCredentials::from_settings(&loaded.settings().unwrap(), &loaded).unwrap()
    };
    let url = "https://h/api/car/v2".to_owned();
    assert_eq!(
        sign_in(Places::complete().flags("--car-service-url https://h/api/car/v2/")),
        CarCredentials::Key {
            url: url.clone(),
            key: "key-key".to_owned(),
            password: Secret::from("hush-car"),
        }
    );
    let token = Places::new()
        .env("CAR_SERVICE_URL_FOR_AUTHTOKEN", &url)
        .env("CAR_SERVICE_AUTHTOKEN", "hush-token");
    let token = sign_in(token);
    let shown = format!("{token:?}");
    assert!(!shown.contains("hush"), "{shown}");
    let expected = CarCredentials::Token {
        url,
        token: Secret::from("hush-token"),
    };
    assert_eq!(token, expected);
}

#[test]
fn secrets_are_handed_over_for_hiding() {
    let places = Places::new()
        .flags("--password=hush-flag")
        .env("OWN_TOKEN", "hush-environment")
        .secret("CAR_SERVICE_AUTHTOKEN")
        .yaml("car-service-password: hush-yaml\nbad: 1");
    let line = places.line().unwrap();
    assert_eq!(line.secrets(), [Secret::from("hush-flag")]);
    let mut secrets = Vec::new();
    let environment: Environment = places.environment.iter().cloned().collect();
    assert!(catalog().load(&line, &environment, &mut secrets).is_err());

    let file = places.dir.path().join("config.yaml");
    fs::write(&file, "car-service-password: hush-yaml").unwrap();
    assert!(catalog().load(&line, &environment, &mut secrets).is_ok());
    for text in ["hush-environment", "hush-yaml", &Encrypted::kept().text] {
        assert!(secrets.contains(&Secret::from(text)), "{text}");
    }
}

#[test]
fn every_error_names_the_setting_and_the_place() {
    let complete = Places::complete;
    let bare = || Places::new().flags("--server http://s --password hush-hush --source s1");
    let url = |url: &str| {
        bare()
            .env("CAR_SERVICE_URL", url)
            .env("CAR_SERVICE_KEY", "k")
            .env("CAR_SERVICE_PASSWORD", "hush-car")
    };
    let cases = [
        ("nothing at all", Places::new()),
        ("flag: unknown", complete().flags("--sorce x")),
        ("flag: wrong number", complete().flags("--count many")),
        ("flag: no value", complete().flags("--count --full")),
        ("flag: twice", complete().flags("--source s2")),
        ("flag: value for a switch", complete().flags("--full=yes")),
        (
            "flag: page size",
            complete().flags("--export-data-page-size 2001"),
        ),
        ("flag: size", complete().flags("--memory-budget lots")),
        ("flag: time", complete().flags("--car-timeout 0")),
        ("flag: share", complete().flags("--max-deletions 2")),
        ("flag: limit", complete().flags("--max-rejects 2.5")),
        ("flag: choice", complete().flags("--log-format yaml")),
        ("verb: unknown", complete().flags("imprt")),
        ("verb: argument", complete().flags("import all")),
        ("environment: number", complete().env("OWN_COUNT", "many")),
        ("environment: switch", complete().env("DEBUG", "maybe")),
        ("environment: boolean", complete().env("OWN_KEEP", "maybe")),
        ("secret file: number", complete().secret("OWN_COUNT")),
        ("secret file: switch", complete().secret("DEBUG")),
        (
            "file: unknown key",
            complete().yaml("count: 3\nmemory_bugdet: 1MiB\n"),
        ),
        ("file: far from any key", complete().yaml("zzz: 1")),
        (
            "file: key of the command line",
            complete().yaml("config: other.yaml"),
        ),
        ("file: nested", complete().yaml("count:\n  a: 1")),
        ("file: text expected", complete().yaml("\nserver: 17")),
        (
            "file: secret expected",
            Places::new().flags("--server s").yaml("password: 4711"),
        ),
        ("file: number", complete().yaml("count: many")),
        ("file: number too large", complete().yaml("count: 256")),
        ("file: switch", complete().yaml("full: 17")),
        ("file: choice", complete().yaml("depth: deep")),
        ("file: list for one value", complete().yaml("count: [1, 2]")),
        (
            "file: set twice",
            complete().yaml("car-timeout: 1s\ncar_timeout: 2s"),
        ),
        (
            "file: key twice",
            complete().yaml("count: 1\nfull: true\ncount: 2"),
        ),
        ("file: no map", complete().yaml("- a\n- b")),
        (
            "file: no YAML",
            complete().yaml("token: \"hush-yaml\nserver: ["),
        ),
        (
            "file: not there",
            complete().flags("--config DIR/none.yaml"),
        ),
        ("credentials: none", bare()),
        (
            "credentials: half a key",
            bare().env("CAR_SERVICE_KEY", "k"),
        ),
        (
            "credentials: token without address",
            bare().env("CAR_SERVICE_AUTHTOKEN", "hush-token"),
        ),
        (
            "credentials: two",
            complete().env("CAR_SERVICE_AUTHTOKEN", "hush-token"),
        ),
        ("address: no scheme", url("h/api/car/v2")),
        ("address: scheme", url("ftp://h/api/car/v2")),
        ("address: no path", url("https://h:8443")),
        ("address: password", url("https://u:hush-url@h/api/car/v2")),
        (
            "address: bad with password",
            url("https://u:hush-url@h h/api/car/v2"),
        ),
        ("address: query", url("https://h/api/car/v2?a=b")),
    ];
    let mut all = String::new();
    let text_of_file = Encrypted::kept().text;
    for (name, places) in cases {
        let error = places.error();
        for secret in ["hush", "4711", &text_of_file, "pässword"] {
            assert!(!error.contains(secret), "{name}: {error}");
        }
        all.push_str(&format!("## {name}\n{error}\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn an_unreadable_secret_file_is_named() {
    let places = Places::complete().secret("OWN_TOKEN");
    let file = places.dir.path().join("secrets/OWN_TOKEN");
    fs::write(&file, "hush-plain").unwrap();
    insta::assert_snapshot!(places.error(), @r"
    error: cannot read the secret files
      Caused by: cannot decrypt the secret file `DIR/secrets/OWN_TOKEN`
      Caused by: this is not a JWE token: neither five parts joined by dots nor its JSON form

    hint: write the file again: it must hold one encrypted JWE token, not the plain value
    ");
}

#[test]
fn the_schema_describes_the_file() {
    let about = car_core::connector::About {
        name: "own",
        version: "1",
        title: "Own",
        description: "Owns",
        product_link: None,
        extension: None,
        incremental: false,
    };
    let schema = car_core::config::schema::<Own>(&about, &catalog());
    let properties = schema["properties"].as_object().unwrap();
    for setting in catalog().settings() {
        let described = properties.contains_key(&setting.flag);
        assert_eq!(
            described,
            setting.in_files && !setting.hidden,
            "{}",
            setting.flag
        );
    }
    assert_eq!(
        schema["required"],
        serde_json::json!(["server", "password"])
    );
    let own: serde_json::Map<String, Value> = properties
        .iter()
        .filter(|(_, property)| property["x-group"] == "Data source")
        .map(|(name, property)| (name.clone(), property.clone()))
        .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&own).unwrap());
    assert_eq!(properties["car-service-password"]["writeOnly"], true);
    assert_eq!(properties["concurrency"]["default"], 4);
    assert_eq!(properties["log-format"]["oneOf"][1]["const"], "json");
}
