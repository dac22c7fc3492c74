//! Where fuzz targets reach what has no public way in: inputs are bytes of whoever sends them, and
//! none may panic.

use crate::config::Catalog;
use crate::failure::Failure;

/// Reads the text of a settings file, and makes the settings of it.
///
/// # Errors
///
/// As for any wrong setting.
pub fn settings_file<S: crate::connector::Settings>(
    text: &str,
    catalog: &Catalog,
) -> Result<S, Failure> {
    crate::config::from_yaml(text, catalog)?.settings()
}

/// Opens a token with a key, both in the form that their files have; gives the length of what is
/// in it.
///
/// # Errors
///
/// As for any wrong file.
pub fn open_token(key: &str, token: &str) -> Result<usize, String> {
    crate::secret::open_token(key, token)
}
