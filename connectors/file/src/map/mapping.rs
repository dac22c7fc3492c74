//! The mapping file: what rows of CSV, JSON and JSON Lines files mean.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use car_schema::{Collection, EdgeEnd, FieldType, Kind, Model};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::template::{Path, Template};

pub(super) static MODEL: LazyLock<Model> = LazyLock::new(Model::core);

/// A mapping file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MappingFile {
    /// What files mean; the first that matches a file counts.
    pub(super) mappings: Vec<Mapping>,
}

/// What files of some names mean.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// Names of the files, with `*` for any text and `?` for any character.
    pub(super) files: String,
    /// What separates the columns of CSV; a comma unless set.
    pub(super) delimiter: Option<char>,
    /// Names of the columns of CSV without a first line that names them.
    pub(super) columns: Option<Vec<String>>,
    /// Where in JSON the rows are; the whole document unless set.
    pub(super) rows: Option<Path>,
    #[serde(default)]
    pub(super) vertices: Vec<VertexMap>,
    #[serde(default)]
    pub(super) edges: Vec<EdgeMap>,
}

/// A vertex for each row.
#[derive(Debug)]
pub(super) struct VertexMap {
    pub(super) collection: Cow<'static, str>,
    pub(super) id: Template,
    pub(super) each: Option<Each>,
    pub(super) fields: Vec<FieldMap>,
}

/// An edge for each row.
#[derive(Debug)]
pub(super) struct EdgeMap {
    pub(super) collection: Cow<'static, str>,
    pub(super) ends: (EdgeEnd, EdgeEnd),
    pub(super) from: Template,
    pub(super) to: Template,
    pub(super) each: Option<Each>,
    pub(super) fields: Vec<FieldMap>,
}

/// A vertex or edge for each element of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Each {
    /// Where the list is.
    pub(super) of: Path,
    /// What separates the elements, where the list is a text.
    pub(super) split: Option<String>,
}

/// A field and where its value comes from.
#[derive(Debug)]
pub(super) struct FieldMap {
    pub(super) name: String,
    pub(super) value: Template,
    pub(super) ty: Option<FieldType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVertex {
    collection: String,
    id: Template,
    each: Option<Each>,
    #[serde(default)]
    fields: BTreeMap<String, Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEdge {
    collection: String,
    from: Template,
    to: Template,
    each: Option<Each>,
    #[serde(default)]
    fields: BTreeMap<String, Template>,
}

impl VertexMap {
    fn check(raw: RawVertex) -> Result<Self, String> {
        let collection = find(&raw.collection, false)?;
        for field in collection.fields.iter().filter(|field| field.required) {
            let is_id = collection
                .identity()
                .is_some_and(|identity| identity.field() == field.name);
            if !is_id && !raw.fields.contains_key(&*field.name) {
                return Err(format!(
                    "a vertex of `{}` needs the field `{}`",
                    raw.collection, field.name
                ));
            }
        }
        Ok(Self {
            fields: fields(collection, raw.fields)?,
            collection: collection.name.clone(),
            id: raw.id,
            each: raw.each,
        })
    }
}

impl EdgeMap {
    fn check(raw: RawEdge) -> Result<Self, String> {
        let collection = find(&raw.collection, true)?;
        let Kind::Edge { from, to } = &collection.kind else {
            return Err(format!("`{}` is no edge collection", raw.collection));
        };
        Ok(Self {
            fields: fields(collection, raw.fields)?,
            collection: collection.name.clone(),
            ends: (from.clone(), to.clone()),
            from: raw.from,
            to: raw.to,
            each: raw.each,
        })
    }
}

fn find(name: &str, edge: bool) -> Result<&'static Collection, String> {
    let kind = if edge { "edge" } else { "vertex" };
    match MODEL.get(name) {
        Some(collection) if collection.is_edge() == edge => Ok(collection),
        Some(_) => Err(format!(
            "`{name}` is no {kind} collection; list it among the {}",
            if edge { "vertices" } else { "edges" }
        )),
        None => {
            let known = MODEL.collections().filter(|known| known.is_edge() == edge);
            let names: Vec<&str> = known.map(|known| &*known.name).collect();
            Err(format!(
                "there is no {kind} collection `{name}`; there are {}",
                names.join(", ")
            ))
        }
    }
}

fn fields(
    collection: &Collection,
    fields: BTreeMap<String, Template>,
) -> Result<Vec<FieldMap>, String> {
    fields
        .into_iter()
        .map(|(name, value)| {
            if name.starts_with('_') || name == "external_id" || name == "source" {
                return Err(format!("`{name}` is not for a mapping to set"));
            }
            // Fields that the model does not know are custom ones.
            let ty = collection.field(&name).map(|field| field.ty);
            Ok(FieldMap { name, value, ty })
        })
        .collect()
}

/// Reads a map and checks it, so that what is wrong is told with the line where it begins.
macro_rules! checked {
    ($type:ty, $raw:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Checked;

                impl<'de> Visitor<'de> for Checked {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a map with `collection`")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        let raw = <$raw>::deserialize(MapAccessDeserializer::new(map))?;
                        <$type>::check(raw).map_err(A::Error::custom)
                    }
                }

                deserializer.deserialize_map(Checked)
            }
        }
    };
}

