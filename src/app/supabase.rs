//! The doors of Supabase Realtime: its socket, and broadcasts over HTTP.
//!
//! Who opens a socket has a key, in the header `x-api-key` or as `?apikey=`; over HTTP it is in the header `apikey`, with a token in
//! `Authorization`. What is refused is said as the clients expect it: `{ "error" }` where there is no socket, `{ "message" }` or `{ "errors" }`
//! where there is no broadcast.

use poem::http::{Method, StatusCode, header};
use poem::web::websocket::WebSocket;
use poem::web::{Data, Json};
use poem::{Body, IntoResponse as _, Request, Response, handler};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::sockets::{Doors, config};
use crate::auth::{AuthError, Role};
use crate::realtime::loopback::Unanswered;
use crate::realtime::marks::RESUME_ID_MAX;
use crate::realtime::phoenix::frames::{Sent, Version};
use crate::realtime::phoenix::join::CHAT;
use crate::realtime::phoenix::keys::refusal;
use crate::realtime::phoenix::{Opening, content};
use crate::realtime::somebody::Somebody;

/// Broadcasts that one request sends.
const BATCH_MAX: usize = 100;
/// What carries bytes.
const BYTES: &str = "application/octet-stream";

/// `/realtime/v1/websocket` and `/socket/websocket`.
#[handler]
pub async fn socket(doors: Data<&Doors>, request: &Request, socket: WebSocket) -> Response {
    let said = |status, error: &str| Json(json!({ "error": error })).with_status(status).into_response();
    let query = Query::of(request);
    let Some(version) = Version::named(query.get("vsn")) else {
        return said(StatusCode::BAD_REQUEST, "vsn is 1.0.0 or 2.0.0");
    };
    let resume = query.get("resume_id").filter(|id| !id.is_empty());
    if resume.is_some_and(|id| id.chars().count() > RESUME_ID_MAX) {
        return said(StatusCode::BAD_REQUEST, &format!("resume_id has at most {RESUME_ID_MAX} characters"));
    }
    let key = key(request, &query);
    let somebody = match doors.phoenix.keys.of_key(&key).await {
        Ok(somebody) => somebody,
        Err(error) => return said(status_of(error), &refusal(error).1),
    };
    let stranger = if somebody.identity.role == Role::Anon { doors.phoenix.registry.admit().map(Some) } else { Some(None) };
    let Some(stranger) = stranger.filter(|_| doors.phoenix.registry.has_room_for(&somebody.identity)) else {
        return said(StatusCode::TOO_MANY_REQUESTS, "Too many connected users");
    };
    let opening = Opening { version, key, somebody, resume: resume.map(str::to_owned), stranger };
    let (phoenix, open) = (doors.phoenix.clone(), doors.open.clone());
    socket.config(config()).on_upgrade(move |socket| open.track_future(phoenix.serve(socket, opening))).into_response()
}

/// Several broadcasts: where one is refused, those after it are not sent.
#[derive(Deserialize)]
struct Batch {
    messages: Vec<Message>,
}

/// One of them. Every topic is authorised, also one that is not said to be private.
#[derive(Deserialize)]
struct Message {
    topic: String,
    event: String,
    payload: Value,
}

/// `POST …/api/broadcast`.
#[handler]
pub async fn broadcasts(doors: Data<&Doors>, request: &Request, body: Body) -> Response {
    let somebody = match who(&doors, request).await {
        Ok(somebody) => somebody,
        Err(refusal) => return refusal,
    };
    let batch: Batch = match body.into_json().await {
        Ok(batch) => batch,
        Err(_) => return unfit("messages", "is a list of { topic, event, payload }"),
    };
    if batch.messages.len() > BATCH_MAX {
        let message = "Too many messages to broadcast, please reduce the batch size";
        return failed(StatusCode::TOO_MANY_REQUESTS, message);
    }
    let Some(chats) = batch.messages.iter().map(|message| chat_of(&message.topic)).collect::<Option<Vec<Uuid>>>() else {
        return unfit("topic", "is chat:<id of a chat>");
    };
    for (chat, Message { event, payload, .. }) in chats.into_iter().zip(batch.messages) {
        if let Err(refusal) = send(&doors, &somebody, chat, &event, Sent::Json(payload)).await {
            return refusal;
        }
    }
    StatusCode::ACCEPTED.into()
}

