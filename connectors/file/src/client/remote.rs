//! Files of a web server (WebDAV) and of S3-compatible stores.
//!
//! A listing names the version of each file, by the ETag where there is one: no file is fetched to
//! know whether it changed, and one that is another than was listed is not taken for it. Files are
//! streamed; a transfer that breaks goes on where it was, when the server knows ranges.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use car_core::{Failure, FailureKind};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;
use xxhash_rust::xxh3::xxh3_128;

use super::http::Requests;
use super::{Files, Found, Opened, Stamp, Trouble, text};
use crate::config::Settings;
use crate::error;
use crate::format;

/// Region when nobody says.
const USUAL_REGION: &str = "us-east-1";

/// Deepest nesting of folders of a web server.
const DEEPEST: usize = 64;

/// A transfer that breaks is taken up again so often.
const TRANSFERS: usize = 5;

/// Files behind a network.
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    /// Where they are in it.
    prefix: Path,
    /// Whether folders are listed one by one.
    by_folder: bool,
    /// What is read, for people.
    shown: String,
    runtime: Handle,
    cancel: CancellationToken,
}

/// Makes the client of a folder of a web server.
pub(crate) fn web(
    url: &Url,
    settings: &Settings,
    cancel: &CancellationToken,
) -> Result<Remote, Failure> {
    let requests = Requests::new(settings.server_timeout.0)?;
    let requests = match (&settings.username, &settings.password, &settings.token) {
        (Some(name), Some(password), None) => requests.basic(name, password)?,
        (None, None, Some(token)) => requests.bearer(token)?,
        (None, None, None) => requests,
        _ => return Err(error::odd_credentials()),
    };
    let mut origin = url.clone();
    origin.set_path("/");
    let store = HttpBuilder::new()
        .with_url(origin)
        .with_http_connector(requests)
        .with_retry(retry())
        .build()
        .map_err(|error| error::bad_place(&settings.directory, error))?;
    let prefix = Path::from_url_path(url.path())
        .map_err(|error| error::bad_place(&settings.directory, error))?;
    remote(Arc::new(store), prefix, true, settings, cancel)
}

/// Makes the client of a part of a bucket.
pub(crate) fn bucket(
    bucket: &str,
    prefix: &str,
    settings: &Settings,
    cancel: &CancellationToken,
) -> Result<Remote, Failure> {
    let mut builder = match (&settings.username, &settings.password) {
        (Some(id), Some(key)) => {
            let builder = AmazonS3Builder::new()
                .with_access_key_id(id)
                .with_secret_access_key(key.expose());
            match &settings.token {
                Some(token) => builder.with_token(token.expose()),
                None => builder,
            }
        }
        // As tools for AWS find them: environment, web identity, container, machine.
        (None, None) if settings.token.is_none() => AmazonS3Builder::from_env(),
        _ => return Err(error::odd_credentials()),
    };
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    let store = builder
        .with_bucket_name(bucket)
        .with_region(settings.region.as_deref().unwrap_or(USUAL_REGION))
        .with_http_connector(Requests::new(settings.server_timeout.0)?)
        .with_retry(retry())
        .build()
        .map_err(|error| error::bad_place(&settings.directory, error))?;
    let prefix =
        Path::parse(prefix).map_err(|error| error::bad_place(&settings.directory, error))?;
    remote(Arc::new(store), prefix, false, settings, cancel)
}

fn remote(
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    by_folder: bool,
    settings: &Settings,
    cancel: &CancellationToken,
) -> Result<Remote, Failure> {
    let runtime = Handle::try_current().map_err(error::no_client)?;
    Ok(Remote {
        store,
        prefix,
        by_folder,
        shown: settings.directory.to_string(),
        runtime,
        cancel: cancel.clone(),
    })
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: TRANSFERS,
        retry_timeout: Duration::from_secs(24 * 3600),
    }
}

impl Remote {
    /// Waits for an answer; not from a thread of the runtime.
    fn wait<T>(&self, answer: impl Future<Output = object_store::Result<T>>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(error::stopped()),
                answer = answer => answer.map_err(|error| error::remote(&self.shown, &error)),
            }
        })
    }

    /// Lists folder by folder: few servers list all that is below one at once.
    async fn folders(&self) -> object_store::Result<Vec<ObjectMeta>> {
        let mut objects = Vec::new();
        let mut open = vec![(self.prefix.clone(), 0)];
        while let Some((folder, depth)) = open.pop() {
            let listed = self.store.list_with_delimiter(Some(&folder)).await?;
            let is_below = |path: &Path| *path != folder && path.prefix_matches(&folder);
            objects.extend(
                listed
                    .objects
                    .into_iter()
                    .filter(|file| is_below(&file.location)),
            );
            // A server may say that a folder is in itself.
            if depth < DEEPEST {
                let below = listed.common_prefixes.into_iter().filter(is_below);
                open.extend(below.map(|folder| (folder, depth + 1)));
            }
        }
        Ok(objects)
    }

    async fn objects(&self) -> object_store::Result<Vec<ObjectMeta>> {
        if self.by_folder {
            return self.folders().await;
        }
        let prefix = (!self.prefix.is_root()).then_some(&self.prefix);
        let mut listed = self.store.list(prefix);
        let mut objects = Vec::new();
        while let Some(object) = listed.next().await {
            objects.push(object?);
        }
        Ok(objects)
    }

    /// Returns a file that is for the connector.
    fn found(&self, object: &ObjectMeta) -> Option<Found> {
        let parts = object.location.prefix_match(&self.prefix)?;
        let parts: Vec<_> = parts.collect();
        let hidden = parts.iter().any(|part| part.as_ref().starts_with('.'));
        let name: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let name = text(name.join("/").as_bytes());
        (!hidden && format::is_wanted(&name)).then(|| Found {
            name,
            stamp: stamp(object),
            version: Some(version(object)),
            path: PathBuf::from(object.location.as_ref()),
        })
    }

    fn place(&self, file: &Found) -> Result<Path, Failure> {
        Path::parse(file.path.to_string_lossy())
            .map_err(|error| error::unreadable(FailureKind::Source, &file.name).because(error))
    }
}

