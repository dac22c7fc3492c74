//! `serve`: what became of purchases, told the same by the record, the HTTP interface, the pages
//! and the graph; and the work on requests on schedule.

use car_testkit::{Chromium, Form, Service, Serving, TestFolder, within};
use serde_json::{Value, json};

use crate::support::{World, once, purchase};

/// Starts `serve` in a folder; its graph is of the source `fulfilment`.
async fn serve(world: &World, service: &Service, folder: &TestFolder) -> Serving {
    let program = world.program().into_service(&service.url(), "fulfilment");
    Serving::start(&program, folder.path()).await
}

/// Returns the users that the graph has.
async fn accounts(world: &World, service: &Service) -> Vec<String> {
    let program = world.program().into_service(&service.url(), "fulfilment");
    drop(program.args(&["import"]).run().await.with_code(0));
    let graph = service.graph("fulfilment").await;
    graph.identities("account").map(str::to_owned).collect()
}

/// Returns name and status of the steps of a saga, as the HTTP interface has them.
fn steps(saga: &Value) -> Vec<[&str; 2]> {
    let steps = saga["steps"].as_array().unwrap().iter();
    steps
        .map(|step| ["name", "status"].map(|field| step[field].as_str().unwrap()))
        .collect()
}

const UNDONE: [[&str; 2]; 5] = [
    ["reserve", "undone"],
    ["create-user", "undone"],
    ["assign-licences", "failed"],
    ["notify", "pending"],
    ["approve", "pending"],
];

