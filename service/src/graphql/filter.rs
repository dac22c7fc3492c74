//! `where`: from GraphQL values to SQL conditions. Values only ever travel as arguments.

use async_graphql::{Error, Value as Gql};

use super::catalog::{Attribute, Catalog, Entry, Link, Origin, Relation, Ty, USER};
use super::sql::{GqlResult, Sql, entry, expression};
use crate::store::layout::Connecting;
use crate::store::{Dialect, Value};

/// Deepest nesting of a filter.
const DEEPEST: usize = 12;

/// Most values in an `_in` list.
const LONGEST: usize = 10_000;

/// Translates filters.
pub(crate) struct Filter<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) sql: &'a mut Sql,
    depth: usize,
}

impl<'a> Filter<'a> {
    pub(crate) const fn new(catalog: &'a Catalog, sql: &'a mut Sql) -> Self {
        Self {
            catalog,
            sql,
            depth: 0,
        }
    }

    /// Returns the condition of a filter on a collection whose table has this alias.
    pub(crate) fn condition(&mut self, on: &Entry, alias: &str, filter: &Gql) -> GqlResult<String> {
        let Gql::Object(filter) = filter else {
            return match filter {
                Gql::Null => Ok("true".into()),
                _ => Err(Error::new("`where` must be an object")),
            };
        };
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEEPEST {
            return Err(Error::new(format!(
                "`where` is nested deeper than {DEEPEST} levels"
            )));
        }
        let mut parts = Vec::new();
        for (name, value) in filter {
            let part = match name.as_str() {
                "_and" => self.each(on, alias, value, " AND ", "true")?,
                "_or" => self.each(on, alias, value, " OR ", "false")?,
                "_not" => format!("NOT {}", self.condition(on, alias, value)?),
                name => self.named(on, alias, name, value)?,
            };
            parts.push(part);
        }
        self.depth = self.depth.saturating_sub(1);
        if parts.is_empty() {
            return Ok("true".into());
        }
        Ok(format!("({})", parts.join(" AND ")))
    }

