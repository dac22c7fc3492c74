//! A limit on what a single row may be: a quote that is never closed makes one of all that follows,
//! and a row is in memory as a whole.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::File;
use crate::error::Limit;

/// Smallest limit, in bytes: readers read ahead.
const LEAST: u64 = 1 << 20;

/// Reads a content, and stops when a row takes more bytes than it may.
pub(super) struct Longest<'a> {
    inner: &'a mut dyn BufRead,
    limit: u64,
    since: Since,
}

/// Bytes since the last row ended.
#[derive(Clone, Default)]
pub(super) struct Since(Rc<Cell<u64>>);

impl Since {
    /// Begins a row.
    pub(super) fn reset(&self) {
        self.0.set(0);
    }
}

impl<'a> Longest<'a> {
    pub(super) fn new(file: File<'_>, inner: &'a mut dyn BufRead) -> (Self, Since) {
        let since = Since::default();
        let longest = Self {
            inner,
            limit: file.limits.document.max(LEAST),
            since: since.clone(),
        };
        (longest, since)
    }
}

impl Read for Longest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buffer)?;
        let since = self.since.0.get().saturating_add(size as u64);
        self.since.0.set(since);
        if since > self.limit {
            return Err(io::Error::other(Limit(format!(
                "a row has more than {} bytes; `--largest-document` sets the limit",
                self.limit
            ))));
        }
        Ok(size)
    }
}
