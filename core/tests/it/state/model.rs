//! Random sequences of calls, crashes, zombies and doubled advances against a model in memory.

mod operations;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use car_core::connector::Cursor;
use car_core::report::{Mode, Outcome};
use car_core::state::{
    Advance, Begun, Ending, Fingerprint, Lease, Leases, Position, RunId, SqliteStore, Start,
    StateError, StateStore, To,
};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use self::operations::{Call, Operation, PROCESSES, SCOPES, SOURCES, Step, operation};
use super::{Bench, TTL, cursor, fingerprint, holder};

/// What a call came to, as far as the model can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Done,
    Fence(u64),
    Begun(Begun, Vec<(String, Position, u64, bool)>, u64),
    Held(u64),
    Zombie(u64, u64),
    Refused(String, Position),
    Shrank,
    NotOpen,
}

#[derive(Debug, Default)]
struct Source {
    fence: u64,
    /// Held, and until when in seconds; and whether the lock of the holder is still there.
    held: Option<(u64, bool)>,
    /// Number of the open run.
    open: Option<usize>,
}

#[derive(Debug, Clone, Default)]
struct Run {
    version: u8,
    incremental: bool,
    resumes: u32,
    edges: u64,
    scopes: BTreeMap<&'static str, (Option<i64>, bool, u64, bool)>,
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    sources: [Source; 2],
    runs: Vec<Run>,
    /// Fences and runs of the processes, by source.
    fences: [[Option<u64>; 2]; PROCESSES],
    current: [[Option<usize>; 2]; PROCESSES],
}

fn place(cursor: Option<i64>, complete: bool) -> Position {
    match (cursor, complete) {
        (_, true) => Position::End,
        (Some(number), false) => Position::At(number_cursor(number)),
        (None, false) => Position::Start,
    }
}

fn number_cursor(number: i64) -> Cursor {
    cursor(&format!("page {number}"))
}

impl Model {
    fn drop_lease(&mut self, process: usize, source: usize) {
        let fence = self.fences[process][source].take();
        let lease = &mut self.sources[source];
        if fence == Some(lease.fence)
            && let Some((_, alive)) = &mut lease.held
        {
            *alive = false;
        }
    }

    /// Returns the answer, and the advances that the call stands for.
    fn call(&mut self, process: usize, at: usize, call: &Call) -> (Answer, Vec<Advance>) {
        let ttl = TTL.as_secs();
        if matches!(call, Call::Acquire) {
            let source = &mut self.sources[at];
            if let Some((until, true)) = source.held
                && self.now < until
            {
                return (Answer::Held(until - self.now), Vec::new());
            }
            source.fence += 1;
            source.held = Some((self.now + ttl, true));
            self.fences[process][at] = Some(source.fence);
            return (Answer::Fence(source.fence), Vec::new());
        }
        let fence = self.fences[process][at].expect("checked by the caller");
        let source = &mut self.sources[at];
        let advances = match call {
            Call::Advance { steps, .. } => {
                let run = self.current[process][at]
                    .map_or_else(Run::default, |run| self.runs[run].clone());
                advances(&run, steps)
            }
            _ => Vec::new(),
        };
        if fence != source.fence || source.held.is_none() {
            if matches!(call, Call::Release) {
                self.fences[process][at] = None;
            }
            return (Answer::Zombie(fence, self.sources[at].fence), advances);
        }
        let extended = self.now + ttl;
        let answer = match call {
            Call::Acquire => unreachable!("above"),
            Call::Renew => Answer::Done,
            Call::Release => {
                source.held = None;
                self.fences[process][at] = None;
                return (Answer::Done, advances);
            }
            Call::Begin {
                version,
                incremental,
            } => self.begin(process, at, *version, *incremental),
            Call::Advance { edges, .. } => match self.open_run(process, at) {
                None => Answer::NotOpen,
                Some(run) => advance(run, &advances, *edges),
            },
            Call::Fail { scope } => match self.open_run(process, at) {
                None => Answer::NotOpen,
                Some(run) => {
                    let scope = run.scopes.entry(SCOPES[*scope]).or_default();
                    if scope.1 {
                        Answer::Refused(SCOPES[0].to_owned(), Position::End)
                    } else {
                        scope.3 = true;
                        Answer::Done
                    }
                }
            },
            Call::Finish { resumable } => match self.open_run(process, at) {
                None => Answer::NotOpen,
                Some(run) => {
                    if !*resumable || run.incremental {
                        self.sources[at].open = None;
                    }
                    Answer::Done
                }
            },
        };
        // A call that wrote extends the lease too.
        if matches!(answer, Answer::Done | Answer::Begun(..)) {
            self.sources[at].held = Some((extended, true));
        }
        (answer, advances)
    }

    fn open_run(&mut self, process: usize, at: usize) -> Option<&mut Run> {
        let run = self.current[process][at]?;
        (self.sources[at].open == Some(run)).then(|| &mut self.runs[run])
    }

