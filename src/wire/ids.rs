//! A list of ids as a parameter of a query.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromParameter, ParseResult, Type};
use uuid::Uuid;

/// Ids in a query, at most `MAX`: the parameter is repeated, as generated clients do, or they are separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids<const MAX: usize = 200>(pub Vec<Uuid>);

impl<const MAX: usize> Type for Ids<MAX> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "ids".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let item = MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "uuid")));
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            items: Some(Box::new(item)),
            max_items: Some(MAX),
            ..MetaSchema::new("array")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<const MAX: usize> ParseFromParameter for Ids<MAX> {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Self::parse_from_parameters([value])
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(values: I) -> ParseResult<Self> {
        let mut ids = Vec::new();
        for value in values {
            for id in value.as_ref().split(',') {
                ids.push(id.parse().map_err(ParseError::custom)?);
            }
        }
        match ids.len() {
            0 => Err(ParseError::expected_input()),
            1.. if ids.len() <= MAX => Ok(Self(ids)),
            count => Err(ParseError::custom(format!("there are {count} ids, and {MAX} are the most"))),
        }
    }
}
