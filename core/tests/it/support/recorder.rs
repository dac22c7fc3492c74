//! Keeps the events of a run, so that a test can wait for one.

use std::sync::{Mutex, PoisonError};

use car_core::progress::{Event, Reporter};
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<Event>>,
    news: Notify,
}

impl Recorder {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until an event of this sort was reported.
    pub(crate) async fn wait_for(&self, mut wanted: impl FnMut(&Event) -> bool) {
        loop {
            let news = self.news.notified();
            if self.events().iter().any(&mut wanted) {
                return;
            }
            news.await;
        }
    }
}

impl Reporter for Recorder {
    fn report(&self, event: &Event) {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event.clone());
        self.news.notify_one();
    }
}
