//! Requests that people handle: they are not worked on.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::failure::{Failure, FailureKind};
use crate::saga::context::Context;
use crate::saga::response::Response;
use crate::saga::transaction::BoxFuture;

/// What the usual rules ask a request.
pub trait OfflineFacts {
    /// Returns the type of the request, such as `cancel`.
    fn request_type(&self) -> &str;
    /// Returns the id of the asset.
    fn asset_id(&self) -> Option<&str>;
    /// Returns the value of the parameter `offline_mode` of the request or of its asset.
    fn offline_mode(&self) -> Option<&str>;
    /// Returns whether the parameter `offline_mode_list` of the asset's configuration has an id.
    fn offline_mode_list_has(&self, asset: &str) -> bool;
}

/// A condition on requests.
pub struct Rule<R>(Arc<dyn Fn(&R) -> bool + Send + Sync>);

impl<R> Clone for Rule<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> fmt::Debug for Rule<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}

impl<R: 'static> Rule<R> {
    /// Makes a rule.
    pub fn new(holds: impl Fn(&R) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// Holds when either rule does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(move |request| self.holds(request) || other.holds(request))
    }

    /// Returns whether it holds.
    #[must_use]
    pub fn holds(&self, request: &R) -> bool {
        (self.0)(request)
    }
}

impl<R: OfflineFacts + 'static> Rule<R> {
    /// The request cancels or suspends.
    #[must_use]
    pub fn request_type() -> Self {
        Self::new(|request: &R| matches!(request.request_type(), "cancel" | "suspend"))
    }

    /// The parameter `offline_mode` is the asset's id.
    #[must_use]
    pub fn asset_parameter() -> Self {
        Self::new(|request: &R| {
            let asset = request.asset_id();
            asset.is_some() && request.offline_mode() == asset
        })
    }

    /// The marketplace's `offline_mode_list` has the asset's id.
    #[must_use]
    pub fn marketplace_parameter() -> Self {
        Self::new(|request: &R| {
            let asset = request.asset_id();
            asset.is_some_and(|asset| request.offline_mode_list_has(asset))
        })
    }
}

/// Rules, all of which have to hold; none means never.
pub struct OfflineRules<R>(
    /// The rules.
    pub Vec<Rule<R>>,
);

impl<R> fmt::Debug for OfflineRules<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfflineRules").field(&self.0.len()).finish()
    }
}

impl<R: OfflineFacts + 'static> Default for OfflineRules<R> {
    /// A request that cancels or suspends, with either parameter set.
    fn default() -> Self {
        Self(vec![
            Rule::asset_parameter().or(Rule::marketplace_parameter()),
            Rule::request_type(),
        ])
    }
}

impl<R: 'static> OfflineRules<R> {
    /// Returns whether all of them hold, and there are any.
    #[must_use]
    pub fn hold(&self, request: &R) -> bool {
        !self.0.is_empty() && self.0.iter().all(|rule| rule.holds(request))
    }
}

/// What is done with a request that is offline.
pub type OnMatch<R> = dyn for<'a> Fn(&'a mut R, &'a mut Context) -> BoxFuture<'a, Result<Response, Failure>>
    + Send
    + Sync;

/// Answers requests that are offline without choosing, or doing, any step.
pub struct Offline<R> {
    /// Those of the container, if there are none here.
    rules: Option<Arc<OfflineRules<R>>>,
    on_match: Option<Arc<OnMatch<R>>>,
}

impl<R> Offline<R> {
    /// Skips requests for which all of the rules hold.
    pub fn new(rules: impl Into<Arc<OfflineRules<R>>>) -> Self {
        Self {
            rules: Some(rules.into()),
            on_match: None,
        }
    }

    /// Takes the rules, and what is done with the requests, from the saga's container; see
    /// [`OfflineProvider`](crate::saga::providers::OfflineProvider).
    #[must_use]
    pub const fn bound() -> Self {
        Self {
            rules: None,
            on_match: None,
        }
    }

    /// Does this with them instead.
    #[must_use]
    pub fn on_match(mut self, on_match: Arc<OnMatch<R>>) -> Self {
        self.on_match = Some(on_match);
        self
    }
}

impl<R> fmt::Debug for Offline<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offline")
            .field("rules", &self.rules)
            .field("on_match", &self.on_match.is_some())
            .finish()
    }
}

#[async_trait]
impl<R: Send + Sync + 'static> Middleware<R> for Offline<R> {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let (rules, on_match) = match (&self.rules, context.services()) {
            (Some(rules), _) => (Arc::clone(rules), self.on_match.clone()),
            (None, Some(services)) => (services.get().await?, services.find().await?),
            (None, None) => {
                return Err(Failure::new(
                    FailureKind::General,
                    "the offline rules are to come from a container, and the saga has none",
                ));
            }
        };
        if !rules.hold(request) {
            return next.run(request, context).await;
        }
        match &on_match {
            Some(on_match) => on_match(request, context).await,
            None => Ok(Response::skip_because("it is handled offline")),
        }
    }
}
