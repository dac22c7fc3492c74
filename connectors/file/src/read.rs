//! Reads files one after the other, in a thread of its own, and gives out pages.
//!
//! Parsers push, the engine pulls: between them is a channel that holds one page, so that a file
//! of any size takes the memory of two pages.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use car_core::connector::{Cursor, Page};
use car_core::record::Records;
use car_core::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::client::Files;
use crate::error::{self, Broken};
use crate::format::{self, HEAD};
use crate::listing::Entry;
use crate::map;
use crate::memory::{KeyFile, Memory};
use crate::rows::{Out, Sink};
use crate::unpack::{self, Limits};

/// How files are read.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) limits: Limits,
    pub(crate) page_size: u64,
    pub(crate) memory: Option<Arc<Memory>>,
    pub(crate) maps: Arc<map::Maps>,
    /// Cancelled when the run has to end.
    pub(crate) cancel: CancellationToken,
}

/// How often a wait for a page looks whether the run has to end.
const LOOK: Duration = Duration::from_millis(100);

/// Where a page begins: records that were given out of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    file: String,
    records: u64,
}

/// What the thread gives out.
enum Given {
    Page(Records, Place),
    /// A file that cannot be read; the others are read all the same.
    Failed(Failure),
    /// There is no more.
    End,
}

/// Files that are being read.
pub(crate) struct Stream {
    given: Receiver<Given>,
    /// The next page and its end, once it is known that there is one.
    ahead: Option<(Records, Place)>,
    /// Where the next page begins.
    at: Option<Cursor>,
    failures: Vec<Failure>,
    cancel: CancellationToken,
}

impl Stream {
    /// Starts to read entries, which are sorted by name, from where a cursor says.
    pub(crate) fn start(
        reading: Reading,
        entries: Arc<Vec<Entry>>,
        cursor: Option<&Cursor>,
    ) -> Result<Self, Failure> {
        let from: Option<Place> = cursor.map(place).transpose()?;
        let (out, given) = sync_channel(1);
        let cancel = reading.cancel.clone();
        // Not a task of the runtime: it waits for whoever takes its pages.
        std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || run(&reading, &entries, from.as_ref(), &out))
            .map_err(|error| {
                Failure::new(FailureKind::General, "no thread can be started").because(error)
            })?;
        Ok(Self {
            given,
            ahead: None,
            at: cursor.cloned(),
            failures: Vec::new(),
            cancel,
        })
    }

    /// Tells whether the next page is the one of a cursor.
    pub(crate) fn is_at(&self, cursor: Option<&Cursor>) -> bool {
        self.at.as_ref() == cursor
    }

    /// Waits for the next page. After the last one, [`failures`](Self::failures) are complete.
    pub(crate) fn pull(&mut self) -> Page {
        let Some((records, end)) = self.ahead.take().or_else(|| self.receive()) else {
            return Page::default();
        };
        self.ahead = self.receive();
        self.at = self.ahead.is_some().then(|| cursor(&end));
        Page {
            records,
            next: self.at.clone(),
        }
    }

    /// Returns the files that could not be read.
    pub(crate) fn failures(self) -> Vec<Failure> {
        self.failures
    }

    fn receive(&mut self) -> Option<(Records, Place)> {
        loop {
            let failure = match self.given.recv_timeout(LOOK) {
                Ok(Given::Page(records, end)) => return Some((records, end)),
                Ok(Given::End) => return None,
                Ok(Given::Failed(failure)) => {
                    self.failures.push(failure);
                    continue;
                }
                Err(RecvTimeoutError::Timeout) if !self.cancel.is_cancelled() => continue,
                Err(RecvTimeoutError::Timeout) => error::stopped(),
                // The thread panicked: what it had read is not all there is.
                Err(RecvTimeoutError::Disconnected) => Failure::new(
                    FailureKind::General,
                    "the connector stopped in the middle of a file",
                ),
            };
            self.failures.push(failure);
            return None;
        }
    }
}

fn place(cursor: &Cursor) -> Result<Place, Failure> {
    serde_json::from_str(&cursor.0).map_err(|error| {
        Failure::new(
            FailureKind::General,
            "the cursor is not one of this connector",
        )
        .with("cursor", &cursor.0)
        .because(error)
    })
}

fn cursor(place: &Place) -> Cursor {
    Cursor(serde_json::to_string(place).unwrap_or_default())
}

