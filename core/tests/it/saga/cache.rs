//! Check 6: the cache's contract, on every store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use car_core::saga::cache::{Cache, CacheError, Fill, Flush, MemoryStore, SqliteCache, Store};
use car_core::state::{Clock, Moment};
use car_core::{Failure, FailureKind};

/// A clock that a test sets, in seconds.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Moment {
        Moment {
            unix_ms: self.0.load(Ordering::Relaxed) * 1000,
            boot: None,
        }
    }
}

impl Hand {
    fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

fn secs(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

async fn each(check: impl AsyncFn(Cache, &Hand)) {
    let folder = tempfile::tempdir().unwrap();
    let stores: [Box<dyn Store>; 2] = [
        Box::new(MemoryStore::new()),
        Box::new(
            SqliteCache::open(&folder.path().join("new/cache.db"))
                .await
                .unwrap(),
        ),
    ];
    for store in stores {
        let clock = Arc::new(Hand::default());
        let cache = Cache::with(
            Some(store),
            Arc::clone(&clock) as _,
            Duration::from_secs(900),
        );
        check(cache, &clock).await;
    }
}

#[tokio::test]
async fn check_6_values_last_for_their_time() {
    each(async |cache, clock| {
        cache.put("a", &1, None).await.unwrap();
        clock.set(899);
        assert_eq!(cache.get::<i32>("a", None).await.unwrap(), Some(1));
        clock.set(900);
        assert_eq!(cache.get::<i32>("a", None).await.unwrap(), None);
        assert!(!cache.has("a").await.unwrap());
        cache.put("a", &1, secs(0)).await.unwrap();
        assert!(!cache.has("a").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn check_6_a_ttl_on_a_hit_arms_it_again() {
    each(async |cache, clock| {
        cache.put("a", &1, secs(10)).await.unwrap();
        clock.set(9);
        assert_eq!(cache.get::<i32>("a", secs(10)).await.unwrap(), Some(1));
        clock.set(18);
        assert_eq!(cache.get::<i32>("a", None).await.unwrap(), Some(1));
        clock.set(19);
        assert_eq!(cache.get::<i32>("a", None).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn check_6_a_default_is_kept_and_the_ttl_of_the_call_does_not_count() {
    each(async |cache, clock| {
        assert_eq!(cache.get_or("a", secs(1), 7).await.unwrap(), 7);
        clock.set(899);
        assert_eq!(cache.get::<i32>("a", None).await.unwrap(), Some(7));
        let fill = async |fill: Fill<i32>| {
            cache
                .get_or_else("b", None, || async { Ok::<_, CacheError>(fill) })
                .await
                .unwrap()
        };
        assert_eq!(fill(Fill::Nothing).await, None);
        assert!(!cache.has("b").await.unwrap());
        assert_eq!(fill(Fill::For(8, Duration::from_secs(5))).await, Some(8));
        clock.set(903);
        assert!(cache.has("b").await.unwrap());
        clock.set(904);
        assert!(!cache.has("b").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn check_6_a_pair_that_is_put_stays_a_pair() {
    each(async |cache, _| {
        cache.put("a", &(1, 2), None).await.unwrap();
        assert_eq!(
            cache.get::<(i32, i32)>("a", None).await.unwrap(),
            Some((1, 2))
        );
        // A default that is a pair stays one too: a time is said by `Fill::For` alone.
        assert_eq!(cache.get_or("b", None, (3, 4)).await.unwrap(), (3, 4));
    })
    .await;
}

#[tokio::test]
async fn check_6_falsy_values_are_there_and_null_is_not() {
    each(async |cache, _| {
        for (key, value) in [("zero", "0"), ("empty", "\"\""), ("false", "false")] {
            let value: serde_json::Value = serde_json::from_str(value).unwrap();
            cache.put(key, &value, None).await.unwrap();
            assert!(cache.has(key).await.unwrap(), "{key}");
        }
        cache.put("null", &None::<i32>, None).await.unwrap();
        assert!(!cache.has("null").await.unwrap());
        assert_eq!(cache.get_or("null", None, 5).await.unwrap(), 5);
    })
    .await;
}

#[tokio::test]
async fn check_6_a_default_that_fails_goes_on_and_keeps_nothing() {
    each(async |cache, _| {
        let failed = cache
            .get_or_else("a", None, || async {
                Err::<Fill<i32>, _>(Failure::new(FailureKind::Source, "no"))
            })
            .await;
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert!(!cache.has("a").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn check_6_deleting_and_flushing() {
    each(async |cache, clock| {
        cache.delete("never").await.unwrap();
        cache.put("a", &1, secs(5)).await.unwrap();
        cache.put("b", &1, secs(50)).await.unwrap();
        cache.delete("a").await.unwrap();
        assert!(!cache.has("a").await.unwrap());
        cache.put("a", &1, secs(5)).await.unwrap();
        clock.set(10);
        cache.flush(Flush::Expired).await.unwrap();
        clock.set(0);
        assert!(!cache.has("a").await.unwrap() && cache.has("b").await.unwrap());
        cache.flush(Flush::All).await.unwrap();
        assert!(!cache.has("b").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn check_6_the_null_cache_computes_each_time() {
    let cache = Cache::null();
    cache.put("a", &1, None).await.unwrap();
    assert!(!cache.has("a").await.unwrap());
    assert_eq!(cache.get_or("a", None, 2).await.unwrap(), 2);
    assert_eq!(cache.get::<i32>("a", None).await.unwrap(), None);
}

#[tokio::test]
async fn of_many_that_miss_one_computes() {
    each(async |cache, _| {
        let computed = AtomicU32::new(0);
        let get = || {
            cache.get_or_else("a", None, || async {
                computed.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok::<_, CacheError>(Fill::Value(1))
            })
        };
        let all = tokio::join!(get(), get(), get(), get());
        for one in [all.0, all.1, all.2, all.3] {
            assert_eq!(one.unwrap(), Some(1));
        }
        assert_eq!(computed.load(Ordering::Relaxed), 1);
    })
    .await;
}

#[tokio::test]
async fn keys_do_not_collide_and_a_value_of_another_type_is_an_error() {
    each(async |cache, _| {
        for (number, key) in ["a:b", "a/b", "a_b", "A_B"].into_iter().enumerate() {
            cache.put(key, &number, None).await.unwrap();
        }
        assert_eq!(cache.get::<usize>("a:b", None).await.unwrap(), Some(0));
        assert_eq!(cache.get::<usize>("A_B", None).await.unwrap(), Some(3));
        assert!(cache.get::<String>("a:b", None).await.is_err());
    })
    .await;
}
