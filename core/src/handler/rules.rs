//! One collection's part of the import schema, compiled to be checked in one pass over the bytes.
//!
//! The schemas that services send use a small part of JSON Schema. That part is checked here
//! while the row is parsed, without building a tree; a schema that uses more is left to the
//! `jsonschema` crate. Tests prove that both judge alike.

mod check;

use fancy_regex::Regex;
use serde::de::DeserializeSeed;
use serde_json::Value;

use self::check::RowCheck;
use super::hash::QuickMap;

/// Keywords that assert something and that this module does not know. A schema with one of them
/// is not compiled here.
const OTHER_ASSERTIONS: &[&str] = &[
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "if",
    "maxContains",
    "maxItems",
    "maxProperties",
    "minContains",
    "minItems",
    "minProperties",
    "multipleOf",
    "not",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];

/// Most fields that a set of fields can hold.
const MOST_FIELDS: usize = 128;

/// A set of fields of a collection, by their position in the rules.
type Fields = u128;

/// What the rows of one collection must be like.
#[derive(Debug)]
pub(super) struct Rules {
    fields: QuickMap<Box<str>, (u32, FieldRule)>,
    required: Vec<(Box<str>, Fields)>,
    one_of: Vec<Fields>,
}

#[derive(Debug, Default)]
struct FieldRule {
    ty: Option<Type>,
    pattern: Option<Regex>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    message: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Number,
    Integer,
    Boolean,
    Object,
    List,
    Texts,
}

impl Type {
    const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a number",
            Self::Integer => "a whole number",
            Self::Boolean => "true or false",
            Self::Object => "an object",
            Self::List => "a list",
            Self::Texts => "a list of strings",
        }
    }
}

impl Rules {
    /// Compiles the schema of a collection's rows; `None` when it asks for more than is known
    /// here.
    pub(super) fn compile(items: &Value) -> Option<Self> {
        let schema = items.as_object()?;
        if schema
            .keys()
            .any(|key| OTHER_ASSERTIONS.contains(&key.as_str()))
            || schema.get("type").is_some_and(|ty| ty != "object")
            || schema
                .get("additionalProperties")
                .is_some_and(|more| *more != Value::Bool(true))
        {
            return None;
        }
        let mut fields = QuickMap::default();
        if let Some(properties) = schema.get("properties") {
            for (name, property) in properties.as_object()? {
                let index = u32::try_from(fields.len()).ok()?;
                fields.insert(name.as_str().into(), (index, FieldRule::compile(property)?));
            }
        }
        let mut required_names: Vec<&str> = Vec::new();
        if let Some(required) = schema.get("required") {
            for name in required.as_array()? {
                required_names.push(name.as_str()?);
            }
        }
        let mut groups: Vec<Vec<&str>> = Vec::new();
        if let Some(one_of) = schema.get("oneOf") {
            for group in one_of.as_array()? {
                let group = group.as_object()?;
                if group.keys().any(|key| key != "required") {
                    return None;
                }
                groups.push(
                    group
                        .get("required")?
                        .as_array()?
                        .iter()
                        .map(Value::as_str)
                        .collect::<Option<_>>()?,
                );
            }
        }
        // Names that are asked for without being described still need a place in the sets.
        for name in required_names.iter().chain(groups.iter().flatten()) {
            let index = u32::try_from(fields.len()).ok()?;
            fields
                .entry((*name).into())
                .or_insert((index, FieldRule::default()));
        }
        if fields.len() > MOST_FIELDS {
            return None;
        }
        let bit = |name: &str| fields.get(name).map_or(0, |(index, _)| 1 << index);
        let required = required_names
            .iter()
            .map(|name| ((*name).into(), bit(name)))
            .collect();
        let one_of = groups
            .iter()
            .map(|group| group.iter().fold(0, |set, name| set | bit(name)))
            .collect();
        Some(Self {
            fields,
            required,
            one_of,
        })
    }

    /// Checks a row; returns the fields that it has.
    pub(super) fn check(&self, json: &[u8]) -> Result<Present, String> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let fields = RowCheck(self)
            .deserialize(&mut deserializer)
            .and_then(|fields| deserializer.end().map(|()| fields))
            .map_err(|error| plain(&error))?;
        for (name, bit) in &self.required {
            if fields & bit == 0 {
                return Err(format!("`{name}` is missing"));
            }
        }
        let complete = self
            .one_of
            .iter()
            .filter(|group| fields & **group == **group)
            .count();
        if !self.one_of.is_empty() && complete != 1 {
            return Err(self.one_of_error(complete));
        }
        Ok(Present(fields))
    }

    /// Returns whether a row has a field.
    pub(super) fn has(&self, present: Present, name: &str) -> bool {
        self.fields
            .get(name)
            .is_some_and(|(index, _)| present.0 & (1 << index) != 0)
    }

    fn one_of_error(&self, complete: usize) -> String {
        let group = |set: Fields| {
            let mut names: Vec<&str> = self
                .fields
                .iter()
                .filter(|(_, (index, _))| set & (1 << index) != 0)
                .map(|(name, _)| name.as_ref())
                .collect();
            names.sort_unstable();
            format!("`{}`", names.join("` and `"))
        };
        let groups: Vec<String> = self.one_of.iter().map(|set| group(*set)).collect();
        let found = if complete == 0 {
            "none"
        } else {
            "more than one"
        };
        format!(
            "exactly one of {} must be there, {found} is",
            groups.join(" or ")
        )
    }
}

