//! The data source of the simulation: a few objects that change, and a memory of every state.

use std::collections::{BTreeMap, BTreeSet};

use car_core::record::{Deletion, Records};
use car_schema::edges::AssetIpaddress;
use car_schema::vertices::{Asset, Ipaddress};
use rand::RngExt;
use rand::rngs::StdRng;

/// Accounts: scopes that assets belong to.
pub(crate) const ACCOUNTS: u8 = 2;

/// Objects that there can be of a kind; few, so that what was deleted comes back.
const OBJECTS: u32 = 9;

/// An asset of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) account: u8,
    pub(crate) name: u32,
    /// Whether it has a value that the model does not allow.
    pub(crate) bad: bool,
}

impl Machine {
    /// Makes a machine.
    pub(crate) fn new(account: u8, bad: bool) -> Self {
        let name = 0;
        Self { account, name, bad }
    }
}

/// Everything that the source has at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) machines: BTreeMap<u32, Machine>,
    /// Addresses with the machines that have them.
    pub(crate) addresses: BTreeMap<u32, BTreeSet<u32>>,
}

/// A part of the graph: a vertex or an edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Id {
    Asset(u32),
    Address(u32),
    Link(u32, u32),
}

/// Everything in the graph; the value is the name of an asset.
pub(crate) type Parts = BTreeMap<Id, String>;

/// The source: its states in order, the last one is the present.
#[derive(Debug)]
pub(crate) struct World {
    states: Vec<State>,
    /// The oldest state from which changes can still be told.
    oldest: usize,
}

impl World {
    /// Makes a source with some objects.
    pub(crate) fn new(random: &mut StdRng) -> Self {
        let mut world = Self {
            states: vec![State::default()],
            oldest: 0,
        };
        for _ in 0..random.random_range(0..25) {
            world.change(random);
        }
        world
    }

    /// Makes a source that had these states.
    pub(crate) fn of(states: Vec<State>) -> Self {
        Self { states, oldest: 0 }
    }

    /// Goes on to another state.
    pub(crate) fn become_state(&mut self, state: State) {
        self.states.push(state);
    }

    /// Returns the number of the present state.
    pub(crate) fn now(&self) -> usize {
        self.states.len() - 1
    }

    /// Returns a state.
    pub(crate) fn at(&self, state: usize) -> &State {
        &self.states[state]
    }

    /// Returns the present state.
    pub(crate) fn present(&self) -> &State {
        self.at(self.now())
    }

    /// Forgets what changed before now.
    pub(crate) fn forget(&mut self) {
        self.oldest = self.now();
    }

    /// Tells whether changes since a state can be told.
    pub(crate) fn knows(&self, state: usize) -> bool {
        (self.oldest..=self.now()).contains(&state)
    }

    /// Changes one thing; the source has a new state then.
    pub(crate) fn change(&mut self, random: &mut StdRng) {
        let mut state = self.present().clone();
        let id = random.random_range(0..OBJECTS);
        let address = random.random_range(0..OBJECTS);
        match random.random_range(0..100) {
            0..=34 => {
                let account = random.random_range(0..ACCOUNTS);
                let machine = Machine {
                    // Without a move, a machine stays in its account.
                    account: state
                        .machines
                        .get(&id)
                        .map_or(account, |machine| machine.account),
                    name: random.random_range(0..1000),
                    bad: random.random_bool(0.1),
                };
                state.machines.insert(id, machine);
            }
            35..=39 => {
                if let Some(machine) = state.machines.get_mut(&id) {
                    machine.account = (machine.account + 1) % ACCOUNTS;
                }
            }
            40..=54 => {
                state.machines.remove(&id);
                for machines in state.addresses.values_mut() {
                    machines.remove(&id);
                }
            }
            55..=64 => {
                state.addresses.remove(&address);
            }
            65..=97 => {
                let machines = state.addresses.entry(address).or_default();
                if state.machines.contains_key(&id) && !machines.remove(&id) {
                    machines.insert(id);
                }
            }
            _ => state = State::default(),
        }
        self.states.push(state);
    }

