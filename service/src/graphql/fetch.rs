//! Running a plan: one statement per list and level, however many parents there are.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Error, Value as Gql};
use futures_util::future::BoxFuture;

use super::aggregate::Aggregated;
use super::catalog::{Catalog, Entry, Link, Relation, Ty, USER};
use super::filter::Filter;
use super::plan::{Aggregation, Child, ListArgs, Plan};
use super::sql::{GqlResult, Sql, entry};
use super::statement::{self, HEAD, Owner};
use super::totals::{self, Total};
use crate::store::layout::Connecting;
use crate::store::{Conn, Row, Value};

/// Most rows that one query may bring up, over all levels.
pub(crate) const MOST_ROWS: i64 = 100_000;

/// What all nodes of one level share.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    values: HashMap<String, usize>,
    lists: HashMap<String, usize>,
    aggregates: HashMap<String, usize>,
}

/// An entity in the answer.
#[derive(Debug)]
pub(crate) struct Node {
    shape: Arc<Shape>,
    values: Vec<Gql>,
    lists: Vec<Vec<Arc<Node>>>,
    aggregates: Vec<Arc<Aggregated>>,
    /// Number of the source, identity (or near end), other end, connecting id.
    keys: Keys,
}

#[derive(Debug, Default, Clone)]
struct Keys {
    source: i64,
    first: String,
    second: Option<String>,
}

impl Node {
    /// Returns the value of an attribute.
    pub(crate) fn value(&self, name: &str) -> Option<&Gql> {
        self.values.get(*self.shape.values.get(name)?)
    }

    /// Returns a list by its name in the answer.
    pub(crate) fn list(&self, key: &str) -> &[Arc<Node>] {
        self.shape
            .lists
            .get(key)
            .and_then(|&index| self.lists.get(index))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Returns an aggregate by its name in the answer.
    pub(crate) fn aggregated(&self, key: &str) -> Option<Arc<Aggregated>> {
        let index = *self.shape.aggregates.get(key)?;
        self.aggregates.get(index).cloned()
    }
}

/// A query under way: its view of the data and how much it may still bring up.
pub(crate) struct Fetcher<'a> {
    pub(crate) conn: &'a mut dyn Conn,
    pub(crate) catalog: &'a Catalog,
    pub(crate) at: Option<i64>,
    pub(crate) budget: &'a mut i64,
}

impl<'a> Fetcher<'a> {
    /// Brings up the root list of a query with everything below it.
    pub(crate) async fn root(&mut self, plan: &Plan, args: &ListArgs) -> GqlResult<Vec<Arc<Node>>> {
        let mut sql = Sql::new(self.conn.dialect(), self.at);
        let on = entry(self.catalog, &plan.collection)?;
        let from = self.whole(&mut sql, on, args)?;
        let text = statement::list(on, plan, args, Owner::Root, &from, *self.budget)?;
        let rows = self.run_list(on, plan, text, sql.args).await?;
        let mut lists = self.nodes(on, plan, rows, 1).await?;
        Ok(lists.pop().unwrap_or_default())
    }

    /// Computes totals over a collection.
    pub(crate) async fn root_totals(
        &mut self,
        collection: &str,
        totals: &[Total],
        args: &ListArgs,
    ) -> GqlResult<Gql> {
        if totals.is_empty() {
            return Ok(totals::values(totals, None));
        }
        let mut sql = Sql::new(self.conn.dialect(), self.at);
        let on = entry(self.catalog, collection)?;
        let from = self.whole(&mut sql, on, args)?;
        let text = statement::aggregate(on, totals, args, Owner::Root, &from)?;
        let rows = self.run(text, sql.args).await?;
        Ok(totals::values(totals, rows.first()))
    }

    /// Writes where the rows of a collection come from, and which.
    fn whole(&self, sql: &mut Sql, on: &Entry, args: &ListArgs) -> GqlResult<String> {
        let catalog = self.catalog;
        let mut condition = match &args.filter {
            Some(filter) => Filter::new(catalog, sql).condition(on, "e", filter)?,
            None => "true".to_owned(),
        };
        if let Some((from, to)) = &on.table.ends {
            for (end, column) in [(from, "_from"), (to, "_to")] {
                let exists = sql.end_exists("e", column, &entry(catalog, end)?.table);
                condition.push_str(" AND ");
                condition.push_str(&exists);
            }
        }
        Ok(format!("{} e WHERE {condition}", sql.table(&on.table)))
    }

