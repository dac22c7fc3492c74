//! What may happen: calls of processes, crashes, time.

use proptest::prelude::*;

pub(super) const SOURCES: [&str; 2] = ["one", "two"];
pub(super) const SCOPES: [&str; 3] = ["a", "b", "c"];
pub(super) const PROCESSES: usize = 3;

#[derive(Debug, Clone)]
pub(super) enum Call {
    Acquire,
    Renew,
    Release,
    Begin { version: u8, incremental: bool },
    Advance { steps: Vec<Step>, edges: i8 },
    Fail { scope: usize },
    Finish { resumable: bool },
}

/// An advance of a scope: from where it stands, or from elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) scope: usize,
    /// Cursors to be off by; 0 is right.
    pub(super) off: i64,
    pub(super) end: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// A process makes a call for a source.
    Call(usize, usize, Call),
    /// A process dies and comes again.
    Crash(usize),
    /// Seconds pass.
    Pass(u64),
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let step = (
        0..SCOPES.len(),
        prop_oneof![6 => Just(0_i64), 1 => -2_i64..3],
        0..6_u8,
    )
        .prop_map(|(scope, off, end)| Step {
            scope,
            off,
            end: end == 0,
        });
    let call = prop_oneof![
        1 => Just(Call::Acquire),
        1 => Just(Call::Renew),
        1 => Just(Call::Release),
        3 => (0..8_u8, 0..8_u8).prop_map(|(version, mode)| Call::Begin {
            version: version / 7,
            incremental: mode == 0,
        }),
        12 => (proptest::collection::vec(step, 0..4), -1..8_i8)
            .prop_map(|(steps, edges)| Call::Advance { steps, edges }),
        1 => (0..SCOPES.len()).prop_map(|scope| Call::Fail { scope }),
        1 => any::<bool>().prop_map(|resumable| Call::Finish { resumable }),
    ];
    prop_oneof![
        20 => (prop_oneof![3 => Just(0_usize), 1 => 1..PROCESSES], prop_oneof![4 => Just(0_usize), 1 => Just(1)], call)
            .prop_map(|(process, source, call)| Operation::Call(process, source, call)),
        2 => (0..PROCESSES).prop_map(Operation::Crash),
        2 => (1..40_u64).prop_map(Operation::Pass),
    ]
}
