//! Which tables and columns a collection is kept in.
//!
//! Each collection has two tables: one for what exists now and one for closed versions, so that
//! everyday queries never wade through history. Bookkeeping columns start with `_`, which no
//! field may, so an extension cannot collide with them.

use std::collections::HashMap;

use car_schema::{Collection, Extension, Field, FieldType, Identity, Kind, Model};

use super::conn::BulkColumn;
use super::dialect::{Dialect, quote};
use super::value::ColumnType;
use crate::extra;

/// How the identity across sources comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connecting {
    /// There is none.
    None,
    /// The host name, without regard to case.
    HostName,
    /// The hardware address, without regard to case and separators.
    Mac,
    /// The address within its region.
    IpInRegion,
    /// What the source says in `connecting_id`, else the region's `id`.
    Region,
    /// The name of the account.
    Account,
}

/// A field with a column of its own.
#[derive(Debug, Clone)]
pub(crate) struct FieldColumn {
    /// Name of the field and of its column.
    pub(crate) name: String,
    /// What the field holds.
    pub(crate) ty: FieldType,
    /// Whether look-ups by it are fast.
    pub(crate) indexed: bool,
    /// Whether no two rows of a source may share a value.
    pub(crate) unique: bool,
}

impl FieldColumn {
    pub(crate) const fn column_type(&self) -> ColumnType {
        match self.ty {
            FieldType::Number => ColumnType::Float,
            FieldType::Integer => ColumnType::Int,
            FieldType::Boolean => ColumnType::Bool,
            FieldType::Text | FieldType::Object | FieldType::Texts | FieldType::Any => {
                ColumnType::Text
            }
        }
    }
}

/// The tables of one collection.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// The collection.
    pub(crate) name: String,
    /// Names of the vertex collections at both ends, for edges.
    pub(crate) ends: Option<(String, String)>,
    /// How a vertex is identified.
    pub(crate) identity: Option<Identity>,
    /// Fields that have a column, in their order.
    pub(crate) fields: Vec<FieldColumn>,
    /// How the identity across sources comes about.
    pub(crate) connecting: Connecting,
}

/// Bookkeeping columns that follow the key columns, with their types.
const BOOKKEEPING: [(&str, ColumnType); 8] = [
    ("_t1", ColumnType::Int),
    ("_seen", ColumnType::Int),
    ("_report", ColumnType::Text),
    ("_mark", ColumnType::Int),
    ("_hash", ColumnType::Int),
    ("_props", ColumnType::Text),
    ("_raw", ColumnType::Int),
    ("_scopes", ColumnType::Int),
];

impl Table {
    pub(crate) fn new(collection: &Collection) -> Self {
        let (ends, identity) = match &collection.kind {
            Kind::Vertex { identity } => (None, Some(*identity)),
            Kind::Edge { from, to } => (
                Some((from.collection.to_string(), to.collection.to_string())),
                None,
            ),
        };
        let connecting = match collection.name.as_ref() {
            "hostname" => Connecting::HostName,
            "macaddress" => Connecting::Mac,
            "ipaddress" => Connecting::IpInRegion,
            "ipregion" => Connecting::Region,
            "account" => Connecting::Account,
            _ => Connecting::None,
        };
        let fields = collection
            .fields
            .iter()
            .filter(|field| has_column(collection, field))
            .map(|field| FieldColumn {
                name: field.name.to_string(),
                ty: field.ty,
                unique: false,
                // Edges may name a natural-key vertex by its external id.
                indexed: field.indexed
                    || (identity == Some(Identity::Key) && field.name == "external_id")
                    // The worst ones are asked for first.
                    || (collection.name == "vulnerability" && field.name == "base_score"),
            })
            .collect();
        Self {
            name: collection.name.to_string(),
            ends,
            identity,
            fields,
            connecting,
        }
    }

    pub(crate) const fn is_edge(&self) -> bool {
        self.ends.is_some()
    }

    /// Returns the table of what exists now, unquoted.
    pub(crate) fn current(&self) -> String {
        format!("cur_{}", self.name)
    }

    /// Returns the table of closed versions, unquoted.
    pub(crate) fn old(&self) -> String {
        format!("old_{}", self.name)
    }