    async fn run(&mut self, text: String, args: Vec<Value>) -> GqlResult<Vec<Row>> {
        let rows = self.conn.fetch(text, args).await;
        self.spend(rows)
    }

    /// Runs the statement of a list.
    async fn run_list(
        &mut self,
        on: &Entry,
        plan: &Plan,
        text: String,
        args: Vec<Value>,
    ) -> GqlResult<Vec<Row>> {
        let columns = statement::columns(on, plan);
        let rows = self.conn.fetch_many(text, &columns, args).await;
        self.spend(rows)
    }

    /// Takes rows off what the query may bring up.
    fn spend(&mut self, rows: crate::Result<Vec<Row>>) -> GqlResult<Vec<Row>> {
        let rows = rows.map_err(|error| failed(&error))?;
        *self.budget = self
            .budget
            .saturating_sub(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        if *self.budget < 0 {
            return Err(Error::new(format!(
                "the query brings up more than {MOST_ROWS} rows; narrow it with `where` or `limit`"
            )));
        }
        Ok(rows)
    }

    /// Turns rows into nodes, with their lists, grouped by the number of their parent.
    fn nodes<'b>(
        &'b mut self,
        on: &'b Entry,
        plan: &'b Plan,
        rows: Vec<Row>,
        parents: usize,
    ) -> BoxFuture<'b, GqlResult<Vec<Vec<Arc<Node>>>>> {
        Box::pin(async move {
            let shape = Arc::new(shape(plan));
            let mut owners = Vec::with_capacity(rows.len());
            let mut nodes: Vec<Node> = rows
                .into_iter()
                .map(|row| {
                    owners.push(owner(&row));
                    node(&shape, plan, &row)
                })
                .collect();
            for child in &plan.children {
                let keys: Vec<Keys> = nodes.iter().map(|node| node.keys.clone()).collect();
                let lists = self.list(on, child, &keys).await?;
                for (node, list) in nodes.iter_mut().zip(lists) {
                    node.lists.push(list);
                }
            }
            for aggregation in &plan.aggregates {
                let keys: Vec<Keys> = nodes.iter().map(|node| node.keys.clone()).collect();
                let answers = self.aggregates(aggregation, &keys).await?;
                for (node, answer) in nodes.iter_mut().zip(answers) {
                    node.aggregates.push(answer);
                }
            }
            let mut groups: Vec<Vec<Arc<Node>>> = Vec::new();
            groups.resize_with(parents, Vec::new);
            for (node, owner) in nodes.into_iter().zip(owners) {
                if let Some(group) = groups.get_mut(owner) {
                    group.push(Arc::new(node));
                }
            }
            Ok(groups)
        })
    }

    /// Brings up one list of all nodes of a level.
    async fn list(
        &mut self,
        on: &Entry,
        child: &Child,
        keys: &[Keys],
    ) -> GqlResult<Vec<Vec<Arc<Node>>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if child.relation.link == Link::Tags {
            return self.tags(on, child, keys).await;
        }
        self.related(&child.relation, &child.args, &child.plan, keys)
            .await
    }

    /// Brings up the rows of a relation of all nodes of a level.
    async fn related(
        &mut self,
        relation: &Relation,
        args: &ListArgs,
        plan: &Plan,
        keys: &[Keys],
    ) -> GqlResult<Vec<Vec<Arc<Node>>>> {
        let mut sql = Sql::new(self.conn.dialect(), self.at);
        let (target, from) = self.joined(&mut sql, relation, args, keys)?;
        let owner = match relation.link {
            Link::End(_) => Owner::Single,
            Link::Edges { .. } | Link::Instances | Link::Tags => Owner::Parent,
        };
        let text = statement::list(target, plan, args, owner, &from, *self.budget)?;
        let rows = self.run_list(target, plan, text, sql.args).await?;
        self.nodes(target, plan, rows, keys.len()).await
    }

    /// Computes one aggregate of all nodes of a level.
    async fn aggregates(
        &mut self,
        aggregation: &Aggregation,
        keys: &[Keys],
    ) -> GqlResult<Vec<Arc<Aggregated>>> {
        let Aggregation {
            relation,
            args,
            totals,
            nodes,
            ..
        } = aggregation;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut lists = match nodes {
            Some(plan) => self.related(relation, args, plan, keys).await?,
            None => Vec::new(),
        };
        lists.resize_with(keys.len(), Vec::new);
        let mut sql = Sql::new(self.conn.dialect(), self.at);
        let mut rows = Vec::new();
        if !totals.is_empty() {
            let (target, from) = self.joined(&mut sql, relation, args, keys)?;
            let text = statement::aggregate(target, totals, args, Owner::Parent, &from)?;
            rows = self.run(text, sql.args).await?;
        }
        let rows: HashMap<usize, &Row> = rows.iter().map(|row| (owner(row), row)).collect();
        let answers = lists.into_iter().enumerate().map(|(ord, nodes)| {
            let values = totals::values(totals, rows.get(&ord).copied());
            Arc::new(Aggregated { values, nodes })
        });
        Ok(answers.collect())
    }

    /// Writes where the rows of a relation come from, for all parents `p` at once.
    fn joined(
        &self,
        sql: &mut Sql,
        relation: &Relation,
        args: &ListArgs,
        keys: &[Keys],
    ) -> GqlResult<(&'a Entry, String)> {
        let catalog = self.catalog;
        let target = entry(catalog, &relation.target)?;
        let parents = parents(sql, target, relation, keys);
        let joint = match &relation.link {
            Link::Edges {
                near,
                far,
                far_vertex,
            } => {
                let exists = sql.end_exists("e", far, &entry(catalog, far_vertex)?.table);
                format!("e.\"{near}\" = p.id AND e.\"_source\" = p.src AND {exists}")
            }
            Link::Instances if target.table.connecting != Connecting::None => {
                "e.\"_cid\" = p.cid".to_owned()
            }
            Link::Instances if target.table.name == USER => {
                match sql.same_users(catalog, "p.src", "p.id") {
                    Some(users) => format!("(e.\"_id\", e.\"_source\") IN ({users})"),
                    None => "false".to_owned(),
                }
            }
            Link::End(_) | Link::Instances | Link::Tags => {
                "e.\"_id\" = p.id AND e.\"_source\" = p.src".to_owned()
            }
        };
        let condition = match &args.filter {
            Some(filter) => Filter::new(catalog, sql).condition(target, "e", filter)?,
            None => "true".to_owned(),
        };
        // The order of the join is what makes it fast; `CROSS JOIN` keeps it.
        let from = format!(
            "{parents} p CROSS JOIN {} e WHERE {joint} AND {condition}",
            sql.table(&target.table)
        );
        Ok((target, from))
    }

    async fn tags(
        &mut self,
        on: &Entry,
        child: &Child,
        keys: &[Keys],
    ) -> GqlResult<Vec<Vec<Arc<Node>>>> {
        let mut sql = Sql::new(self.conn.dialect(), self.at);
        let parents = parents(&mut sql, on, &child.relation, keys);
        let collection = sql.arg(on.table.name.as_str());
        let text = format!(
            "SELECT p.ord, t.name FROM {parents} p CROSS JOIN {} t \
             WHERE t.source = p.src AND t.collection = {collection} AND t.id = p.id ORDER BY p.ord, t.name LIMIT {}",
            sql.tags(),
            self.budget.saturating_add(1)
        );
        let rows = self.run(text, sql.args).await?;
        let shape = Arc::new(Shape {
            values: HashMap::from([("name".to_owned(), 0)]),
            ..Shape::default()
        });
        let mut groups: Vec<Vec<Arc<Node>>> = Vec::new();
        groups.resize_with(keys.len(), Vec::new);
        for row in rows {
            if let Some(group) = groups.get_mut(owner(&row)) {
                group.push(Arc::new(Node {
                    shape: Arc::clone(&shape),
                    values: vec![Gql::from(row.str(1).unwrap_or_default())],
                    lists: Vec::new(),
                    aggregates: Vec::new(),
                    keys: Keys::default(),
                }));
            }
        }
        let skip = usize::try_from(child.args.offset).unwrap_or(usize::MAX);
        let take = child
            .args
            .limit
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX);
        Ok(groups
            .into_iter()
            .map(|group| group.into_iter().skip(skip).take(take).collect())
            .collect())
    }
}