/// `POST …/api/broadcast/:topic/events/:event`: the body is what is broadcast.
#[handler]
pub async fn broadcast(doors: Data<&Doors>, request: &Request, body: Body) -> Response {
    let somebody = match who(&doors, request).await {
        Ok(somebody) => somebody,
        Err(refusal) => return refusal,
    };
    let Ok((topic, event)) = request.path_params::<(String, String)>() else { return unfit("topic", "is a text") };
    let Some(chat) = chat_of(&topic) else { return unfit("topic", "is chat:<id of a chat>") };
    if Query::of(request).0.iter().any(|(name, _)| name.starts_with("persist")) {
        return unfit("persist", "is not available: broadcasts are not kept");
    }
    let kind = request.content_type().unwrap_or_default();
    let sent = match body.into_vec().await {
        Ok(bytes) if kind.starts_with(BYTES) => Sent::Bytes(bytes),
        Ok(text) if kind.starts_with("application/json") => match serde_json::from_slice(&text) {
            Ok(payload) => Sent::Json(payload),
            Err(_) => return unfit("payload", "is JSON"),
        },
        Ok(_) => return failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type"),
        Err(_) => return failed(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    match send(&doors, &somebody, chat, &event, sent).await {
        Ok(()) => StatusCode::ACCEPTED.into(),
        Err(refusal) => refusal,
    }
}

/// Asks the API, which decides who may.
async fn send(doors: &Doors, somebody: &Somebody, chat: Uuid, event: &str, sent: Sent) -> Result<(), Response> {
    let (path, body) = (format!("/chats/{chat}/broadcasts"), content(event, sent));
    match doors.phoenix.api.ask(&somebody.bearer, Method::POST, &path, Some(&body)).await {
        Ok(_) => Ok(()),
        Err(Unanswered { status: StatusCode::UNPROCESSABLE_ENTITY, problem }) => {
            Err(Json(json!({ "errors": { "message": [problem["title"]] } }))
                .with_status(StatusCode::UNPROCESSABLE_ENTITY)
                .into_response())
        }
        Err(Unanswered { status, problem }) => {
            Err(failed(status, problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("Unauthorized")))
        }
    }
}

/// Who sends: the bearer of the token, or whoever has the key.
async fn who(doors: &Doors, request: &Request) -> Result<Somebody, Response> {
    let key = key(request, &Query::of(request));
    let bearer = request.header(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let keys = &doors.phoenix.keys;
    let somebody = match token {
        Some(token) => keys.of_token(token, &key).await,
        None => keys.of_key(&key).await,
    };
    somebody.map_err(|error| failed(status_of(error), "Unauthorized"))
}

/// The key, wherever it is.
fn key(request: &Request, query: &Query) -> String {
    let header = request.header("x-api-key").or_else(|| request.header("apikey"));
    header.or_else(|| query.get("apikey")).unwrap_or_default().to_owned()
}

fn chat_of(topic: &str) -> Option<Uuid> {
    topic.strip_prefix(CHAT)?.parse().ok()
}

fn status_of(error: AuthError) -> StatusCode {
    if error == AuthError::KeysUnavailable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED }
}

fn unfit(field: &str, why: &str) -> Response {
    Json(json!({ "errors": { field: [why] } })).with_status(StatusCode::UNPROCESSABLE_ENTITY).into_response()
}

fn failed(status: StatusCode, message: &str) -> Response {
    Json(json!({ "message": message })).with_status(status).into_response()
}

/// What stands behind the question mark.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(request: &Request) -> Self {
        Self(request.params().unwrap_or_default())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}
