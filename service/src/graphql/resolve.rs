//! From a root field to its answer.

use std::sync::Arc;

use async_graphql::dynamic::ResolverContext;
use async_graphql::indexmap::IndexMap;
use async_graphql::{Error, Name, SelectionField, Value as Gql};
use tokio::sync::Mutex;

use super::aggregate::Aggregated;
use super::catalog::Catalog;
use super::fetch::{Fetcher, MOST_ROWS, Node};
use super::plan::{ListArgs, Plan, list_args, plan};
use super::sql::GqlResult;
use super::totals::Total;
use crate::store::Conn;

/// What the root fields of one request share: one view of the data and one budget of rows.
pub(crate) struct Session {
    /// The connection, with a fixed view.
    pub(crate) conn: Box<dyn Conn>,
    /// Rows that may still be brought up.
    pub(crate) budget: i64,
    /// The moment asked for.
    pub(crate) at: Option<i64>,
}

impl Session {
    pub(crate) fn new(conn: Box<dyn Conn>, at: Option<i64>) -> Self {
        Self {
            conn,
            budget: MOST_ROWS,
            at,
        }
    }

    fn fetcher<'a>(&'a mut self, catalog: &'a Catalog) -> Fetcher<'a> {
        Fetcher {
            conn: self.conn.as_mut(),
            catalog,
            at: self.at,
            budget: &mut self.budget,
        }
    }
}

pub(crate) type SharedSession = Arc<Mutex<Session>>;

/// Runs a plan.
pub(crate) async fn run(
    ctx: &ResolverContext<'_>,
    catalog: &Catalog,
    plan: &Plan,
    args: &ListArgs,
) -> GqlResult<Vec<Arc<Node>>> {
    let mut session = ctx.data::<SharedSession>()?.lock().await;
    session.fetcher(catalog).root(plan, args).await
}

/// Computes an aggregate over a collection.
pub(crate) async fn aggregate(
    ctx: &ResolverContext<'_>,
    catalog: &Catalog,
    collection: &str,
    args: &ListArgs,
    totals: &[Total],
    nodes: Option<&Plan>,
) -> GqlResult<Arc<Aggregated>> {
    let mut session = ctx.data::<SharedSession>()?.lock().await;
    let mut fetcher = session.fetcher(catalog);
    let nodes = match nodes {
        Some(plan) => fetcher.root(plan, args).await?,
        None => Vec::new(),
    };
    let values = fetcher.root_totals(collection, totals, args).await?;
    Ok(Arc::new(Aggregated { values, nodes }))
}

fn read(
    catalog: &Catalog,
    collection: &str,
    field: SelectionField<'_>,
) -> GqlResult<(Plan, ListArgs)> {
    let args = list_args(&field)?;
    Ok((plan(catalog, collection, &[field])?, args))
}

/// Answers `collection(where: …)`.
pub(crate) async fn list(
    ctx: &ResolverContext<'_>,
    catalog: &Catalog,
    collection: &str,
) -> GqlResult<Vec<Arc<Node>>> {
    let (plan, args) = read(catalog, collection, ctx.field())?;
    run(ctx, catalog, &plan, &args).await
}

/// Answers `collection_by_pk(…)`.
pub(crate) async fn by_pk(
    ctx: &ResolverContext<'_>,
    catalog: &Catalog,
    collection: &str,
) -> GqlResult<Option<Arc<Node>>> {
    let (plan, _) = read(catalog, collection, ctx.field())?;
    let on = super::sql::entry(catalog, collection)?;
    let mut filter = IndexMap::new();
    let mut equal = |name: String, argument: &str| -> Result<(), Error> {
        let value = ctx.args.try_get(argument)?.as_value().clone();
        let comparison = IndexMap::from_iter([(Name::new("_eq"), value)]);
        filter.insert(Name::new(name), Gql::Object(comparison));
        Ok(())
    };
    if on.table.is_edge() {
        let mut ends = on
            .attributes
            .iter()
            .filter(|attribute| matches!(attribute.origin, super::catalog::Origin::EndId(_)))
            .map(|attribute| attribute.name.clone());
        equal(ends.next().unwrap_or_default(), "from_id")?;
        equal(ends.next().unwrap_or_default(), "to_id")?;
    } else {
        equal("id".to_owned(), "id")?;
    }
    let args = ListArgs {
        filter: Some(Gql::Object(filter)),
        limit: Some(1),
        ..ListArgs::default()
    };
    Ok(run(ctx, catalog, &plan, &args).await?.pop())
}