pub(crate) fn failed(error: &crate::Error) -> Error {
    tracing::error!(error = %crate::error::chain(error), "a query failed");
    Error::new(error.message())
}

/// Writes the parents of a list, `p`: number, source, identity, connecting id.
fn parents(sql: &mut Sql, target: &Entry, relation: &Relation, keys: &[Keys]) -> String {
    let source = keys.first().map(|keys| keys.source).unwrap_or_default();
    if keys.iter().all(|keys| keys.source == source) {
        let by_connecting =
            relation.link == Link::Instances && target.table.connecting != Connecting::None;
        let second = by_connecting || relation.link == Link::End("_to");
        let list: Vec<Option<&str>> = keys
            .iter()
            .map(|keys| match second {
                true => keys.second.as_deref(),
                false => Some(keys.first.as_str()),
            })
            .collect();
        let (source, list) = (
            sql.arg(source),
            sql.arg(serde_json::json!(list).to_string()),
        );
        if let Some(parents) = sql.dialect.parents_of(&source, &list) {
            return parents;
        }
        sql.args.truncate(sql.args.len().saturating_sub(2));
    }
    let list: Vec<serde_json::Value> = keys
        .iter()
        .enumerate()
        .map(|(ord, keys)| {
            let id = match relation.link {
                Link::End("_to") => keys.second.as_deref().unwrap_or_default(),
                _ => keys.first.as_str(),
            };
            let connecting = match relation.link {
                Link::Instances => keys.second.as_deref(),
                _ => None,
            };
            serde_json::json!([ord, keys.source, id, connecting])
        })
        .collect();
    let list = sql.arg(serde_json::Value::from(list).to_string());
    sql.dialect.parents(&list)
}

