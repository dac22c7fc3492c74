//! TLS with certificates that can be renewed while the service runs.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::folder::StartError;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Files of a certificate chain and its private key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that lead to its root.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Hands out the configuration in force.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    current: RwLock<(Arc<ServerConfig>, Stamp)>,
}

/// When both files were last changed.
type Stamp = [Option<SystemTime>; 2];

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, StartError> {
        let stamp = stamp(&files);
        let config = read(&files).map_err(|source| StartError::Tls { source })?;
        Ok(Self {
            files,
            current: RwLock::new((Arc::new(config), stamp)),
        })
    }

    /// Returns what new connections are to be accepted with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.0))
    }

    /// Reads the files again when they have changed. What cannot be used is left aside.
    pub(crate) fn refresh(&self) {
        let stamp = stamp(&self.files);
        let known = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1;
        if stamp == known {
            return;
        }
        match read(&self.files) {
            Ok(config) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = (Arc::new(config), stamp);
                tracing::info!("the certificate was renewed");
            }
            // Both files are rarely replaced in the same instant: the next look will do.
            Err(error) => {
                tracing::warn!(%error, "the changed certificate cannot be used yet; the old one stays");
            }
        }
    }

    /// Looks after the files until it is dropped.
    pub(crate) async fn watch(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.refresh();
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.cert, &files.key].map(|file| {
        std::fs::metadata(file)
            .and_then(|meta| meta.modified())
            .ok()
    })
}

fn read(files: &TlsFiles) -> io::Result<ServerConfig> {
    let bad = |file: &PathBuf, error: &dyn std::fmt::Display| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: {error}", file.display()),
        )
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&files.cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&files.cert, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(&files.cert, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");

    #[test]
    fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let files = TlsFiles {
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        assert!(Tls::open(files.clone()).is_err());
        let put = |from: &str, to: &PathBuf, age: u64| {
            let bytes = std::fs::read(format!("{FOLDER}/{from}")).unwrap();
            std::fs::write(to, bytes).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
            std::fs::File::options()
                .append(true)
                .open(to)
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        put("cert.pem", &files.cert, 1);
        put("key.pem", &files.key, 1);
        let tls = Tls::open(files.clone()).unwrap();
        let current = || Arc::as_ptr(&tls.current.read().unwrap().0);
        let first = current();
        tls.refresh();
        assert_eq!(current(), first);
        // The certificate of another key does not fit: the old pair stays.
        put("cert2.pem", &files.cert, 2);
        tls.refresh();
        assert_eq!(current(), first);
        put("key2.pem", &files.key, 2);
        tls.refresh();
        assert_ne!(current(), first);
    }
}
