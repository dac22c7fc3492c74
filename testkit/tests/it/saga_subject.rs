//! A saga to drive, on a vendor in memory that does each write once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use car_core::Failure;
use car_core::saga::{Delivery, NoMatch, Response, Saga, SagaLog, Step};
use car_testkit::saga::{Faults, Left, SagaSubject, driven_undo};

const STEPS: [&str; 4] = ["reserve", "create-user", "assign", "notify"];

/// What the vendor knows of each key: whether it is there, or was taken back.
pub(crate) type Vendor = Arc<Mutex<BTreeMap<String, bool>>>;

/// A purchase in four steps.
pub(crate) struct Purchase {
    pub(crate) vendor: Vendor,
    /// A step that does not undo what it did, which the driver has to find.
    pub(crate) forgetful: Option<&'static str>,
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

pub(crate) async fn purchase() -> Purchase {
    Purchase {
        vendor: Vendor::default(),
        forgetful: None,
    }
}