fn shape(plan: &Plan) -> Shape {
    Shape {
        values: plan
            .attributes
            .iter()
            .enumerate()
            .map(|(index, attribute)| (attribute.name.clone(), index))
            .collect(),
        lists: plan
            .children
            .iter()
            .enumerate()
            .map(|(index, child)| (child.key.clone(), index))
            .collect(),
        aggregates: plan
            .aggregates
            .iter()
            .enumerate()
            .map(|(index, aggregation)| (aggregation.key.clone(), index))
            .collect(),
    }
}

fn owner(row: &Row) -> usize {
    row.int(0)
        .and_then(|ord| usize::try_from(ord).ok())
        .unwrap_or_default()
}

fn node(shape: &Arc<Shape>, plan: &Plan, row: &Row) -> Node {
    let values = plan
        .attributes
        .iter()
        .enumerate()
        .map(|(index, attribute)| value(attribute.ty, row.get(index.saturating_add(HEAD))))
        .collect();
    Node {
        shape: Arc::clone(shape),
        values,
        lists: Vec::with_capacity(plan.children.len()),
        aggregates: Vec::with_capacity(plan.aggregates.len()),
        keys: Keys {
            source: row.int(1).unwrap_or_default(),
            first: row.str(2).unwrap_or_default().to_owned(),
            second: row.str(3).map(str::to_owned),
        },
    }
}

/// Turns a stored value into one of the answer.
pub(crate) fn value(ty: Ty, value: &Value) -> Gql {
    match (ty, value) {
        (_, Value::Null) => Gql::Null,
        (Ty::Boolean, Value::Int(value)) => Gql::Boolean(*value != 0),
        (_, Value::Bool(value)) => Gql::Boolean(*value),
        (_, Value::Int(value)) => Gql::from(*value),
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
        (_, Value::Float(value)) if value.fract() == 0.0 && value.abs() < 9.0e15 => {
            Gql::from(*value as i64)
        }
        (_, Value::Float(value)) => Gql::from(*value),
        (Ty::Json, Value::Text(text)) => serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .and_then(|json| Gql::from_json(json).ok())
            .unwrap_or(Gql::Null),
        (_, Value::Text(text)) => Gql::from(text.as_str()),
    }
}
