//! The API, as sockets use it: what a frame asks for is a request like any other, with the same rules, problems, audit and figures.

use std::sync::{Arc, OnceLock};

use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode, header};
use poem::{Body, Endpoint as _, Request, Response};
use serde_json::Value;

/// The longest answer that is read, in bytes: 500 messages of the longest text.
const ANSWER_MAX: usize = 64 << 20;

/// The server's own endpoint; set once it is whole. Cheap to clone.
#[derive(Clone, Default)]
pub struct Loopback(Arc<OnceLock<Arc<BoxEndpoint<'static, Response>>>>);

impl Loopback {
    /// Gives it the endpoint that it leads to.
    pub fn set(&self, endpoint: Arc<BoxEndpoint<'static, Response>>) {
        let _ = self.0.set(endpoint);
    }

    /// Asks as the bearer of a token. An answer without JSON is null.
    pub async fn ask(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let (status, text) = self.ask_text(token, method, path, body).await;
        (status, serde_json::from_slice(&text).unwrap_or(Value::Null))
    }

    /// The same, with the answer as it is written.
    pub async fn ask_text(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Vec<u8>) {
        let Some(endpoint) = self.0.get() else { return (StatusCode::SERVICE_UNAVAILABLE, Vec::new()) };
        let Ok(uri) = path.parse() else { return (StatusCode::BAD_REQUEST, Vec::new()) };
        let mut request = Request::builder().method(method).uri(uri).header(header::AUTHORIZATION, format!("Bearer {token}"));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.map_or_else(Body::empty, |body| Body::from_string(body.to_string())));
        match endpoint.call(request).await {
            Ok(mut answer) => {
                let status = answer.status();
                let text = answer.take_body().into_bytes_limit(ANSWER_MAX).await;
                (status, text.map(|text| text.to_vec()).unwrap_or_default())
            }
            Err(error) => (error.status(), Vec::new()),
        }
    }
}
