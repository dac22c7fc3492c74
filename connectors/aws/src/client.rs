//! The client of AWS: who we are, which accounts and regions there are, and every call.
//!
//! The only place with addresses: the SDK makes them from the region, unless one is set for all.

#[cfg(feature = "beanstalk")]
mod beanstalk;
mod cloudtrail;
#[cfg(feature = "ec2")]
mod ec2;
#[cfg(feature = "ecs")]
mod ecs;
#[cfg(feature = "eks")]
mod eks;
#[cfg(feature = "elb")]
mod elb;
mod estate;
#[cfg(any(feature = "securityhub", feature = "inspector"))]
mod findings;
mod http;
#[cfg(feature = "iam")]
mod iam;
#[cfg(feature = "lambda")]
mod lambda;
mod login;
#[cfg(feature = "rds")]
mod rds;

use std::collections::BTreeSet;
use std::error::Error;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use car_core::Failure;
use car_core::connector::Cursor;
use tokio::sync::OnceCell;

#[cfg(feature = "iam")]
pub(crate) use iam::Principal;

pub(crate) use cloudtrail::Untold;
pub(crate) use estate::{ALL, Estate, test};
#[cfg(any(feature = "securityhub", feature = "inspector"))]
pub(crate) use findings::{MOST_TARGETS, Which};
pub(crate) use http::CutShort;
pub(crate) use login::{Login, check};

use crate::actions::Action;
use crate::error::{self, Place};
use crate::map;
use crate::pace::Pace;
use crate::scope::Service;

/// How often a list is begun again whose page token ran out.
const MOST_RESTARTS: u32 = 3;

/// One account in one region, as seen with its credentials.
pub(crate) struct Site {
    /// Number of the account.
    pub(crate) account: String,
    /// Name of the region.
    pub(crate) region: String,
    /// `aws`, `aws-cn`, `aws-us-gov` and the like.
    pub(crate) partition: String,
    config: SdkConfig,
    pace: Pace,
    trail_pace: Pace,
    page_size: u32,
    services: Vec<Service>,
    memory: Memory,
}

/// What was looked up already in this run.
#[derive(Debug, Default)]
struct Memory {
    #[cfg(feature = "ec2")]
    known: ec2::Known,
    #[cfg(feature = "ecs")]
    clusters: OnceCell<BTreeSet<String>>,
    #[cfg(feature = "rds")]
    databases: OnceCell<BTreeSet<String>>,
    #[cfg(feature = "eks")]
    kubernetes: OnceCell<BTreeSet<String>>,
    #[cfg(feature = "lambda")]
    functions: OnceCell<BTreeSet<String>>,
    #[cfg(feature = "elb")]
    balancers: OnceCell<BTreeSet<String>>,
    #[cfg(feature = "iam")]
    principals: OnceCell<BTreeSet<String>>,
}

/// One page of a list, and where the next one begins.
pub(crate) struct Listed<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

impl Site {
    /// Whether a service is imported: what is not need not be allowed either.
    pub(crate) fn reads(&self, service: &str) -> bool {
        self.services.iter().any(|one| one.name() == service)
    }

    /// Returns the most objects to ask a service for that allows so many at most.
    pub(crate) fn page_size(&self, most: u32) -> i32 {
        i32::try_from(self.page_size.min(most)).unwrap_or(i32::MAX)
    }

    /// Returns where it is, for the map.
    pub(crate) fn place(&self) -> map::Place<'_> {
        map::Place {
            partition: &self.partition,
            account: &self.account,
            region: &self.region,
        }
    }

    pub(crate) const fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Makes a call within the budget.
    pub(crate) async fn call<T, E>(
        &self,
        action: Action,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Failure>
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.pace.wait().await;
        call.await.map_err(|error| self.refused(action, error))
    }

    /// Makes a call about one thing within the budget; `None` when it is gone.
    #[cfg(feature = "eks")]
    pub(crate) async fn call_about<T, E>(
        &self,
        action: Action,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<Option<T>, Failure>
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.pace.wait().await;
        match call.await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error::is_gone(&error) => Ok(None),
            Err(error) => Err(self.refused(action, error)),
        }
    }

    /// Reads a page of a list from where the cursor points.
    ///
    /// A page token that ran out begins the list again: what is read twice is the same, and the
    /// cursor counts how often that happened.
    pub(crate) async fn page<T, E, F>(
        &self,
        action: Action,
        cursor: Option<&Cursor>,
        mut list: impl FnMut(Option<String>) -> F,
    ) -> Result<(Vec<T>, Option<Cursor>), Failure>
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        F: Future<Output = Result<Listed<T>, SdkError<E, HttpResponse>>>,
    {
        let (mut restarts, token) = read_cursor(cursor);
        self.pace.wait().await;
        let mut listed = list(token.clone()).await;
        if let Err(error) = &listed
            && token.is_some()
            && restarts < MOST_RESTARTS
            && error::is_stale_token(error)
        {
            restarts = restarts.saturating_add(1);
            self.pace.wait().await;
            listed = list(None).await;
        }
        let listed = listed.map_err(|error| self.refused(action, error))?;
        let next = listed
            .next
            .filter(|token| !token.is_empty())
            .map(|token| Cursor(format!("{restarts}:{token}")));
        Ok((listed.items, next))
    }

    fn refused<E>(&self, action: Action, error: SdkError<E, HttpResponse>) -> Failure
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let place = Place {
            account: &self.account,
            region: &self.region,
        };
        error::refused(action, place, error)
    }
}

/// Splits a cursor into how often the list was begun again, and the token of AWS.
fn read_cursor(cursor: Option<&Cursor>) -> (u32, Option<String>) {
    match cursor.and_then(|cursor| cursor.0.split_once(':')) {
        Some((restarts, token)) => (restarts.parse().unwrap_or(0), Some(token.to_owned())),
        None => (0, None),
    }
}
