//! Running a plan: one statement per list and level, however many parents there are.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Error, Value as Gql};
use futures_util::future::BoxFuture;

use super::catalog::{Attribute, Catalog, Entry, Link, Ty, USER};
use super::filter::Filter;
use super::plan::{Child, ListArgs, Plan};
use super::sql::{GqlResult, Sql, entry, expression};
use crate::store::layout::Connecting;
use crate::store::{Conn, Row, Value};

/// Most rows that one query may bring up, over all levels.
pub(crate) const MOST_ROWS: i64 = 100_000;

/// What all nodes of one level share.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    values: HashMap<String, usize>,
    lists: HashMap<String, usize>,
}

/// An entity in the answer.
#[derive(Debug)]
pub(crate) struct Node {
    shape: Arc<Shape>,
    values: Vec<Gql>,
    lists: Vec<Vec<Arc<Node>>>,
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
}

/// A query under way: its view of the data and how much it may still bring up.
pub(crate) struct Fetcher<'a> {
    pub(crate) conn: &'a mut dyn Conn,
    pub(crate) catalog: &'a Catalog,
    pub(crate) at: Option<i64>,
    pub(crate) budget: &'a mut i64,
}

impl Fetcher<'_> {
    /// Brings up the root list of a query with everything below it.
    pub(crate) async fn root(&mut self, plan: &Plan, args: &ListArgs) -> GqlResult<Vec<Arc<Node>>> {
        let mut sql = Sql::new(self.conn.dialect(), self.at);
        let catalog = self.catalog;
        let on = entry(catalog, &plan.collection)?;
        let mut condition = match &args.filter {
            Some(filter) => Filter::new(catalog, &mut sql).condition(on, "e", filter)?,
            None => "true".to_owned(),
        };
        if let Some((from, to)) = &on.table.ends {
            for (end, column) in [(from, "_from"), (to, "_to")] {
                let exists = sql.end_exists("e", column, &entry(catalog, end)?.table);
                condition.push_str(" AND ");
                condition.push_str(&exists);
            }
        }
        let from = format!("{} e WHERE {condition}", sql.table(&on.table));
        let text = statement(on, plan, args, "0", &from, *self.budget)?;
        let rows = self.run(text, sql.args).await?;
        let mut lists = self.nodes(on, plan, rows, 1).await?;
        Ok(lists.pop().unwrap_or_default())
    }

    async fn run(&mut self, text: String, args: Vec<Value>) -> GqlResult<Vec<Row>> {
        let rows = self
            .conn
            .fetch(text, args)
            .await
            .map_err(|error| failed(&error))?;
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
        let mut empty: Vec<Vec<Arc<Node>>> = Vec::new();
        if keys.is_empty() {
            return Ok(empty);
        }
        let mut sql = Sql::new(self.conn.dialect(), self.at);
        let parents = sql.arg(parents(child, keys));
        let parents = sql.dialect.parents(&parents);
        if child.relation.link == Link::Tags {
            return self.tags(on, child, keys.len(), sql, &parents).await;
        }
        let catalog = self.catalog;
        let target = entry(catalog, &child.relation.target)?;
        let joint = match &child.relation.link {
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
        let condition = match &child.args.filter {
            Some(filter) => Filter::new(catalog, &mut sql).condition(target, "e", filter)?,
            None => "true".to_owned(),
        };
        // The order of the join is what makes it fast; `CROSS JOIN` keeps it.
        let from = format!(
            "{parents} p CROSS JOIN {} e WHERE {joint} AND {condition}",
            sql.table(&target.table)
        );
        let text = statement(
            target,
            &child.plan,
            &child.args,
            "p.ord",
            &from,
            *self.budget,
        )?;
        let rows = self.run(text, sql.args).await?;
        empty = self.nodes(target, &child.plan, rows, keys.len()).await?;
        Ok(empty)
    }

    async fn tags(
        &mut self,
        on: &Entry,
        child: &Child,
        count: usize,
        mut sql: Sql,
        parents: &str,
    ) -> GqlResult<Vec<Vec<Arc<Node>>>> {
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
            lists: HashMap::new(),
        });
        let mut groups: Vec<Vec<Arc<Node>>> = Vec::new();
        groups.resize_with(count, Vec::new);
        for row in rows {
            if let Some(group) = groups.get_mut(owner(&row)) {
                group.push(Arc::new(Node {
                    shape: Arc::clone(&shape),
                    values: vec![Gql::from(row.str(1).unwrap_or_default())],
                    lists: Vec::new(),
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

/// Writes the parents of a list as JSON: number, source, identity, connecting id.
fn parents(child: &Child, keys: &[Keys]) -> Value {
    let list: Vec<serde_json::Value> = keys
        .iter()
        .enumerate()
        .map(|(ord, keys)| {
            let id = match child.relation.link {
                Link::End("_to") => keys.second.as_deref().unwrap_or_default(),
                _ => keys.first.as_str(),
            };
            let connecting = match child.relation.link {
                Link::Instances => keys.second.as_deref(),
                _ => None,
            };
            serde_json::json!([ord, keys.source, id, connecting])
        })
        .collect();
    Value::Text(serde_json::Value::from(list).to_string())
}

/// Writes what an aggregate is over: everything that fits, or what `limit`, `offset` and
/// `distinct_on` leave of it.
pub(crate) fn restricted(
    on: &Entry,
    args: &ListArgs,
    table: &str,
    condition: &str,
) -> GqlResult<String> {
    let whole = format!("{table} e WHERE {condition}");
    if args.limit.is_none() && args.offset == 0 && args.distinct_on.is_empty() {
        return Ok(whole);
    }
    let order = order(on, args)?;
    let mut parts = vec!["1".to_owned()];
    for name in &args.distinct_on {
        parts.push(expression("e", attribute(on, name)?));
    }
    let nth = if args.distinct_on.is_empty() {
        "1".to_owned()
    } else {
        format!(
            "row_number() OVER (PARTITION BY {} ORDER BY {order})",
            parts.join(", ")
        )
    };
    let most = args.limit.unwrap_or(i64::MAX);
    Ok(format!(
        "(SELECT f.* FROM (SELECT e.*, {nth} AS nth, row_number() OVER (ORDER BY {order}) AS overall \
         FROM {whole}) f WHERE f.nth = 1 ORDER BY f.overall LIMIT {most} OFFSET {}) e",
        args.offset
    ))
}

/// Columns that every row begins with: parent, source, identity, other end or connecting id.
const HEAD: usize = 4;

/// Writes the statement of a list: `from` holds tables and conditions, `owner` the parent.
fn statement(
    on: &Entry,
    plan: &Plan,
    args: &ListArgs,
    owner: &str,
    from: &str,
    budget: i64,
) -> GqlResult<String> {
    let keys = if on.table.is_edge() {
        "e.\"_from\", e.\"_to\""
    } else {
        "e.\"_id\", e.\"_cid\""
    };
    let mut columns = format!("{owner} AS ord, e.\"_source\", {keys}");
    for (index, attribute) in plan.attributes.iter().enumerate() {
        columns.push_str(&format!(", {} AS c{index}", expression("e", attribute)));
    }
    let order = order(on, args)?;
    let most = budget.saturating_add(1);
    let nested = owner != "0";
    let paged = args.limit.is_some() || args.offset > 0;
    if args.distinct_on.is_empty() && !(nested && paged) {
        let limit = args.limit.unwrap_or(most).min(most);
        let prefix = if nested { "p.ord, " } else { "" };
        return Ok(format!(
            "SELECT {columns} FROM {from} ORDER BY {prefix}{order} LIMIT {limit} OFFSET {}",
            args.offset
        ));
    }
    let mut inner = format!(
        "SELECT {columns}, row_number() OVER (PARTITION BY {} ORDER BY {order}) AS place FROM {from}",
        if nested { "p.ord" } else { "1" }
    );
    let mut condition = String::from("true");
    if !args.distinct_on.is_empty() {
        let mut parts = vec![if nested { "p.ord" } else { "1" }.to_owned()];
        for name in &args.distinct_on {
            parts.push(expression("e", attribute(on, name)?));
        }
        // The first of each, then their places among what is left.
        inner = format!(
            "SELECT {columns}, row_number() OVER (PARTITION BY {} ORDER BY {order}) AS nth, \
             row_number() OVER (ORDER BY {order}) AS overall FROM {from}",
            parts.join(", ")
        );
        inner = format!(
            "SELECT f.*, row_number() OVER (PARTITION BY f.ord ORDER BY f.overall) AS place \
             FROM ({inner}) f WHERE f.nth = 1"
        );
    }
    condition.push_str(&format!(" AND g.place > {}", args.offset));
    if let Some(limit) = args.limit {
        condition.push_str(&format!(
            " AND g.place <= {}",
            args.offset.saturating_add(limit)
        ));
    }
    Ok(format!(
        "SELECT g.* FROM ({inner}) g WHERE {condition} ORDER BY g.ord, g.place LIMIT {most}"
    ))
}

fn attribute<'e>(on: &'e Entry, name: &str) -> GqlResult<&'e Attribute> {
    on.attribute(name)
        .filter(|attribute| attribute.ty.comparable())
        .ok_or_else(|| Error::new(format!("`{}` cannot be sorted by `{name}`", on.table.name)))
}

/// Writes the order of a list; the number of the row decides where nothing else does.
fn order(on: &Entry, args: &ListArgs) -> GqlResult<String> {
    let mut parts = Vec::new();
    for (name, direction) in &args.order_by {
        let attribute = attribute(on, name)?;
        let way = if direction.descending { "DESC" } else { "ASC" };
        let nulls = if direction.nulls_first {
            "FIRST"
        } else {
            "LAST"
        };
        parts.push(format!(
            "{} {way} NULLS {nulls}",
            expression("e", attribute)
        ));
    }
    parts.push("e.\"_pk\"".to_owned());
    Ok(parts.join(", "))
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
