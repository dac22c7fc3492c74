//! The page for people: everything can be reached, changed, and nothing breaks out of its text.

use reference_server::model::COLLECTIONS;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::support::Running;

async fn html(running: &Running, path: &str, status: u16) -> String {
    let response = running.send("GET", path, None).await;
    assert_eq!(response.status(), status, "{path}");
    let headers = response.headers();
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    response.text().await.unwrap()
}

/// A form as a browser on the page sends it.
fn form(running: &Running, path: &str, fields: &str) -> RequestBuilder {
    let request = running.request("POST".parse().unwrap(), path);
    request
        .header("origin", &running.url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(fields.to_owned())
}

#[tokio::test]
async fn every_page_can_be_reached_from_the_first() {
    let running = Running::start().await;
    reference_server::populate(&running.data(), 60, 1)
        .await
        .unwrap();
    let mut queue = vec!["/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = queue.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let page = html(&running, &path, 200).await;
        for link in page.split("<a ").skip(1) {
            let address = link
                .split("href=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            match address.strip_prefix('?') {
                _ if address.starts_with('#') => {}
                Some(query) => {
                    let list = path.split('?').next().unwrap();
                    queue.insert(0, format!("{list}?{query}"));
                }
                None => queue.insert(0, address.to_owned()),
            }
        }
    }
    for collection in &COLLECTIONS {
        for path in [
            format!("/ui/{}/", collection.name),
            format!("/ui/{}/new/", collection.name),
        ] {
            assert!(seen.contains(&path), "{path} was not reached");
        }
    }
    assert!(
        seen.iter().any(|path| path.contains("?after=50")),
        "no second page"
    );
    let home = html(&running, "/", 200).await;
    assert!(home.contains("<td class=\"number\">180</td>"), "{home}");
    let style = running.send("GET", "/ui/style.css", None).await;
    assert_eq!(style.status(), 200);
}

#[tokio::test]
async fn objects_are_added_changed_and_deleted_by_forms() {
    let running = Running::start().await;
    running.post("/assets/", json!({"name": "first"})).await;
    let response = form(
        &running,
        "/ui/hosts/",
        "host_name=a%26b&assets=1&ip_addresses=",
    )
    .send()
    .await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["location"], "/ui/hosts/1/");
    let host = running.get("/hosts/1/").await;
    assert_eq!(host["host_name"], "a&b");
    assert_eq!(
        host["assets"],
        json!([format!("{}/assets/1/", running.url)])
    );
    let page = html(&running, "/ui/hosts/1/", 200).await;
    assert!(page.contains("value=\"a&amp;b\"") && page.contains("href=\"/ui/assets/1/\""));

    // Saving what is shown changes nothing; what is typed wrongly comes back with the reason.
    let state = running.state().await;
    let same = form(&running, "/ui/hosts/1/", "host_name=a%26b&assets=1")
        .send()
        .await;
    assert_eq!(same.unwrap().status(), StatusCode::SEE_OTHER);
    let wrong = form(&running, "/ui/hosts/1/", "host_name=c&assets=1+77")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let page = wrong.text().await.unwrap();
    assert!(
        page.contains("role=\"alert\"") && page.contains("assets/77/"),
        "{page}"
    );
    assert!(
        page.contains("value=\"c\"") && page.contains("value=\"1 77\""),
        "{page}"
    );
    assert_eq!(running.state().await, state);

    let saved = form(&running, "/ui/hosts/1/", "host_name=c&assets=")
        .send()
        .await
        .unwrap();
    assert_eq!(saved.status(), StatusCode::SEE_OTHER);
    let host = running.get("/hosts/1/").await;
    assert_eq!(
        (&host["host_name"], &host["assets"]),
        (&json!("c"), &json!([]))
    );
    let deleted = form(&running, "/ui/hosts/1/delete/", "")
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.headers()["location"], "/ui/hosts/");
    assert_eq!(running.get("/hosts/").await, json!([]));
    html(&running, "/ui/hosts/1/", 404).await;
    html(&running, "/ui/nothing/", 404).await;
}

#[tokio::test]
async fn stored_markup_is_shown_as_text() {
    let running = Running::start().await;
    let bad = "\"><script>alert('x')</script>\n<img src=x>";
    running
        .post("/assets/", json!({"name": bad, "description": bad}))
        .await;
    for path in ["/ui/assets/", "/ui/assets/1/"] {
        let page = html(&running, path, 200).await;
        assert!(
            !page.contains("<script") && !page.contains("<img"),
            "{page}"
        );
        assert!(page.contains("&lt;script&gt;"), "{page}");
    }
    // The line end survives a save.
    let fields = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("name", &bad.replace('\n', "\r\n"))
        .append_pair("description", &bad.replace('\n', "\r\n"))
        .append_pair("risk", "2")
        .finish();
    form(&running, "/ui/assets/1/", &fields)
        .send()
        .await
        .unwrap();
    let asset = running.get("/assets/1/").await;
    assert_eq!((&asset["name"], &asset["risk"]), (&json!(bad), &json!(2.0)));
}

#[tokio::test]
async fn forms_from_elsewhere_are_refused() {
    let running = Running::start().await;
    let request = |origin: Option<&str>| {
        let request = running.request("POST".parse().unwrap(), "/ui/sites/");
        let request = match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body("name=x")
    };
    for origin in [None, Some("null"), Some("http://evil.example")] {
        let response = request(origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin:?}");
    }
    // A delete without a body has no content type that would show it is a form.
    running.post("/sites/", json!({"name": "stays"})).await;
    let bare = running.request("POST".parse().unwrap(), "/ui/sites/1/delete/");
    let response = bare.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(running.get("/sites/").await.as_array().unwrap().len(), 1);
}
