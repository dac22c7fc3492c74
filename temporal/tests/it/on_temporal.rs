//! The suite of all engines, on a Temporal server.

use crate::support::OnTemporal;
use crate::tasks::suite::stamp;

stamp!(OnTemporal::new());

/// Tests of the suite that say nothing about this engine, by name. The others are stamped above.
mod exceptions {
    macro_rules! exceptions {
        ($reason:literal; $($name:ident)+) => {
            $(#[test]
            #[ignore = $reason]
            fn $name() {})+
        };
    }

    exceptions! {
        "the server keeps the time, and no clock of a worker is read";
        a_clock_that_is_set_back_does_not_hold_up_waits
        a_clock_that_is_set_forward_does_not_shorten_waits
        a_clock_that_was_set_back_while_nobody_looked_does_not_hold_up_waits
        times_on_the_wall_stay_where_they_are
    }
}
