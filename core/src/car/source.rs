//! The protocol's calls about one source: its save point, its sessions, its imports, and what is
//! gone from it.

use std::time::Duration;

use bytes::Bytes;
use car_schema::Identity;
use car_schema::wire::{ImportStarted, ImportStatus, SessionPatch, SweepPreview};
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::encode;
use super::call::{Call, Method};
use super::client::{CarClient, parse, to_json};
use super::status;
use crate::failure::{Failure, FailureKind};

/// How long the service may take to keep the report of a run.
const REPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest list of ids in one address, in encoded bytes.
const LONGEST_LIST: usize = 1800;

/// What the service knows of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceState {
    /// Whether it reported before.
    pub known: bool,
    /// The state of the data source that the graph was last brought to.
    pub save_point: Option<String>,
    /// The last run that reported, where the service tells.
    pub report: Option<String>,
}

#[derive(Deserialize)]
struct SourceDocument {
    #[serde(default)]
    model_state_id: Option<String>,
    #[serde(default)]
    report: Option<String>,
}

impl CarClient {
    /// Returns what the service knows of a source.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn source(&self, source: &str) -> Result<SourceState, Failure> {
        let path = format!("source/{}", encode(source));
        let call = Call::new("get source", Method::Get, path).accept(&[404]);
        let answer = self.calls.call(&call).await?;
        if answer.status == 404 {
            return Ok(SourceState::default());
        }
        let document: SourceDocument = parse(&call, &answer)?;
        let save_point = document.model_state_id.filter(|state| !state.is_empty());
        Ok(SourceState {
            known: true,
            save_point,
            report: document.report,
        })
    }

    /// Sets the save point of a source; `None` clears it.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn set_save_point(&self, source: &str, state: Option<&str>) -> Result<(), Failure> {
        let name = if state.is_some() {
            "write save point"
        } else {
            "clear save point"
        };
        let call = Call::new(name, Method::Patch, "source")
            .query(format!("key={}", encode(source)))
            .body(to_json(
                &json!({ "model_state_id": state.unwrap_or_default() }),
            )?)
            .any_body();
        self.calls.call(&call).await.map(drop)
    }

    /// Opens a full-import session; with `resume`, one that is open goes on instead of beginning
    /// anew, where the service can.
    ///
    /// # Errors
    ///
    /// As every call, and when the service says that the session could not be opened.
    pub async fn open_session(&self, source: &str, resume: bool) -> Result<(), Failure> {
        let call = session("open session", Method::Post, source);
        self.job(if resume {
            call.query("resume=true")
        } else {
            call
        })
        .await
    }

    /// Closes a full-import session: what was not reported in it is retired.
    ///
    /// # Errors
    ///
    /// As every call, and when the service says that the session could not be closed.
    pub async fn close_session(&self, source: &str) -> Result<(), Failure> {
        self.job(session("close session", Method::Delete, source))
            .await
    }

    /// Returns what closing the session would retire.
    ///
    /// Only for services with the feature `sweep_preview`.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn preview_sweep(&self, source: &str) -> Result<SweepPreview, Failure> {
        let call = session("preview sweep", Method::Get, source);
        let answer = self.calls.call(&call).await?;
        parse(&call, &answer)
    }

    /// Keeps rows out of the sweep of the open session.
    ///
    /// Only for services with the feature `keep_rows`.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn keep_rows(&self, source: &str, rows: &SessionPatch) -> Result<(), Failure> {
        let call = session("keep rows", Method::Patch, source)
            .body(to_json(rows)?)
            .any_body();
        self.calls.call(&call).await.map(drop)
    }

    /// Gives the service the report of a run, to show and to keep. Tried once, and not for long:
    /// the run is over, and its outcome does not depend on it.
    ///
    /// Only for services with the feature `run_reports`.
    pub async fn report_run(&self, source: &str, report: &Value) {
        let post = async {
            let path = format!("source/{}/runs", encode(source));
            let call = Call::new("post run report", Method::Post, path)
                .v3()
                .body(to_json(report)?)
                .any_body();
            self.calls.call(&call).await.map(drop)
        };
        match tokio::time::timeout(REPORT_TIMEOUT, post).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::debug!(
                error = failure.chain().join(": "),
                "the service did not take the run report"
            ),
            Err(_) => tracing::debug!("the service did not take the run report in time"),
        }
    }

    /// Posts an envelope and returns the name of the import.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn post_import(&self, envelope: Bytes) -> Result<String, Failure> {
        let call = Call::new("post import", Method::Post, "imports").body(envelope);
        let answer = self.calls.call(&call).await?;
        parse::<ImportStarted>(&call, &answer).map(|import| import.id)
    }

    /// Returns which of these imports are still at work.
    ///
    /// # Errors
    ///
    /// As every call, and when the service says that an import failed.
    pub async fn unfinished_imports(&self, ids: &[String]) -> Result<Vec<String>, Failure> {
        let list = ids
            .iter()
            .map(|id| encode(id))
            .collect::<Vec<_>>()
            .join(",");
        let call = Call::new("get import status", Method::Get, "importstatus")
            .query(format!("ids={list}"));
        let answer = self.calls.call(&call).await?;
        let status: ImportStatus = parse(&call, &answer)?;
        if let Some(failed) = status
            .error_imports
            .into_iter()
            .find(|failed| ids.contains(&failed.id))
        {
            let kind = match failed.status_code {
                0 => FailureKind::CarRejected,
                code => status::kind(code),
            };
            return Err(
                Failure::new(kind, "the CAR service could not carry out an import")
                    .with("import", &failed.id)
                    .with("status", failed.status_code)
                    .because(failed.error),
            );
        }
        Ok(status
            .incomplete_imports
            .into_iter()
            .map(|import| import.id)
            .filter(|id| ids.contains(id))
            .collect())
    }

    /// Retires vertices and their edges.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn delete_vertices(
        &self,
        source: &str,
        collection: &str,
        identity: Identity,
        keys: &[String],
    ) -> Result<(), Failure> {
        let path = format!("source/{}/{}", encode(source), encode(collection));
        for list in lists(keys) {
            let query = format!("{}={list}", identity.delete_parameter());
            let call = Call::new("delete vertices", Method::Delete, path.clone())
                .query(query)
                .any_body();
            self.calls.call(&call).await?;
        }
        Ok(())
    }

    /// Retires an edge, or marks it inactive where the service cannot retire edges.
    ///
    /// # Errors
    ///
    /// As every call: see [`CarCall`](super::CarCall).
    pub async fn delete_edge(
        &self,
        source: &str,
        collection: &str,
        (from, to): (&str, &str),
        retire: bool,
    ) -> Result<(), Failure> {
        let (from, to) = (encode(from), encode(to));
        let call = if retire {
            let path = format!("source/{}/{}", encode(source), encode(collection));
            Call::new("delete edge", Method::Delete, path).query(format!("from={from}&to={to}"))
        } else {
            Call::new("deactivate edge", Method::Patch, encode(collection))
                .query(format!("source={}&from={from}&to={to}", encode(source)))
                .body(to_json(&json!({ "active": false }))?)
        };
        // An edge that is not there is as gone as one that was taken away.
        self.calls
            .call(&call.accept(&[404]).any_body())
            .await
            .map(drop)
    }
}

