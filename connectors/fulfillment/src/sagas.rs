//! What is done about requests: the sagas, and which one a request goes to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use car_core::saga::middleware::{Again, Logging, Middleware, Next, Offline, OfflineRules};
use car_core::saga::{
    BuildError, Compensation, Context, NoMatch, Phase, Response, Saga, SagaLog, Transaction,
};
use car_core::{Effect, Failure, Retry};
use serde_json::json;

use crate::client::{Answered, Platform, Vendor};
use crate::error::bad_request;
use crate::request::{Model, Request};

/// Parameter that a purchase needs.
pub(crate) const EMAIL: &str = "email";
/// Traces that a purchase leaves: the keys of what the vendor made.
pub(crate) const TRACES: [&str; 3] = [RESERVATION, USER, LICENCE];
const RESERVATION: &str = "vendor_reservation";
const USER: &str = "vendor_user";
const LICENCE: &str = "vendor_licence";

/// Which saga a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Purchase,
    Lifecycle,
    TierConfig,
}

impl Route {
    /// Finds the saga by type; a request of no known type has none.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        match (request.model, request.kind()) {
            (Model::Asset, "purchase") => Some(Self::Purchase),
            (Model::Asset, "change" | "suspend" | "resume" | "cancel") => Some(Self::Lifecycle),
            (Model::TierConfig, "setup" | "update" | "adjustment") => Some(Self::TierConfig),
            _ => None,
        }
    }
}

/// The sagas.
pub(crate) struct Sagas {
    pub(crate) purchase: Saga<Request>,
    pub(crate) lifecycle: Saga<Request>,
    pub(crate) tier_config: Saga<Request>,
}

/// What steps work with.
#[derive(Clone)]
pub(crate) struct Sides {
    pub(crate) platform: Arc<Platform>,
    pub(crate) vendor: Arc<Vendor>,
    pub(crate) approve_template: Arc<str>,
}

impl Sagas {
    pub(crate) fn new(sides: &Sides, log: Arc<dyn SagaLog>) -> Result<Self, BuildError> {
        let again = Again {
            tries: 3,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(2),
        };
        let mut purchase = Saga::<Request>::chain("purchase", NoMatch::Skip)
            .log(log)
            .around_steps(Logging)
            .around_steps(Later)
            .around_steps(again)
            .on_redelivery(|kept: &mut Request, delivered| kept.refresh(delivered, &TRACES));
        for part in [Part::Reserve, Part::CreateUser, Part::Assign, Part::Notify] {
            purchase = purchase.step(Provision {
                part,
                vendor: Arc::clone(&sides.vendor),
            });
        }
        let lifecycle = Saga::<Request>::first_match("lifecycle", NoMatch::Skip)
            .around(Offline::new(OfflineRules::default()))
            .around_steps(Logging)
            .around_steps(Later)
            .around_steps(again);
        let lifecycle =
            ["change", "suspend", "resume", "cancel"]
                .into_iter()
                .fold(lifecycle, |saga, kind| {
                    saga.step(Alter {
                        kind,
                        vendor: Arc::clone(&sides.vendor),
                    })
                });
        let tier_config = Saga::<Request>::first_match("tier-config", NoMatch::Skip)
            .around_steps(Logging)
            .step(car_core::saga::Step::new("accept"));
        Ok(Self {
            purchase: purchase.step(Approve(sides.clone())).build()?,
            lifecycle: lifecycle.build()?,
            tier_config: tier_config.build()?,
        })
    }

    pub(crate) const fn get(&self, route: Route) -> &Saga<Request> {
        match route {
            Route::Purchase => &self.purchase,
            Route::Lifecycle => &self.lifecycle,
            Route::TierConfig => &self.tier_config,
        }
    }
}

/// Asks for another delivery when a step failed in a way that may pass: a customer's order is
/// not refused because the vendor is away.
struct Later;

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Later {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let failure = match next.run(request, context).await {
            Err(failure) if context.phase() == Phase::Execute => failure,
            ended => return ended,
        };
        let wait = match failure.retry() {
            Retry::Never => return Err(failure),
            Retry::Backoff => Duration::from_secs(30),
            Retry::After(wait) => wait.max(Duration::from_secs(30)),
        };
        tracing::warn!(
            id = context.id(),
            step = context.step().unwrap_or_default(),
            error = failure.chain().join(": "),
            wait_s = wait.as_secs(),
            "a step is tried again later"
        );
        Ok(Response::reschedule_after(wait))
    }
}

/// A part of what is provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Reserve,
    CreateUser,
    Assign,
    Notify,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::CreateUser => "create-user",
            Self::Assign => "assign-licences",
            Self::Notify => "notify",
        }
    }

    /// The vendor's name for such things.
    const fn kind(self) -> &'static str {
        match self {
            Self::Reserve => "reservations",
            Self::CreateUser => "users",
            Self::Assign => "licences",
            Self::Notify => "notifications",
        }
    }

    /// The parameter that keeps the key.
    const fn trace(self) -> Option<&'static str> {
        match self {
            Self::Reserve => Some(RESERVATION),
            Self::CreateUser => Some(USER),
            Self::Assign => Some(LICENCE),
            Self::Notify => None,
        }
    }
}

/// Makes one thing at the vendor, under the key of the step.
struct Provision {
    part: Part,
    vendor: Arc<Vendor>,
}

#[async_trait]
impl Transaction<Request> for Provision {
    fn name(&self) -> &str {
        self.part.name()
    }

    async fn should_execute(&self, _: &Request, _: &Context) -> Result<bool, Failure> {
        Ok(true)
    }

