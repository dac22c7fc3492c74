//! Keeps edges until the vertices are through: in memory up to a budget, then in a private file.
//!
//! The file has no name once it is open, so it is gone however the process ends, unless the
//! caller asks to keep it. A record is: index of the collection (2 bytes), index of the scope (2),
//! flags (1), hashes of both ends (16), length (4), JSON.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, FailureKind};

const HEAD: usize = 25;

/// Where spilled edges go.
#[derive(Debug, Clone, Default)]
pub(super) struct SpillOptions {
    /// Folder; the system's temporary one by default.
    pub(super) folder: Option<PathBuf>,
    /// Whether the file stays after the run.
    pub(super) keep: bool,
    /// Bytes to hold in memory.
    pub(super) budget: usize,
}

/// An edge that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpilledEdge {
    pub(super) collection: u16,
    pub(super) scope: u16,
    pub(super) has: [bool; 4],
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) json: Vec<u8>,
}

/// Edges in the order in which they came.
#[derive(Debug)]
pub(super) struct Spill {
    options: SpillOptions,
    memory: Vec<u8>,
    file: Option<BufWriter<File>>,
    written: u64,
}

impl Spill {
    pub(super) fn new(options: SpillOptions) -> Self {
        Self {
            options,
            memory: Vec::new(),
            file: None,
            written: 0,
        }
    }

    /// Adds an edge.
    pub(super) fn push(
        &mut self,
        (collection, scope): (u16, u16),
        has: [bool; 4],
        (from, to): (u64, u64),
        json: &[u8],
    ) -> Result<(), Failure> {
        let length = u32::try_from(json.len())
            .map_err(|_| Failure::new(FailureKind::SourceData, "an edge is larger than 4 GiB"))?;
        let flags = has
            .iter()
            .enumerate()
            .fold(0_u8, |flags, (bit, has)| flags | (u8::from(*has) << bit));
        self.memory.extend_from_slice(&collection.to_le_bytes());
        self.memory.extend_from_slice(&scope.to_le_bytes());
        self.memory.push(flags);
        self.memory.extend_from_slice(&from.to_le_bytes());
        self.memory.extend_from_slice(&to.to_le_bytes());
        self.memory.extend_from_slice(&length.to_le_bytes());
        self.memory.extend_from_slice(json);
        if self.memory.len() > self.options.budget {
            self.spill()
        } else {
            Ok(())
        }
    }

    /// Returns the bytes that went to disk.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Moves what is in memory to the file.
    fn spill(&mut self) -> Result<(), Failure> {
        let folder = self
            .options
            .folder
            .clone()
            .unwrap_or_else(std::env::temp_dir);
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file =
                    open(&folder, self.options.keep).map_err(|error| full(&folder, error))?;
                none.insert(BufWriter::with_capacity(1 << 18, file))
            }
        };
        file.write_all(&self.memory)
            .map_err(|error| full(&folder, error))?;
        self.written = self.written.saturating_add(self.memory.len() as u64);
        self.memory.clear();
        Ok(())
    }

    /// Ends writing and returns the edges, first come first.
    pub(super) fn read(mut self) -> Result<SpillReader, Failure> {
        let folder = self
            .options
            .folder
            .clone()
            .unwrap_or_else(std::env::temp_dir);
        let failed = |error| full(&folder, error);
        let file = match self.file.take() {
            None => None,
            Some(writer) => {
                let mut file = writer
                    .into_inner()
                    .map_err(|error| failed(error.into_error()))?;
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                Some(BufReader::with_capacity(1 << 18, file))
            }
        };
        Ok(SpillReader {
            file,
            left: self.written,
            memory: std::io::Cursor::new(self.memory),
            folder,
        })
    }
}

/// Reads edges back.
#[derive(Debug)]
pub(super) struct SpillReader {
    file: Option<BufReader<File>>,
    left: u64,
    memory: std::io::Cursor<Vec<u8>>,
    folder: PathBuf,
}

