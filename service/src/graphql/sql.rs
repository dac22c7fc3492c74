//! The statement that a query becomes: its arguments, and the tables at a point in time.

use async_graphql::Error;

use super::catalog::{Attribute, Catalog, Entry, Origin};
use crate::store::{Dialect, Table, Value, quote};

/// Short for results that go to the caller as GraphQL errors.
pub(crate) type GqlResult<T> = Result<T, Error>;

/// A statement while it is written.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) dialect: Dialect,
    /// Milliseconds since 1970 of the moment that is asked for; `None` for now.
    pub(crate) at: Option<i64>,
    pub(crate) args: Vec<Value>,
    aliases: usize,
}

impl Sql {
    pub(crate) const fn new(dialect: Dialect, at: Option<i64>) -> Self {
        Self {
            dialect,
            at,
            args: Vec::new(),
            aliases: 0,
        }
    }

    /// Adds an argument and returns its placeholder.
    pub(crate) fn arg(&mut self, value: impl Into<Value>) -> String {
        self.args.push(value.into());
        format!("${}", self.args.len())
    }

    /// Returns a table alias that is not used yet.
    pub(crate) fn alias(&mut self) -> String {
        self.aliases = self.aliases.saturating_add(1);
        format!("t{}", self.aliases)
    }

    /// Returns what to select from to see a collection at the moment asked for.
    pub(crate) fn table(&self, table: &Table) -> String {
        match self.at {
            None => quote(&table.current()),
            Some(at) => {
                let columns = format!("\"_pk\", {}", table.column_list());
                format!(
                    "(SELECT {columns} FROM {} WHERE \"_t1\" <= {at} UNION ALL \
                     SELECT {columns} FROM {} WHERE \"_t1\" <= {at} AND \"_t2\" > {at})",
                    quote(&table.current()),
                    quote(&table.old())
                )
            }
        }
    }

    /// Returns what to select from to see the tags at the moment asked for.
    pub(crate) fn tags(&self) -> String {
        match self.at {
            None => "tags".to_owned(),
            Some(at) => format!(
                "(SELECT source, collection, id, name FROM tags WHERE t1 <= {at} UNION ALL \
                 SELECT source, collection, id, name FROM old_tags WHERE t1 <= {at} AND t2 > {at})"
            ),
        }
    }

    /// Returns the query of all users that are the same person as one: those who have an account
    /// of the same name, unless several users of one source share the account. The user itself
    /// is among them. `None` where the model has no accounts.
    pub(crate) fn same_users(&self, catalog: &Catalog, source: &str, id: &str) -> Option<String> {
        let account = self.table(&catalog.get("account")?.table);
        let link = self.table(&catalog.get("user_account")?.table);
        let linked = |edge: &str, vertex: &str| {
            format!(
                "{vertex}.\"_id\" = {edge}.\"_to\" AND {vertex}.\"_source\" = {edge}.\"_source\""
            )
        };
        let (first, second) = (linked("x1", "a1"), linked("x2", "a2"));
        let (third, fourth) = (linked("y1", "b1"), linked("y2", "b2"));
        let itself = self.dialect.by_code_point(id);
        Some(format!(
            "SELECT x2.\"_from\", x2.\"_source\" FROM {link} x1 JOIN {account} a1 ON {first} \
             JOIN {account} a2 ON a2.\"_cid\" = a1.\"_cid\" JOIN {link} x2 ON {second} \
             WHERE x1.\"_from\" = {id} AND x1.\"_source\" = {source} AND NOT EXISTS \
             (SELECT 1 FROM {account} b1 JOIN {link} y1 ON {third} \
             JOIN {account} b2 ON b2.\"_cid\" = b1.\"_cid\" AND b2.\"_source\" = b1.\"_source\" \
             JOIN {link} y2 ON {fourth} \
             WHERE b1.\"_cid\" = a1.\"_cid\" AND y1.\"_from\" <> y2.\"_from\") \
             UNION ALL SELECT {itself}, {source}"
        ))
    }

    /// Returns the condition that an edge with this alias has the vertex at an end.
    pub(crate) fn end_exists(&mut self, edge: &str, column: &str, vertex: &Table) -> String {
        let alias = self.alias();
        format!(
            "EXISTS (SELECT 1 FROM {} {alias} WHERE {alias}.\"_id\" = {edge}.\"{column}\" \
             AND {alias}.\"_source\" = {edge}.\"_source\" LIMIT 1)",
            self.table(vertex)
        )
    }
}

/// Returns the expression of an attribute for a table with this alias.
pub(crate) fn expression(alias: &str, attribute: &Attribute) -> String {
    let source = format!("(SELECT key FROM sources WHERE pk = {alias}.\"_source\")");
    match &attribute.origin {
        Origin::Column(column) => format!("{alias}.{}", quote(column)),
        Origin::Source => source,
        Origin::ExternalId { natural: false } => format!("{alias}.\"_id\""),
        Origin::ExternalId { natural: true } => {
            format!("coalesce({alias}.\"external_id\", {alias}.\"_id\")")
        }
        Origin::Id => format!("({source} || '/' || {alias}.\"_id\")"),
        Origin::EndId(column) => format!("({source} || '/' || {alias}.\"{column}\")"),
    }
}

/// Finds an entry, or says that the model changed meanwhile.
pub(crate) fn entry<'c>(
    catalog: &'c super::catalog::Catalog,
    collection: &str,
) -> GqlResult<&'c Entry> {
    catalog
        .get(collection)
        .ok_or_else(|| Error::new(format!("there is no collection `{collection}`")))
}