impl Files for Remote {
    fn reach(&self) -> Result<(), Failure> {
        self.wait(async {
            if self.by_folder {
                return self
                    .store
                    .list_with_delimiter(Some(&self.prefix))
                    .await
                    .map(drop);
            }
            let prefix = (!self.prefix.is_root()).then_some(&self.prefix);
            match self.store.list(prefix).next().await {
                Some(Err(error)) => Err(error),
                Some(Ok(_)) | None => Ok(()),
            }
        })
    }

    fn list(&self) -> Result<Vec<Found>, Failure> {
        let objects = self.wait(self.objects())?;
        let mut found: Vec<Found> = objects
            .iter()
            .filter_map(|object| self.found(object))
            .collect();
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        found.dedup_by(|one, other| one.name == other.name);
        Ok(found)
    }

    fn stamp(&self, file: &Found) -> Result<Stamp, Failure> {
        let place = self.place(file)?;
        self.wait(self.store.head(&place))
            .map(|object| stamp(&object))
    }

    fn open(&self, file: &Found) -> Result<Opened, Failure> {
        let place = self.place(file)?;
        let got = self
            .wait(self.store.get(&place))
            .map_err(|failure| failure.with("file", &file.name))?;
        // Some servers do not give both.
        let is_listed = got.meta.e_tag.is_none() || Some(version(&got.meta)) == file.version;
        if !is_listed || got.meta.size != file.stamp.size {
            return Err(error::changed(&file.name));
        }
        let trouble = Trouble::default();
        let content = Transfer {
            stream: got.into_stream(),
            chunk: Bytes::new(),
            left: file.stamp.size,
            name: file.name.clone(),
            shown: self.shown.clone(),
            runtime: self.runtime.clone(),
            cancel: self.cancel.clone(),
            trouble: trouble.clone(),
        };
        Ok(Opened {
            content: Box::new(content),
            trouble,
        })
    }
}

fn stamp(object: &ObjectMeta) -> Stamp {
    Stamp {
        size: object.size,
        modified: object
            .last_modified
            .timestamp_nanos_opt()
            .unwrap_or_default(),
        inode: 0,
    }
}

/// Makes what stands for a content: of the ETag, else of time and size.
fn version(object: &ObjectMeta) -> u128 {
    match &object.e_tag {
        // The same content may be said to be the same strongly or weakly.
        Some(tag) => xxh3_128(tag.trim_start_matches("W/").as_bytes()),
        None => xxh3_128(format!("{} {}", object.last_modified, object.size).as_bytes()),
    }
}

/// A file on its way.
struct Transfer {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
    /// Bytes that are to come after the chunk.
    left: u64,
    name: String,
    shown: String,
    runtime: Handle,
    cancel: CancellationToken,
    trouble: Trouble,
}

impl Transfer {
    fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let (cancel, stream) = (&self.cancel, &mut self.stream);
        let next = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(error::stopped()),
                next = stream.next() => Ok(next),
            }
        })?;
        let Some(chunk) = next else {
            return match self.left {
                0 => Ok(None),
                left => Err(error::cut_short(&self.name, left)),
            };
        };
        let chunk =
            chunk.map_err(|error| error::remote(&self.shown, &error).with("file", &self.name))?;
        self.left = self
            .left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| error::changed(&self.name))?;
        Ok(Some(chunk))
    }
}

impl Read for Transfer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.next() {
                Ok(Some(chunk)) => self.chunk = chunk,
                Ok(None) => return Ok(0),
                Err(failure) => {
                    let error = io::Error::other(failure.to_string());
                    self.trouble.set(failure);
                    return Err(error);
                }
            }
        }
        let size = buffer.len().min(self.chunk.len());
        let part = self.chunk.split_to(size);
        part.as_ref()
            .copy_to_slice(buffer.get_mut(..size).unwrap_or_default());
        Ok(size)
    }
}
