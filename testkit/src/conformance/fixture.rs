//! What the author of a connector supplies.

use crate::{Graph, Program};

/// A source for tests, with something in it. Dropping it stops it.
pub trait Fixture: Sized + Send + Sync + 'static {
    /// Starts a source with about this many things of the main kind in it; 0 gives an empty one.
    ///
    /// Sources that are started with the same number have equal content. With 4 things and the
    /// pages of [`program`](Self::program), a full import should make some 10 to 40 requests:
    /// enough that pages follow each other, and few enough that each can be made to fail.
    fn start(things: usize) -> impl Future<Output = Self> + Send;

    /// Returns where the source listens, `HOST:PORT`: plain HTTP.
    fn address(&self) -> String;

    /// Returns the connector's program with all settings but those of the CAR service, reading
    /// small pages from a source at this address, which may be a proxy to the source.
    fn program(&self, address: &str) -> Program;

    /// Returns the same with credentials that the source does not accept.
    fn wrong_credentials(&self, address: &str) -> Program;

    /// Returns the secret values in the settings of [`program`](Self::program).
    fn secrets(&self) -> Vec<String>;

    /// Changes the source: adds, changes, links and deletes things, the same for the same seed and
    /// content. The source is not empty afterwards.
    fn mutate(&self, seed: u64) -> impl Future<Output = ()> + Send;

    /// Takes everything out of the source; tells `false` where that cannot be done.
    fn clear(&self) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// Returns the graph that the source should come to, made without the connector's code;
    /// nothing when there is no other way to make it.
    fn expected(&self) -> impl Future<Output = Option<Graph>> + Send {
        async { None }
    }
}
