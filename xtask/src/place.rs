//! Where things are: the workspace, the cache folder, the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Names the folder for tools and caches, instead of `~/.cache/car-connectors`.
pub const CACHE_SETTING: &str = "CAR_CACHE_DIR";

/// The workspace that is worked on and the folder for its tools.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// The folder of our own for tools, outside the workspace.
    pub cache: PathBuf,
    /// Whether this is CI, where what is missing is a failure.
    pub ci: bool,
}

impl Place {
    /// Finds the workspace that this program was built from, and the cache folder.
    ///
    /// # Errors
    ///
    /// When there is no home directory and no `CAR_CACHE_DIR`.
    pub fn find() -> Result<Self> {
        let cache = match (environment(CACHE_SETTING), environment("XDG_CACHE_HOME")) {
            (Some(own), _) => PathBuf::from(own),
            (None, Some(caches)) => Path::new(&caches).join("car-connectors"),
            (None, None) => std::env::home_dir()
                .with_context(|| format!("no home directory: set {CACHE_SETTING} to a folder"))?
                .join(".cache/car-connectors"),
        };
        Ok(Self {
            root: workspace_root(),
            cache,
            ci: environment("CI").is_some_and(|value| value != "false" && value != "0"),
        })
    }

    /// A command of the cargo that started us, in the workspace.
    #[must_use]
    pub fn cargo(&self) -> Command {
        self.command(environment("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A command in the workspace.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }
}

/// The folder of the workspace that this program was built from.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// An environment variable; an empty one counts as absent.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "project tasks have no settings file; this is their one place that reads the environment"
)]
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
