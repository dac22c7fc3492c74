//! What is shown of sagas, and what can be done about one.

use async_trait::async_trait;
use car_core::saga::{
    Delivery, MemoryLog, NoMatch, Response, Saga, SagaDesk, SagaLog, Step, UndoPolicy,
};
use car_core::{Failure, FailureKind};
use tokio::sync::Semaphore;

use super::page::{fetch, log_in, send, token};
use super::*;

/// A saga of two steps, whose second does what the request says.
struct Desk {
    log: Arc<MemoryLog>,
    saga: Saga<String>,
    /// What a resumed saga has to have before it goes on.
    gate: Semaphore,
    /// Counts the calls that came as far as the gate.
    came: Semaphore,
}

impl Desk {
    fn new() -> Arc<Self> {
        let log = Arc::new(MemoryLog::new());
        let refused = || Failure::new(FailureKind::Source, "the card is <b>not</b> accepted");
        let saga = Saga::<String>::chain("order", NoMatch::Skip)
            .step(
                Step::new("reserve")
                    .execute_now(|_: &mut String, _| Ok(Response::done()))
                    .compensate_now(move |request, _, _| match request.as_str() {
                        "stuck" => Err(Failure::new(FailureKind::Source, "it cannot be undone")),
                        _ => Ok(Response::done()),
                    }),
            )
            .step(Step::new("pay").execute_now(
                move |request: &mut String, _| match request.as_str() {
                    "wait" => {
                        request.push_str("ed");
                        Ok(Response::reschedule())
                    }
                    "fail" | "stuck" => Err(refused()),
                    _ => Ok(Response::done()),
                },
            ))
            .undo(UndoPolicy {
                tries: 1,
                ..UndoPolicy::default()
            })
            .log(Arc::clone(&log) as Arc<dyn SagaLog>)
            .build()
            .unwrap();
        Arc::new(Self {
            log,
            saga,
            gate: Semaphore::new(0),
            came: Semaphore::new(0),
        })
    }

    async fn deliver(&self, id: &str, request: &str) {
        let delivery = Delivery::new(id, request.to_owned());
        drop(self.saga.deliver(delivery).await.unwrap());
    }
}

#[async_trait]
impl SagaDesk for Desk {
    fn log(&self) -> &dyn SagaLog {
        &*self.log
    }

    async fn resume(&self, id: &str, cancel: CancellationToken) -> Result<(), Failure> {
        self.came.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.saga.resume(id, true, cancel).await.map(drop)
    }
}

async fn serving(desk: &Arc<Desk>) -> Server {
    let desk: Arc<dyn SagaDesk> = Arc::clone(desk) as _;
    Server::start_with(|options, stop| options.sagas(desk, stop)).await
}

