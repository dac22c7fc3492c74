//! Sources and services that do not behave: each has its message and its exit code.

use car_core::report::Outcome;
use car_testkit::{Fault, Graph, Program, Proxy, Service};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::expected;
use crate::fake::{Behaviour, Fake, inventory};
use crate::support::{Pair, SOURCE, reading};

fn import(source: &Fake, service: &Service) -> Program {
    reading(&source.url()).into_service(&service.url(), SOURCE)
}

fn whole() -> Graph {
    expected::graph_of(&inventory())
}

#[tokio::test]
async fn a_server_that_ignores_paging_is_imported_whole() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ignores_paging: true,
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    let connector = import(&source, &service).env("CONFIGURATION_PARAMETER_PAGE_SIZE", "1");
    drop(connector.run().await.with_code(0));
    service
        .graph(SOURCE)
        .await
        .assert_is(&whole(), "a server that ignores paging");
}

#[tokio::test]
async fn a_server_without_redirects_to_the_trailing_slash_is_imported_whole() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    for address in [source.url(), format!("{}/", source.url())] {
        let connector = reading(&address).into_service(&service.url(), SOURCE);
        drop(connector.run().await.with_code(0));
        service.graph(SOURCE).await.assert_is(&whole(), &address);
    }
}

#[tokio::test]
async fn no_state_means_no_incremental_import() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    for _ in 0..2 {
        let ended = import(&source, &service).run().await.with_code(0);
        assert_eq!(ended.report().mode, Some(car_core::report::Mode::Full));
        assert_eq!(ended.report().save_point, None);
        assert_eq!(service.save_point(SOURCE).await, None);
    }
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_make_the_scope_incomplete() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    drop(import(&source, &service).run().await.with_code(0));
    source.change(|behaviour| behaviour.circle = Some("apps"));
    let ended = import(&source, &service)
        .run()
        .await
        .with_code(11)
        .saying("circle");
    assert_eq!(ended.report().outcome, Outcome::Partial);
    let incomplete = ended.report().scopes.iter().filter(|scope| !scope.complete);
    assert_eq!(
        incomplete
            .map(|scope| scope.name.as_str())
            .collect::<Vec<_>>(),
        ["apps"]
    );
    assert!(!ended.report().session_open, "closed for the other scopes");
    service
        .graph(SOURCE)
        .await
        .assert_is(&whole(), "nothing is retired");
}

#[tokio::test]
async fn a_page_that_comes_twice_changes_nothing() {
    let mut objects = inventory();
    let again = objects["assets"].clone();
    objects.get_mut("assets").unwrap().extend(again);
    let source = Fake::start(Behaviour {
        objects,
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    let connector = import(&source, &service).env("CONFIGURATION_PARAMETER_PAGE_SIZE", "3");
    let ended = connector.run().await.with_code(0);
    assert_eq!(ended.report().collections["asset"].duplicate, 3);
    service
        .graph(SOURCE)
        .await
        .assert_is(&whole(), "assets came twice");
}

#[tokio::test]
async fn one_scope_that_fails_loses_nothing_and_the_rest_is_in_step() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    drop(import(&source, &service).run().await.with_code(0));
    source.change(|behaviour| {
        behaviour.first = vec![("/hosts/", u32::MAX, ResponseTemplate::new(403))];
        behaviour
            .objects
            .get_mut("assets")
            .unwrap()
            .push(json!({ "pk": 9, "name": "Nine" }));
        behaviour.objects.remove("apps");
    });
    let ended = import(&source, &service)
        .run()
        .await
        .with_code(11)
        .saying("hosts");
    assert!(!ended.report().session_open, "closed for the other scopes");
    let graph = service.graph(SOURCE).await;
    assert!(graph.get("asset", "9").is_some(), "the rest is imported");
    assert!(
        graph.get("hostname", "one.example").is_some(),
        "nothing of the scope is retired"
    );
    assert!(
        graph.get("application", "9").is_none(),
        "what is gone from a scope that was read whole is retired"
    );

    source.change(|behaviour| {
        behaviour.first.clear();
        behaviour.objects.remove("hosts");
    });
    drop(import(&source, &service).run().await.with_code(0));
    assert!(
        service
            .graph(SOURCE)
            .await
            .get("hostname", "one.example")
            .is_none(),
        "settled by the next run"
    );
}

#[tokio::test]
async fn refusals_of_the_source_have_their_exit_codes() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    for (status, code, text) in [
        (401, 52, "CONFIGURATION_AUTH_PASSWORD"),
        (403, 53, "may not"),
        (301, 54, "redirects are not followed"),
        (302, 54, "redirects are not followed"),
        (404, 54, "CONFIGURATION_AUTH_URL"),
        (413, 54, "413"),
    ] {
        source.change(|behaviour| {
            behaviour.first = vec![("/model_state_id/", u32::MAX, ResponseTemplate::new(status))];
        });
        drop(
            import(&source, &service)
                .run()
                .await
                .with_code(code)
                .saying(text),
        );
        let test = import(&source, &service).args(&["test-connection"]);
        drop(test.run().await.with_code(code).saying(text));
    }
    // Worth another try in an import, not in a test of the connection.
    for status in [408, 429, 500, 503] {
        source.change(|behaviour| {
            behaviour.first = vec![("/model_state_id/", u32::MAX, ResponseTemplate::new(status))];
        });
        let test = import(&source, &service).args(&["test-connection"]);
        drop(test.run().await.with_code(51).saying(&status.to_string()));
    }
}