checked!(VertexMap, RawVertex);
checked!(EdgeMap, RawEdge);

impl MappingFile {
    /// Reads a mapping file.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with line and column.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        for mapping in &file.mappings {
            if mapping
                .delimiter
                .is_some_and(|delimiter| !delimiter.is_ascii())
            {
                return Err(format!("the delimiter of `{}` is not ASCII", mapping.files));
            }
        }
        Ok(file)
    }

    /// Finds the mapping of a file.
    pub(super) fn of(&self, file: &str) -> Option<&Mapping> {
        let base = file.rsplit('/').next().unwrap_or(file);
        self.mappings.iter().find(|mapping| {
            let name = if mapping.files.contains('/') {
                file
            } else {
                base
            };
            matches(mapping.files.as_bytes(), name.as_bytes())
        })
    }
}

impl Mapping {
    /// Returns all paths that look into rows.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let vertices = self.vertices.iter().flat_map(|vertex| {
            let fields = vertex.fields.iter().flat_map(|field| field.value.paths());
            let each = vertex.each.iter().map(|each| &each.of);
            vertex.id.paths().chain(fields).chain(each)
        });
        let edges = self.edges.iter().flat_map(|edge| {
            let fields = edge.fields.iter().flat_map(|field| field.value.paths());
            let each = edge.each.iter().map(|each| &each.of);
            edge.from
                .paths()
                .chain(edge.to.paths())
                .chain(fields)
                .chain(each)
        });
        vertices.chain(edges).filter(|path| !path.of_element)
    }
}

/// Matches a name with a pattern, in time that grows with the product of their lengths at most.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at = at.saturating_add(1);
            }
            Some(c) if *c == b'?' || Some(c) == name.get(of) => {
                at = at.saturating_add(1);
                of = of.saturating_add(1);
            }
            _ => {
                let Some((back, taken)) = star else {
                    return false;
                };
                at = back.saturating_add(1);
                of = taken.saturating_add(1);
                star = Some((back, of));
            }
        }
    }
    pattern
        .get(at..)
        .unwrap_or_default()
        .iter()
        .all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, is) in [
            ("*.csv", "a.csv", true),
            ("*.csv*", "a.csv.gz", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xaxbxb", true),
            ("*.csv", "a.json", false),
            ("", "", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                is,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let good = "mappings:\n- files: '*.csv'\n  vertices:\n  - collection: asset\n    id: '{id}'\n    fields:\n      name: '{name}'\n";
        assert!(
            MappingFile::parse(good).is_ok(),
            "{:?}",
            MappingFile::parse(good)
        );
        for (from, to, line, says) in [
            (
                "collection: asset",
                "collection: assets",
                4,
                "no vertex collection `assets`",
            ),
            (
                "collection: asset",
                "collection: asset_ipaddress",
                4,
                "no vertex collection",
            ),
            ("id: '{id}'", "id: '{id'", 5, "does not close"),
            (
                "      name: '{name}'",
                "      risk: '{name}'",
                4,
                "needs the field `name`",
            ),
            ("  vertices", "  vertexes", 3, "unknown field"),
            ("files: '*.csv'", "files: [", 2, ""),
        ] {
            let error = MappingFile::parse(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(says), "{error}");
            assert!(error.contains(&format!("line {line}")), "{line}: {error}");
        }
    }
}
