//! Folders that go when a test ends.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A private folder for one test; it is removed with everything in it when dropped.
#[derive(Debug)]
pub struct TestFolder(TempDir);

impl TestFolder {
    /// Makes a folder.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "making a folder is work, not a value"
    )]
    pub fn new() -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("car-test-")
                .tempdir()
                .unwrap(),
        )
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the path of a file in the folder, which may not be there.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.file(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(&path, content).unwrap();
        path
    }
}
