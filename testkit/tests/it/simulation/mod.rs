//! Many runs of the real engine against the real service, with everything that can go wrong going
//! wrong at random, and a model of what the graph has to be.
//!
//! A seed decides a world, a series of runs, how the world changes between and during them, and
//! which calls fail, are lost, arrive twice or kill the connector. After each run, nothing may be
//! lost, doubled, made up or wrongly retired; after a run in which nothing went wrong, the graph is
//! what the source has, to the last link.
//!
//! `CAR_SIM_SEED=7 cargo test -p car-testkit --test it simulation -- --nocapture` repeats one seed
//! and tells what happened in it; `CAR_SIM_SEEDS=1000` sets how many seeds are tried.

mod connector;
mod peer;
mod plan;
mod world;

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex};

use car_core::car::{self, CarClient};
use car_core::config::CarCredentials;
use car_core::engine::{self, Run};
use car_core::progress::Silent;
use car_core::report::Mode;
use car_core::state::SqliteStore;
use car_testkit::{TestFolder, sim_seed, sim_seeds};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_util::sync::CancellationToken;

use connector::Reader;
use peer::{Calls, Peer};
use plan::{Plan, Weather};
use world::{Id, Machine, Parts, State, World};

/// Seeds that every test run tries.
const USUAL: u64 = 40;

#[test]
fn whatever_goes_wrong_nothing_is_lost_doubled_or_wrongly_retired() {
    let seeds = match sim_seed() {
        Some(seed) => seed..seed + 1,
        None => 0..sim_seeds(USUAL),
    };
    let peer = Arc::new(Peer::start());
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for seed in seeds.clone() {
        let mut story = String::new();
        let simulated = std::panic::catch_unwind(AssertUnwindSafe(|| {
            simulate(seed, &peer, &mut story, &mut tally);
        }));
        if simulated.is_err() {
            // Shown by test runners beside a failure.
            eprintln!("CAR_SIM_SEED={seed} repeats this:\n{story}");
            failed.push(seed);
        }
    }
    eprintln!("{seeds:?}: {tally:?}");
    assert_eq!(failed, Vec::<u64>::new(), "these seeds fail, see above");
    if seeds.end - seeds.start >= USUAL {
        // A simulation in which nothing happens proves nothing.
        let Tally {
            runs,
            killed,
            failed,
            complete,
            full,
            incremental,
            resumed,
        } = tally;
        assert!(killed > runs / 20, "{tally:?}");
        assert!(failed > runs / 20, "{tally:?}");
        assert!(complete > runs / 4, "{tally:?}");
        assert!(resumed > runs / 100, "{tally:?}");
        assert!(full > runs / 10 && incremental > runs / 10, "{tally:?}");
    }
}

/// A link of an address to a bad machine is withheld. When the machine is mended, a delta has the
/// machine and not the address, as that did not change; the link has to come all the same.
#[test]
fn a_link_that_was_withheld_comes_when_its_machine_is_mended() {
    let state = |bad| State {
        machines: [(1, Machine::new(0, bad)), (2, Machine::new(0, false))].into(),
        addresses: [(3, [1, 2].into())].into(),
    };
    let peer = Arc::new(Peer::start());
    let world = Arc::new(Mutex::new(World::of(vec![state(true)])));
    let folder = TestFolder::new();
    for mended in [false, true] {
        if mended {
            world.lock().unwrap().become_state(state(false));
        }
        let mut random = StdRng::seed_from_u64(0);
        let mut plan = Plan::new(&mut random, "withheld", Weather::Fair);
        plan.options.quarantine = folder.file("quarantine.jsonl");
        let ended = run(&peer, &world, &Arc::new(plan), &folder.file("state.db")).unwrap();
        assert_eq!(ended.report.exit_code, 0, "{:?}", ended.report.error);
    }
    assert_eq!(peer.parts("withheld"), state(false).parts());
}

