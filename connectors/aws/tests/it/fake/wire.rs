//! The protocols: forms answered with XML, and two kinds of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Ec2,
    Query,
    Json,
    Rest,
}

impl Protocol {
    pub(super) fn of(service: &str) -> Self {
        match service {
            "ec2" => Self::Ec2,
            "ecs" | "cloudtrail" => Self::Json,
            "securityhub" | "inspector2" | "eks" | "lambda" => Self::Rest,
            _ => Self::Query,
        }
    }

    /// Answers with an error.
    pub(super) fn refuse(self, status: u16, code: &str, message: &str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let xml = [(header::CONTENT_TYPE, "text/xml")];
        match self {
            Self::Ec2 => {
                let body = format!("<Response><Errors>{error}</Errors></Response>");
                (status, xml, body).into_response()
            }
            Self::Query => {
                let body = format!("<ErrorResponse>{error}</ErrorResponse>");
                (status, xml, body).into_response()
            }
            Self::Json | Self::Rest => {
                let body = json!({ "__type": code, "message": message }).to_string();
                (status, [("x-amzn-errortype", code)], body).into_response()
            }
        }
    }
}

/// A call.
pub(super) struct Asked {
    pub(super) key: String,
    pub(super) service: String,
    pub(super) region: String,
    pub(super) action: String,
    /// Words of the path.
    pub(super) path: Vec<String>,
    /// Fields of a form or a query.
    pub(super) fields: BTreeMap<String, String>,
    /// A body that is JSON.
    pub(super) json: Value,
}

impl Asked {
    /// Reads a signed call.
    pub(super) fn read(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Self> {
        let signed = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let scope = signed.split("Credential=").nth(1)?.split(',').next()?;
        let mut scope = scope.split('/').map(str::to_owned);
        let (key, region, service) = (scope.next()?, scope.nth(1)?, scope.next()?);
        let path: Vec<String> = uri
            .path()
            .split('/')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let form = match Protocol::of(&service) {
            Protocol::Ec2 | Protocol::Query => std::str::from_utf8(body).ok()?,
            Protocol::Json | Protocol::Rest => uri.query().unwrap_or_default(),
        };
        let fields: BTreeMap<String, String> = url::form_urlencoded::parse(form.as_bytes())
            .into_owned()
            .collect();
        let action = match headers.get("x-amz-target") {
            Some(target) => target.to_str().ok()?.rsplit('.').next()?.to_owned(),
            None => match fields.get("Action") {
                Some(action) => action.clone(),
                None => rest_action(method, &service, &path)?.to_owned(),
            },
        };
        Some(Self {
            key,
            region,
            service,
            action,
            path,
            fields,
            json: serde_json::from_slice(body).unwrap_or(Value::Null),
        })
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Returns the values of each filter of EC2.
    pub(super) fn filters(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut filters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for number in 1.. {
            let Some(name) = self.field(&format!("Filter.{number}.Name")) else {
                break;
            };
            let prefix = format!("Filter.{number}.Value.");
            let values = self
                .fields
                .iter()
                .filter(|(field, _)| field.starts_with(&prefix));
            filters.insert(name, values.map(|(_, value)| value.as_str()).collect());
        }
        filters
    }

    /// Answers with an object.
    pub(super) fn tell(&self, answer: &Value) -> Response {
        let xml = [(header::CONTENT_TYPE, "text/xml")];
        let action = &self.action;
        let inside = || {
            let mut text = String::new();
            for (tag, value) in answer.as_object().unwrap() {
                write_xml(tag, value, &self.service, &mut text);
            }
            text
        };
        match Protocol::of(&self.service) {
            Protocol::Ec2 => {
                let inside = inside();
                (
                    xml,
                    format!("<{action}Response>{inside}</{action}Response>"),
                )
                    .into_response()
            }
            Protocol::Query => {
                let result = format!("<{action}Result>{}</{action}Result>", inside());
                (
                    xml,
                    format!("<{action}Response>{result}</{action}Response>"),
                )
                    .into_response()
            }
            Protocol::Json => {
                let json = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
                (json, answer.to_string()).into_response()
            }
            Protocol::Rest => axum::Json(answer).into_response(),
        }
    }
}

fn rest_action(method: &Method, service: &str, path: &[String]) -> Option<&'static str> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match (service, method.as_str(), words.as_slice()) {
        ("securityhub", "POST", ["findings"]) => Some("GetFindings"),
        ("inspector2", "POST", ["findings", "list"]) => Some("ListFindings"),
        ("lambda", "GET", ["2015-03-31", "functions"]) => Some("ListFunctions"),
        ("eks", "GET", ["clusters"]) => Some("ListClusters"),
        ("eks", "GET", ["clusters", _]) => Some("DescribeCluster"),
        ("eks", "GET", ["clusters", _, "node-groups"]) => Some("ListNodegroups"),
        ("eks", "GET", ["clusters", _, "node-groups", _]) => Some("DescribeNodegroup"),
        _ => None,
    }
}

/// Writes a value as XML.
fn write_xml(tag: &str, value: &Value, service: &str, out: &mut String) {
    let text = match value {
        Value::Null => return,
        Value::String(text) => text.replace('&', "&amp;").replace('<', "&lt;"),
        Value::Number(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        Value::Array(values) => {
            let member = match service {
                "ec2" => "item",
                "rds" => tag.trim_end_matches('s'),
                _ => "member",
            };
            let mut text = String::new();
            for value in values {
                write_xml(member, value, service, &mut text);
            }
            text
        }
        Value::Object(fields) => {
            let mut text = String::new();
            for (name, value) in fields {
                write_xml(name, value, service, &mut text);
            }
            text
        }
    };
    write!(out, "<{tag}>{text}</{tag}>").unwrap();
}

/// Cuts a page out of a list: at most so many, from where the token says.
pub(super) fn page<T: Clone>(
    all: &[T],
    most: Option<usize>,
    token: Option<&str>,
) -> (Vec<T>, Option<String>) {
    let start = token
        .map_or(0, |token| token.parse().unwrap())
        .min(all.len());
    let end = all.len().min(start + most.unwrap_or(100));
    let next = (end < all.len()).then(|| end.to_string());
    (all[start..end].to_vec(), next)
}
