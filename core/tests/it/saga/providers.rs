//! Providers: settings, cache, logger, offline.

use std::sync::Arc;
use std::time::Duration;

use car_core::saga::cache::Cache;
use car_core::saga::container::Container;
use car_core::saga::middleware::{Offline, OfflineFacts, OfflineRules, Rule};
use car_core::saga::providers::{
    CacheProvider, ClientProvider, Logger, LoggerProvider, OfflineProvider, Values, ValuesProvider,
    mask, open_cache,
};
use car_core::saga::{Delivery, NoMatch, Response, Saga, Step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Request {
    kind: String,
    asset: Option<String>,
    mode: Option<String>,
    list: Vec<String>,
}

impl OfflineFacts for Request {
    fn request_type(&self) -> &str {
        &self.kind
    }

    fn asset_id(&self) -> Option<&str> {
        self.asset.as_deref()
    }

    fn offline_mode(&self) -> Option<&str> {
        self.mode.as_deref()
    }

    fn offline_mode_list_has(&self, asset: &str) -> bool {
        self.list.iter().any(|listed| listed == asset)
    }
}

fn request(kind: &str, mode: Option<&str>, list: &[&str]) -> Request {
    Request {
        kind: kind.to_owned(),
        asset: Some("AS-1".to_owned()),
        mode: mode.map(str::to_owned),
        list: list.iter().map(|id| (*id).to_owned()).collect(),
    }
}

#[test]
fn the_usual_offline_rules() {
    let rules = OfflineRules::default();
    for (request, offline) in [
        (request("cancel", Some("AS-1"), &[]), true),
        (request("suspend", None, &["AS-2", "AS-1"]), true),
        (request("purchase", Some("AS-1"), &["AS-1"]), false),
        (request("cancel", Some("AS-2"), &["AS-2"]), false),
        (request("cancel", None, &[]), false),
        (
            Request {
                asset: None,
                ..request("cancel", None, &[])
            },
            false,
        ),
    ] {
        assert_eq!(rules.hold(&request), offline, "{request:?}");
    }
    assert!(!OfflineRules(Vec::new()).hold(&request("cancel", Some("AS-1"), &[])));
    let never = Rule::new(|_: &Request| false);
    assert!(!OfflineRules(vec![Rule::request_type(), never]).hold(&request("cancel", None, &[])));
}

fn saga(provider: OfflineProvider<Request>) -> Saga<Request> {
    let container = Container::builder().provider(provider).build().unwrap();
    Saga::first_match("order", NoMatch::Retry)
        .container(container)
        .around(Offline::bound())
        .step(Step::new("a").when(|_| panic!("an offline request is not asked about")))
        .build()
        .unwrap()
}

#[tokio::test]
async fn check_4_offline_decides_before_predicates() {
    let offline = request("cancel", Some("AS-1"), &[]);
    let done = saga(OfflineProvider::new(OfflineRules::default()))
        .deliver(Delivery::new("PR-1", offline))
        .await
        .unwrap();
    assert_eq!(
        done.response,
        Response::skip_because("it is handled offline")
    );
}

#[tokio::test]
async fn weakness_6_what_is_bound_for_offline_requests_is_done() {
    let provider = OfflineProvider::new(OfflineRules::default()).on_match(Arc::new(
        |request: &mut Request, _: &mut car_core::saga::Context| {
            request.kind.push_str(" approved by template");
            Box::pin(async { Ok(Response::done()) })
        },
    ));
    let offline = request("cancel", Some("AS-1"), &[]);
    let done = saga(provider)
        .deliver(Delivery::new("PR-1", offline))
        .await
        .unwrap();
    assert_eq!(done.response, Response::Done);
    assert_eq!(done.request.kind, "cancel approved by template");
}

fn values(pairs: &[(&str, Value)]) -> Values {
    Values::new(pairs.iter().map(|(name, value)| (*name, value.clone()))).unwrap()
}

#[tokio::test]
async fn weakness_7_settings_collide_with_nothing() {
    // Names of services, and values that are no texts.
    let values = values(&[
        ("CACHE", json!("x")),
        ("CLIENT", json!(true)),
        ("LOGGER", json!(1)),
        ("EMPTY", json!(null)),
        ("SPACES", json!("  a b  ")),
    ]);
    let services = Container::builder()
        .provider(ValuesProvider(values))
        .provider(CacheProvider)
        .provider(LoggerProvider)
        .provider(ClientProvider {
            user_agent: "test",
            timeout: Duration::from_secs(1),
        })
        .build()
        .unwrap();
    assert!(services.get::<Cache>().await.unwrap().is_null());
    let read = services.get::<Values>().await.unwrap();
    assert_eq!(read.get("client"), Some("true"));
    assert_eq!(read.get("Spaces"), Some("a b"));
    assert_eq!(read.get("empty"), None);
    assert_eq!(read.parse::<u8>("LOGGER").unwrap(), Some(1));
    services.get::<Logger>().await.unwrap().info("made");

    let twice = Values::new([("url", json!("a")), ("URL", json!("b"))]).unwrap_err();
    assert!(twice.to_string().contains("`URL`"), "{twice}");
    assert!(Values::new([("list", json!([]))]).is_err());
}

#[tokio::test]
async fn weakness_8_times_are_numbers_and_folders_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("not/there/yet");
    let cache = open_cache(&values(&[
        ("CACHE_DRIVER", json!("sqlite")),
        ("CACHE_DIR", json!(inside)),
        ("CACHE_TTL", json!("60")),
    ]))
    .await
    .unwrap();
    cache.put("a", &1, None).await.unwrap();
    assert!(cache.has("a").await.unwrap());
    assert!(inside.join("cache.db").is_file());
    let wrong = open_cache(&values(&[("CACHE_TTL", json!("soon"))])).await;
    assert!(wrong.unwrap_err().to_string().contains("`CACHE_TTL`"));
}

#[tokio::test]
async fn weakness_9_a_driver_that_fails_is_no_cache() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    for (driver, folder, null) in [
        ("none", folder.path(), true),
        ("memory", folder.path(), false),
        ("redis", folder.path(), true),
        ("sqlite", file.as_path(), true),
    ] {
        let cache = open_cache(&values(&[
            ("CACHE_DRIVER", json!(driver)),
            ("CACHE_DIR", json!(folder)),
        ]))
        .await
        .unwrap();
        assert_eq!(cache.is_null(), null, "{driver}");
    }
}

#[test]
fn log_lines_name_the_request_and_secrets_are_masked() {
    let logger = Logger::of("PR-1", vec![("type", "purchase".to_owned())]);
    assert_eq!(logger.line("done"), "PR-1 done type=purchase");
    let mut value = json!({"a": {"password": "geheim"}, "list": [{"password": "ü"}], "b": "c"});
    mask(&mut value, &["password"]);
    assert_eq!(
        value,
        json!({"a": {"password": "******"}, "list": [{"password": "*"}], "b": "c"})
    );
}
