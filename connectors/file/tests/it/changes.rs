//! What changed between two imports, and nothing else, is read.

use car_core::report::Mode;

use crate::support::Pair;

fn asset(id: &str, name: &str) -> String {
    format!("{{\"collection\": \"asset\", \"external_id\": \"{id}\", \"name\": \"{name}\"}}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_retires_what_only_it_reported() {
    let pair = Pair::start().await;
    let both = asset("both", "Both");
    pair.files.write("a.jsonl", &(asset("a", "A") + &both));
    pair.files.write("b.jsonl", &(asset("b", "B") + &both));
    let first = pair.import().await;
    assert_eq!(first.report().mode, Some(Mode::Full));
    let names = |graph: &car_testkit::Graph| -> Vec<String> {
        graph.identities("asset").map(str::to_owned).collect()
    };
    assert_eq!(names(&pair.graph().await), ["a", "b", "both"]);

    std::fs::remove_file(pair.files.file("a.jsonl")).unwrap();
    pair.files.write("c.jsonl", &asset("c", "C"));
    let second = pair.import().await;
    assert_eq!(second.report().mode, Some(Mode::Incremental));
    assert_eq!(names(&pair.graph().await), ["b", "both", "c"]);

    pair.files.write("b.jsonl", &asset("b", "B again"));
    let third = pair.import().await;
    assert_eq!(third.report().mode, Some(Mode::Incremental));
    let graph = pair.graph().await;
    assert_eq!(names(&graph), ["b", "c"]);
    assert_eq!(graph.get("asset", "b").unwrap()["name"], "B again");

    let fourth = pair.import().await;
    assert_eq!(fourth.report().totals().sent, 0);
}
