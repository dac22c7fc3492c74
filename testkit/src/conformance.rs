//! One suite of tests for every connector: what a connector promises, whoever wrote it.
//!
//! Write a [`Fixture`]: how to start the source with something in it, how to change it, and how to
//! run the connector's program against it. Then one line stamps the suite, a test for each promise:
//!
//! ```ignore
//! car_testkit::conformance!(my_connector::MyConnector, MySource);
//! ```
//!
//! The program is the real one, in a process of its own, between the source and a real CAR
//! service; an [`HttpProxy`](crate::HttpProxy) on the way to the source makes single requests go
//! wrong. A source that does not speak HTTP can put a server in front of itself, or leave those
//! tests out.
//!
//! `CAR_TEST_CASES` sets how many random series of changes are tried, `CAR_TEST_SEED` where they
//! begin.

mod changes;
mod faults;
mod fixture;
mod output;
mod stage;

pub use changes::incremental_imports_end_as_a_full_one;
pub use faults::{
    a_page_that_comes_twice_is_taken_once, a_storm_of_429_is_waited_out,
    a_truncated_answer_is_never_the_end, credentials_that_expire_stop_the_run_and_retire_nothing,
    every_request_may_arrive_twice,
    failing_at_any_request_retires_nothing_and_the_next_run_is_right,
    killed_again_and_again_an_import_goes_on, killed_at_any_request_the_next_run_is_right,
};
pub use fixture::Fixture;
pub use output::{
    every_cause_has_its_exit_code, help_and_spec_need_no_settings, memory_stays_bounded,
    no_secret_is_in_any_output,
};
pub use stage::{
    a_recording_replays_to_the_same_graph, a_second_full_import_changes_nothing,
    test_connection_is_honest,
};

/// Runs one test of the suite; called by [`conformance!`](crate::conformance!).
#[doc(hidden)]
pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Stamps the suite of tests that every connector passes: a module `conformance` with a test for
/// each promise. See [`conformance!`](crate::conformance!).
///
/// Takes the type that implements [`Connector`](car_core::connector::Connector), and the type that
/// implements [`Fixture`].
#[macro_export]
macro_rules! conformance {
    ($connector:ty, $fixture:ty) => {
        mod conformance {
            #[expect(unused_imports, reason = "the types may be named in full or not")]
            use super::*;

            $crate::conformance!(@tests $connector, $fixture,
                test_connection_is_honest,
                a_second_full_import_changes_nothing,
                incremental_imports_end_as_a_full_one,
                failing_at_any_request_retires_nothing_and_the_next_run_is_right,
                killed_at_any_request_the_next_run_is_right,
                killed_again_and_again_an_import_goes_on,
                every_request_may_arrive_twice,
                a_truncated_answer_is_never_the_end,
                a_page_that_comes_twice_is_taken_once,
                credentials_that_expire_stop_the_run_and_retire_nothing,
                a_storm_of_429_is_waited_out,
                no_secret_is_in_any_output,
                memory_stays_bounded,
                every_cause_has_its_exit_code,
                help_and_spec_need_no_settings,
                a_recording_replays_to_the_same_graph,
            );
        }
    };
    (@tests $connector:ty, $fixture:ty, $($test:ident,)*) => {
        $(
            #[test]
            fn $test() {
                $crate::conformance::run($crate::conformance::$test::<$connector, $fixture>());
            }
        )*
    };
}
