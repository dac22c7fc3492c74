//! A budget of requests in a file that processes share.
//!
//! The file has a place for each request that a window allows. A request takes a place before it
//! is sent and frees it one window after its answer came. So of the requests in any window at the
//! source there are never more than places, whatever the network does to them in between. The
//! lock of the file goes with the process that holds it, and a place that a killed process took
//! becomes free after a while.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use super::rate::Rate;
use crate::failure::{Failure, FailureKind};

/// Most places; a higher rate is kept in shorter windows.
const MOST_PLACES: u32 = 256;

/// How long a request may be under way before its place is taken for that of a dead process.
const LEASE: u64 = 120_000_000_000;

/// How long to wait when somebody else holds the file.
const BUSY: Duration = Duration::from_millis(1);

/// How often to try before a place is left to its lease.
const TRIES: u32 = 50;

/// Bytes of the head: when the next request may begin, and until when none may.
const HEAD: usize = 16;

/// Bytes of a place: when it is free, and who took it.
const PLACE: usize = 16;

/// A budget.
#[derive(Debug)]
pub(super) struct Budget {
    path: PathBuf,
    file: std::sync::Mutex<File>,
    places: usize,
    /// In nanoseconds, as all times here.
    window: u64,
    spacing: u64,
    at_once: usize,
}

/// A place that a request took.
#[derive(Debug)]
pub(super) struct Place {
    index: Option<usize>,
    owner: u64,
}

impl Place {
    /// Returns the place of a request that needs none.
    pub(super) const fn none() -> Self {
        Self {
            index: None,
            owner: 0,
        }
    }
}

/// What the file says.
struct State {
    next: u64,
    paused: u64,
    places: Vec<(u64, u64)>,
}

impl Budget {
    /// Opens the budget of this name.
    pub(super) fn open(
        folder: Option<PathBuf>,
        name: &str,
        rate: Option<Rate>,
        at_once: Option<u32>,
    ) -> Result<Self, Failure> {
        let (places, window) = match rate {
            // A share of the requests in the same share of the time is stricter, and as much.
            Some(rate) => {
                let places = rate.requests.min(MOST_PLACES);
                let time = u64::try_from(rate.time.as_nanos()).unwrap_or(u64::MAX);
                let window = time.saturating_mul(u64::from(places)) / u64::from(rate.requests);
                (places, window)
            }
            None => (at_once.unwrap_or(0), 0),
        };
        let folder = match folder {
            Some(folder) => folder,
            None => default_folder().map_err(|error| unusable(Path::new("."), error))?,
        };
        make_private(&folder).map_err(|error| unusable(&folder, error))?;
        // Other limits are another budget.
        let path = folder.join(format!("{name}-{places}-{window}-{}", at_once.unwrap_or(0)));
        let file = open_private(&path).map_err(|error| unusable(&path, error))?;
        Ok(Self {
            path,
            file: file.into(),
            places: places as usize,
            window,
            // A little closer than they may be on average, so that a late one is made up for.
            spacing: window / u64::from(places.max(1)) / 10 * 9,
            at_once: at_once.map_or(usize::MAX, |at_once| at_once as usize),
        })
    }

    /// Takes a place, or returns how long to wait before asking again.
    pub(super) fn take(&self) -> Result<Result<Place, Duration>, Failure> {
        let taken = self.locked(|state, now| {
            let wait = state.paused.max(state.next).saturating_sub(now);
            if wait > 0 {
                return Err(wait);
            }
            if self.places == 0 {
                return Ok(Place::none());
            }
            let under_way = state
                .places
                .iter()
                .filter(|(free, owner)| *owner != 0 && *free > now)
                .count();
            let free = state.places.iter().position(|(free, _)| *free <= now);
            let (Some(index), true) = (free, under_way < self.at_once) else {
                // A place of a request under way may be freed any moment.
                let earliest = state
                    .places
                    .iter()
                    .map(|(free, _)| free.saturating_sub(now))
                    .min();
                return Err(earliest.unwrap_or_default().clamp(1_000_000, 20_000_000));
            };
            let owner = fresh(now);
            if let Some(place) = state.places.get_mut(index) {
                *place = (now.saturating_add(LEASE), owner);
            }
            state.next = now.saturating_add(self.spacing);
            Ok(Place {
                index: Some(index),
                owner,
            })
        });
        match taken {
            Ok(Some(taken)) => Ok(taken.map_err(Duration::from_nanos)),
            Ok(None) => Ok(Err(BUSY)),
            Err(error) => Err(unusable(&self.path, error)),
        }
    }

