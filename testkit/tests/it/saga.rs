//! The driver of sagas, on a vendor in memory that does each write once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use car_core::Failure;
use car_core::saga::{Delivery, NoMatch, Response, Saga, SagaLog, Step};
use car_testkit::saga::{Driven, DrivenLog, Faults, Left, SagaDriver, SagaSubject, driven_undo};

const STEPS: [&str; 4] = ["reserve", "create-user", "assign", "notify"];

/// What the vendor knows of each key: whether it is there, or was taken back.
type Vendor = Arc<Mutex<BTreeMap<String, bool>>>;

struct Purchase {
    vendor: Vendor,
    /// A step that does not undo what it did, which the driver has to find.
    forgetful: Option<&'static str>,
}

impl Purchase {
    fn step(&self, name: &'static str) -> Step<Vec<String>> {
        let (make, take_back) = (Arc::clone(&self.vendor), Arc::clone(&self.vendor));
        let forgetful = self.forgetful == Some(name);
        Step::new(name)
            .execute(move |request: &mut Vec<String>, context| {
                let make = Arc::clone(&make);
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    // What was taken back is not made again.
                    make.lock().unwrap().entry(context.key()).or_insert(true);
                    request.push(name.to_owned());
                    Ok(Response::done())
                })
            })
            .compensate(move |_, context, _| {
                let take_back = Arc::clone(&take_back);
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    let key = context.key().trim_end_matches("/undo").to_owned();
                    if !forgetful {
                        take_back.lock().unwrap().insert(key, false);
                    }
                    Ok::<_, Failure>(Response::fail("undone"))
                })
            })
    }
}

#[async_trait]
impl SagaSubject for Purchase {
    type Request = Vec<String>;

    fn steps(&self) -> Vec<&'static str> {
        STEPS.to_vec()
    }

    fn saga(&self, log: Arc<dyn SagaLog>, faults: Faults) -> Saga<Vec<String>> {
        let mut saga = Saga::chain("purchase", NoMatch::Fail)
            .log(log)
            .undo(driven_undo())
            .crashes(100)
            .around_steps(faults);
        for name in STEPS {
            saga = saga.step(self.step(name));
        }
        saga.build().unwrap()
    }

    fn delivery(&self) -> Delivery<Vec<String>> {
        Delivery::new("PR-1", Vec::new())
    }

    async fn left(&self) -> Left {
        let vendor = self.vendor.lock().unwrap();
        let there = vendor.values().filter(|there| **there).count();
        match there {
            0 => Left::Nothing,
            4 => Left::All,
            _ => Left::Between(format!("{vendor:?}")),
        }
    }
}

async fn purchase() -> Purchase {
    Purchase {
        vendor: Vendor::default(),
        forgetful: None,
    }
}

#[tokio::test]
async fn every_fault_at_every_place_ends_all_done_or_all_undone() {
    let driven = SagaDriver::new(purchase, DrivenLog::Memory).every().await;
    // 4 steps with 5 faults each, there and back; 9 ways, with a crash at each end of each write.
    assert!(driven.runs > 150, "{driven:?}");
    assert!(driven.done > 20 && driven.undone > 100, "{driven:?}");
}

#[tokio::test]
async fn a_thousand_seeds_end_all_done_or_all_undone() {
    let driver = SagaDriver::new(purchase, DrivenLog::Memory);
    let Driven { runs, done, undone } = driver.seeded(0..1000).await;
    assert_eq!((runs, done + undone), (1000, 1000));
    assert!(done > 100 && undone > 100, "{done} done, {undone} undone");
}

#[tokio::test]
async fn sagas_in_a_file_end_all_done_or_all_undone() {
    let folder = tempfile::tempdir().unwrap();
    let log = DrivenLog::Sqlite(folder.path().to_owned());
    let driven = SagaDriver::new(purchase, log).seeded(0..25).await;
    assert_eq!(driven.runs, 25);
}

#[tokio::test]
#[should_panic(expected = "is undone: ")]
async fn a_step_that_does_not_undo_is_found() {
    let forgetful = async || Purchase {
        forgetful: Some("assign"),
        ..purchase().await
    };
    SagaDriver::new(forgetful, DrivenLog::Memory).every().await;
}
