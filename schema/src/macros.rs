//! One table per collection, from which both the typed row and its description are made.
//!
//! Written once, a collection cannot have a struct that disagrees with its schema.

/// Maps a field type of the table to the Rust type of the struct.
macro_rules! rust_type {
    (Text) => { String };
    (Number) => { f64 };
    (Integer) => { i64 };
    (Boolean) => { bool };
    (Object) => { $crate::Object };
    (Texts) => { Vec<String> };
}

/// Maps a field type of the table to what a constructor takes for it.
macro_rules! argument_type {
    (Text) => { impl Into<String> };
    (Number) => { impl Into<f64> };
    (Integer) => { impl Into<i64> };
    (Boolean) => { impl Into<bool> };
}

/// Makes one [`Field`](crate::Field) of a collection's table.
macro_rules! field {
    ($name:expr, $ty:ident, $required:expr, [$($doc:literal)*] $(, $option:ident $(= $value:expr)?)*) => {{
        let description = concat!($($doc),*).trim_ascii();
        let field = $crate::Field::new($name, $crate::FieldType::$ty, description);
        let field = $crate::Field { required: $required, ..field };
        $( let field = field_option!(field, $option $(= $value)?); )*
        field
    }};
}

/// Returns a field with one option more, such as `indexed` or `minimum = 0.0`.
macro_rules! field_option {
    ($field:ident, indexed) => { $crate::Field { indexed: true, ..$field } };
    ($field:ident, pattern = $value:expr) => { field_option!($field, limit pattern $value.into()) };
    ($field:ident, error_message = $value:expr) => {
        field_option!($field, limit error_message $value.into())
    };
    ($field:ident, $limit:ident = $value:expr) => { field_option!($field, limit $limit $value) };
    ($field:ident, limit $limit:ident $value:expr) => {
        $crate::Field {
            limits: $crate::Limits { $limit: Some($value), ..$field.limits },
            ..$field
        }
    };
}

