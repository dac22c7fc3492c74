//! The checks as visitors: each looks at a value while the parser passes it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{FieldRule, Fields, Rules, Type};

/// Checks a row while it is parsed; returns the fields that it has.
pub(super) struct RowCheck<'a>(pub(super) &'a Rules);

impl<'de> DeserializeSeed<'de> for RowCheck<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowCheck<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut present: Fields = 0;
        while let Some(Name(name)) = map.next_key()? {
            match self.0.fields.get(name.as_ref()) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some((index, rule)) => {
                    let bit = 1 << index;
                    if present & bit != 0 {
                        return Err(de::Error::custom(format_args!("`{name}` is there twice")));
                    }
                    present |= bit;
                    if let Err(reason) = map.next_value_seed(FieldCheck(rule))? {
                        return Err(de::Error::custom(format_args!("`{name}` {reason}")));
                    }
                }
            }
        }
        Ok(present)
    }
}

/// A field's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> de::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Checks one value. A value that breaks the rule is an inner error: the outer one is for text
/// that is not JSON.
struct FieldCheck<'a>(&'a FieldRule);

type Verdict = Result<(), String>;

impl<'de> DeserializeSeed<'de> for FieldCheck<'_> {
    type Value = Verdict;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Verdict, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldCheck<'_> {
    type Value = Verdict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Verdict, E> {
        Ok(self.0.text(text))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "limits are floating-point numbers"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Verdict, E> {
        Ok(self.0.number(value as f64, true))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "limits are floating-point numbers"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<Verdict, E> {
        Ok(self.0.number(value as f64, true))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Verdict, E> {
        Ok(self.0.number(value, value.fract() == 0.0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Verdict, E> {
        Ok(self.0.expect(Type::Boolean))
    }

    fn visit_unit<E>(self) -> Result<Verdict, E> {
        Ok(match self.0.ty {
            None => Ok(()),
            Some(ty) => Err(format!("must be {}, is null", ty.expected())),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Verdict, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.0.expect(Type::Object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Verdict, A::Error> {
        let texts = FieldRule {
            ty: Some(Type::Text),
            ..FieldRule::default()
        };
        let mut verdict = self.0.expect(Type::List);
        if self.0.ty == Some(Type::Texts) {
            while let Some(element) = seq.next_element_seed(FieldCheck(&texts))? {
                if element.is_err() && verdict.is_ok() {
                    verdict = Err("must be a list of strings, one element is none".to_owned());
                }
            }
        } else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(verdict)
    }
}