    /// Frees a place, one window from now.
    pub(super) fn give_back(&self, place: &Place) {
        let Some(index) = place.index else {
            return;
        };
        self.insist(|state, now| {
            if let Some((free, owner)) = state.places.get_mut(index)
                && *owner == place.owner
            {
                *free = now.saturating_add(self.window);
                *owner = 0;
            }
        });
    }

    /// Holds all requests back.
    pub(super) fn pause(&self, pause: Duration) {
        let pause = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        self.insist(|state, now| {
            state.paused = state.paused.max(now.saturating_add(pause));
        });
    }

    /// Changes the state, however busy the file is; one that stays locked is left to the leases.
    fn insist(&self, mut change: impl FnMut(&mut State, u64)) {
        for _ in 0..TRIES {
            match self.locked(&mut change) {
                Ok(None) => std::thread::sleep(BUSY),
                Ok(Some(())) | Err(_) => return,
            }
        }
    }

    /// Does something with the state; `None` while somebody else does.
    fn locked<T>(&self, work: impl FnOnce(&mut State, u64) -> T) -> std::io::Result<Option<T>> {
        let Ok(mut file) = self.file.try_lock() else {
            return Ok(None);
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let now = now();
        let done = read(&mut file, self.places, now, self.window).and_then(|mut state| {
            let done = work(&mut state, now);
            write(&mut file, &state)?;
            Ok(done)
        });
        file.unlock()?;
        done.map(Some)
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a number that no other request on this machine has.
fn fresh(now: u64) -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let parts = [
        now,
        u64::from(std::process::id()),
        COUNT.fetch_add(1, Ordering::Relaxed),
    ];
    xxh3_64(parts.map(u64::to_le_bytes).as_flattened()).max(1)
}

/// Reads the file. What is missing, cut off or from a clock that went back counts as nothing.
fn read(file: &mut File, places: usize, now: u64, window: u64) -> std::io::Result<State> {
    let mut bytes = Vec::with_capacity(HEAD.saturating_add(places.saturating_mul(PLACE)));
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut numbers = bytes
        .chunks_exact(8)
        .map(|chunk| chunk.try_into().map_or(0, u64::from_le_bytes));
    let mut number = |most: u64| {
        let number = numbers.next().unwrap_or_default();
        number.min(now.saturating_add(most))
    };
    let next = number(window);
    let paused = number(u64::try_from(super::LONGEST.as_nanos()).unwrap_or(u64::MAX));
    let places = (0..places)
        .map(|_| {
            let free = number(LEASE.saturating_add(window));
            (free, number(u64::MAX))
        })
        .collect();
    Ok(State {
        next,
        paused,
        places,
    })
}

fn write(file: &mut File, state: &State) -> std::io::Result<()> {
    let mut bytes =
        Vec::with_capacity(HEAD.saturating_add(state.places.len().saturating_mul(PLACE)));
    bytes.extend_from_slice(&state.next.to_le_bytes());
    bytes.extend_from_slice(&state.paused.to_le_bytes());
    for (free, owner) in &state.places {
        bytes.extend_from_slice(&free.to_le_bytes());
        bytes.extend_from_slice(&owner.to_le_bytes());
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}

#[cfg(unix)]
fn default_folder() -> std::io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    // A file of our own tells who we are.
    let user = tempfile::tempfile()?.metadata()?.uid();
    Ok(std::env::temp_dir().join(format!("car-rate-limits-{user}")))
}

#[cfg(not(unix))]
fn default_folder() -> std::io::Result<PathBuf> {
    Ok(std::env::temp_dir().join("car-rate-limits"))
}

#[cfg(unix)]
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if let Err(error) = std::fs::DirBuilder::new().mode(0o700).create(folder)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    // Not through a link that somebody else laid.
    let there = std::fs::symlink_metadata(folder)?;
    if !there.is_dir() || there.permissions().mode() & 0o077 != 0 {
        return Err(std::io::Error::other("it is not a folder with mode 0700"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

fn unusable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(
        FailureKind::General,
        "the rate limit that processes share cannot be kept",
    )
    .with("at", path.display())
    .because(error)
    .hint("`--rate-limit-dir` names a private folder for it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(folder: &Path, rate: &str, at_once: Option<u32>) -> Budget {
        let rate = (!rate.is_empty()).then(|| rate.parse().unwrap());
        Budget::open(Some(folder.join("limits")), "name", rate, at_once).unwrap()
    }

    #[test]
    fn no_more_places_than_the_window_has_even_for_two_processes() {
        let folder = tempfile::tempdir().unwrap();
        let both = [0, 1].map(|_| budget(folder.path(), "3/h", None));
        let mut held = Vec::new();
        // The spacing of this rate would take an hour to wait for.
        for _ in 0..4 {
            let now = now();
            for one in &both {
                let taken = one
                    .locked(|state, _| {
                        state.next = 0;
                        state.places.iter().filter(|(free, _)| *free > now).count()
                    })
                    .unwrap()
                    .unwrap();
                assert_eq!(taken, held.len().min(3));
            }
            match both[held.len() % 2].take().unwrap() {
                Ok(place) => held.push(place),
                Err(wait) => assert!(wait > Duration::ZERO),
            }
        }
        assert_eq!(held.len(), 3);
        // Its answer came just now, so it counts for an hour more.
        both[0].give_back(&held[0]);
        assert!(both[1].take().unwrap().is_err());
    }

    #[test]
    fn places_at_once_are_free_when_they_are_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let budget = budget(folder.path(), "", Some(2));
        let [first, second] = [0, 1].map(|_| budget.take().unwrap().unwrap());
        assert!(budget.take().unwrap().is_err());
        budget.give_back(&first);
        budget.give_back(&first);
        let third = budget.take().unwrap().unwrap();
        assert!(budget.take().unwrap().is_err());
        budget.give_back(&first);
        assert!(
            budget.take().unwrap().is_err(),
            "the place is the third's now"
        );
        assert_ne!(second.owner, third.owner);
    }

    #[test]
    fn a_pause_is_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let both = [0, 1].map(|_| budget(folder.path(), "", None));
        assert!(both[1].take().unwrap().is_ok());
        both[0].pause(Duration::from_secs(100));
        both[0].pause(Duration::from_secs(1));
        let wait = both[1].take().unwrap().unwrap_err();
        assert!(wait > Duration::from_secs(50), "{wait:?}");
    }

    #[test]
    fn a_broken_file_and_a_clock_that_went_back_hold_nobody_up_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let budget = budget(folder.path(), "10/s", None);
        std::fs::write(&budget.path, [0xff; 77]).unwrap();
        let wait = budget.take().unwrap().unwrap_err();
        assert!(wait <= super::super::LONGEST, "{wait:?}");
        std::fs::write(&budget.path, b"short").unwrap();
        assert!(budget.take().unwrap().is_ok());
    }

    #[test]
    fn a_folder_for_all_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let failure = Budget::open(Some(folder.path().to_owned()), "name", None, None).unwrap_err();
        assert!(
            failure
                .hints()
                .any(|hint| hint.contains("--rate-limit-dir")),
            "{failure:?}"
        );
    }
}