    fn begin(&mut self, process: usize, at: usize, version: u8, incremental: bool) -> Answer {
        let open = self.sources[at].open;
        if let Some(number) = open {
            let run = &mut self.runs[number];
            if !incremental && !run.incremental && run.version == version {
                run.resumes += 1;
                self.current[process][at] = Some(number);
                let scopes = run
                    .scopes
                    .iter()
                    .map(|(name, (cursor, complete, pages, failed))| {
                        let position = place(*cursor, *complete);
                        ((*name).to_owned(), position, *pages, *failed)
                    })
                    .collect();
                let times = run.resumes;
                return Answer::Begun(Begun::Resumed { times }, scopes, run.edges);
            }
        }
        self.runs.push(Run {
            version,
            incremental,
            ..Run::default()
        });
        let number = self.runs.len() - 1;
        self.sources[at].open = Some(number);
        self.current[process][at] = Some(number);
        let begun = match open {
            None => Begun::New,
            // The reasons have a test of their own.
            Some(_) => Begun::StartedAnew {
                reason: String::new(),
            },
        };
        Answer::Begun(begun, Vec::new(), 0)
    }
}

/// Makes advances of steps, each from where the ones before it lead.
fn advances(run: &Run, steps: &[Step]) -> Vec<Advance> {
    let mut at: BTreeMap<&str, Option<i64>> = run
        .scopes
        .iter()
        .map(|(name, (cursor, ..))| (*name, *cursor))
        .collect();
    steps
        .iter()
        .map(|step| {
            let name = SCOPES[step.scope];
            let right = at.get(name).copied().flatten().unwrap_or(0);
            let from = right + step.off;
            at.insert(name, Some(from + 1));
            Advance {
                scope: name.to_owned(),
                from: (from > 0).then(|| number_cursor(from)),
                to: if step.end {
                    To::End
                } else {
                    To::Next(number_cursor(from + 1))
                },
                pages: 1,
                rows: 10,
            }
        })
        .collect()
}

fn advance(run: &mut Run, advances: &[Advance], edges: i8) -> Answer {
    let mut after = run.clone();
    let Some(len) = after.edges.checked_add_signed(i64::from(edges)) else {
        // The caller cannot say less than nothing.
        return Answer::Done;
    };
    if len < after.edges {
        return Answer::Shrank;
    }
    after.edges = len;
    for advance in advances {
        let name = SCOPES.into_iter().find(|name| *name == advance.scope);
        let scope = after.scopes.entry(name.unwrap()).or_default();
        let from = advance.from.clone().map_or(Position::Start, Position::At);
        let stored = place(scope.0, scope.1);
        if stored != from {
            return Answer::Refused(advance.scope.clone(), stored);
        }
        let next = match &advance.to {
            To::End => None,
            To::Next(Cursor(text)) => Some(text.trim_start_matches("page ").parse().unwrap()),
        };
        *scope = (next, next.is_none(), scope.2 + 1, false);
    }
    *run = after;
    Answer::Done
}

struct Process {
    store: SqliteStore,
    leases: [Option<Lease>; 2],
    runs: [Option<RunId>; 2],
}

fn answer(result: Result<(), StateError>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(StateError::Held(held)) => Answer::Held(held.expires_in.as_secs()),
        Err(StateError::Zombie { fence, current, .. }) => Answer::Zombie(fence, current),
        Err(StateError::Refused {
            from: Position::End,
            ..
        }) => Answer::Refused(SCOPES[0].to_owned(), Position::End),
        Err(StateError::Refused { scope, stored, .. }) => Answer::Refused(scope, stored),
        Err(StateError::EdgeLogShrank { .. }) => Answer::Shrank,
        Err(StateError::RunNotOpen { .. }) => Answer::NotOpen,
        Err(error) => panic!("the disk is to blame: {error:?}"),
    }
}

impl Process {
    async fn start(bench: &Bench) -> Self {
        Self {
            store: bench.store().await,
            leases: [None, None],
            runs: [None, None],
        }
    }

