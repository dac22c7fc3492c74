//! The suite that every engine passes. Names `weakness_NN` and `acceptance_NN` count as the list
//! of what the framework before this one got wrong does.

pub(crate) mod lifecycle;
pub(crate) mod promises;
pub(crate) mod time;
pub(crate) mod weaknesses;

/// Stamps tests for a kind of engine, made by an expression that gives none where there is no
/// engine of the kind.
macro_rules! suite {
    ($place:expr; $($module:ident: $($test:ident)+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(place) = $place {
                    $crate::tasks::suite::$module::$test(&place).await;
                }
            }
        )+)+
    };
}

/// The tests of the suite, stamped for a kind of engine.
macro_rules! stamp {
    ($place:expr) => {
        $crate::tasks::suite::suite! {
            $place;
            weaknesses:
                weakness_01_a_finished_task_is_not_run_again_and_its_state_is_kept
                weakness_02_scheduling_an_active_task_returns_at_once
                weakness_03_a_panic_is_a_failure_with_its_text
                weakness_04_after_100_stops_and_restarts_one_run_is_alive
                weakness_05_always_never_makes_two_runs_at_a_time
                weakness_06_a_changed_period_is_kept
                weakness_07_waits_grow_and_are_counted
                weakness_08_a_blip_does_not_end_a_recurring_task_and_a_failed_one_can_be_retried
                weakness_09_children_live_on_when_their_parent_is_restarted
                weakness_10_a_task_that_waits_for_its_child_holds_no_worker
                weakness_13_a_descriptor_that_means_nothing_fails_once
                weakness_15_tasks_above_the_limit_wait_and_are_not_lost
                weakness_17_an_outcome_is_stored_as_a_whole_or_not_at_all
                weakness_19_runs_have_a_time_limit_a_history_and_can_be_paused;
            promises:
                a_recurring_task_that_fails_for_ever_is_paused_and_says_why
                acceptance_11_the_order_of_keys_does_not_change_a_task
                a_step_is_repeated_with_the_state_that_was_stored
                the_other_side_says_when_to_try_again
                a_step_that_does_not_listen_is_cut_off
                a_flood_of_children_is_refused
                a_task_cannot_wait_for_itself
                whoever_runs_a_task_learns_how_it_ended
                unknown_tasks_are_called_that;
            lifecycle:
                pausing_lets_the_step_end_and_resuming_goes_on
                stopping_a_task_ends_its_step_and_retrying_starts_it_again
                halting_a_connector_gives_steps_their_grace
                a_connector_is_forgotten_with_all_of_its_tasks
                lists_are_paged_and_filtered;
            time:
                waits_are_not_begun_anew_by_a_restart
                missed_runs_are_made_up_for_once
                a_long_run_does_not_pile_up_runs;
        }
    };
}

/// The tests of the suite for engines that go by the clock of the machine they are on, and do
/// what is due the longest first.
macro_rules! stamp_clock {
    ($place:expr) => {
        $crate::tasks::suite::suite! {
            $place;
            lifecycle:
                steps_take_turns_when_workers_are_few;
            time:
                a_clock_that_is_set_back_does_not_hold_up_waits
                a_clock_that_is_set_forward_does_not_shorten_waits
                a_clock_that_was_set_back_while_nobody_looked_does_not_hold_up_waits
                times_on_the_wall_stay_where_they_are;
        }
    };
}

pub(crate) use stamp;
pub(crate) use stamp_clock;
pub(crate) use suite;
