//! What the web framework refuses in its own words, said in ours: a problem document that names what was wrong and where.
//!
//! It knows the paths of the document, and so the names of their parameters and the methods that each has.

use std::sync::Arc;

use poem::error::CorsError;
use poem::http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use poem::http::{HeaderValue, StatusCode};
use poem::{Endpoint, Error, IntoResponse, Middleware, Request, Response};
use poem_openapi::OperationId;
use poem_openapi::error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError};
use poem_openapi::types::ToJSON as _;
use serde_json::Value;

use crate::error::{self, ApiError, Problem};

/// The paths of the document. Cheap to clone.
#[derive(Clone)]
pub struct Paths(Arc<[PathItem]>);

struct PathItem {
    segments: Vec<String>,
    methods: String,
}

impl Paths {
    /// Reads them from the document.
    pub fn of(document: &str) -> Self {
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        let items = document["paths"].as_object().into_iter().flatten().map(|(path, item)| PathItem {
            segments: path.split('/').map(str::to_owned).collect(),
            methods: item
                .as_object()
                .into_iter()
                .flatten()
                .map(|(method, _)| method.to_uppercase())
                .collect::<Vec<_>>()
                .join(", "),
        });
        Self(items.collect())
    }

    fn find(&self, path: &str) -> Option<&PathItem> {
        let segments: Vec<&str> = path.split('/').collect();
        self.0.iter().find(|item| {
            item.segments.len() == segments.len()
                && item.segments.iter().zip(&segments).all(|(ours, theirs)| ours.starts_with('{') || ours == theirs)
        })
    }
}

impl PathItem {
    /// The name of a parameter that the framework calls `param0`, `param1` …
    fn parameter(&self, name: &str) -> Option<&str> {
        let index: usize = name.strip_prefix("param")?.parse().ok()?;
        let name = self.segments.iter().filter(|segment| segment.starts_with('{')).nth(index)?;
        Some(name.trim_matches(['{', '}']))
    }
}

/// Answers with a problem where the endpoint fails.
pub struct InOurWords(pub Paths);

impl<E: Endpoint> Middleware<E> for InOurWords {
    type Output = Spoken<E>;

    fn transform(&self, endpoint: E) -> Spoken<E> {
        Spoken { endpoint, paths: self.0.clone() }
    }
}

/// An endpoint that speaks our words.
pub struct Spoken<E> {
    endpoint: E,
    paths: Paths,
}

impl<E: Endpoint> Endpoint for Spoken<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let path = request.uri().path().to_owned();
        let error = match self.endpoint.call(request).await {
            Ok(response) => return Ok(response.into_response()),
            Err(error) => error,
        };
        let operation = error.data::<OperationId>().copied();
        let item = self.paths.find(&path);
        let mut response = if error.is_from_response() { error.into_response() } else { said(&error, item) };
        if response.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && let Some(methods) = item.and_then(|item| HeaderValue::from_str(&item.methods).ok())
        {
            // RFC 9110 §15.5.6
            response.headers_mut().insert(ALLOW, methods);
        }
        if let Some(operation) = operation {
            response.set_data(operation);
        }
        Ok(response)
    }
}

fn said(error: &Error, item: Option<&PathItem>) -> Response {
    let status = error.status();
    let said: ApiError = if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
        error::invalid(name, &plainly(reason))
    } else if let Some(ParsePathError { name, reason }) = error.downcast_ref() {
        error::invalid(item.and_then(|item| item.parameter(name)).unwrap_or(name), &plainly(reason))
    } else if error.is::<AuthorizationError>() {
        Problem::new(StatusCode::UNAUTHORIZED, "token_missing", "this needs a token: Authorization: Bearer <JWT>").into()
    } else if error.is::<ContentTypeError>() {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body_is_not_json", "send JSON: Content-Type: application/json").into()
    } else if error.is::<CorsError>() {
        return rare(&Problem::new(status, "origin_not_allowed", "pages of this origin may not do this; see TABLETALK_ORIGINS"));
    } else {
        match status.as_u16() {
            400 => Problem::new(status, "request_is_invalid", error.to_string()).into(),
            404 => Problem::new(status, "path_not_found", "nothing is at this path; /openapi.json lists what there is").into(),
            405 => return rare(&Problem::new(status, "method_not_allowed", "not with this method; /openapi.json lists them")),
            408 => return rare(&Problem::new(status, "body_is_too_slow", "the body did not arrive in time")),
            413 => Problem::new(status, "body_is_too_long", "the body is longer than this server reads").into(),
            code if status.is_client_error() => return rare(&Problem::new(status, &format!("http_{code}"), error.to_string())),
            _ => error::fault(&error.to_string()),
        }
    };
    said.into_response()
}

/// A problem of a status that no operation documents.
fn rare(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Response::builder().status(status).header(CONTENT_TYPE, "application/problem+json").body(problem.to_json_string())
}

/// A reason without the framework's names for types and validators.
fn plainly(reason: &str) -> String {
    let reason = reason.split(" (occurred while parsing").next().unwrap_or(reason);
    let reason = match reason.strip_prefix("failed to parse \"") {
        Some(rest) => rest.split_once("\": ").map_or(reason, |(_, why)| why),
        None => reason,
    };
    let Some(broken) = reason.strip_prefix("verification failed. ") else { return reason.to_owned() };
    let bound: String = broken.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    match broken.split('(').next() {
        Some("minimum") => format!("it is at least {bound}"),
        Some("maximum") => format!("it is at most {bound}"),
        Some("minLength") => format!("it has at least {bound} characters"),
        Some("maxLength") => format!("it has at most {bound} characters"),
        _ => broken.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Paths, plainly};

    #[test]
    fn a_parameter_is_called_what_the_document_calls_it() {
        let paths = Paths::of(r#"{ "paths": { "/chats/{chatId}/messages/{messageId}": { "get": {}, "patch": {} } } }"#);
        let item = paths.find("/chats/7/messages/8").unwrap();
        assert_eq!(item.parameter("param1"), Some("messageId"));
        assert_eq!(item.methods, "GET, PATCH");
        assert!(paths.find("/chats/7").is_none());
    }

    #[test]
    fn reasons_are_said_plainly() {
        for (theirs, ours) in [
            ("verification failed. maximum(200, exclusive: false)", "it is at most 200"),
            ("verification failed. minLength(1)", "it has at least 1 characters"),
            ("failed to parse \"string_uuid\": invalid character", "invalid character"),
            ("failed to parse \"uint32\": invalid digit (occurred while parsing \"optional_uint32\")", "invalid digit"),
        ] {
            assert_eq!(plainly(theirs), ours);
        }
    }
}