fn run(reading: &Reading, entries: &[Entry], from: Option<&Place>, out: &SyncSender<Given>) {
    let mut pages = Pages {
        out,
        page_size: usize::try_from(reading.page_size).unwrap_or(usize::MAX),
        pending: Records::new(),
        end: None,
        file: String::new(),
        keys: None,
    };
    for entry in entries {
        let name = entry.file.name.as_str();
        let skip = match from {
            Some(from) if name < from.file.as_str() => continue,
            Some(from) if name == from.file => from.records,
            _ => 0,
        };
        let given = match file(reading, entry, skip, &mut pages) {
            Ok(()) => continue,
            Err(Ended::Stopped) => return,
            Err(Ended::Failed(failure)) => out.send(Given::Failed(failure)),
        };
        if given.is_err() {
            return;
        }
    }
    if pages.flush().is_ok() {
        // Nobody may be there to hear it.
        drop(out.send(Given::End));
    }
}

/// Why a file was not read to its end.
enum Ended {
    Stopped,
    Failed(Failure),
}

/// Reads one file.
fn file(reading: &Reading, entry: &Entry, skip: u64, pages: &mut Pages<'_>) -> Result<(), Ended> {
    let expected = entry.hash().map_err(Ended::Failed)?;
    let name = entry.file.name.as_str();
    let broken = |broken: Broken| match broken {
        Broken::Stopped => Ended::Stopped,
        broken => Ended::Failed(broken.failure(name)),
    };
    pages.keys = match &reading.memory {
        Some(memory) => memory.key_file(name, expected).map_err(Ended::Failed)?,
        None => None,
    };
    pages.file = name.to_owned();
    let opened = reading.files.open(&entry.file).map_err(Ended::Failed)?;
    let trouble = opened.trouble;
    let (parsed, changed) = match unpack::unpack(opened.content, reading.limits) {
        Err(broken) => (Err(broken), false),
        Ok((mut content, hash)) => {
            let parsed = parse(reading, name, skip, &mut *content, pages);
            if matches!(parsed, Err(Broken::Stopped)) {
                return Err(Ended::Stopped);
            }
            // What comes over a network is not fetched for its hash alone.
            let is_local = entry.file.version.is_none();
            let drained = (is_local || parsed.is_ok()) && unpack::drain(&mut *content).is_ok();
            (parsed, is_local && drained && hash.value() != expected)
        }
    };
    // A file that did not come as a whole, or changed, is not broken, whatever the parser says.
    if let Some(failure) = trouble.take() {
        return Err(Ended::Failed(failure));
    }
    if changed {
        if let Some(memory) = &reading.memory {
            memory.distrust();
        }
        return Err(Ended::Failed(error::changed(name)));
    }
    parsed.map_err(broken)?;
    match pages.keys.take() {
        Some(keys) => keys.finish().map_err(Ended::Failed),
        None => Ok(()),
    }
}

/// Reads a content into a sink.
pub(crate) fn parse(
    reading: &Reading,
    name: &str,
    skip: u64,
    content: &mut dyn BufRead,
    sink: &mut dyn Sink,
) -> Result<(), Broken> {
    let keys = sink.wants_keys();
    let mut out = Out::new(sink, skip, reading.page_size, keys);
    let file = map::File {
        name,
        limits: reading.limits,
    };
    let head = content.fill_buf()?;
    let head = head.get(..head.len().min(HEAD)).unwrap_or_default();
    let format = format::detect(name, head)?;
    reading.maps.read(file, format, content, &mut out)?;
    out.end()
}

/// Bytes of rows after which a page is given out.
const FULL: usize = 4 << 20;

/// Gives out pages; those of small files together.
struct Pages<'a> {
    out: &'a SyncSender<Given>,
    page_size: usize,
    pending: Records,
    end: Option<Place>,
    file: String,
    keys: Option<KeyFile>,
}

impl Pages<'_> {
    fn flush(&mut self) -> Result<(), Broken> {
        let Some(end) = self.end.take() else {
            return Ok(());
        };
        let records = std::mem::take(&mut self.pending);
        self.out
            .send(Given::Page(records, end))
            .map_err(|_| Broken::Stopped)
    }
}

impl Sink for Pages<'_> {
    fn page(&mut self, records: Records, count: u64) -> Result<(), Broken> {
        if self.pending.is_empty() {
            self.pending = records;
        } else {
            self.pending.append(records);
        }
        self.end = Some(Place {
            file: self.file.clone(),
            records: count,
        });
        if self.pending.len() >= self.page_size || self.pending.bytes() >= FULL {
            self.flush()?;
        }
        Ok(())
    }

    fn keys(&mut self, keys: &[u8]) -> Result<(), Broken> {
        match &mut self.keys {
            Some(file) => Ok(file.write(keys)?),
            None => Ok(()),
        }
    }

    fn wants_keys(&self) -> bool {
        self.keys.is_some()
    }
}