/// How runs ended.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    runs: u64,
    killed: u64,
    failed: u64,
    complete: u64,
    full: u64,
    incremental: u64,
    resumed: u64,
}

/// Simulates the life of one source.
fn simulate(seed: u64, peer: &Arc<Peer>, story: &mut String, tally: &mut Tally) {
    let mut random = StdRng::seed_from_u64(seed);
    let source = format!("sim-{seed}");
    let folder = TestFolder::new();
    let world = Arc::new(Mutex::new(World::new(&mut random)));
    let mut before = Parts::new();
    // The state of the source since which no run came to its end.
    let mut since = None;
    let runs = random.random_range(3..9);
    // An unfinished run may have to come to its end before the last one.
    for number in 0..=runs + 1 {
        for _ in 0..random.random_range(0..6) {
            world.lock().unwrap().change(&mut random);
        }
        if random.random_bool(0.1) {
            world.lock().unwrap().forget();
        }
        let fair = number >= runs || random.random_bool(0.2);
        let weather = if fair { Weather::Fair } else { Weather::Foul };
        let mut plan = Plan::new(&mut random, &source, weather);
        plan.options.quarantine = folder.file("quarantine.jsonl");
        plan.options.spill_folder = Some(folder.file("spill"));
        let plan = Arc::new(plan);
        let from = world.lock().unwrap().now();
        let since_then = *since.get_or_insert(from);
        let run = run(peer, &world, &plan, &folder.file("state.db"));
        let world = world.lock().unwrap();
        let after = peer.parts(&source);
        tell(story, number, weather, &plan, run.as_ref());
        tally.count(run.as_ref());
        let course = Course {
            world: &world,
            from,
            since: since_then,
            before: &before,
            after: &after,
        };
        course.check(run.as_ref(), weather, story);
        if run.is_some_and(|run| run.report.exit_code == 0) {
            since = None;
        }
        before = after;
    }
}

/// Runs the engine once, on a thread and with tasks that end with it; nothing when it was killed.
fn run(peer: &Arc<Peer>, world: &Arc<Mutex<World>>, plan: &Arc<Plan>, state: &Path) -> Option<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        let reporter = Arc::new(Silent);
        let calls = Calls {
            peer: Arc::clone(peer),
            plan: Arc::clone(plan),
        };
        let reader = Reader {
            world: Arc::clone(world),
            plan: Arc::clone(plan),
        };
        let credentials = CarCredentials::Key {
            url: "http://in.process/api/car/v2".to_owned(),
            key: "key".to_owned(),
            password: "password".into(),
        };
        let mut options = car::Options::new(credentials, "simulation");
        options.backoff = plan.backoff;
        let car = CarClient::over(calls, &options, Arc::clone(&reporter) as _, cancel.clone());
        let mut options = plan.options.clone();
        if plan.remembers {
            options.state = Some(engine::State {
                store: Arc::new(SqliteStore::open(state).await.unwrap()),
                settings: plan.settings.clone(),
            });
        }
        tokio::select! {
            run = engine::run(Arc::new(reader), options, car, reporter, cancel) => Some(run),
            () = plan.killed.notified() => None,
        }
    })
}

fn tell(story: &mut String, number: u32, weather: Weather, plan: &Plan, run: Option<&Run>) {
    let end = run.map_or("killed".to_owned(), |run| {
        let (report, mode) = (&run.report, run.report.mode.map(Mode::as_str));
        let error = report.error.join(": ");
        let scopes = report.scopes.iter().filter(|scope| !scope.complete);
        let broken: Vec<&str> = scopes.map(|scope| scope.name.as_str()).collect();
        format!(
            "exit {}, {mode:?}, {:?}, resumed {}, incomplete {broken:?}, {} {error}",
            report.exit_code, report.outcome, report.resumed, report.why
        )
    });
    let options = &plan.options;
    let rows = (
        plan.page_size,
        options.page_rows,
        options.sends,
        options.concurrency,
    );
    let told = writeln!(
        story,
        "run {number}, {weather:?}, {rows:?}: {end}\n    {}",
        plan.events().join(", ")
    );
    told.unwrap();
}

