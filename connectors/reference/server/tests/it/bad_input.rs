//! Bad requests get a clear 4xx with a code, change nothing, and never stop the server.

use serde_json::{Value, json};

use crate::support::Running;

#[tokio::test]
async fn bad_objects_are_refused_and_change_nothing() {
    let running = Running::start().await;
    running.post("/assets/", json!({"name": "a"})).await;
    running.post("/hosts/", json!({"host_name": "taken"})).await;
    let state = running.state().await;
    let long = "x".repeat(20_000);
    for (method, path, body, status, code) in [
        ("POST", "/assets/", json!([]), 400, "not_an_object"),
        ("POST", "/assets/", json!("text"), 400, "not_an_object"),
        ("POST", "/assets/", json!({}), 400, "missing_field"),
        (
            "POST",
            "/assets/",
            json!({"name": ""}),
            400,
            "missing_field",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": null}),
            400,
            "missing_field",
        ),
        ("POST", "/assets/", json!({"name": 7}), 400, "wrong_type"),
        (
            "POST",
            "/assets/",
            json!({"name": "a\u{0}b"}),
            400,
            "wrong_type",
        ),
        ("POST", "/assets/", json!({"name": long}), 400, "too_long"),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "risk": "high"}),
            400,
            "wrong_type",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "risk": true}),
            400,
            "wrong_type",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "colour": 1}),
            400,
            "unknown_field",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "pk": -1}),
            400,
            "wrong_type",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "pk": "1"}),
            400,
            "wrong_type",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "pk": 1}),
            409,
            "duplicate",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "site": []}),
            400,
            "bad_link",
        ),
        (
            "POST",
            "/assets/",
            json!({"name": "b", "site": "/sites/9/"}),
            400,
            "dangling_link",
        ),
        (
            "POST",
            "/hosts/",
            json!({"host_name": "taken"}),
            409,
            "duplicate",
        ),
        (
            "POST",
            "/hosts/",
            json!({"host_name": "h", "assets": "/assets/1/"}),
            400,
            "wrong_type",
        ),
        (
            "POST",
            "/hosts/",
            json!({"host_name": "h", "assets": ["/assets/2/"]}),
            400,
            "dangling_link",
        ),
        (
            "POST",
            "/hosts/",
            json!({"host_name": "h", "assets": ["/hosts/1/"]}),
            400,
            "bad_link",
        ),
        (
            "POST",
            "/hosts/",
            json!({"host_name": "h", "assets": [{}]}),
            400,
            "bad_link",
        ),
        (
            "POST",
            "/hosts/",
            json!({"host_name": "h", "assets": [1.5]}),
            400,
            "bad_link",
        ),
        (
            "POST",
            "/ports/",
            json!({"port_number": 65536, "protocol": "tcp"}),
            400,
            "wrong_type",
        ),
        (
            "POST",
            "/ports/",
            json!({"port_number": 1.5, "protocol": "tcp"}),
            400,
            "wrong_type",
        ),
        (
            "POST",
            "/apps/",
            json!({"name": "a", "is_os": 1}),
            400,
            "wrong_type",
        ),
        (
            "PUT",
            "/assets/1/",
            json!({"name": "a", "pk": 2}),
            400,
            "pk_differs",
        ),
        (
            "PUT",
            "/assets/1/",
            json!({"risk": 1}),
            400,
            "missing_field",
        ),
        (
            "PATCH",
            "/assets/1/",
            json!({"name": null}),
            400,
            "missing_field",
        ),
        (
            "PATCH",
            "/assets/2/",
            json!({"name": "b"}),
            404,
            "no_such_object",
        ),
        (
            "PUT",
            "/assets/9007199254740992/",
            json!({"name": "b"}),
            404,
            "no_such_object",
        ),
        (
            "PUT",
            "/assets/0/",
            json!({"name": "b"}),
            404,
            "no_such_object",
        ),
    ] {
        let shown: String = body.to_string().chars().take(60).collect();
        let refused = running.refused(method, path, Some(body)).await;
        assert_eq!(
            refused,
            (status, code.to_owned()),
            "{method} {path} {shown}"
        );
    }
    assert_eq!(running.state().await, state);
}

#[tokio::test]
async fn bad_addresses_and_methods_are_refused() {
    let running = Running::start().await;
    let huge = "9".repeat(40);
    for (method, path, status, code) in [
        ("GET", "/things/", 404, "no_such_collection"),
        ("GET", "/assets/1/", 404, "no_such_object"),
        ("GET", "/assets/abc/", 404, "no_such_object"),
        ("GET", "/assets/-1/", 404, "no_such_object"),
        ("GET", &format!("/assets/{huge}/"), 404, "no_such_object"),
        ("GET", "/assets/%00/", 404, "no_such_object"),
        ("GET", "/%ff/", 400, "bad_address"),
        ("GET", "/assets/1/more/", 404, "no_such_address"),
        ("DELETE", "/assets/1/", 404, "no_such_object"),
        ("DELETE", "/assets/", 405, "wrong_method"),
        ("PUT", "/assets/", 405, "wrong_method"),
        ("POST", "/assets/1/", 405, "wrong_method"),
        ("POST", "/delta/", 405, "wrong_method"),
        ("BREW", "/assets/", 405, "wrong_method"),
        ("GET", "/assets/?limit=0", 400, "bad_parameter"),
        ("GET", "/assets/?limit=-1", 400, "bad_parameter"),
        ("GET", "/assets/?limit=10001", 400, "bad_parameter"),
        ("GET", "/assets/?limit=x", 400, "bad_parameter"),
        ("GET", "/assets/?after=x", 400, "bad_parameter"),
        (
            "GET",
            &format!("/assets/?after={huge}"),
            400,
            "bad_parameter",
        ),
        ("GET", "/assets/?page=2", 400, "unknown_parameter"),
        ("GET", "/assets/?limit=1&limit=2", 400, "repeated_parameter"),
    ] {
        let refused = running.refused(method, path, None).await;
        assert_eq!(refused, (status, code.to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let running = Running::start().await;
    let post = || running.request("POST".parse().unwrap(), "/sites/");
    let json_type = ("content-type", "application/json");
    for (request, status, code) in [
        (
            post()
                .header(json_type.0, json_type.1)
                .body("{\"name\": \"a"),
            400,
            "bad_json",
        ),
        (
            post().header(json_type.0, json_type.1).body("<html>"),
            400,
            "bad_json",
        ),
        (
            post().header(json_type.0, json_type.1).body(""),
            400,
            "bad_json",
        ),
        (
            post()
                .header(json_type.0, json_type.1)
                .body(&b"{\"name\": \"\xff\"}"[..]),
            400,
            "bad_json",
        ),
        (
            post()
                .header(json_type.0, json_type.1)
                .body("{\"name\": NaN}"),
            400,
            "bad_json",
        ),
        (
            post()
                .header(json_type.0, json_type.1)
                .body("[".repeat(100_000)),
            400,
            "bad_json",
        ),
        (post().body("{\"name\": \"a\"}"), 415, "not_json"),
        (
            post().header("content-type", "text/plain").body("{}"),
            415,
            "not_json",
        ),
        (
            post()
                .header(json_type.0, json_type.1)
                .body("x".repeat(2_000_000)),
            413,
            "body_too_large",
        ),
        (
            post()
                .header("host", "bad host")
                .json(&json!({"name": "a"})),
            400,
            "bad_host",
        ),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{code}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["code"], code);
    }
    assert_eq!(running.get("/sites/").await, json!([]));
}