/// The fields that a row has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present(Fields);

/// Returns a message without the position that the parser adds: rows have one line.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

impl FieldRule {
    fn compile(property: &Value) -> Option<Self> {
        let schema = property.as_object()?;
        if schema
            .keys()
            .any(|key| OTHER_ASSERTIONS.contains(&key.as_str()) || key == "oneOf")
            || schema
                .get("additionalProperties")
                .is_some_and(|more| *more != Value::Bool(true))
            || schema
                .get("required")
                .is_some_and(|names| *names != Value::Array(Vec::new()))
            || schema
                .get("properties")
                .is_some_and(|inner| inner.as_object().is_none_or(|inner| !inner.is_empty()))
        {
            return None;
        }
        let ty = match schema.get("type") {
            None => None,
            Some(ty) => Some(match ty.as_str()? {
                "string" => Type::Text,
                "number" => Type::Number,
                "integer" => Type::Integer,
                "boolean" => Type::Boolean,
                "object" => Type::Object,
                "array" => match schema.get("items") {
                    None => Type::List,
                    Some(items) if is_plain_text(items) => Type::Texts,
                    Some(_) => return None,
                },
                _ => return None,
            }),
        };
        if schema.contains_key("items") && ty != Some(Type::Texts) {
            return None;
        }
        let limit = |name| match schema.get(name) {
            None => Some(None),
            Some(limit) => limit.as_f64().map(Some),
        };
        let length = |name| match schema.get(name) {
            None => Some(None),
            Some(limit) => limit.as_u64().map(Some),
        };
        let pattern = match schema.get("pattern") {
            None => None,
            Some(pattern) => Some(compile_pattern(pattern.as_str()?)?),
        };
        Some(Self {
            ty,
            pattern,
            min_length: length("minLength")?,
            max_length: length("maxLength")?,
            minimum: limit("minimum")?,
            maximum: limit("maximum")?,
            message: schema
                .get("error_message")
                .and_then(Value::as_str)
                .map(Into::into),
        })
    }

    fn expect(&self, found: Type) -> Result<(), String> {
        let fits = match self.ty {
            None => true,
            Some(Type::Texts) => found == Type::List,
            Some(Type::Number) => matches!(found, Type::Number | Type::Integer),
            Some(ty) => ty == found,
        };
        if fits {
            Ok(())
        } else {
            Err(self.wrong_type(found))
        }
    }

    fn wrong_type(&self, found: Type) -> String {
        let expected = self.ty.map_or("anything", Type::expected);
        format!("must be {expected}, is {}", found.expected())
    }

    fn text(&self, text: &str) -> Result<(), String> {
        self.expect(Type::Text)?;
        if self.min_length.is_some() || self.max_length.is_some() {
            let length = text.chars().count() as u64;
            if self.min_length.is_some_and(|min| length < min) {
                return Err(self.limit("is too short"));
            }
            if self.max_length.is_some_and(|max| length > max) {
                return Err(self.limit("is too long"));
            }
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(text).unwrap_or(false) => {
                Err(self.limit(&format!("does not match `{}`", pattern.as_str())))
            }
            _ => Ok(()),
        }
    }

    fn number(&self, value: f64, whole: bool) -> Result<(), String> {
        self.expect(if whole { Type::Integer } else { Type::Number })?;
        if self.minimum.is_some_and(|min| value < min) {
            return Err(self.limit("is too small"));
        }
        if self.maximum.is_some_and(|max| value > max) {
            return Err(self.limit("is too large"));
        }
        Ok(())
    }

    fn limit(&self, text: &str) -> String {
        match &self.message {
            Some(message) => format!("{text}: {message}"),
            None => text.to_owned(),
        }
    }
}

fn is_plain_text(items: &Value) -> bool {
    items.as_object().is_some_and(|items| {
        items.get("type").is_some_and(|ty| ty == "string")
            && items
                .keys()
                .all(|key| matches!(key.as_str(), "type" | "description"))
    })
}

/// Compiles a pattern that means the same here as in JSON Schema.
fn compile_pattern(pattern: &str) -> Option<Regex> {
    // The classes mean ASCII in one and Unicode in the other.
    if [r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\b", r"\B"]
        .iter()
        .any(|class| pattern.contains(class))
    {
        return None;
    }
    Regex::new(pattern).ok()
}
