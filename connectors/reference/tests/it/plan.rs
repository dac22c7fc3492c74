//! Plans against the real service: printed is done, to the object.

use std::collections::BTreeMap;

use car_core::engine::Plan;
use car_testkit::{Ended, TestFolder};

use crate::support::{Pair, SOURCE};

fn plan_of(ended: &Ended) -> Plan {
    serde_json::from_str(&ended.stdout).unwrap()
}

async fn planned(pair: &Pair, file: &str, arguments: &[&str]) -> Plan {
    let ended = pair
        .connector()
        .args(&["plan", "--output", "json", "--out", file])
        .args(arguments)
        .run()
        .await
        .with_code(0);
    plan_of(&ended)
}

/// Imports the plan and asserts that it did what it printed.
async fn import(pair: &Pair, file: &str, plan: &Plan, before: &BTreeMap<String, u64>) {
    let ended = pair
        .connector()
        .without("CONFIGURATION_AUTH_URL")
        .args(&["import", "--plan", file])
        .run()
        .await
        .with_code(0);
    for (name, rows) in &plan.collections {
        let done = ended
            .report()
            .collections
            .get(name)
            .copied()
            .unwrap_or_default();
        assert_eq!(done.sent, rows.created + rows.updated, "{name}");
        assert_eq!(done.retired, rows.retired, "{name}");
    }
    let after = pair.graph().await.counts();
    for (name, rows) in &plan.collections {
        let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
        assert_eq!(
            count(&after),
            count(before) + rows.created - rows.retired,
            "{name}"
        );
    }
    pair.assert_in_step("after importing the plan").await;
    let apply = plan.apply.unwrap();
    assert_eq!(ended.report().bytes_sent, apply.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_is_done_in_both_modes() {
    let (pair, folder) = (Pair::start(30).await, TestFolder::new());
    let file = folder.file("plan.jsonl").display().to_string();
    // Everything is new, and not even a database is made.
    let plan = planned(&pair, &file, &[]).await;
    assert_eq!(plan.totals().created, 30 * 25 + 3);
    import(&pair, &file, &plan, &BTreeMap::new()).await;

    for mode in [&[][..], &["--full"]] {
        for edit in crate::edit::one_of_each().into_iter().flatten() {
            edit.apply(&pair.source).await;
        }
        let before = pair.graph().await;
        let plan = planned(&pair, &file, mode).await;
        pair.graph().await.assert_is(&before, "after planning");
        let totals = plan.totals();
        assert!(
            totals.created > 0 && totals.updated > 0 && totals.retired > 0,
            "{totals:?}"
        );
        import(&pair, &file, &plan, &before.counts()).await;
    }
    let nothing = planned(&pair, &file, &["--full"]).await.totals();
    assert_eq!(
        (nothing.created, nothing.updated, nothing.retired),
        (0, 0, 0)
    );
    assert_eq!(nothing.unchanged, pair.graph().await.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_refused_once_the_graph_has_moved_on() {
    let (pair, folder) = (Pair::start(3).await, TestFolder::new());
    let file = folder.file("plan.jsonl").display().to_string();
    planned(&pair, &file, &[]).await;
    pair.import().await;
    let before = pair.graph().await;
    let refused = pair
        .connector()
        .args(&["import", "--plan", &file])
        .run()
        .await;
    drop(
        refused
            .with_code(2)
            .saying("imported since the plan was made"),
    );
    pair.graph().await.assert_is(&before, "after a refusal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_other_settings_is_refused_where_they_are_known() {
    let (pair, folder) = (Pair::start(3).await, TestFolder::new());
    let file = folder.file("plan.jsonl").display().to_string();
    planned(&pair, &file, &[]).await;
    let import = pair.connector().args(&["import", "--plan", &file]);
    let other = import
        .clone()
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "7")
        .run()
        .await;
    drop(other.with_code(2).saying("other settings"));
    assert!(pair.service.runs(SOURCE).await.is_empty());
    drop(import.run().await.with_code(0));
    pair.assert_in_step("after importing the plan").await;
    let runs = pair.service.runs(SOURCE).await;
    assert_eq!(runs[0]["outcome"], "complete");
}
