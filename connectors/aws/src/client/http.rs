//! How calls travel: through the proxy of the environment, and back in full.
//!
//! The SDK takes XML that ends too early for XML that ends: half a list would pass for the whole
//! one, and what the other half has would be taken out of the graph. So an answer in XML has to end
//! with its first element; one that does not is asked for again.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

/// Time limits for making a connection and for its first byte.
type Limits = (Option<Duration>, Option<Duration>);

/// The HTTP client of all calls.
#[derive(Debug, Default)]
pub(super) struct Http {
    connectors: Mutex<BTreeMap<Limits, SharedHttpConnector>>,
}

impl HttpClient for Http {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let limits = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self
            .connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let connector = connectors.entry(limits).or_insert_with(|| {
            let mut builder = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .proxy_config(ProxyConfig::from_env())
                .connector_settings(settings.clone());
            builder.set_sleep_impl(components.sleep_impl());
            SharedHttpConnector::new(InFull(SharedHttpConnector::new(builder.build())))
        });
        connector.clone()
    }
}

/// Gives back answers that are there in full.
#[derive(Debug)]
struct InFull(SharedHttpConnector);

impl HttpConnector for InFull {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let body = ByteStream::new(answer.take_body()).collect().await;
            let body = body
                .map_err(|error| ConnectorError::io(error.into()))?
                .into_bytes();
            if is_cut(&body) {
                return Err(ConnectorError::io(CutShort.into()));
            }
            *answer.body_mut() = SdkBody::from(body);
            Ok(answer)
        })
    }
}

/// Tells whether an answer is XML that ends before its first element does.
fn is_cut(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else {
        return false;
    };
    let (start, end) = (text.trim_start(), text.trim_end());
    if !start.starts_with('<') {
        return false;
    }
    let start = match start.strip_prefix("<?xml") {
        Some(declaration) => declaration.split_once("?>").map_or("", |(_, rest)| rest),
        None => start,
    };
    let name: &str = start
        .trim_start()
        .trim_start_matches('<')
        .split(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))
        .next()
        .unwrap_or_default();
    let closes = end
        .strip_suffix('>')
        .and_then(|end| end.trim_end().strip_suffix(name));
    let is_whole = closes.is_some_and(|end| !name.is_empty() && end.ends_with("</"));
    // A page for people need not be well-formed to be understood as none of ours.
    let is_page = name.starts_with('!') || name.eq_ignore_ascii_case("html");
    let is_empty = end.ends_with("/>") && start.matches('<').count() == 1;
    !is_whole && !is_page && !is_empty
}

/// An answer that ends before its end.
#[derive(Debug)]
pub(crate) struct CutShort;

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer ends in its middle")
    }
}

impl Error for CutShort {}

#[cfg(test)]
mod tests {
    use super::is_cut;

    #[test]
    fn xml_has_to_end_with_its_first_element() {
        let whole = [
            "<a><b>1</b></a>",
            "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b/></a>\n",
            "<a></a >",
            "<a/>",
            "{\"a\":",
            "",
            "<!DOCTYPE html><p>Please log in",
            "<html>Please log in</html>",
        ];
        for text in whole {
            assert!(!is_cut(text.as_bytes()), "{text}");
        }
        let cut = [
            "<a><b>1</b>",
            "<a><b",
            "<?xml version=",
            "<",
            "<aa></a>",
            "<a><b/>",
        ];
        for text in cut {
            assert!(is_cut(text.as_bytes()), "{text}");
        }
    }
}