/// Writes a typed row as a JSON object without its empty fields, custom ones last.
macro_rules! serialize_row {
    ($self:ident, $serializer:ident, {$($key:expr => $value:expr),*}, required [$($required:ident),*], optional [$($optional:ident),*]) => {{
        use serde::ser::SerializeMap;
        let mut map = $serializer.serialize_map(None)?;
        $( map.serialize_entry($key, $value)?; )*
        $( map.serialize_entry(stringify!($required).trim_start_matches("r#"), &$self.$required)?; )*
        $( if let Some(value) = &$self.$optional {
            map.serialize_entry(stringify!($optional).trim_start_matches("r#"), value)?;
        } )*
        for (name, value) in &$self.custom {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }};
}

/// Declares a vertex collection: its struct and its [`Collection`](crate::Collection).
macro_rules! vertex {
    (
        $(#[doc = $doc:literal])*
        $name:ident = $collection:literal by $identity:ident ( $id:ident: $id_doc:literal $(, $id_option:ident $(= $id_value:expr)?)* );
        required { $( $(#[doc = $rdoc:literal])* $rname:ident: $rty:ident $(, $roption:ident $(= $rvalue:expr)?)*; )* }
        optional { $( $(#[doc = $odoc:literal])* $oname:ident: $oty:ident $(, $ooption:ident $(= $ovalue:expr)?)*; )* }
        $(one_of $groups:expr;)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            #[doc = $id_doc]
            pub $id: String,
            $( $(#[doc = $rdoc])* pub $rname: rust_type!($rty), )*
            $( $(#[doc = $odoc])* pub $oname: Option<rust_type!($oty)>, )*
            /// Tags to add to the vertex.
            pub tag: Option<Vec<String>>,
            /// Tags to take off the vertex.
            pub untag: Option<Vec<String>>,
            /// Fields of extensions, and custom ones, by their names on the wire.
            pub custom: $crate::Object,
        }

        impl $name {
            /// The name of the collection.
            pub const COLLECTION: &'static str = $collection;

            /// Makes a vertex with what the model requires of it.
            #[must_use]
            pub fn new($id: impl Into<String> $(, $rname: argument_type!($rty))*) -> Self {
                Self { $id: $id.into(), $( $rname: $rname.into(), )* ..Self::default() }
            }

            /// Sets a field that the core model does not have.
            #[must_use]
            pub fn with(mut self, field: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
                self.custom.insert(field.into(), value.into());
                self
            }

            pub(crate) fn describe() -> $crate::Collection {
                let collection = $crate::model::vertex(
                    $collection,
                    $crate::Identity::$identity,
                    concat!($($doc),*).trim_ascii(),
                    vec![
                        field!($crate::Identity::$identity.field(), Text, true, [$id_doc] $(, $id_option $(= $id_value)?)*),
                        $( field!(stringify!($rname).trim_start_matches("r#"), $rty, true, [$($rdoc)*] $(, $roption $(= $rvalue)?)*), )*
                        $( field!(stringify!($oname).trim_start_matches("r#"), $oty, false, [$($odoc)*] $(, $ooption $(= $ovalue)?)*), )*
                    ],
                );
                $( let collection = $crate::Collection {
                    one_of: $crate::model::groups($groups),
                    ..collection
                }; )?
                collection
            }
        }

        impl $crate::Row for $name {
            fn collection(&self) -> &str { $collection }
            fn key(&self) -> $crate::RowKey<'_> { $crate::RowKey::Vertex(&self.$id) }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serialize_row!(self, serializer, {$crate::Identity::$identity.field() => &self.$id},
                    required [$($rname),*], optional [$($oname,)* tag, untag])
            }
        }
    };
}

/// Declares an edge collection: its struct and its [`Collection`](crate::Collection).
macro_rules! edge {
    (
        $(#[doc = $doc:literal])*
        $name:ident = $collection:literal: $from:literal by $from_by:ident -> $to:literal by $to_by:ident
        { $( $(#[doc = $odoc:literal])* $oname:ident: $oty:ident; )* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name {
            /// External id or natural key of the vertex where the edge starts.
            pub from: String,
            /// External id or natural key of the vertex where the edge ends.
            pub to: String,
            $( $(#[doc = $odoc])* pub $oname: Option<rust_type!($oty)>, )*
            /// When the link came to be, in milliseconds since 1970.
            pub created: Option<f64>,
            /// When the link last changed, in milliseconds since 1970.
            pub modified: Option<f64>,
            /// Whether the link holds; the framework fills in `true`.
            pub active: Option<bool>,
            /// Fields of extensions, and custom ones, by their names on the wire.
            pub custom: $crate::Object,
        }

        impl $name {
            /// The name of the collection.
            pub const COLLECTION: &'static str = $collection;

            /// Makes an edge between two vertices.
            #[must_use]
            pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
                Self { from: from.into(), to: to.into(), ..Self::default() }
            }

            /// Sets a field that the core model does not have.
            #[must_use]
            pub fn with(mut self, field: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
                self.custom.insert(field.into(), value.into());
                self
            }

            pub(crate) fn describe() -> $crate::Collection {
                $crate::model::edge(
                    $collection,
                    ($from, $crate::Identity::$from_by),
                    ($to, $crate::Identity::$to_by),
                    concat!($($doc),*).trim_ascii(),
                    vec![ $( field!(stringify!($oname).trim_start_matches("r#"), $oty, false, [$($odoc)*]), )* ],
                )
            }
        }

        impl $crate::Row for $name {
            fn collection(&self) -> &str { $collection }
            fn key(&self) -> $crate::RowKey<'_> {
                $crate::RowKey::Edge { from: &self.from, to: &self.to }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use $crate::row_end::{EndValue, from_field, to_field};
                serialize_row!(self, serializer, {
                        from_field($crate::Identity::$from_by) => &EndValue::new($crate::Identity::$from_by, $from, &self.from),
                        to_field($crate::Identity::$to_by) => &EndValue::new($crate::Identity::$to_by, $to, &self.to)
                    },
                    required [], optional [$($oname,)* created, modified, active])
            }
        }
    };
}
