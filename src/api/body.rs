//! A request's body: JSON, read strictly.
//!
//! poem-openapi's own reader takes a number where a text is due and does not say which field is wrong. This one leaves it to serde,
//! which does neither; the schema in the document stays that of the type.

use poem::{Request, RequestBody};
use poem_openapi::error::ContentTypeError;
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::{MaybeUndefined, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::DeserializeOwned;

use crate::error;

const MEDIA_TYPE: &str = "application/json";

/// A JSON body of type `T`.
pub struct Body<T>(pub T);

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(request: &'a Request, body: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        let content_type = request.content_type().ok_or(ContentTypeError::ExpectContentType)?;
        // parameters such as a charset change nothing: JSON is UTF-8 (RFC 8259 §8.1)
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(ContentTypeError::NotSupported { content_type: content_type.to_owned() }.into());
        }
        let bytes = <Vec<u8> as poem::FromRequest>::from_request(request, body).await?;
        if bytes.is_empty() {
            return Err(error::invalid("", "the body is empty, and this needs a JSON object").into());
        }
        // serde would read a list as the fields in their order
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(error::invalid("", "the body is a list, and this needs a JSON object").into());
        }
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let (mut pointer, message) = (pointer(error.path()), error.into_inner().to_string());
            if let Some((missing, _)) = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                pointer = format!("{pointer}/{missing}");
            }
            error::invalid(&pointer, &message)
        })?;
        reader.end().map_err(|error| error::invalid("", &error.to_string()))?;
        Ok(Self(value))
    }
}

/// Whether a field was given, and what was given: null clears.
pub fn given<T>(field: MaybeUndefined<T>) -> (bool, Option<T>) {
    match field {
        MaybeUndefined::Undefined => (false, None),
        MaybeUndefined::Null => (true, None),
        MaybeUndefined::Value(value) => (true, Some(value)),
    }
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}
