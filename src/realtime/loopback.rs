//! The API, as sockets use it: what a frame asks for is a request like any other, with the same rules, problems, audit and figures.

use std::sync::{Arc, OnceLock};

use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode, header};
use poem::{Body, Endpoint as _, Request, Response};
use serde_json::{Value, json};

/// The longest answer that is read, in bytes: a page of messages of the longest text.
const ANSWER_MAX: usize = 64 << 20;

/// The server's own endpoint; set once it is whole. Cheap to clone.
#[derive(Clone, Default)]
pub struct Loopback(Arc<OnceLock<Arc<BoxEndpoint<'static, Response>>>>);

/// The API answered otherwise than hoped: its status, and its problem document.
#[derive(Debug)]
pub struct Unanswered {
    pub status: StatusCode,
    pub problem: Value,
}

impl Unanswered {
    fn new(status: StatusCode, problem: Value) -> Self {
        let problem = if problem.is_object() { problem } else { json!({ "status": status.as_u16(), "code": "unavailable" }) };
        Self { status, problem }
    }

    /// As the API would have said it.
    pub fn of(status: StatusCode, code: &str, detail: &str) -> Self {
        let kind = format!("urn:tabletalk:problem:{code}");
        let problem = json!({ "type": kind, "title": detail, "status": status.as_u16(), "detail": detail, "code": code });
        Self { status, problem }
    }

    /// The same, of what is not even a request.
    pub fn malformed(detail: &str) -> Self {
        Self::of(StatusCode::BAD_REQUEST, "request_is_malformed", detail)
    }

    /// Whether the same may be answered in a moment.
    pub fn is_passing(&self) -> bool {
        self.status.is_server_error()
    }

    /// Whether it is that they do not read what they asked about.
    pub fn is_refusal(&self) -> bool {
        matches!(self.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
    }
}

impl Loopback {
    /// Gives it the endpoint that it leads to.
    pub fn set(&self, endpoint: Arc<BoxEndpoint<'static, Response>>) {
        let _ = self.0.set(endpoint);
    }

    /// Asks as the bearer of a token. An answer without a body is null.
    ///
    /// # Errors
    /// With what the API answered, if that is not a success.
    pub async fn ask(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Unanswered> {
        let away = || Unanswered::new(StatusCode::SERVICE_UNAVAILABLE, Value::Null);
        let endpoint = self.0.get().ok_or_else(away)?;
        let uri: poem::http::Uri = path.parse().map_err(|_| Unanswered::new(StatusCode::BAD_REQUEST, Value::Null))?;
        let mut request = Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, format!("Bearer {token}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.map_or_else(Body::empty, |body| Body::from_string(body.to_string())));
        let mut answer = endpoint.call(request).await.map_err(|error| Unanswered::new(error.status(), Value::Null))?;
        let status = answer.status();
        let text = answer.take_body().into_bytes_limit(ANSWER_MAX).await.map_err(|_| away())?;
        let value = serde_json::from_slice(&text).unwrap_or(Value::Null);
        if status.is_success() { Ok(value) } else { Err(Unanswered::new(status, value)) }
    }
}