    fn each(
        &mut self,
        on: &Entry,
        alias: &str,
        value: &Gql,
        joint: &str,
        none: &str,
    ) -> GqlResult<String> {
        let list = match value {
            Gql::List(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let parts: Vec<String> = list
            .iter()
            .map(|item| self.condition(on, alias, item))
            .collect::<GqlResult<_>>()?;
        if parts.is_empty() {
            return Ok(none.into());
        }
        Ok(format!("({})", parts.join(joint)))
    }

    fn named(&mut self, on: &Entry, alias: &str, name: &str, value: &Gql) -> GqlResult<String> {
        if let Some(attribute) = on.attribute(name) {
            return self.attribute(alias, attribute, value);
        }
        let relation = on
            .relation(name)
            .ok_or_else(|| Error::new(format!("`{}` has nothing named `{name}`", on.table.name)))?;
        self.relation(on, alias, relation, value)
    }

    fn relation(
        &mut self,
        on: &Entry,
        alias: &str,
        relation: &Relation,
        value: &Gql,
    ) -> GqlResult<String> {
        let inner = self.sql.alias();
        if relation.link == Link::Tags {
            let condition = self.tag(&inner, value)?;
            let collection = self.sql.arg(on.table.name.as_str());
            return Ok(format!(
                "EXISTS (SELECT 1 FROM {} {inner} WHERE {inner}.source = {alias}.\"_source\" \
                 AND {inner}.collection = {collection} AND {inner}.id = {alias}.\"_id\" AND {condition} LIMIT 1)",
                self.sql.tags()
            ));
        }
        let catalog = self.catalog;
        let target = entry(catalog, &relation.target)?;
        let joint = match &relation.link {
            Link::Edges {
                near,
                far,
                far_vertex,
            } => {
                let vertex = entry(catalog, far_vertex)?;
                let exists = self.sql.end_exists(&inner, far, &vertex.table);
                format!(
                    "{inner}.\"{near}\" = {alias}.\"_id\" AND {inner}.\"_source\" = {alias}.\"_source\" AND {exists}"
                )
            }
            Link::End(column) => format!(
                "{inner}.\"_id\" = {alias}.\"{column}\" AND {inner}.\"_source\" = {alias}.\"_source\""
            ),
            // Where there is a connecting id, every vertex has one.
            Link::Instances if target.table.connecting != Connecting::None => {
                format!("{inner}.\"_cid\" = {alias}.\"_cid\"")
            }
            Link::Instances if target.table.name == USER => {
                let (source, id) = (format!("{alias}.\"_source\""), format!("{alias}.\"_id\""));
                match self.sql.same_users(catalog, &source, &id) {
                    Some(users) => format!("({inner}.\"_id\", {inner}.\"_source\") IN ({users})"),
                    None => "false".to_owned(),
                }
            }
            Link::Instances => format!(
                "{inner}.\"_id\" = {alias}.\"_id\" AND {inner}.\"_source\" = {alias}.\"_source\""
            ),
            Link::Tags => "true".to_owned(),
        };
        let condition = self.condition(target, &inner, value)?;
        // `LIMIT 1` keeps SQLite 3.51 from turning EXISTS into a join, which loses rows when the
        // condition has an OR over two indexes.
        Ok(format!(
            "EXISTS (SELECT 1 FROM {} {inner} WHERE {joint} AND {condition} LIMIT 1)",
            self.sql.table(&target.table)
        ))
    }

    fn tag(&mut self, alias: &str, value: &Gql) -> GqlResult<String> {
        let Gql::Object(fields) = value else {
            return Ok("true".into());
        };
        let mut parts = vec!["true".to_owned()];
        for value in fields.values() {
            parts.push(self.comparisons(&format!("{alias}.name"), Ty::String, value)?);
        }
        Ok(parts.join(" AND "))
    }

    fn attribute(&mut self, alias: &str, attribute: &Attribute, value: &Gql) -> GqlResult<String> {
        if let Some(fast) = self.indexed(alias, attribute, value)? {
            return Ok(fast);
        }
        self.comparisons(&expression(alias, attribute), attribute.ty, value)
    }

    /// Says `_eq` and `_in` of composed identities in terms of the columns that have indexes.
    fn indexed(
        &mut self,
        alias: &str,
        attribute: &Attribute,
        value: &Gql,
    ) -> GqlResult<Option<String>> {
        let Gql::Object(comparisons) = value else {
            return Ok(None);
        };
        let texts: Vec<String> = match comparisons.iter().next() {
            Some((name, Gql::String(text))) if name == "_eq" && comparisons.len() == 1 => {
                vec![text.clone()]
            }
            Some((name, Gql::List(list))) if name == "_in" && comparisons.len() == 1 => list
                .iter()
                .filter_map(|item| match item {
                    Gql::String(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => return Ok(None),
        };
        check_length(texts.len())?;
        let mut one = |text: &str| -> String {
            match &attribute.origin {
                Origin::Source => {
                    let arg = self.sql.arg(text);
                    format!("{alias}.\"_source\" = (SELECT pk FROM sources WHERE key = {arg})")
                }
                Origin::Id | Origin::EndId(_) => {
                    let column = match attribute.origin {
                        Origin::EndId(column) => column,
                        _ => "_id",
                    };
                    // The key of a source has no slash.
                    let Some((source, id)) = text.split_once('/') else {
                        return "false".into();
                    };
                    let (id, source) = (self.sql.arg(id), self.sql.arg(source));
                    format!(
                        "({alias}.\"{column}\" = {id} AND {alias}.\"_source\" = (SELECT pk FROM sources WHERE key = {source}))"
                    )
                }
                Origin::ExternalId { natural: true } => {
                    let arg = self.sql.arg(text);
                    format!(
                        "({alias}.\"external_id\" = {arg} OR ({alias}.\"external_id\" IS NULL AND {alias}.\"_id\" = {arg}))"
                    )
                }
                Origin::ExternalId { natural: false } | Origin::Column(_) => String::new(),
            }
        };
        if matches!(
            attribute.origin,
            Origin::ExternalId { natural: false } | Origin::Column(_)
        ) {
            return Ok(None);
        }
        let parts: Vec<String> = texts.iter().map(|text| one(text)).collect();
        if parts.is_empty() {
            return Ok(Some("false".into()));
        }
        Ok(Some(format!("({})", parts.join(" OR "))))
    }

    fn comparisons(&mut self, expression: &str, ty: Ty, value: &Gql) -> GqlResult<String> {
        let Gql::Object(comparisons) = value else {
            return match value {
                Gql::Null => Ok("true".into()),
                _ => Err(Error::new(
                    "a comparison must be an object such as {_eq: …}",
                )),
            };
        };
        let mut parts = vec!["true".to_owned()];
        for (operator, value) in comparisons {
            parts.push(self.comparison(expression, ty, operator, value)?);
        }
        Ok(format!("({})", parts.join(" AND ")))
    }

    fn comparison(&mut self, left: &str, ty: Ty, operator: &str, value: &Gql) -> GqlResult<String> {
        let simple = match operator {
            "_eq" => Some("="),
            "_neq" => Some("<>"),
            "_gt" => Some(">"),
            "_gte" => Some(">="),
            "_lt" => Some("<"),
            "_lte" => Some("<="),
            _ => None,
        };
        if let Some(sign) = simple {
            let arg = self.sql.arg(typed(ty, operator, value)?);
            return Ok(format!("{left} {sign} {arg}"));
        }
        match operator {
            "_in" | "_nin" => {
                let list = match value {
                    Gql::List(list) => list.as_slice(),
                    one => std::slice::from_ref(one),
                };
                check_length(list.len())?;
                if list.is_empty() {
                    return Ok(if operator == "_in" { "false" } else { "true" }.into());
                }
                let args: Vec<String> = list
                    .iter()
                    .map(|item| Ok(self.sql.arg(typed(ty, operator, item)?)))
                    .collect::<GqlResult<_>>()?;
                let not = if operator == "_nin" { "NOT " } else { "" };
                Ok(format!("{left} {not}IN ({})", args.join(", ")))
            }
            "_is_null" => match value {
                Gql::Boolean(true) => Ok(format!("{left} IS NULL")),
                Gql::Boolean(false) => Ok(format!("{left} IS NOT NULL")),
                _ => Err(Error::new("`_is_null` needs true or false")),
            },
            "_like" | "_nlike" | "_ilike" | "_nilike" | "_similar" | "_nsimilar" => {
                self.pattern(left, operator, value)
            }
            _ => Err(Error::new(format!("there is no comparison `{operator}`"))),
        }
    }

    fn pattern(&mut self, left: &str, operator: &str, value: &Gql) -> GqlResult<String> {
        let Gql::String(pattern) = value else {
            return Err(Error::new(format!("`{operator}` needs text")));
        };
        check_pattern(operator, pattern)?;
        let not = if operator.starts_with("_n") {
            "NOT "
        } else {
            ""
        };
        Ok(match (operator, self.sql.dialect) {
            ("_like" | "_nlike", _) => {
                let arg = self.sql.arg(pattern.as_str());
                format!("{left} {not}LIKE {arg} ESCAPE '\\'")
            }
            ("_ilike" | "_nilike", Dialect::Sqlite) => {
                let arg = self.sql.arg(pattern.to_lowercase());
                format!("lower({left}) {not}LIKE {arg} ESCAPE '\\'")
            }
            ("_ilike" | "_nilike", Dialect::Postgres) => {
                let arg = self.sql.arg(pattern.as_str());
                format!("{left} {not}ILIKE {arg} ESCAPE '\\'")
            }
            (_, Dialect::Sqlite) => {
                let arg = self.sql.arg(similar_to_regex(pattern));
                format!("{left} {not}REGEXP {arg}")
            }
            (_, Dialect::Postgres) => {
                let arg = self.sql.arg(pattern.as_str());
                format!("{left} {not}SIMILAR TO {arg}")
            }
        })
    }
}

fn check_length(length: usize) -> GqlResult<()> {
    if length > LONGEST {
        return Err(Error::new(format!(
            "a list in `where` has more than {LONGEST} values"
        )));
    }
    Ok(())
}

fn check_pattern(operator: &str, pattern: &str) -> GqlResult<()> {
    let escapes = pattern.chars().rev().take_while(|&c| c == '\\').count();
    if escapes % 2 == 1 {
        return Err(Error::new(format!(
            "the pattern of `{operator}` ends with an escape character"
        )));
    }
    if pattern.contains('\0') {
        return Err(Error::new(format!(
            "the pattern of `{operator}` contains a zero character"
        )));
    }
    if operator.ends_with("similar") && regex_fault(&similar_to_regex(pattern)) {
        return Err(Error::new(format!(
            "the pattern of `{operator}` is not a valid SIMILAR TO pattern"
        )));
    }
    Ok(())
}

fn regex_fault(pattern: &str) -> bool {
    fancy_regex::Regex::new(pattern).is_err()
}

/// Turns a SIMILAR TO pattern into a regular expression: `%` and `_` are wildcards, the rest of
/// the regular expression's signs that SQL knows keep their meaning, others stand for themselves.
fn similar_to_regex(pattern: &str) -> String {
    let mut regex = String::from("^(?s:");
    let mut chars = pattern.chars();
    let mut bracket = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                if let Some(next) = chars.next() {
                    regex.push_str(&escaped(next));
                }
            }
            ']' if bracket => {
                bracket = false;
                regex.push(']');
            }
            _ if bracket => regex.push(c),
            '[' => {
                bracket = true;
                regex.push('[');
            }
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '|' | '*' | '+' | '?' | '{' | '}' | '(' | ')' => regex.push(c),
            other => regex.push_str(&escaped(other)),
        }
    }
    regex.push_str(")$");
    regex
}

fn escaped(c: char) -> String {
    if c.is_alphanumeric() || c == '_' || !c.is_ascii() || c.is_ascii_whitespace() {
        c.to_string()
    } else {
        format!("\\{c}")
    }
}

/// Turns a GraphQL value into an argument of the attribute's type.
pub(crate) fn typed(ty: Ty, operator: &str, value: &Gql) -> GqlResult<Value> {
    let wrong = || {
        Error::new(match value {
            Gql::Null => format!("`{operator}` cannot compare with null; use _is_null"),
            _ => format!("`{operator}` needs a value of type {}", ty.name()),
        })
    };
    match (ty, value) {
        (Ty::String, Gql::String(text)) if text.contains('\0') => Err(Error::new(format!(
            "the text of `{operator}` contains a zero character"
        ))),
        (Ty::String, Gql::String(text)) => Ok(Value::Text(text.clone())),
        (Ty::Boolean, Gql::Boolean(value)) => Ok(Value::Bool(*value)),
        (Ty::Float, Gql::Number(number)) => number.as_f64().map(Value::Float).ok_or_else(wrong),
        (Ty::Int | Ty::BigInt, Gql::Number(number)) => {
            number.as_i64().map(Value::Int).ok_or_else(wrong)
        }
        // Large numbers may come as text, as JavaScript cannot hold them.
        (Ty::BigInt, Gql::String(text)) => text.parse().map(Value::Int).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::similar_to_regex;

    #[test]
    fn similar_patterns_become_regular_expressions() {
        let cases = [
            ("a%", "abc", true),
            ("a_", "abc", false),
            ("(a|b)%", "bcd", true),
            ("a.c", "abc", false),
            ("[a-c]+", "abcab", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("a", "ab", false),
        ];
        for (pattern, text, matches) in cases {
            let regex = fancy_regex::Regex::new(&similar_to_regex(pattern)).unwrap();
            assert_eq!(regex.is_match(text).unwrap(), matches, "{pattern} {text}");
        }
    }
}
