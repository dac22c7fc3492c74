//! Unpacks files, within limits: an archive must not expand without end.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Broken, Limit};
use crate::format::{Packing, packing};

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

/// Size up to which expansion is no concern.
const HARMLESS: u64 = 16 << 20;

/// Largest window of a zstd frame that is taken, in bytes.
const LARGEST_WINDOW: u64 = 128 << 20;

/// How much a file may become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Largest size once it is unpacked, in bytes.
    pub(crate) file: u64,
    /// How many times its packed size it may be, from 16 MiB on.
    pub(crate) expansion: u64,
    /// Largest size of what has to be in memory as a whole, in bytes.
    pub(crate) document: u64,
}

/// The hash of a file's own bytes, once it was read to its end.
#[derive(Clone, Default)]
pub(crate) struct Hash(Arc<Mutex<Xxh3>>);

impl Hash {
    /// Returns the hash of what was read so far.
    pub(crate) fn value(&self) -> u128 {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .digest128()
    }
}

/// Counts and hashes what is read of a file.
struct Tap<R> {
    inner: R,
    hash: Hash,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buffer)?;
        let part = buffer.get(..size).unwrap_or_default();
        self.hash
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .update(part);
        self.count.fetch_add(size as u64, Ordering::Relaxed);
        Ok(size)
    }
}

/// Stops when more comes out than may.
struct Limited<R> {
    inner: R,
    limits: Limits,
    packed: Option<Arc<AtomicU64>>,
    count: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buffer)?;
        self.count = self.count.saturating_add(size as u64);
        if self.count > self.limits.file {
            return Err(io::Error::other(Limit(format!(
                "it has more than {} bytes; `--largest-file` sets the limit",
                self.limits.file
            ))));
        }
        if let Some(packed) = &self.packed {
            let most = packed
                .load(Ordering::Relaxed)
                .saturating_mul(self.limits.expansion)
                .max(HARMLESS);
            if self.count > most {
                return Err(io::Error::other(Limit(format!(
                    "it expands to more than {} times its size; `--most-expansion` sets the limit",
                    self.limits.expansion
                ))));
            }
        }
        Ok(size)
    }
}

/// Opens the content of a file: unpacked, within limits. The hash is that of the file's own bytes
/// and complete once [`drain`] has returned.
pub(crate) fn unpack(
    file: Box<dyn Read + Send>,
    limits: Limits,
) -> Result<(Box<dyn BufRead + Send>, Hash), Broken> {
    let hash = Hash::default();
    let count = Arc::new(AtomicU64::new(0));
    let mut tapped = BufReader::with_capacity(
        BUFFER,
        Tap {
            inner: file,
            hash: hash.clone(),
            count: Arc::clone(&count),
        },
    );
    let limited = |inner: Box<dyn Read + Send>, packed| Limited {
        inner,
        limits,
        packed,
        count: 0,
    };
    let content = match packing(tapped.fill_buf()?) {
        Packing::None => limited(Box::new(tapped), None),
        Packing::Gzip => limited(Box::new(MultiGzDecoder::new(tapped)), Some(count)),
        Packing::Zstd => {
            let decoder = Frames {
                source: Some(tapped),
                frame: None,
            };
            limited(Box::new(decoder), Some(count))
        }
    };
    Ok((Box::new(BufReader::with_capacity(BUFFER, content)), hash))
}

/// Reads what is left of a content, so that its hash is that of the whole file.
pub(crate) fn drain(content: &mut dyn BufRead) -> Result<(), Broken> {
    loop {
        let size = content.fill_buf()?.len();
        if size == 0 {
            return Ok(());
        }
        content.consume(size);
    }
}

/// The decoder gives no kinds to its errors.
fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

type Frame<R> = StreamingDecoder<R, ruzstd::decoding::FrameDecoder>;

/// Reads zstd frames one after the other: a file may have several.
struct Frames<R: Read> {
    source: Option<R>,
    frame: Option<Box<Frame<R>>>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let size = frame.read(buffer).map_err(invalid)?;
                if size > 0 || buffer.is_empty() {
                    return Ok(size);
                }
                self.source = self.frame.take().map(|frame| frame.into_inner());
            }
            let Some(mut source) = self.source.take() else {
                return Ok(0);
            };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let decoder = StreamingDecoder::new_with_max_window_size(source, LARGEST_WINDOW)
                .map_err(invalid)?;
            self.frame = Some(Box::new(decoder));
        }
    }
}