    /// Returns the columns that tell a row from the others of its source.
    pub(crate) const fn keys(&self) -> &'static [&'static str] {
        if self.is_edge() {
            &["_from", "_to"]
        } else {
            &["_id"]
        }
    }

    /// Returns the columns that an insert fills, `_source` and the keys first, fields last.
    pub(crate) fn columns(&self) -> Vec<BulkColumn> {
        let mut columns = vec![column("_source", ColumnType::Int)];
        columns.extend(self.keys().iter().map(|key| column(key, ColumnType::Text)));
        columns.extend(BOOKKEEPING.iter().map(|(name, ty)| column(name, *ty)));
        if !self.is_edge() {
            columns.push(column("_cid", ColumnType::Text));
        }
        columns.extend(self.fields.iter().map(|field| BulkColumn {
            name: field.name.clone(),
            ty: field.column_type(),
        }));
        columns
    }

    /// Returns the quoted names of all columns but `_pk` and `_t2`, joined by commas.
    pub(crate) fn column_list(&self) -> String {
        let names: Vec<String> = self.columns().iter().map(|c| quote(&c.name)).collect();
        names.join(", ")
    }

    /// Returns the statements that make both tables and their indexes.
    pub(crate) fn create(&self, dialect: Dialect) -> Vec<String> {
        let columns: Vec<String> =
            self.columns()
                .iter()
                .map(|column| {
                    let required = match column.name.as_str() {
                        "_source" | "_id" | "_from" | "_to" | "_t1" | "_seen" | "_mark"
                        | "_hash" => " NOT NULL",
                        _ => "",
                    };
                    format!(
                        "{} {}{required}",
                        quote(&column.name),
                        dialect.column_type(column.ty)
                    )
                })
                .collect();
        let columns = columns.join(", ");
        let keys: Vec<String> = self.keys().iter().map(|key| quote(key)).collect();
        let keys = keys.join(", ");
        let (current, old) = (quote(&self.current()), quote(&self.old()));
        let mut statements = vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {current} (\"_pk\" {}, {columns}, UNIQUE ({keys}, \"_source\")){}",
                dialect.serial(),
                dialect.storage()
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {old} (\"_pk\" {}, {columns}, \"_t2\" {} NOT NULL)",
                dialect.serial(),
                dialect.column_type(ColumnType::Int)
            ),
            format!(
                "CREATE INDEX IF NOT EXISTS {} ON {old} ({keys}, \"_source\")",
                self.index_name("old")
            ),
            format!(
                "CREATE INDEX IF NOT EXISTS {} ON {old} (\"_t2\")",
                self.index_name("t2")
            ),
        ];
        if self.is_edge() {
            statements.push(self.create_index("_to", "(\"_to\", \"_source\")"));
        } else {
            let columns = format!("{} WHERE {}", dialect.by_source(), by_source(""));
            statements.push(self.create_index("_source", &columns));
        }
        if self.connecting != Connecting::None {
            let columns = dialect.index(ColumnType::Text, "\"_cid\"");
            statements.push(self.create_index("_cid", &columns));
        }
        for field in self.fields.iter().filter(|field| field.indexed) {
            let columns = dialect.index(field.column_type(), &quote(&field.name));
            statements.push(self.create_index(&field.name, &columns));
        }
        statements
    }

    fn create_index(&self, name: &str, columns: &str) -> String {
        format!(
            "CREATE INDEX IF NOT EXISTS {} ON {} {columns}",
            self.index_name(name),
            quote(&self.current())
        )
    }

    /// Names an index; hashed, because table and field together can be too long for PostgreSQL.
    fn index_name(&self, what: &str) -> String {
        let hash = xxhash_rust::xxh3::xxh3_64(format!("{}\0{what}", self.name).as_bytes());
        quote(&format!("ix_{hash:016x}"))
    }
}

/// Returns the condition that lets a statement use the index of a vertex table by source. It is
/// always met. The index is for lists of what a source has, and no planner may take it for the way
/// to a single row of a source, since without statistics it looks as good as the right one.
pub(crate) fn by_source(prefix: &str) -> String {
    format!("({prefix}\"_source\" + 0) > 0")
}

fn column(name: &str, ty: ColumnType) -> BulkColumn {
    BulkColumn {
        name: name.to_owned(),
        ty,
    }
}

/// Tells whether a field has a column of its own, or is kept in the bookkeeping.
pub(crate) fn has_column(collection: &Collection, field: &Field) -> bool {
    let name = field.name.as_ref();
    if name.starts_with('_') {
        return false;
    }
    match &collection.kind {
        Kind::Vertex { identity } => {
            !matches!(name, "tag" | "untag" | "source" | "properties") && name != identity.field()
        }
        Kind::Edge { .. } => !matches!(name, "source" | "report" | "timestamp" | "properties"),
    }
}

/// The tables of all collections.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    tables: Vec<Table>,
    by_name: HashMap<String, usize>,
}

impl Layout {
    pub(crate) fn new(model: &Model, extensions: &[Extension]) -> Self {
        // Vertices first: a sweep and an import both go through the tables in this order.
        let mut tables: Vec<Table> = model
            .vertices()
            .chain(model.edges())
            .map(Table::new)
            .collect();
        for (collection, name, _) in
            extra::added(extensions).filter(|(_, _, property)| property.unique)
        {
            tables
                .iter_mut()
                .filter(|table| table.name == collection)
                .flat_map(|table| &mut table.fields)
                .filter(|field| field.name == name)
                .for_each(|field| {
                    field.unique = true;
                    // Equal values are looked for with every import.
                    field.indexed = true;
                });
        }
        let by_name = tables
            .iter()
            .enumerate()
            .map(|(index, table)| (table.name.clone(), index))
            .collect();
        Self { tables, by_name }
    }

    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(crate) fn vertices(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| !table.is_edge())
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.is_edge())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Table> {
        self.by_name
            .get(name)
            .and_then(|&index| self.tables.get(index))
    }

    pub(crate) fn at(&self, index: usize) -> Option<&Table> {
        self.tables.get(index)
    }

    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}
