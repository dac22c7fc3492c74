//! Leases: one holder, takeover, zombies, clocks that jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use car_core::state::{Holder, Keeper, Lease, Leases, StateError, StateStore};
use car_core::{Failure, FailureKind, Retry};

use super::{Bench, Hands, SOURCE, TTL, acquire, begin, holder, page};
use crate::support::soon;

fn held(result: Result<Lease, StateError>) -> Duration {
    match result {
        Err(StateError::Held(held)) => held.expires_in,
        other => panic!("it should be held: {other:?}"),
    }
}

#[tokio::test]
async fn a_second_run_is_refused_and_told_who_is_at_work() {
    let bench = Bench::new();
    let (first, second) = (bench.store().await, bench.store().await);
    let lease = acquire(&first).await.unwrap();
    assert_eq!((lease.fence(), lease.source()), (1, SOURCE));
    bench.clock.pass(Duration::from_secs(10));

    let failure = Failure::from(acquire(&second).await.unwrap_err());
    assert_eq!(
        failure.to_string(),
        "another run of source `source one` is at work \
         (pid 7 on host, since 2023-11-14T22:13:20.000000Z)"
    );
    assert_eq!(failure.kind(), FailureKind::General);
    assert_eq!(failure.retry(), Retry::After(Duration::from_secs(20)));
    assert!(failure.hints().any(|hint| hint.contains("--source")));

    let other = second.acquire("source two", &holder(), TTL).await;
    assert_eq!(other.unwrap().fence(), 1, "another source is free");
}

#[tokio::test]
async fn a_released_lease_is_free_at_once_and_its_old_holder_is_a_zombie() {
    let bench = Bench::new();
    let (first, second) = (bench.store().await, bench.store().await);
    let old = acquire(&first).await.unwrap();
    first.release(&old).await.unwrap();
    assert_eq!(bench.files("state.db-lease"), Vec::<String>::new());
    assert!(first.renew(&old).await.unwrap_err().is_zombie());
    let new = acquire(&second).await.unwrap();
    assert_eq!(new.fence(), 2);
    assert!(first.release(&old).await.unwrap_err().is_zombie());
    second.renew(&new).await.unwrap();
}

