//! The client of the reference server: the only place that knows its addresses.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use car_core::connector::{Cursor, ModelState};
use car_core::http::{self, BodyError, retry_after};
use car_core::limit::{LimitOptions, Limiter};
use car_core::{Failure, FailureKind};
use reqwest::header::{ACCEPT, HeaderMap, LINK};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::config::Settings;
use crate::error::{self, Refusal};
use crate::source::{DeltaBody, Link, NamedLinks, Names, Objects, Record, XrefProperty};

/// Largest answer that is read: a server may ignore paging and send a whole collection.
const LARGEST_ANSWER: usize = 2 << 30;

/// Objects to name in one call, so that addresses stay short.
const NAMES_PER_CALL: usize = 500;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(300);

/// Talks to a reference server.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    settings: Settings,
    limiter: Limiter,
}

/// What the server answers to a question for changes.
pub(crate) enum DeltaAnswer {
    Changes(Box<DeltaBody>, Option<Cursor>),
    NotPossible(String),
}

/// An answer that is a success, or a refusal that the caller asked for.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct StateBody {
    model_state_id: Option<String>,
}

/// An object as far as it names itself.
#[derive(Deserialize)]
struct Address {
    pk: u64,
    address: String,
}

#[derive(Deserialize)]
struct ExternalId {
    pk: u64,
    external_id: String,
}

impl From<Address> for (Link, String) {
    fn from(object: Address) -> Self {
        (Link(object.pk), object.address)
    }
}

impl From<ExternalId> for (Link, String) {
    fn from(object: ExternalId) -> Self {
        (Link(object.pk), object.external_id)
    }
}

impl From<XrefProperty> for (Link, XrefProperty) {
    fn from(object: XrefProperty) -> Self {
        (Link(object.pk), object)
    }
}

impl Client {
    pub(crate) fn new(settings: Settings, cancel: CancellationToken) -> Result<Self, Failure> {
        let mut base = Url::parse(&settings.server)
            .map_err(|reason| error::bad_address(&settings.server, reason))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(error::bad_address(
                "(not shown)",
                "it must not carry credentials",
            ));
        }
        if !matches!(base.scheme(), "http" | "https") {
            return Err(error::bad_address(
                &settings.server,
                "it is neither http nor https",
            ));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = car_core::http::client_builder()
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(settings.server_timeout.0)
            .timeout(CALL_TIMEOUT)
            .build()
            .map_err(|reason| {
                Failure::new(FailureKind::General, "the HTTP client cannot be set up")
                    .because(reason)
            })?;
        let limits = LimitOptions {
            rate: settings.rate_limit,
            folder: settings.rate_limit_dir.clone(),
            ..LimitOptions::new(&[base.as_str(), &settings.username])
        };
        Ok(Self {
            http,
            base,
            limiter: Limiter::new(limits, cancel)?,
            settings,
        })
    }

    /// Names the server's present state.
    pub(crate) async fn model_state(&self) -> Result<Option<ModelState>, Failure> {
        let answer = self.get("model_state_id/", &[], &[]).await?;
        let body: StateBody = parse(&answer.body)?;
        Ok(body
            .model_state_id
            .filter(|state| !state.is_empty())
            .map(ModelState))
    }

    /// Reads a page of a collection.
    pub(crate) async fn objects<T: Record>(
        &self,
        collection: &str,
        cursor: Option<&Cursor>,
    ) -> Result<(Objects<T>, Option<Cursor>), Failure> {
        let limit = self.settings.page_size.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(cursor.map(|cursor| ("after", cursor.0.as_str())));
        let answer = self.get(&format!("{collection}/"), &query, &[]).await?;
        let objects = Objects::parse(&answer.body).map_err(error::unreadable)?;
        Ok((objects, next(&answer.headers)))
    }

    /// Reads a page of what changed between two states.
    pub(crate) async fn delta(
        &self,
        since: &ModelState,
        until: &ModelState,
        cursor: Option<&Cursor>,
    ) -> Result<DeltaAnswer, Failure> {
        let limit = self.settings.page_size.to_string();
        let mut query = vec![
            ("from", since.0.as_str()),
            ("to", until.0.as_str()),
            ("limit", limit.as_str()),
        ];
        query.extend(cursor.map(|cursor| ("after", cursor.0.as_str())));
        let answer = self.get("delta/", &query, &[400, 409, 410]).await?;
        if answer.status == 200 {
            return Ok(DeltaAnswer::Changes(
                parse(&answer.body)?,
                next(&answer.headers),
            ));
        }
        let refusal = Refusal::parse(&answer.body);
        match refusal.code.as_str() {
            "foreign_state" | "future_state" | "state_too_old" | "bad_state" | "from_after_to" => {
                Ok(DeltaAnswer::NotPossible(refusal.message))
            }
            _ => Err(error::refused(answer.status, None, &answer.body)),
        }
    }

