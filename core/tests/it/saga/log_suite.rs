//! What every log has to do, wherever it keeps its sagas.

use std::time::Duration;

use car_core::saga::{Claim, Event, LogError, Progress, SagaLog, Status, Summary, Then};
use serde_json::json;

pub(crate) fn began() -> Event {
    Event::Began {
        saga: "order".to_owned(),
        steps: vec!["a".to_owned(), "b".to_owned()],
        request: json!({"n": 1}),
    }
}

pub(crate) fn started() -> (Event, Progress) {
    let event = Event::Started { step: 0 };
    let mut progress = Progress::begin(&began()).unwrap();
    progress.apply(&event).unwrap();
    (event, progress)
}

pub(crate) async fn suite(log: &dyn SagaLog) {
    assert!(matches!(
        log.claim("one", None).await,
        Err(LogError::NotFound { .. })
    ));
    let first = log.claim("one", Some(&began())).await.unwrap();
    assert_eq!(first.events, [began()]);
    assert!(matches!(
        log.claim("one", None).await,
        Err(LogError::Held { .. })
    ));
    log.claim("two", Some(&began())).await.unwrap();

    let (event, progress) = started();
    let write = async |claim: &Claim, then| {
        let events = std::slice::from_ref(&event);
        log.append(claim, events, &progress, then).await
    };
    log.renew(&first.claim).await.unwrap();
    write(&first.claim, Then::Release).await.unwrap();
    // What was given back is no claim any more.
    assert!(matches!(
        write(&first.claim, Then::Keep).await,
        Err(LogError::Lost { .. })
    ));
    assert!(matches!(
        log.renew(&first.claim).await,
        Err(LogError::Lost { .. })
    ));

    let second = log.claim("one", Some(&began())).await.unwrap();
    assert!(second.claim.fence > first.claim.fence);
    // Known already: what it would begin with does not count.
    assert_eq!(second.events, [began(), event.clone()]);
    assert!(matches!(
        write(&first.claim, Then::Keep).await,
        Err(LogError::Lost { .. })
    ));
    write(&second.claim, Then::Keep).await.unwrap();
    log.release(&second.claim).await.unwrap();
    assert!(matches!(
        log.release(&second.claim).await,
        Err(LogError::Lost { .. })
    ));

    let entries = log.entries("one").await.unwrap();
    assert_eq!(entries.len(), 3);
    assert!(entries.iter().all(|entry| entry.at > 1_700_000_000_000));
    assert!(log.entries("three").await.unwrap().is_empty());

    let running = listed(log, Some(Status::Running), 2).await;
    assert_eq!(log.list(None, 10).await.unwrap().len(), 2);
    assert_eq!(log.list(None, 1).await.unwrap().len(), 1);
    assert!(log.list(Some(Status::Stuck), 10).await.unwrap().is_empty());
    let one = running.iter().find(|saga| saga.id == "one").unwrap();
    assert_eq!(
        (one.saga.as_str(), one.step.as_deref()),
        ("order", Some("a"))
    );
    assert!(one.created <= one.updated && one.created > 1_700_000_000_000);

    // Over: it can be claimed and read, and stands there in lists.
    let third = log.claim("one", None).await.unwrap();
    let reason = "enough".to_owned();
    let event = Event::Abandoned { reason };
    let mut over = progress.clone();
    over.apply(&event).unwrap();
    let events = std::slice::from_ref(&event);
    log.append(&third.claim, events, &over, Then::Release)
        .await
        .unwrap();
    let fourth = log.claim("one", Some(&began())).await.unwrap();
    assert_eq!(fourth.events.last(), Some(&event));
    log.release(&fourth.claim).await.unwrap();
    let list = listed(log, Some(Status::Abandoned), 1).await;
    assert_eq!(list[0].id, "one");
    assert_eq!(listed(log, Some(Status::Running), 1).await[0].id, "two");
}

/// Lists sagas once there are so many, where lists lag behind.
async fn listed(log: &dyn SagaLog, status: Option<Status>, count: usize) -> Vec<Summary> {
    let listed = async {
        loop {
            let list = log.list(status, 10).await.unwrap();
            let one = list.iter().find(|saga| saga.id == "one");
            let settled = one.is_none_or(|one| one.step.is_some() || one.status.is_over());
            if list.len() == count && settled {
                return list;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), listed)
        .await
        .expect("lists show what is recorded")
}