#[tokio::test]
async fn an_expired_lease_is_taken_over_and_every_write_of_the_zombie_fails() {
    let bench = Bench::new();
    let (first, second) = (bench.store().await, bench.store().await);
    let old = acquire(&first).await.unwrap();
    let run = begin(&first, &old).await;
    bench.clock.pass(TTL);
    let new = acquire(&second).await.unwrap();
    assert_eq!(new.fence(), 2);
    let resumed = begin(&second, &new).await;
    assert_eq!(resumed.id, run.id);

    let refusals = [
        first.renew(&old).await.unwrap_err(),
        first
            .begin(&old, &super::fingerprint(), &super::start(2))
            .await
            .unwrap_err(),
        first
            .advance(&old, run.id, &[page("a", "", "1")], 0)
            .await
            .unwrap_err(),
        first
            .fail_scope(&old, run.id, "a", &["no".to_owned()])
            .await
            .unwrap_err(),
        first
            .finish(
                &old,
                run.id,
                &car_core::state::Ending::closed(car_core::report::Outcome::Complete),
            )
            .await
            .unwrap_err(),
        first.release(&old).await.unwrap_err(),
    ];
    for error in refusals {
        let StateError::Zombie { fence, current, .. } = error else {
            panic!("it should be a zombie: {error:?}")
        };
        assert_eq!((fence, current), (1, 2));
    }
    assert_eq!(second.scopes(run.id).await.unwrap(), []);
    second
        .advance(&new, run.id, &[page("a", "", "1")], 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_expired_lease_that_nobody_took_lives_again_with_the_next_write() {
    let bench = Bench::new();
    let (first, second) = (bench.store().await, bench.store().await);
    let lease = acquire(&first).await.unwrap();
    let run = begin(&first, &lease).await;
    bench.clock.pass(TTL * 3);
    first
        .advance(&lease, run.id, &[page("a", "", "1")], 0)
        .await
        .unwrap();
    assert_eq!(held(acquire(&second).await), TTL);
}

#[tokio::test]
async fn a_dead_holder_is_replaced_at_once() {
    let bench = Bench::new();
    let (first, second) = (bench.store().await, bench.store().await);
    let lease = acquire(&first).await.unwrap();
    held(acquire(&second).await);
    // What the kernel does when a process ends.
    drop(lease);
    let lease = acquire(&second).await.unwrap();
    assert_eq!(lease.fence(), 2);
    assert_eq!(
        bench.files("state.db-lease").len(),
        1,
        "the old lock file is gone"
    );
}

#[tokio::test]
async fn a_free_lock_proves_nothing_to_another_machine() {
    let bench = Bench::new();
    let elsewhere = Hands::new(Some("another boot"));
    let (first, second) = (bench.store().await, bench.store_with(&elsewhere).await);
    drop(acquire(&first).await.unwrap());
    assert_eq!(held(acquire(&second).await), TTL);
    elsewhere.pass(TTL);
    assert_eq!(acquire(&second).await.unwrap().fence(), 2);
}

#[tokio::test]
async fn a_jump_of_the_wall_clock_does_not_expire_a_lease() {
    let bench = Bench::new();
    let (first, second) = (bench.store().await, bench.store().await);
    let _lease = acquire(&first).await.unwrap();
    bench.clock.set_wall(1_900_000_000_000);
    assert_eq!(held(acquire(&second).await), TTL);
    bench.clock.set_wall(1_000);
    assert_eq!(held(acquire(&second).await), TTL);
    bench.clock.pass(TTL);
    assert_eq!(acquire(&second).await.unwrap().fence(), 2);
}

#[tokio::test]
async fn a_wall_clock_that_went_back_delays_by_one_time_to_live_at_most() {
    let bench = Bench::new();
    let wall = Hands::new(None);
    let (first, second) = (bench.store_with(&wall).await, bench.store_with(&wall).await);
    let lease = acquire(&first).await.unwrap();
    wall.set_wall(1_000);
    assert_eq!(held(acquire(&second).await), TTL);
    wall.pass(TTL / 2);
    assert_eq!(
        held(acquire(&second).await),
        TTL / 2,
        "the end does not move again"
    );
    wall.pass(TTL / 2);
    assert_eq!(acquire(&second).await.unwrap().fence(), 2);
    assert!(first.renew(&lease).await.unwrap_err().is_zombie());
}

/// Leases that do as they are told.
#[derive(Debug, Default)]
struct Scripted {
    renewals: AtomicU32,
    /// From this renewal on the database is away.
    away_from: Option<u32>,
    /// From this renewal on the lease is lost.
    lost_from: Option<u32>,
    /// From this renewal on no answer comes.
    silent_from: Option<u32>,
}

#[async_trait]
impl Leases for Scripted {
    async fn acquire(&self, source: &str, _: &Holder, ttl: Duration) -> Result<Lease, StateError> {
        Ok(Lease::new(source.to_owned(), 1, ttl, None))
    }

    async fn renew(&self, lease: &Lease) -> Result<(), StateError> {
        let renewal = self.renewals.fetch_add(1, Ordering::SeqCst);
        let from = |number: Option<u32>| number.is_some_and(|number| renewal >= number);
        if from(self.silent_from) {
            std::future::pending::<()>().await;
        }
        if from(self.away_from) {
            return Err(StateError::Storage {
                doing: "written",
                full: false,
                source: "away".into(),
            });
        }
        if from(self.lost_from) {
            return Err(StateError::Zombie {
                source_name: lease.source().to_owned(),
                fence: 1,
                current: 2,
            });
        }
        Ok(())
    }

    async fn release(&self, _: &Lease) -> Result<(), StateError> {
        Ok(())
    }
}

/// Keeps a lease until it is lost; returns the renewals, the time and why it is lost. The time
/// is virtual.
async fn keep(leases: Scripted) -> (u32, Duration, Option<StateError>) {
    let leases = Arc::new(leases);
    let lease = leases.acquire("s", &holder(), TTL).await.unwrap();
    let began = tokio::time::Instant::now();
    let keeper = Keeper::start(Arc::clone(&leases) as _, lease);
    keeper.lost().cancelled().await;
    let why = keeper.why();
    (leases.renewals.load(Ordering::SeqCst), began.elapsed(), why)
}

#[tokio::test(start_paused = true)]
async fn the_keeper_tells_at_once_that_the_lease_is_lost() {
    let (renewals, time, why) = keep(Scripted {
        lost_from: Some(4),
        ..Scripted::default()
    })
    .await;
    assert_eq!((renewals, time), (5, Duration::from_secs(50)));
    assert!(why.unwrap().is_zombie());
}

#[tokio::test(start_paused = true)]
async fn the_keeper_bears_a_short_trouble_and_gives_up_when_the_lease_ran_out() {
    let (renewals, time, why) = keep(Scripted {
        away_from: Some(2),
        ..Scripted::default()
    })
    .await;
    // Renewed at 20 s for the last time, so it ends at 50 s.
    assert_eq!((renewals, time), (5, Duration::from_secs(50)));
    assert!(matches!(why, Some(StateError::Storage { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_keeper_does_not_wait_for_an_answer_for_ever() {
    let (_, time, why) = keep(Scripted {
        silent_from: Some(1),
        ..Scripted::default()
    })
    .await;
    assert!(time >= TTL && time <= TTL * 2, "{time:?}");
    assert!(why.is_none());
}

#[tokio::test]
async fn the_keeper_meets_a_takeover_in_the_real_store() {
    let bench = Bench::new();
    let (first, second) = (Arc::new(bench.store().await), bench.store().await);
    let ttl = Duration::from_millis(30);
    let lease = first.acquire(SOURCE, &holder(), ttl).await.unwrap();
    bench.clock.pass(ttl);
    let new = acquire(&second).await.unwrap();
    let keeper = Keeper::start(Arc::clone(&first) as _, lease);
    soon(keeper.lost().cancelled()).await;
    assert!(keeper.why().unwrap().is_zombie());
    assert!(keeper.release().await.unwrap_err().is_zombie());
    second.renew(&new).await.unwrap();
}