    /// Emits what changed from one state to another, also what changed and changed back: a run
    /// that read in between has seen it.
    pub(crate) fn delta(&self, since: usize, until: usize) -> Vec<Records> {
        let mut touched = BTreeSet::new();
        for pair in self.states[since..=until].windows(2) {
            let (old, new) = (&pair[0], &pair[1]);
            for id in old.machines.keys().chain(new.machines.keys()) {
                if old.machines.get(id) != new.machines.get(id) {
                    touched.insert(Id::Asset(*id));
                }
            }
            for id in old.addresses.keys().chain(new.addresses.keys()) {
                let (before, after) = (old.addresses.get(id), new.addresses.get(id));
                if before == after {
                    continue;
                }
                touched.insert(Id::Address(*id));
                let linked = before.into_iter().chain(after).flatten();
                touched.extend(linked.map(|machine| Id::Link(*machine, *id)));
            }
        }
        let state = self.at(until);
        touched.iter().map(|id| emit_change(state, id)).collect()
    }
}

/// Emits what a state has of something that changed.
fn emit_change(state: &State, id: &Id) -> Records {
    let mut out = Records::new();
    match id {
        Id::Asset(id) => match state.machines.get(id) {
            Some(machine) => emit_machine(*id, machine, &mut out),
            None => out.delete(Deletion::vertex(Asset::COLLECTION, asset_id(*id))),
        },
        Id::Address(id) => match state.addresses.get(id) {
            Some(machines) => emit_address(*id, machines, &mut out),
            None => out.delete(Deletion::vertex(Ipaddress::COLLECTION, address_id(*id))),
        },
        Id::Link(machine, address) => {
            let machines = state.addresses.get(address);
            if !machines.is_some_and(|machines| machines.contains(machine)) {
                let (from, to) = (asset_id(*machine), address_id(*address));
                out.delete(Deletion::edge(AssetIpaddress::COLLECTION, from, to));
            }
        }
    }
    out
}

impl State {
    /// Returns the part of the graph that an import of this state makes. Bad machines and their
    /// links are in it, too.
    pub(crate) fn parts(&self) -> Parts {
        let mut parts = Parts::new();
        for (id, machine) in &self.machines {
            parts.insert(Id::Asset(*id), machine_name(machine));
        }
        for (id, machines) in &self.addresses {
            parts.insert(Id::Address(*id), String::new());
            for machine in machines {
                parts.insert(Id::Link(*machine, *id), String::new());
            }
        }
        parts
    }

    /// Tells whether a part is a bad machine or a link to one, which no import can bring.
    pub(crate) fn is_bad(&self, part: &Id) -> bool {
        let bad = |id: &u32| self.machines.get(id).is_some_and(|machine| machine.bad);
        match part {
            Id::Asset(id) | Id::Link(id, _) => bad(id),
            Id::Address(_) => false,
        }
    }

    /// Tells whether there is nothing that a full import emits.
    pub(crate) fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.addresses.is_empty()
    }
}

/// Emits a machine.
pub(crate) fn emit_machine(id: u32, machine: &Machine, out: &mut Records) {
    let mut asset = Asset::new(asset_id(id), machine_name(machine));
    asset.risk = machine.bad.then_some(11.0);
    out.emit(&asset);
}

/// Emits an address and its links.
pub(crate) fn emit_address(id: u32, machines: &BTreeSet<u32>, out: &mut Records) {
    out.emit(&Ipaddress::new(address_id(id)));
    for machine in machines {
        out.emit(&AssetIpaddress::new(asset_id(*machine), address_id(id)));
    }
}

fn machine_name(machine: &Machine) -> String {
    format!("machine {} of {}", machine.name, machine.account)
}

pub(crate) fn asset_id(id: u32) -> String {
    format!("m-{id}")
}

pub(crate) fn address_id(id: u32) -> String {
    format!("10.0.0.{id}")
}
