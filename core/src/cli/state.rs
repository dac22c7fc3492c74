//! `--state`: where a run leaves what the next one needs to go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::setup::Setup;
use crate::config::{Common, Environment, Loaded};
use crate::connector::About;
use crate::engine::State;
use crate::failure::{Failure, FailureKind};
use crate::state::{Fingerprint, SqliteStore};

/// The word that asks for no state.
const NONE: &str = "none";

/// Longest name of a source that stands in a file's name as it is.
const LONGEST: usize = 100;

/// Folder of the default state below the one that the system keeps for such files.
const FOLDER: &str = "car-connectors";

/// Where the state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere, as it was asked for.
    None,
    /// In this file, as it was asked for.
    Named(PathBuf),
    /// In this file, because nobody said otherwise.
    Usual(PathBuf),
    /// Nowhere, because the environment names no folder for it.
    Unknown,
}

impl Place {
    /// Finds the place of a source's state.
    pub(super) fn of(
        common: &Common,
        about: &About,
        environment: &Environment,
        source: &str,
    ) -> Self {
        match &common.state {
            Some(file) if file.as_os_str() == NONE => return Self::None,
            Some(file) => return Self::Named(file.clone()),
            None => {}
        }
        let absolute = |name: &str| {
            let folder = PathBuf::from(environment.get(name)?);
            folder.is_absolute().then_some(folder)
        };
        let folder = absolute("XDG_STATE_HOME")
            .or_else(|| Some(absolute("HOME")?.join(".local").join("state")));
        match folder {
            Some(folder) => {
                let service = common
                    .car_service_url
                    .as_ref()
                    .or(common.car_service_url_for_token.as_ref());
                let service = service.map_or("", String::as_str);
                let name = file_name(source);
                // The same source in two services is two imports.
                let service = xxhash_rust::xxh3::xxh3_64(service.as_bytes());
                let name = format!("{}-{name}-{service:016x}.db", about.name);
                Self::Usual(folder.join(FOLDER).join(name))
            }
            None => Self::Unknown,
        }
    }

    /// Opens the state. One that nobody asked for and that cannot be opened is done without.
    pub(super) async fn open(&self, setup: &Setup) -> Result<Option<State>, Failure> {
        let (path, asked) = match self {
            Self::None => return Ok(None),
            Self::Unknown => {
                tracing::warn!(
                    "this run cannot go on if it is stopped: there is no HOME for its state; \
                     `--state FILE` (CAR_STATE) names one, `--state none` goes without"
                );
                return Ok(None);
            }
            Self::Named(path) => (path, true),
            Self::Usual(path) => (path, false),
        };
        let opened = match asked {
            true => Ok(()),
            false => make_folder(path).map_err(|error| {
                Failure::new(FailureKind::General, "its folder cannot be made").because(error)
            }),
        };
        let opened = match opened {
            Ok(()) => SqliteStore::open(path).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        match opened {
            Ok(store) => Ok(Some(State {
                store: Arc::new(store),
                settings: settings(&setup.loaded),
            })),
            Err(failure) if asked => Err(failure),
            Err(failure) => {
                tracing::warn!(
                    file = %path.display(),
                    error = failure.chain().join(": "),
                    "this run cannot go on if it is stopped: its state cannot be kept; \
                     `--state FILE` (CAR_STATE) names another place, `--state none` goes without"
                );
                Ok(None)
            }
        }
    }
}

/// Hashes the settings that decide what is read: the connector's own, without secrets.
pub(super) fn settings(loaded: &Loaded) -> String {
    let own = loaded.own_values();
    let pairs = own
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Fingerprint::hash_settings(pairs)
}

/// Makes the folder of a file, for this user alone.
fn make_folder(file: &Path) -> std::io::Result<()> {
    let Some(folder) = file.parent() else {
        return Ok(());
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes the name of a source so that it is the name of a file, and no two are alike.
fn file_name(source: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let short: String = source
        .chars()
        .take(LONGEST)
        .map(|c| if plain(c) { c } else { '+' })
        .collect();
    if short == source {
        return short;
    }
    // File systems may not tell capitals.
    let hash = xxhash_rust::xxh3::xxh3_64(source.as_bytes());
    format!("{short}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_files_of_their_own() {
        assert_eq!(file_name("my-source_1"), "my-source_1");
        let names = ["A", "a", "+", "a.b", "a:b", "100%"].map(file_name);
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        for name in [file_name(&"x".repeat(254)), file_name("a'b*c$d")] {
            assert!(name.len() < 130, "{name}");
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_+".contains(c);
            assert!(name.chars().all(plain), "{name}");
        }
    }
}