fn names(list: &Value) -> Vec<&str> {
    let sagas = list["sagas"].as_array().unwrap();
    sagas
        .iter()
        .map(|saga| saga["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn sagas_are_listed_shown_gone_on_with_and_abandoned() {
    let desk = Desk::new();
    for (id, request) in [("PR-1", "done"), ("PR-2", "fail"), ("PR-3", "wait")] {
        desk.deliver(id, request).await;
    }
    desk.deliver("PR-4", "stuck").await;
    let server = serving(&desk).await;
    let mut all = names(&server.get("/sagas").await)
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    all.sort();
    assert_eq!(all, ["PR-1", "PR-2", "PR-3", "PR-4"]);
    let waiting = server.get("/sagas?status=waiting").await;
    assert_eq!(names(&waiting), ["PR-3"]);
    assert_eq!(waiting["sagas"][0]["step"], "pay");
    assert_eq!(
        server.get("/sagas?limit=2").await["sagas"][1]["saga"],
        "order"
    );

    let undone = server.get("/sagas/PR-2").await;
    assert_eq!(undone["status"], "undone");
    assert_eq!(undone["steps"][0]["status"], "undone");
    assert_eq!(undone["steps"][0]["undoAttempts"], 1);
    let pay = &undone["steps"][1];
    assert_eq!((&pay["name"], &pay["attempts"]), (&json!("pay"), &json!(1)));
    assert!(pay["error"].as_str().unwrap().contains("not</b> accepted"));
    assert_eq!(undone.get("request"), None);

    desk.gate.add_permits(2);
    let (status, resumed) = server.post("/sagas/PR-3/resume", &json!({})).await;
    assert_eq!((status, &resumed["status"]), (200, &json!("done")));
    assert_eq!(resumed["steps"][1]["attempts"], 2);
    // Stuck again: that is no error, but what came of it.
    let (status, stuck) = server.post("/sagas/PR-4/resume", &json!({})).await;
    assert_eq!((status, &stuck["status"]), (200, &json!("stuck")));
    let abandon = "/sagas/PR-4/abandon?reason=by+Ada";
    let (status, gone) = server.post(abandon, &json!({})).await;
    assert_eq!((status, &gone["status"]), (200, &json!("abandoned")));
    let records = gone["records"].as_array().unwrap();
    assert_eq!(records.last().unwrap()["note"], "by Ada");
    for over in ["/sagas/PR-4/abandon", "/sagas/PR-1/resume"] {
        let (status, refused) = server.post(over, &json!({})).await;
        assert_eq!((status, &refused["code"]), (409, &json!("not_now")));
    }
}

#[tokio::test]
async fn calls_about_sagas_that_make_no_sense_are_refused_with_a_stable_code() {
    let desk = Desk::new();
    desk.deliver("PR-1", "wait").await;
    let server = serving(&desk).await;
    for (path, status, code) in [
        ("/sagas/PR-9", 404, "unknown_saga"),
        ("/sagas/%F0%9F%92%A5", 404, "unknown_saga"),
        ("/sagas/%FF", 400, "invalid_path"),
        ("/sagas?status=glad", 400, "invalid_query"),
        ("/sagas?limit=-1", 400, "invalid_query"),
        ("/sagas?word=1", 400, "invalid_query"),
    ] {
        let (found, answer) = server.call(Method::GET, path, None).await;
        assert_eq!(
            (found.as_u16(), &answer["code"]),
            (status, &json!(code)),
            "{path}"
        );
    }
    for path in ["/sagas/PR-9/resume", "/sagas/PR-9/abandon"] {
        let (status, answer) = server.post(path, &json!({})).await;
        assert_eq!((status, &answer["code"]), (404, &json!("unknown_saga")));
    }
    let (status, answer) = server.post("/sagas/PR-1/dance", &json!({})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("unknown_path")));

    // Another works on it.
    let claimed = desk.log.claim("PR-1", None).await.unwrap();
    desk.gate.add_permits(1);
    for path in ["/sagas/PR-1/resume", "/sagas/PR-1/abandon"] {
        let (status, answer) = server.post(path, &json!({})).await;
        assert_eq!((status, &answer["code"]), (409, &json!("held")), "{path}");
    }
    desk.log.release(&claimed.claim).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_goes_away_stops_nothing() {
    let desk = Desk::new();
    desk.deliver("PR-1", "wait").await;
    let server = serving(&desk).await;
    let call = server
        .client
        .post(format!("{}/sagas/PR-1/resume", server.base))
        .bearer_auth(KEY)
        .send();
    // The work waits at the gate when the caller goes away.
    tokio::select! {
        answer = call => panic!("nobody opened the gate: {answer:?}"),
        came = soon(desk.came.acquire()) => came.unwrap().forget(),
    }
    desk.gate.add_permits(1);
    soon(async {
        while server.get("/sagas/PR-1").await["status"] != "done" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_description_tells_of_sagas_only_where_there_are_some() {
    let desk = Desk::new();
    desk.gate.add_permits(1);
    assert_eq!(described(&serving(&desk).await).await, 18);
    let without = Server::start().await;
    let (status, answer) = without.call(Method::GET, "/sagas", None).await;
    assert_eq!(
        (status.as_u16(), &answer["code"]),
        (404, &json!("unknown_path"))
    );
    let cookie = log_in(&without).await;
    assert!(!fetch(&without, "/ui/", &cookie).await.contains("/ui/sagas"));
}

#[tokio::test]
async fn the_pages_draw_the_steps_and_their_buttons_work() {
    let desk = Desk::new();
    desk.deliver("PR-1", "fail").await;
    desk.deliver("PR-2", "wait").await;
    desk.deliver("PR-3", "wait").await;
    let server = serving(&desk).await;
    let cookie = log_in(&server).await;
    let list = fetch(&server, "/ui/sagas", &cookie).await;
    assert!(
        list.contains("<a href=\"/ui/sagas/PR-1\">PR-1</a>"),
        "{list}"
    );
    let list = fetch(&server, "/ui/sagas?status=waiting", &cookie).await;
    assert!(!list.contains("PR-1<") && list.contains("PR-2<"), "{list}");

    let page = fetch(&server, "/ui/sagas/PR-1", &cookie).await;
    assert!(
        page.contains("the card is &lt;b&gt;not&lt;/b&gt; accepted"),
        "{page}"
    );
    let (_, drawn) = page.split_once("<ol class=\"steps\">").unwrap();
    let steps: Vec<&str> = drawn.split("<li ").skip(1).collect();
    assert!(steps[0].contains("reserve") && steps[0].contains("undone"));
    assert!(steps[1].contains("class=\"bad\"") && steps[1].contains("pay"));
    assert!(!page.contains("/do/"), "over is over: {page}");

    let page = fetch(&server, "/ui/sagas/PR-2", &cookie).await;
    assert!(page.contains("waits to be done again"), "{page}");
    let form = format!("token={}", token(&page));
    let resume = "/ui/sagas/PR-2/do/resume";
    assert_eq!(
        send(&server, resume, &cookie, "token=x").await.status(),
        403
    );
    desk.gate.add_permits(1);
    assert_eq!(send(&server, resume, &cookie, &form).await.status(), 303);
    let page = fetch(&server, "/ui/sagas/PR-2", &cookie).await;
    assert!(page.contains("every step that applies is done"), "{page}");

    let sure = fetch(&server, "/ui/sagas/PR-3/sure/abandon", &cookie).await;
    assert!(sure.contains("Abandon PR-3?"), "{sure}");
    let abandon = "/ui/sagas/PR-3/do/abandon";
    assert_eq!(send(&server, abandon, &cookie, &form).await.status(), 303);
    let twice = send(&server, abandon, &cookie, &form).await;
    assert_eq!(twice.status(), 409);
    let dance = send(&server, "/ui/sagas/PR-3/do/dance", &cookie, &form).await;
    assert_eq!(dance.status(), 404);
}
