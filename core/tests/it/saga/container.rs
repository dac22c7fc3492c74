//! Services: made once, checked before, replaced in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use car_core::saga::container::{
    Container, ContainerBuilder, ContainerError, Name, Named, Provider,
};
use car_core::{Failure, FailureKind};

struct Settings(&'static str);
#[derive(Debug)]
struct Client(String);
#[derive(Debug)]
struct Vendor;
#[derive(Debug)]
struct Order(Arc<Client>);

struct Primary;
impl Name for Primary {
    const NAME: &'static str = "primary";
}
struct Spare;
impl Name for Spare {
    const NAME: &'static str = "spare";
}

#[tokio::test]
async fn services_are_made_once_and_when_asked_for() {
    let made = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&made);
    let services = Container::builder()
        .singleton(move |settings: Arc<Settings>| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::task::yield_now().await;
                Ok(Client(settings.0.to_owned()))
            }
        })
        .instance(Settings("url"))
        .per_request(|client: Arc<Client>| async move { Ok(Order(client)) })
        .build()
        .unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 0);
    let (one, two) = tokio::join!(services.get::<Client>(), services.get::<Client>());
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    assert_eq!(made.load(Ordering::Relaxed), 1);

    let (first, second) = (services.scope(), services.scope());
    let order = first.get::<Order>().await.unwrap();
    assert!(Arc::ptr_eq(&order, &first.get::<Order>().await.unwrap()));
    let other = second.get::<Order>().await.unwrap();
    assert!(!Arc::ptr_eq(&order, &other));
    assert!(Arc::ptr_eq(&order.0, &other.0));
    let error = services.get::<Order>().await.unwrap_err();
    assert!(matches!(error, ContainerError::NoRequest(_)), "{error}");
}

#[tokio::test]
async fn two_of_a_type_have_names() {
    let services = Container::builder()
        .named::<Primary, _>(Client("one".to_owned()))
        .named::<Spare, _>(Client("two".to_owned()))
        .singleton(
            |a: Named<Client, Primary>, b: Named<Client, Spare>| async move {
                Ok(format!("{} {}", a.0, b.0))
            },
        )
        .build()
        .unwrap();
    assert_eq!(*services.get::<String>().await.unwrap(), "one two");
    assert_eq!(
        services.scope().named::<Client>("spare").await.unwrap().0,
        "two"
    );
}

#[test]
fn check_5_a_missing_binding_shows_the_path() {
    let error = Container::builder()
        .per_request(|_: Arc<Client>| async { Ok(Vendor) })
        .singleton(|_: Arc<Settings>| async { Ok(Client(String::new())) })
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no binding for Vendor -> Client -> Settings"
    );
    let failure = Failure::from(error);
    assert_eq!(failure.kind(), FailureKind::General);
}

#[test]
fn check_5_a_cycle_shows_the_path() {
    let error = Container::builder()
        .singleton(|_: Arc<Vendor>| async { Ok(Client(String::new())) })
        .singleton(|_: Arc<Order>| async { Ok(Vendor) })
        .singleton(|client: Arc<Client>| async { Ok(Order(client)) })
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a cycle of bindings: Client -> Vendor -> Order -> Client"
    );
}

#[test]
fn check_5_a_duplicate_shows_both_places() {
    let error = Container::builder()
        .instance(Settings("one"))
        .singleton(|| async { Ok(Settings("two")) })
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("Settings is bound twice: at "), "{error}");
    assert_eq!(error.matches("container.rs:").count(), 2, "{error}");
}

#[test]
fn a_singleton_cannot_keep_what_belongs_to_a_request() {
    let error = Container::builder()
        .from_request::<Vendor>()
        .singleton(|_: Arc<Vendor>| async { Ok(Client(String::new())) })
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a singleton needs what each request has its own of: Client -> Vendor"
    );
}

#[tokio::test]
async fn what_is_optional_is_injected_when_it_is_bound() {
    let bind = || {
        Container::builder().singleton(|settings: Option<Arc<Settings>>| async move {
            Ok(settings.map_or("none", |settings| settings.0).to_owned())
        })
    };
    let without = bind().build().unwrap();
    assert_eq!(*without.get::<String>().await.unwrap(), "none");
    let with = bind().instance(Settings("some")).build().unwrap();
    assert_eq!(*with.get::<String>().await.unwrap(), "some");
}

#[tokio::test]
async fn a_factory_that_fails_is_tried_again() {
    let calls = AtomicU32::new(0);
    let services = Container::builder()
        .singleton(move || {
            let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                match first {
                    true => Err(Failure::new(FailureKind::SourceUnavailable, "not yet")),
                    false => Ok(Vendor),
                }
            }
        })
        .build()
        .unwrap();
    let failure = Failure::from(services.get::<Vendor>().await.unwrap_err());
    assert_eq!(failure.kind(), FailureKind::SourceUnavailable);
    assert_eq!(failure.chain(), ["Vendor cannot be made", "not yet"]);
    services.get::<Vendor>().await.unwrap();
}

struct Vendors(&'static str);

impl Provider for Vendors {
    fn key(&self) -> &'static str {
        "vendors"
    }

    fn bind(self: Box<Self>, to: ContainerBuilder) -> ContainerBuilder {
        to.instance(Settings(self.0))
            .singleton(|settings: Arc<Settings>| async move { Ok(Client(settings.0.to_owned())) })
    }
}

#[tokio::test]
async fn providers_are_replaced_by_key_and_never_dropped() {
    let error = Container::builder()
        .provider(Vendors("one"))
        .provider(Vendors("two"))
        .build()
        .unwrap_err();
    assert!(
        matches!(error, ContainerError::TwoProviders("vendors")),
        "{error}"
    );
    let services = Container::builder()
        .provider(Vendors("one"))
        .replace_provider(Vendors("two"))
        .build()
        .unwrap();
    assert_eq!(services.get::<Client>().await.unwrap().0, "two");
}

trait Clock: Send + Sync {
    fn now(&self) -> u64;
}

struct Wall;
impl Clock for Wall {
    fn now(&self) -> u64 {
        1
    }
}

struct Stopped;
impl Clock for Stopped {
    fn now(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn a_test_replaces_a_service_by_one_line() {
    let app = || {
        Container::builder()
            .provider(Vendors("real"))
            .shared::<dyn Clock>(Arc::new(Wall))
    };
    let real = app().build().unwrap();
    assert_eq!(real.get::<dyn Clock>().await.unwrap().now(), 1);
    let test = app()
        .replace(Client("fake".to_owned()))
        .replace_shared::<dyn Clock>(Arc::new(Stopped))
        .build()
        .unwrap();
    assert_eq!(test.get::<Client>().await.unwrap().0, "fake");
    assert_eq!(test.get::<dyn Clock>().await.unwrap().now(), 0);
    // A replacement of nothing would make the test a lie.
    assert!(Container::builder().replace(Vendor).build().is_err());
}