    async fn call(&mut self, at: usize, call: &Call, advances: &[Advance], edges: u64) -> Answer {
        let source = SOURCES[at];
        if matches!(call, Call::Acquire) {
            return match self.store.acquire(source, &holder(), TTL).await {
                Ok(lease) => {
                    let fence = lease.fence();
                    self.leases[at] = Some(lease);
                    Answer::Fence(fence)
                }
                Err(error) => answer(Err(error)),
            };
        }
        let lease = self.leases[at].as_ref().expect("checked by the caller");
        // A run that never was stands for a defect of the engine.
        let run = self.runs[at].unwrap_or(RunId(-1));
        match call {
            Call::Acquire => unreachable!("above"),
            Call::Renew => answer(self.store.renew(lease).await),
            Call::Release => {
                let released = answer(self.store.release(lease).await);
                self.leases[at] = None;
                released
            }
            Call::Begin {
                version,
                incremental,
            } => {
                let fingerprint = Fingerprint {
                    version: version.to_string(),
                    ..fingerprint()
                };
                let mode = if *incremental {
                    Mode::Incremental
                } else {
                    Mode::Full
                };
                let start = Start::new(mode, 1000, None);
                match self.store.begin(lease, &fingerprint, &start).await {
                    Ok(run) => {
                        self.runs[at] = Some(run.id);
                        let scopes = run
                            .scopes
                            .iter()
                            .map(|scope| {
                                assert_eq!(scope.rows, scope.pages * 10);
                                let failed = !scope.error.is_empty();
                                (scope.name.clone(), scope.position(), scope.pages, failed)
                            })
                            .collect();
                        let begun = match run.begun {
                            Begun::StartedAnew { .. } => Begun::StartedAnew {
                                reason: String::new(),
                            },
                            begun => begun,
                        };
                        Answer::Begun(begun, scopes, run.edge_log_len)
                    }
                    Err(error) => answer(Err(error)),
                }
            }
            Call::Advance { .. } => answer(self.store.advance(lease, run, advances, edges).await),
            Call::Fail { scope } => {
                let error = ["it failed".to_owned()];
                let scope = SCOPES[*scope];
                answer(self.store.fail_scope(lease, run, scope, &error).await)
            }
            Call::Finish { resumable } => {
                let ending = Ending {
                    resumable: *resumable,
                    ..Ending::closed(Outcome::Interrupted)
                };
                answer(self.store.finish(lease, run, &ending).await)
            }
        }
    }
}

/// How often each kind of answer came.
#[derive(Debug, Default)]
struct Tally(BTreeMap<&'static str, u32>);

impl Tally {
    fn count(&mut self, answer: &Answer) {
        let kind = match answer {
            Answer::Done => "done",
            Answer::Fence(1) => "first lease",
            Answer::Fence(_) => "later lease",
            Answer::Begun(Begun::Resumed { .. }, scopes, _) if !scopes.is_empty() => {
                "resumed with scopes"
            }
            Answer::Begun(Begun::Resumed { .. }, ..) => "resumed",
            Answer::Begun(Begun::StartedAnew { .. }, ..) => "started anew",
            Answer::Begun(Begun::New, ..) => "begun",
            Answer::Held(_) => "held",
            Answer::Zombie(..) => "zombie",
            Answer::Refused(..) => "refused",
            Answer::Shrank => "shrank",
            Answer::NotOpen => "not open",
        };
        *self.0.entry(kind).or_default() += 1;
    }
}

async fn check(operations: &[Operation], tally: &mut Tally) -> Result<(), TestCaseError> {
    let bench = Bench::new();
    let mut model = Model::default();
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(Process::start(&bench).await);
    }
    for operation in operations {
        match operation {
            Operation::Pass(seconds) => {
                model.now += seconds;
                bench.clock.pass(Duration::from_secs(*seconds));
            }
            Operation::Crash(process) => {
                for source in 0..SOURCES.len() {
                    model.drop_lease(*process, source);
                }
                model.current[*process] = [None, None];
                processes[*process] = Process::start(&bench).await;
            }
            Operation::Call(process, at, call) => {
                // What an engine does first, if it did not yet.
                let call = match call {
                    _ if model.fences[*process][*at].is_none() => Call::Acquire,
                    Call::Advance { .. } if model.current[*process][*at].is_none() => Call::Begin {
                        version: 0,
                        incremental: false,
                    },
                    call => call.clone(),
                };
                let call = &call;
                let before = model.current[*process][*at].map_or(0, |run| model.runs[run].edges);
                let edges = match call {
                    Call::Advance { edges, .. } => before.checked_add_signed(i64::from(*edges)),
                    _ => Some(0),
                };
                let Some(edges) = edges else { continue };
                let (expected, advances) = model.call(*process, *at, call);
                let got = processes[*process].call(*at, call, &advances, edges).await;
                tally.count(&expected);
                prop_assert_eq!(got, expected, "{:?}", operation);
            }
        }
    }
    Ok(())
}

/// The same sequences every time: the seed is fixed, and a failing one is made small.
#[test]
fn any_sequence_of_calls_and_crashes_does_as_the_model_says() {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sequences = proptest::collection::vec(operation(), 20..120);
    let tally = std::cell::RefCell::new(Tally::default());
    let result = runner.run(&sequences, |operations| {
        runtime.block_on(check(&operations, &mut tally.borrow_mut()))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let tally = tally.into_inner().0;
    assert_eq!(tally.len(), 12, "every kind of answer came: {tally:?}");
    assert!(
        tally.values().all(|count| *count >= 10),
        "and often: {tally:?}"
    );
}
