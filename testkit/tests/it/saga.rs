//! The driver of sagas, on a vendor in memory that does each write once.

use car_testkit::saga::{Driven, DrivenLog, SagaDriver};

use crate::saga_subject::{Purchase, purchase};

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
