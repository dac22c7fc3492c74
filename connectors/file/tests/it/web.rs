//! A web server for tests: gives out a folder, and lists it as WebDAV has it.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::task::JoinHandle;

pub(crate) const USER: &str = "reader";
pub(crate) const PASSWORD: &str = "a-password-of-tests";

/// Time of all files: what changed is told by the content.
const TIME: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');

/// A web server on a loopback port. Dropping it ends it.
pub(crate) struct WebFolder {
    address: String,
    serving: JoinHandle<()>,
}

impl WebFolder {
    /// Gives out a folder at `/files/`.
    pub(crate) async fn start(root: &Path) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(answer).with_state(root.to_owned());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, serving }
    }

    /// Returns where it listens, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for WebFolder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(root): State<PathBuf>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let pair = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let known = headers.get(AUTHORIZATION);
    if known.is_none_or(|value| *value != format!("Basic {pair}")) {
        return plain(StatusCode::UNAUTHORIZED, "who are you?");
    }
    let path = percent_decode_str(uri.path()).decode_utf8().unwrap();
    let Some(path) = path
        .strip_prefix("/files")
        .filter(|path| !path.contains(".."))
    else {
        return plain(StatusCode::NOT_FOUND, "nothing");
    };
    let place = root.join(path.trim_matches('/'));
    match method.as_str() {
        "PROPFIND" if place.is_dir() => listing(&place, uri.path()),
        "GET" if place.is_file() => file(&place, &headers),
        _ => plain(StatusCode::NOT_FOUND, "nothing"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    Response::builder()
        .status(status)
        .body(text.into())
        .unwrap()
}

fn tag(content: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    content.hash(&mut hash);
    format!("\"{:x}\"", hash.finish())
}

fn listing(folder: &Path, at: &str) -> Response {
    let at = at.trim_end_matches('/');
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><D:multistatus xmlns:D=\"DAV:\">");
    let mut response = |href: &str, properties: &str| {
        write!(
            xml,
            "<D:response><D:href>{href}</D:href><D:propstat><D:prop>\
             <D:getlastmodified>{TIME}</D:getlastmodified>{properties}</D:prop>\
             <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        )
        .unwrap();
    };
    let collection = "<D:resourcetype><D:collection/></D:resourcetype>";
    response(&format!("{at}/"), collection);
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap().to_str().unwrap();
        let href = format!("{at}/{}", utf8_percent_encode(name, PLAIN));
        if entry.is_dir() {
            response(&format!("{href}/"), collection);
            continue;
        }
        let content = fs::read(&entry).unwrap();
        let properties = format!(
            "<D:resourcetype/><D:getcontentlength>{}</D:getcontentlength><D:getetag>{}</D:getetag>",
            content.len(),
            tag(&content)
        );
        response(&href, &properties);
    }
    xml.push_str("</D:multistatus>");
    Response::builder()
        .status(207)
        .header("content-type", "application/xml; charset=utf-8")
        .body(xml.into())
        .unwrap()
}

fn file(place: &Path, headers: &HeaderMap) -> Response {
    let content = fs::read(place).unwrap();
    let response = Response::builder()
        .header(ETAG, tag(&content))
        .header(LAST_MODIFIED, TIME);
    let range = headers.get(RANGE).map(|value| value.to_str().unwrap());
    let Some((begin, end)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return response.body(Body::from(content)).unwrap();
    };
    let begin: usize = begin.parse().unwrap();
    let end = end
        .parse()
        .unwrap_or(content.len() - 1)
        .min(content.len() - 1);
    response
        .status(StatusCode::PARTIAL_CONTENT)
        .header(
            CONTENT_RANGE,
            format!("bytes {begin}-{end}/{}", content.len()),
        )
        .body(Body::from(content[begin..=end].to_vec()))
        .unwrap()
}