impl Tally {
    fn count(&mut self, run: Option<&Run>) {
        self.runs += 1;
        let Some(run) = run else {
            self.killed += 1;
            return;
        };
        match run.report.exit_code {
            0 => self.complete += 1,
            _ => self.failed += 1,
        }
        self.resumed += u64::from(run.report.resumed > 0);
        match run.report.mode {
            Some(Mode::Full) => self.full += 1,
            Some(Mode::Incremental) => self.incremental += 1,
            None => {}
        }
    }
}

/// What a run began with and what it made.
struct Course<'a> {
    world: &'a World,
    /// The state of the source when the run began.
    from: usize,
    /// The state of the source when the first of the runs began that this one may go on with.
    since: usize,
    before: &'a Parts,
    after: &'a Parts,
}

impl Course<'_> {
    fn check(&self, run: Option<&Run>, weather: Weather, story: &mut String) {
        let mut wrong = Vec::new();
        for (id, name) in self.before {
            if !self.after.contains_key(id) && self.always_there(id) {
                wrong.push(format!("{id:?} `{name}` is retired, but the source has it"));
            }
        }
        let states = || (self.since..=self.world.now()).map(|state| self.world.at(state));
        for (id, name) in self.after {
            let known = |parts: &Parts| parts.get(id) == Some(name);
            if !known(self.before) && !states().any(|state| known(&state.parts())) {
                wrong.push(format!("{id:?} `{name}` is made up"));
            }
        }
        let code = run.map(|run| run.report.exit_code);
        let unchanged = self.from == self.world.now();
        // A run that goes on brings what the source had when it first began.
        let whole = run.is_some_and(|run| run.report.resumed == 0);
        if code == Some(0) && unchanged && whole {
            self.check_equal(&mut wrong);
        }
        if weather == Weather::Fair {
            // An empty source is not believed when the graph has something of it.
            let held = self.world.present().is_empty() && !self.before.is_empty();
            if code != Some(0) && !(held && code == Some(12)) {
                wrong.push("nothing went wrong, and the run failed".to_owned());
            }
        }
        if !wrong.is_empty() {
            let state = self.world.present();
            writeln!(story, "    {}\n    source: {state:?}", wrong.join("\n    ")).unwrap();
            panic!("{}", wrong.join("; "));
        }
    }

    /// The graph is what the source has.
    fn check_equal(&self, wrong: &mut Vec<String>) {
        let state = self.world.present();
        let expected = state.parts();
        for (id, name) in &expected {
            if !state.is_bad(id) && self.after.get(id) != Some(name) {
                let is = self.after.get(id);
                wrong.push(format!("{id:?} `{name}` is lost, there is {is:?}"));
            }
        }
        for (id, name) in self.after {
            // What the graph has at a bad machine is kept, as nobody can tell it from what is gone.
            if !expected.contains_key(id) && !state.is_bad(id) {
                wrong.push(format!("{id:?} `{name}` is more"));
            }
        }
    }

    /// Tells whether a part was in the source all the time, and in one place.
    fn always_there(&self, id: &Id) -> bool {
        let first = self.world.at(self.since);
        (self.since..=self.world.now()).all(|number| {
            let state = self.world.at(number);
            let same_place = |machine: &u32| {
                let place =
                    |state: &State| state.machines.get(machine).map(|machine| machine.account);
                place(state).is_some() && place(state) == place(first)
            };
            match id {
                Id::Asset(machine) => same_place(machine),
                Id::Address(address) => state.addresses.contains_key(address),
                Id::Link(machine, address) => {
                    same_place(machine)
                        && state
                            .addresses
                            .get(address)
                            .is_some_and(|machines| machines.contains(machine))
                }
            }
        })
    }
}
