//! The pages of `serve` in a real browser: by keyboard, in light and dark, wide and narrow, and as
//! axe sees them. Pictures are kept in `target/tmp/screenshots`.

use car_testkit::{Chromium, Form, ReferenceSource, Service, Serving, TestFolder};
use serde_json::json;

use crate::serve::{imported, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connectors_and_tasks_are_seen_and_changed_by_keyboard() {
    let Some(mut browser) = Chromium::start().await else {
        return;
    };
    let folder = TestFolder::new();
    let source = ReferenceSource::start(2).await;
    let service = Service::start().await;
    let serving = serve(&folder, &service).await;
    for (name, password) in [("assets", ReferenceSource::password()), ("barred", "wrong")] {
        let settings = json!({
            "server": source.url(),
            "username": ReferenceSource::username(),
            "password": password,
            "every": "1h",
        });
        let (status, view) = serving
            .post(&format!("/connectors/{name}"), &settings)
            .await;
        assert_eq!(status, 201, "{view}");
        imported(&serving, name, 1).await;
    }

    let mut wrong = Vec::new();
    for form in Form::ALL {
        browser.look(form).await;
        browser.open(&format!("{}/", serving.url())).await;
        wrong.extend(browser.look_at("serve-login", form).await);
    }
    browser.look(Form::ALL[0]).await;
    browser.tab_to("e.id === 'key'").await;
    browser.type_in("not the key").await;
    browser.enter().await;
    assert!(browser.text().await.contains("this is not the key"));
    browser.tab_to("e.id === 'key'").await;
    browser.type_in(Serving::KEY).await;
    browser.enter().await;
    assert_eq!(browser.heading().await, "Connectors");

    // What failed is told on the list, and with what to do on the task itself.
    assert_eq!(browser.follow("e.textContent === 'barred'").await, "barred");
    let shown = browser.text().await;
    assert!(shown.contains("401"), "{shown}");
    assert!(!shown.contains("wrong"), "{shown}");
    browser.follow("e.textContent === 'import of barred'").await;
    let shown = browser.text().await;
    assert!(shown.contains("401"), "{shown}");

    // A task is held, let go, and run by hand.
    browser.open(&format!("{}/ui/", serving.url())).await;
    browser.follow("e.textContent === 'assets'").await;
    browser.follow("e.textContent === 'import of assets'").await;
    let task = browser.compute("location.href").await;
    let state = "[...document.querySelectorAll('dt')].find(e => e.textContent === 'State') \
                 .nextElementSibling.textContent";
    for (button, then) in [("Pause", "paused"), ("Resume", "active")] {
        browser
            .follow(&format!("e.textContent === '{button}'"))
            .await;
        assert_eq!(browser.compute(state).await, then);
    }
    browser.follow("e.textContent === 'Run now'").await;
    imported(&serving, "assets", 2).await;

    let task = task.as_str().unwrap();
    for form in Form::ALL {
        browser.look(form).await;
        for (name, address) in [
            ("serve-overview", format!("{}/ui/", serving.url())),
            (
                "serve-connector",
                format!("{}/ui/connectors/barred", serving.url()),
            ),
            ("serve-task", task.to_owned()),
            (
                "serve-sure",
                format!("{}/ui/connectors/barred/sure/uninstall", serving.url()),
            ),
            (
                "serve-error",
                format!("{}/ui/connectors/nobody", serving.url()),
            ),
        ] {
            browser.open(&address).await;
            wrong.extend(browser.look_at(name, form).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Uninstalling asks once more.
    browser
        .open(&format!("{}/ui/connectors/barred", serving.url()))
        .await;
    assert_eq!(
        browser.follow("e.textContent === 'Uninstall'").await,
        "Uninstall barred?"
    );
    assert_eq!(
        browser.follow("e.textContent === 'Uninstall it'").await,
        "Connectors"
    );
    let shown = browser.text().await;
    assert!(
        shown.contains("assets") && !shown.contains("barred"),
        "{shown}"
    );
    browser.follow("e.textContent === 'Log out'").await;
    browser.open(&format!("{}/ui/", serving.url())).await;
    assert_eq!(browser.heading().await, "Log in");
}
