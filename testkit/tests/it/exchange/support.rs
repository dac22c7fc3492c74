//! Modes for tests, and a run of them against an emulator.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use car_core::Failure;
use car_core::exchange::{
    Change, ContainerApi, DataService, DataSource, Export, ExportDelta, Failures, Finished,
    HttpContainer, HttpOptions, Job, Output, Rows, RunOptions, Turn, run,
};
use car_core::layer::Backoff;
use car_testkit::{Emulator, TestFolder, within};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Waits that a test need not sit through.
pub(crate) fn quick() -> Backoff {
    Backoff {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(5),
        deadline: Duration::from_secs(20),
    }
}

/// Returns a client.
pub(crate) fn client(address: &str) -> HttpContainer {
    let mut options = HttpOptions::new(address);
    options.backoff = quick();
    HttpContainer::new(options, CancellationToken::new()).unwrap()
}

/// Writes rows `{"id":"0","name":"row 0"}` and so on.
pub(crate) fn numbered(folder: &TestFolder, name: &str, count: usize) {
    let line = |id: usize| format!("{{\"id\":\"{id}\",\"name\":\"row {id}\"}}\n");
    folder.write(name, &(0..count).map(line).collect::<String>());
}

/// Runs a job against an emulator.
pub(crate) async fn exchange(emulator: &Emulator, job: Job, options: RunOptions) -> Finished {
    exchange_at(&emulator.url(), job, options).await
}

/// Runs a job against whatever answers at an address.
pub(crate) async fn exchange_at(address: &str, job: Job, options: RunOptions) -> Finished {
    let api: Arc<dyn ContainerApi> = Arc::new(client(address));
    let options = RunOptions {
        backoff: quick(),
        ..options
    };
    let silent = Arc::new(|_: &car_core::exchange::Progress| {});
    let running = run(job, api, options, silent, CancellationToken::new());
    within("a run", running).await
}

/// Gives numbered rows.
pub(crate) struct Numbers {
    pub(crate) next: u32,
    pub(crate) end: u32,
}

#[async_trait]
impl DataSource for Numbers {
    async fn read(&mut self, output: &mut Output) -> Result<Turn, Failure> {
        for _ in 0..700 {
            if self.next == self.end {
                return Ok(Turn::End);
            }
            let id = self.next.to_string();
            output.rows.push_columns([("id", id.as_str())]);
            self.next += 1;
        }
        Ok(Turn::More)
    }
}

/// Adds a column; what it does with a row is up to the test.
pub(crate) struct Service(pub(crate) fn(u64) -> Deed);

/// What becomes of a row.
pub(crate) enum Deed {
    Keep,
    Leave,
    Fail,
}

#[async_trait]
impl DataService for Service {
    async fn transform(&mut self, rows: &Rows, output: &mut Output) -> Result<(), Failure> {
        for (index, row) in rows.iter().enumerate() {
            let id = row.get("id").unwrap().text().parse().unwrap();
            match (self.0)(id) {
                Deed::Keep => output.rows.push_with(row, &[("new", "x")]),
                Deed::Leave => {}
                Deed::Fail => output.failures.row(index, "it is not wanted"),
            }
        }
        Ok(())
    }
}

/// What was sent.
pub(crate) type Sent = Arc<Mutex<Vec<(Option<Change>, String)>>>;

/// Keeps what is sent, and fails for rows of which the test wants it.
pub(crate) struct Keep {
    pub(crate) sent: Sent,
    pub(crate) fails: fn(&str) -> bool,
}

impl Keep {
    pub(crate) fn new(fails: fn(&str) -> bool) -> (Self, Sent) {
        let sent = Sent::default();
        let keep = Self {
            sent: Arc::clone(&sent),
            fails,
        };
        (keep, sent)
    }

    fn take(&self, change: Option<Change>, rows: &Rows, failures: &mut Failures) {
        for (index, row) in rows.iter().enumerate() {
            let id = row.get("id").unwrap().text().into_owned();
            if (self.fails)(&id) {
                failures.row(index, format!("{id} is refused"));
            } else {
                self.sent.lock().unwrap().push((change, id));
            }
        }
    }
}

#[async_trait]
impl Export for Keep {
    async fn send(&mut self, rows: &Rows, failures: &mut Failures) -> Result<(), Failure> {
        self.take(None, rows, failures);
        Ok(())
    }
}

#[async_trait]
impl ExportDelta for Keep {
    async fn send(
        &mut self,
        change: Change,
        rows: &Rows,
        failures: &mut Failures,
    ) -> Result<(), Failure> {
        self.take(Some(change), rows, failures);
        Ok(())
    }
}