    /// Looks up what the targets of links are called.
    pub(crate) async fn names(&self, links: NamedLinks) -> Result<Names, Failure> {
        Ok(Names {
            mac_addresses: self
                .named::<Address, _>("mac_addresses", &links.mac_addresses)
                .await?,
            ip_addresses: self
                .named::<Address, _>("ip_addresses", &links.ip_addresses)
                .await?,
            vulnerabilities: self
                .named::<ExternalId, _>("vulnerabilities", &links.vulnerabilities)
                .await?,
            xrefproperties: self
                .named::<XrefProperty, _>("xrefproperties", &links.xrefproperties)
                .await?,
        })
    }

    async fn named<T: DeserializeOwned + Into<(Link, N)>, N>(
        &self,
        collection: &str,
        links: &BTreeSet<Link>,
    ) -> Result<HashMap<Link, N>, Failure> {
        let numbers: Vec<String> = links.iter().map(|link| link.0.to_string()).collect();
        let mut names = HashMap::with_capacity(links.len());
        for some in numbers.chunks(NAMES_PER_CALL) {
            let pks = some.join(",");
            let answer = self
                .get(&format!("{collection}/"), &[("pk", &pks)], &[])
                .await?;
            let objects: Vec<T> = parse(&answer.body)?;
            names.extend(objects.into_iter().map(Into::into));
        }
        Ok(names)
    }

    /// Makes a call; statuses besides success are failures unless the caller wants them.
    async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        wanted: &[u16],
    ) -> Result<Answer, Failure> {
        let mut address = self
            .base
            .join(path)
            .map_err(|reason| error::bad_address(&self.settings.server, reason))?;
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        let permit = self.limiter.permit().await?;
        let mut response = self
            .http
            .get(address)
            .basic_auth(
                &self.settings.username,
                Some(self.settings.password.expose()),
            )
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(error::unreachable)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let body =
            http::body(&mut response, LARGEST_ANSWER)
                .await
                .map_err(|error| match error {
                    BodyError::Broken(error) => error::unreachable(error),
                    BodyError::TooLarge => error::too_large(LARGEST_ANSWER),
                })?;
        permit.answered(status, &headers);
        if status == 200 || wanted.contains(&status) {
            return Ok(Answer {
                status,
                headers,
                body,
            });
        }
        Err(error::refused(status, retry_after(&headers), &body))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(error::unreadable)
}

/// Returns where the next page begins, from `Link: <http://host/assets/?limit=9&after=7>; rel="next"`.
fn next(headers: &HeaderMap) -> Option<Cursor> {
    let links = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let next = links
        .flat_map(|value| value.split(','))
        .find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    let address = next.split_once('<')?.1.split_once('>')?.0;
    let query = address.split_once('?')?.1;
    let after = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "after")?;
    Some(Cursor(after.1.into_owned()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn after(link: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_str(link).unwrap());
        next(&headers).map(|cursor| cursor.0)
    }

    #[test]
    fn the_next_page_is_read_from_the_link_header() {
        let next = after("<http://host/assets/?limit=9&after=7>; rel=\"next\"");
        assert_eq!(next.as_deref(), Some("7"));
        let second = after("</assets/>; rel=\"first\", </assets/?after=a%26b>; rel=next");
        assert_eq!(second.as_deref(), Some("a&b"));
        for none in [
            "</assets/?after=7>; rel=\"prev\"",
            "</assets/>; rel=\"next\"",
            "rel=\"next\"",
        ] {
            assert_eq!(after(none), None, "{none}");
        }
        assert_eq!(super::next(&HeaderMap::new()), None);
    }

    #[test]
    fn addresses_without_credentials_over_http_are_taken() {
        let open = |server: &str| {
            let settings = Settings {
                server: server.to_owned(),
                username: "user".to_owned(),
                password: "password".into(),
                page_size: 1,
                rate_limit: None,
                server_timeout: car_core::config::Span(Duration::from_secs(5)),
                rate_limit_dir: None,
            };
            Client::new(settings, CancellationToken::new())
        };
        let base = |server| open(server).ok().map(|client| client.base.to_string());
        assert_eq!(base("http://host").as_deref(), Some("http://host/"));
        assert_eq!(
            base("https://host/a/b").as_deref(),
            Some("https://host/a/b/")
        );
        for wrong in ["host", "ftp://host", "http://user:hidden@host/"] {
            let failure = open(wrong).err().unwrap();
            assert_eq!(failure.kind(), FailureKind::InvalidParameter, "{wrong}");
            assert!(!format!("{failure:?}").contains("hidden"), "{failure:?}");
        }
    }
}