impl SpillReader {
    /// Returns the next edge, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<SpilledEdge>, Failure> {
        let edge = match &mut self.file {
            Some(file) if self.left > 0 => read_edge(file),
            _ => {
                let position = usize::try_from(self.memory.position()).unwrap_or(usize::MAX);
                if position >= self.memory.get_ref().len() {
                    return Ok(None);
                }
                return read_edge(&mut self.memory)
                    .map(Some)
                    .map_err(|error| full(&self.folder, error));
            }
        };
        let edge = edge.map_err(|error| full(&self.folder, error))?;
        self.left = self
            .left
            .saturating_sub((HEAD.saturating_add(edge.json.len())) as u64);
        Ok(Some(edge))
    }
}

fn read_edge(from: &mut impl Read) -> std::io::Result<SpilledEdge> {
    let collection = u16::from_le_bytes(read(from)?);
    let scope = u16::from_le_bytes(read(from)?);
    let [flags] = read(from)?;
    let (start, end) = (
        u64::from_le_bytes(read(from)?),
        u64::from_le_bytes(read(from)?),
    );
    let length = u32::from_le_bytes(read(from)?);
    let mut json = vec![0; length as usize];
    from.read_exact(&mut json)?;
    let has = [0, 1, 2, 3].map(|bit| flags & (1 << bit) != 0);
    Ok(SpilledEdge {
        collection,
        scope,
        has,
        from: start,
        to: end,
        json,
    })
}

fn read<const N: usize>(from: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn open(folder: &Path, keep: bool) -> std::io::Result<File> {
    std::fs::create_dir_all(folder)?;
    if keep {
        // Mode 0600 is what the crate makes its files with.
        let file = tempfile::Builder::new()
            .prefix("edges-")
            .suffix(".spill")
            .tempfile_in(folder)?;
        return file
            .keep()
            .map(|(file, _)| file)
            .map_err(|error| error.error);
    }
    tempfile::tempfile_in(folder)
}

fn full(folder: &Path, error: std::io::Error) -> Failure {
    Failure::new(FailureKind::General, "edges cannot be put aside on disk")
        .with("folder", folder.display())
        .because(error)
        .hint("`--export-data-dir` names a folder with more room, `--memory-budget` keeps more in memory")
        .hint("nothing was retired; the next run starts anew")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(budget: usize, folder: &Path, keep: bool) -> Spill {
        let options = SpillOptions {
            folder: Some(folder.to_owned()),
            keep,
            budget,
        };
        let mut spill = Spill::new(options);
        for n in 0..1000_u64 {
            let json = format!("{{\"n\":{n}}}");
            spill
                .push(
                    (7, 2),
                    [n % 2 == 0, false, true, false],
                    (n, n + 1),
                    json.as_bytes(),
                )
                .unwrap();
        }
        spill
    }

    fn drain(spill: Spill) -> Vec<SpilledEdge> {
        let mut reader = spill.read().unwrap();
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    #[test]
    fn edges_come_back_in_order_from_memory_and_disk() {
        let folder = tempfile::tempdir().unwrap();
        for budget in [0, 100, 10_000, 1 << 20] {
            let edges = drain(fill(budget, folder.path(), false));
            assert_eq!(edges.len(), 1000, "budget {budget}");
            for (n, edge) in (0_u64..).zip(&edges) {
                assert_eq!(edge.json, format!("{{\"n\":{n}}}").into_bytes());
                assert_eq!((edge.from, edge.to), (n, n + 1));
                assert_eq!((edge.collection, edge.scope), (7, 2));
                assert_eq!(edge.has, [n % 2 == 0, false, true, false]);
            }
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "no file has a name"
        );
    }

    #[test]
    fn a_kept_file_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(drain(fill(100, folder.path(), true)).len(), 1000);
        let files: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(files.len(), 1);
        assert_eq!(
            files[0].metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let options = SpillOptions {
            folder: Some(file.join("below")),
            keep: false,
            budget: 0,
        };
        let failure = Spill::new(options)
            .push((0, 0), [false; 4], (0, 0), b"{}")
            .unwrap_err();
        assert!(failure.to_string().contains("below"), "{failure}");
        assert_eq!(failure.kind(), FailureKind::General);
    }
}