    async fn execute(
        &self,
        request: &mut Request,
        context: &mut Context,
    ) -> Result<Response, Failure> {
        let needed = |parameter: &str| {
            let missing = || bad_request(request.id(), &format!("lacks `{parameter}`"));
            request.parameter(parameter).ok_or_else(missing)
        };
        let body = match self.part {
            Part::Reserve => json!({"product": request.product(), "quantity": request.quantity()}),
            Part::CreateUser => json!({"email": needed(EMAIL)?, "active": true}),
            Part::Assign => json!({
                "product": request.product(),
                "quantity": request.quantity(),
                "user": needed(USER)?,
            }),
            Part::Notify => json!({"to": needed(EMAIL)?, "request": request.id()}),
        };
        let key = context.key();
        self.vendor.make(self.part.kind(), &key, body).await?;
        if let Some(trace) = self.part.trace() {
            request.set_parameter(trace, &key);
        }
        Ok(Response::done())
    }

    async fn compensate(
        &self,
        _: &mut Request,
        context: &mut Context,
        failure: &Failure,
    ) -> Result<Compensation, Failure> {
        let key = context.executed_key();
        self.vendor.delete(self.part.kind(), &key).await?;
        Ok(Compensation::Undone(Response::fail(
            failure.chain().join(": "),
        )))
    }
}

/// Tells the platform, the last step: what it refuses is undone, and what it may have taken is
/// asked again.
struct Approve(Sides);

#[async_trait]
impl Transaction<Request> for Approve {
    fn name(&self) -> &str {
        "approve"
    }

    async fn should_execute(&self, _: &Request, _: &Context) -> Result<bool, Failure> {
        Ok(true)
    }

    async fn execute(&self, request: &mut Request, _: &mut Context) -> Result<Response, Failure> {
        let platform = &self.0.platform;
        let told = async {
            platform.update(request, &request.traces(&TRACES)).await?;
            let body = json!({"template_id": &*self.0.approve_template});
            platform.answer(request, "approve", &body).await
        }
        .await;
        match told {
            Ok(Answered::Taken) => Ok(Response::done()),
            Ok(Answered::Meanwhile) => {
                let now = platform.request(request.model, request.id()).await;
                // Not knowing is no reason to undo.
                let now = now.map_err(|failure| failure.with_retry(Retry::Backoff))?;
                let status = now.as_ref().map_or("gone", Request::status);
                match status {
                    // By an earlier try whose answer was lost.
                    "approved" => Ok(Response::done()),
                    status => Ok(Response::fail(format!(
                        "the request was changed meanwhile: it is {status}"
                    ))),
                }
            }
            Err(failure) if failure.effect() == Effect::Unknown => {
                Err(failure.with_retry(Retry::Backoff))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn compensate(
        &self,
        request: &mut Request,
        _: &mut Context,
        failure: &Failure,
    ) -> Result<Compensation, Failure> {
        let now = self.0.platform.request(request.model, request.id()).await?;
        match now.as_ref().map(Request::status) {
            Some("approved") => Err(bad_request(
                request.id(),
                "is approved, which cannot be undone",
            )),
            _ => Ok(Compensation::Undone(Response::fail(
                failure.chain().join(": "),
            ))),
        }
    }
}

/// Changes what a purchase made. Each may be repeated.
struct Alter {
    kind: &'static str,
    vendor: Arc<Vendor>,
}

#[async_trait]
impl Transaction<Request> for Alter {
    fn name(&self) -> &str {
        self.kind
    }

    async fn should_execute(&self, request: &Request, _: &Context) -> Result<bool, Failure> {
        Ok(request.kind() == self.kind)
    }

    async fn execute(&self, request: &mut Request, _: &mut Context) -> Result<Response, Failure> {
        let trace = |id: &str| {
            let missing = || bad_request(request.id(), &format!("lacks `{id}`"));
            request.parameter(id).ok_or_else(missing)
        };
        match self.kind {
            "change" => {
                let change = json!({"quantity": request.quantity()});
                self.vendor
                    .change("licences", trace(LICENCE)?, change)
                    .await?;
            }
            "cancel" => {
                self.vendor.delete("licences", trace(LICENCE)?).await?;
                self.vendor.delete("users", trace(USER)?).await?;
                self.vendor
                    .delete("reservations", trace(RESERVATION)?)
                    .await?;
            }
            kind => {
                let change = json!({"active": kind == "resume"});
                self.vendor.change("users", trace(USER)?, change).await?;
            }
        }
        Ok(Response::done())
    }

    async fn compensate(
        &self,
        _: &mut Request,
        _: &mut Context,
        failure: &Failure,
    ) -> Result<Compensation, Failure> {
        // Each change is one call, and may be repeated: there is nothing in between.
        Ok(Compensation::Undone(Response::fail(
            failure.chain().join(": "),
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn requests_are_routed_by_type_and_none_is_guessed() {
        let route = |model, body: Value| Route::of(&Request { model, body });
        assert_eq!(
            route(Model::Asset, json!({"type": "purchase"})),
            Some(Route::Purchase)
        );
        for kind in ["change", "suspend", "resume", "cancel"] {
            assert_eq!(
                route(Model::Asset, json!({"type": kind})),
                Some(Route::Lifecycle)
            );
        }
        assert_eq!(
            route(Model::TierConfig, json!({"type": "setup"})),
            Some(Route::TierConfig)
        );
        for odd in [
            json!({}),
            json!({"type": 1}),
            json!({"type": "transfer"}),
            json!(null),
        ] {
            assert_eq!(route(Model::Asset, odd.clone()), None);
            assert_eq!(route(Model::TierConfig, odd), None);
        }
    }
}