fn session(name: &'static str, method: Method, source: &str) -> Call {
    Call::new(
        name,
        method,
        format!("source/{}/full-import-in-progress", encode(source)),
    )
}

/// Joins ids to lists that fit into an address. The service splits at commas, so an id with a
/// comma goes alone.
pub(crate) fn lists(ids: &[String]) -> Vec<String> {
    let mut lists = Vec::new();
    let mut list = String::new();
    for id in ids.iter().filter(|id| !id.is_empty()) {
        let encoded = encode(id);
        if id.contains(',') {
            lists.push(encoded);
            continue;
        }
        if !list.is_empty() && list.len().saturating_add(encoded.len()) >= LONGEST_LIST {
            lists.push(std::mem::take(&mut list));
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&encoded);
    }
    if !list.is_empty() {
        lists.push(list);
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_ids_with_commas_alone_and_addresses_short() {
        let ids: Vec<String> = ["a#b", "a,b", "100%", "é"].map(str::to_owned).to_vec();
        assert_eq!(lists(&ids), ["a%2Cb", "a%23b,100%25,%C3%A9"]);
        let many: Vec<String> = (0..1000).map(|n| format!("id-{n:04}")).collect();
        let lists = lists(&many);
        assert!(lists.iter().all(|list| list.len() <= LONGEST_LIST));
        assert_eq!(
            lists
                .iter()
                .map(|list| list.split(',').count())
                .sum::<usize>(),
            1000
        );
    }
}