/// Asserts that a purchase left nothing, wherever one looks.
async fn assert_undone(world: &World, service: &Service, serving: &Serving, id: &str) {
    let saga = serving.get(&format!("/sagas/{id}")).await;
    assert_eq!(saga["status"], "undone", "{saga}");
    assert_eq!(steps(&saga), UNDONE, "{saga}");
    let error = saga["error"].as_str().unwrap();
    assert!(error.contains("the vendor says no"), "{error}");
    let undone = saga["records"].as_array().unwrap().iter();
    let undone: Vec<&Value> = undone
        .filter(|record| record["record"] == "undone")
        .map(|record| &record["step"])
        .collect();
    assert_eq!(undone, ["create-user", "reserve"], "{saga}");
    let text = world.show(id).await;
    assert!(text.starts_with(&format!("{id} (purchase) is undone")));
    assert_eq!(world.status(id).await, "failed");
    let key = format!("purchase/{id}/create-user");
    assert!(!accounts(world, service).await.contains(&key));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_that_fails_at_step_3_is_undone_wherever_one_looks_also_after_a_kill() {
    let world = World::start().await;
    let (service, folder) = (Service::start().await, TestFolder::new());
    let serving = serve(&world, &service, &folder).await;
    let good = world.order(purchase()).await;
    world.fulfill().await;
    world.faults(once("licences", "PUT", "refuse")).await;
    let refused = world.order(purchase()).await;
    world.fulfill().await;
    assert_undone(&world, &service, &serving, &refused).await;

    // The same, killed while it undoes, and gone on with by the process that serves.
    let faults = json!([
        {"kind": "licences", "method": "PUT", "mode": "refuse", "times": 1},
        {"kind": "users", "method": "DELETE", "mode": "hang", "times": 1},
    ]);
    world.faults(faults).await;
    let killed = world.order(purchase()).await;
    let running = world.program().args(&["fulfill"]).start();
    let path = format!("/sagas/{killed}");
    within("the saga undoes", async {
        while serving.get("/sagas?status=undoing").await["sagas"] == json!([]) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    running.kill().await;
    world.faults(json!([])).await;
    let (status, saga) = serving.post(&format!("{path}/resume"), &json!({})).await;
    assert_eq!((status, &saga["status"]), (200, &json!("undone")), "{saga}");
    assert_undone(&world, &service, &serving, &killed).await;

    // What was bought before is as it was.
    assert_eq!(world.left().await, [1; 4]);
    let users = accounts(&world, &service).await;
    assert_eq!(users, [format!("purchase/{good}/create-user")]);
    let done = serving.get(&format!("/sagas/{good}")).await;
    assert_eq!(
        (&done["status"], &done["error"]),
        (&json!("done"), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_serves_works_on_requests_and_is_started_again_after_a_kill() {
    let world = World::start().await;
    let folder = TestFolder::new();
    world.faults(once("licences", "PUT", "hang")).await;
    let id = world.order(purchase()).await;
    let program = world
        .program()
        .env("CONFIGURATION_PARAMETER_FULFILL_EVERY", "1s");
    let serving = Serving::start(&program, folder.path()).await;
    // The third step is done, and its answer does not come.
    world.until([1, 1, 1, 0]).await;
    serving.kill().await;
    let serving = Serving::start(&program, folder.path()).await;
    world.until([1; 4]).await;
    let what = "the work is told on its task";
    let task = serving
        .task("requests", what, |task| task["state"].is_object())
        .await;
    assert_eq!(task["name"], "work on requests");
    let settings = serving.get("/connectors/requests/settings").await;
    assert_eq!(settings, json!({}));
    assert_eq!(world.status(&id).await, "approved");
    let saga = serving.get(&format!("/sagas/{id}")).await;
    assert_eq!(saga["steps"][2]["attempts"], 2, "{saga}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_are_seen_and_gone_on_with_by_keyboard() {
    let Some(mut browser) = Chromium::start().await else {
        return;
    };
    let world = World::start().await;
    let (service, folder) = (Service::start().await, TestFolder::new());
    let serving = serve(&world, &service, &folder).await;
    world.order(purchase()).await;
    world.fulfill().await;
    world.faults(once("licences", "PUT", "refuse")).await;
    let undone = world.order(purchase()).await;
    world.fulfill().await;
    let faults = json!([
        {"kind": "licences", "method": "PUT", "mode": "refuse", "times": 1},
        {"kind": "users", "method": "DELETE", "mode": "refuse", "times": 5},
    ]);
    world.faults(faults).await;
    let stuck = world.order(purchase()).await;
    world.fulfill().await;
    let away = json!([{"kind": "users", "mode": "unavailable", "times": 3}]);
    world.faults(away).await;
    let waiting = world.order(purchase()).await;
    world.fulfill().await;

    browser.look(Form::ALL[0]).await;
    browser.open(&format!("{}/", serving.url())).await;
    browser.tab_to("e.id === 'key'").await;
    browser.type_in(Serving::KEY).await;
    browser.enter().await;
    assert_eq!(browser.follow("e.textContent === 'Sagas'").await, "Sagas");
    let shown = browser.text().await;
    for word in ["done", "undone", "stuck", "waiting"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }

    let mut wrong = Vec::new();
    for form in Form::ALL {
        browser.look(form).await;
        for (name, path) in [
            ("sagas-list", "/ui/sagas".to_owned()),
            ("sagas-undone", format!("/ui/sagas/{undone}")),
            ("sagas-stuck", format!("/ui/sagas/{stuck}")),
            ("sagas-waiting", format!("/ui/sagas/{waiting}")),
            ("sagas-sure", format!("/ui/sagas/{waiting}/sure/abandon")),
            ("sagas-none", "/ui/sagas/nobody".to_owned()),
        ] {
            browser.open(&format!("{}{path}", serving.url())).await;
            wrong.extend(browser.look_at(name, form).await);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    browser.look(Form::ALL[0]).await;
    let list = format!("{}/ui/sagas", serving.url());
    browser.open(&list).await;
    let link = format!("e.textContent === '{undone}'");
    assert_eq!(browser.follow(&link).await, undone);
    let states = "[...document.querySelectorAll('.steps li')].map(e => \
                  e.querySelector('.name').textContent + ' ' + e.querySelector('.state').textContent)";
    let told: Vec<String> = serde_json::from_value(browser.compute(states).await).unwrap();
    let expected = [
        "reserve undone",
        "create-user undone",
        "assign-licences failed, wrote nothing",
        "notify not begun",
        "approve not begun",
    ];
    assert_eq!(told, expected);

    // What is stuck is gone on with, and what waits is given up, which is asked once more.
    browser.open(&list).await;
    browser
        .follow(&format!("e.textContent === '{stuck}'"))
        .await;
    browser.follow("e.textContent === 'Go on now'").await;
    assert!(browser.text().await.contains("nothing of it is left"));
    browser.open(&list).await;
    browser
        .follow(&format!("e.textContent === '{waiting}'"))
        .await;
    let sure = browser.follow("e.textContent === 'Abandon'").await;
    assert_eq!(sure, format!("Abandon {waiting}?"));
    browser.follow("e.textContent === 'Abandon it'").await;
    assert!(browser.text().await.contains("somebody ended it as it was"));
    assert_eq!(world.status(&stuck).await, "failed");
}
