//! A response's body: JSON, written straight from the type.
//!
//! poem-openapi's own writer first makes a tree of values, a thousand small allocations for a page of messages, which was most of what the
//! server itself spent on one. This one leaves it to serde; the schema in the document stays that of the type, and debug builds compare
//! what the two write.

use poem::http::header;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use serde::Serialize;

use crate::error::ApiError;

/// A JSON body of type `T`.
pub struct Answer<T>(pub T);

impl<T: Type> Payload for Answer<T> {
    const CONTENT_TYPE: &'static str = Json::<T>::CONTENT_TYPE;

    fn check_content_type(content_type: &str) -> bool {
        Json::<T>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ToJSON + Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(body) => {
                debug_assert_eq!(body, self.0.to_json_string(), "the document's type and the answer's are the same");
                Response::builder().header(header::CONTENT_TYPE, Self::CONTENT_TYPE).body(body)
            }
            Err(error) => ApiError::from(error).into_response(),
        }
    }
}

impl<T: ToJSON + Serialize> ApiResponse for Answer<T> {
    fn meta() -> MetaResponses {
        Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}