#[tokio::test]
async fn answers_that_are_no_json_have_exit_code_55() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    let page = ResponseTemplate::new(200).set_body_raw("<html>Sign in</html>", "text/html");
    let everywhere = |answer: &ResponseTemplate| {
        let paths = [
            "/sites/",
            "/assets/",
            "/vulnerabilities/",
            "/mac_addresses/",
            "/ip_addresses/",
        ];
        let others = ["/hosts/", "/ports/", "/apps/"];
        paths
            .into_iter()
            .chain(others)
            .map(|path| (path, u32::MAX, answer.clone()))
            .collect()
    };
    source.change(|behaviour| behaviour.first = everywhere(&page));
    drop(
        import(&source, &service)
            .run()
            .await
            .with_code(55)
            .saying("cannot be read"),
    );
    let nan =
        ResponseTemplate::new(200).set_body_raw("[{\"pk\": 1, \"risk\": NaN}]", "application/json");
    source.change(|behaviour| behaviour.first = everywhere(&nan));
    drop(
        import(&source, &service)
            .run()
            .await
            .with_code(55)
            .saying("cannot be read"),
    );
    source.change(|behaviour| behaviour.first = vec![("/model_state_id/", u32::MAX, page)]);
    drop(
        import(&source, &service)
            .run()
            .await
            .with_code(55)
            .saying("cannot be read"),
    );
    assert!(service.graph(SOURCE).await.is_empty());
}

#[tokio::test]
async fn a_source_that_recovers_costs_only_time() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    source.change(|behaviour| {
        let busy = ResponseTemplate::new(429).insert_header("retry-after", "1");
        let cut = ResponseTemplate::new(200).set_body_raw("[{\"pk\": 1, \"na", "application/json");
        behaviour.first = vec![
            ("/model_state_id/", 1, ResponseTemplate::new(503)),
            ("/assets/", 1, busy),
            ("/apps/", 1, cut),
        ];
    });
    let ended = import(&source, &service).run().await.with_code(0);
    assert_eq!(ended.report().source_retries, 3);
    assert!(ended.report().waited_ms >= 1000, "Retry-After is honoured");
    service
        .graph(SOURCE)
        .await
        .assert_is(&whole(), "after retries");
}

#[tokio::test]
async fn a_broken_network_to_the_source_costs_only_time() {
    let source = Fake::start(Behaviour {
        objects: inventory(),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    for (fault, tries) in [
        (Fault::Refuse, 3),
        (Fault::Truncate(20), 2),
        (Fault::Truncate(200), 6),
        (Fault::Reset(20), 2),
    ] {
        let proxy = Proxy::start(source.address()).await;
        proxy.fail(fault);
        let url = format!("http://{}", proxy.address());
        let test = reading(&url).args(&["test-connection"]);
        if fault == Fault::Refuse {
            drop(test.run().await.with_code(51));
        }
        let running = reading(&url).into_service(&service.url(), SOURCE).start();
        proxy.tried(tries).await;
        proxy.fail(Fault::None);
        let ended = running.ended().await.with_code(0);
        assert!(ended.report().source_retries > 0, "{fault:?}");
        service
            .graph(SOURCE)
            .await
            .assert_is(&whole(), &format!("{fault:?}"));
    }
}

#[tokio::test]
async fn a_broken_network_to_the_service_costs_only_time_or_exits_with_10() {
    let pair = Pair::start(3).await;
    for fault in [Fault::Refuse, Fault::Truncate(400), Fault::Reset(300)] {
        let proxy = Proxy::start(pair.service.address()).await;
        proxy.fail(fault);
        let url = format!("http://{}/api/car/v2", proxy.address());
        let connector = pair
            .connector()
            .into_service(&url, SOURCE)
            .args(&["--full"]);
        let gives_up = connector.clone().args(&["--car-retry-for", "300ms"]);
        drop(gives_up.run().await.with_code(10));
        let running = connector.start();
        proxy.tried(4).await;
        proxy.fail(Fault::None);
        let ended = running.ended().await.with_code(0);
        assert!(ended.report().retries > 0, "{fault:?}");
        pair.assert_in_step(&format!("{fault:?}")).await;
    }
}

#[tokio::test]
async fn a_service_that_says_nothing_exits_with_10() {
    let pair = Pair::start(1).await;
    let proxy = Proxy::start(pair.service.address()).await;
    proxy.fail(Fault::Stall);
    let url = format!("http://{}/api/car/v2", proxy.address());
    let connector = pair.connector().into_service(&url, SOURCE);
    let quick = connector.args(&["--car-timeout", "500ms", "--car-retry-for", "1s"]);
    drop(quick.run().await.with_code(10));
}

#[tokio::test]
async fn wrong_credentials_of_the_service_exit_with_10_at_once_and_keep_the_save_point() {
    let pair = Pair::start(1).await;
    pair.import().await;
    let before = pair.service.save_point(SOURCE).await;
    let ended = pair
        .connector()
        .env("CAR_SERVICE_PASSWORD", "wrong-one")
        .run()
        .await
        .with_code(10);
    let ended = ended.saying("CAR_SERVICE_PASSWORD");
    assert!(!ended.stderr.contains("wrong-one"), "{}", ended.stderr);
    assert_eq!(ended.report().retries, 0);
    assert!(before.is_some());
    assert_eq!(pair.service.save_point(SOURCE).await, before);
}

#[tokio::test]
async fn wrong_credentials_of_the_source_exit_with_52_and_show_no_password() {
    let pair = Pair::start(1).await;
    let connector = pair
        .connector()
        .env("CONFIGURATION_AUTH_PASSWORD", "wrong-one");
    let ended = connector
        .run()
        .await
        .with_code(52)
        .saying("CONFIGURATION_AUTH_PASSWORD");
    assert!(!ended.stderr.contains("wrong-one"), "{}", ended.stderr);
    assert!(pair.graph().await.is_empty());
}
