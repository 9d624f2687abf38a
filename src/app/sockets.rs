//! The doors to sockets: whose token it is, before anything is upgraded.
//!
//! Threat: a page of somebody else's that opens a socket with what the browser holds. There are no cookies, so it would need a token; and
//! a browser says which page it is: who is not listed is refused in front of all paths, these among them.

use poem::http::{HeaderMap, StatusCode, header};
use poem::web::Data;
use poem::web::sse::SSE;
use poem::web::websocket::{WebSocket, WebSocketConfig};
use poem::{IntoResponse as _, Request, Response, handler};
use tokio_util::task::TaskTracker;

use crate::api::caller::refusal;
use crate::auth::Identity;
use crate::error::{ApiError, Problem, invalid};
use crate::realtime::native::Native;
use crate::realtime::phoenix::Phoenix;
use crate::realtime::pusher::Pusher;
use crate::realtime::socket::FRAME_MAX;
use crate::realtime::sse::{self, HEARTBEAT, Streams, What};

/// What each socket reads at once, in bytes: the default of 128 KiB would be held by every idle one.
const READ_BUFFER: usize = 1_024;
/// What waits to be written at most, in bytes, before it is waited for.
const WRITE_BUFFER: usize = 4 * 1_024;
const WRITE_BUFFER_MAX: usize = 4 << 20;
/// The subprotocol that carries a token beside it, for browsers: they can set no header.
const BEARER: &str = "bearer";

/// What the doors need to know.
#[derive(Clone)]
pub struct Doors {
    pub native: Native,
    pub streams: Streams,
    pub phoenix: Phoenix,
    pub pusher: Pusher,
    /// Those that are open: waited for when the server stops, so that each hears why.
    pub open: TaskTracker,
}

/// `/ws`: the native protocol. The token is in the header `Authorization`, in the subprotocols (`bearer, <token>`), or in `?token=`.
#[handler]
pub async fn native(doors: Data<&Doors>, request: &Request, socket: WebSocket) -> Response {
    let (identity, token) = match enter(&doors, request).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal.into_response(),
    };
    let (native, open) = (doors.native.clone(), doors.open.clone());
    socket
        .protocols([BEARER])
        .config(config())
        .on_upgrade(move |socket| open.track_future(native.serve(socket, identity, token)))
        .into_response()
}

/// How every socket reads and writes.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER_MAX)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX))
}

/// `/chats/{chatId}/stream` and `/stream`: server-sent events. The token is in the header `Authorization` or in `?token=`, where to go on from
/// in `Last-Event-ID` or `?since=`.
#[handler]
pub async fn stream(doors: Data<&Doors>, request: &Request) -> Response {
    let (identity, token) = match enter(&doors, request).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal.into_response(),
    };
    let place = place(request);
    let wrong = |name| {
        invalid(name, "this is not the id of an event of this stream; without it, it tells what happens from now on")
            .into_response()
    };
    let what = match (request.raw_path_param("chatId"), place) {
        (None, Some((name, since))) if !sse::is_position(since) => return wrong(name),
        (None, place) => What::All { since: place.map(|(_, since)| since.to_owned()) },
        (Some(chat), place) => {
            let Ok(chat) = chat.parse() else { return invalid("chatId", "this is not a UUID").into_response() };
            let since = match place.map(|(name, since)| since.parse().map_err(|_| name)).transpose() {
                Ok(since) => since,
                Err(name) => return wrong(name),
            };
            if let Some(refusal) = doors.streams.refusal(chat, &token).await {
                return Response::builder()
                    .status(refusal.status)
                    .content_type("application/problem+json")
                    .body(refusal.problem.to_string());
            }
            What::Chat { chat, since }
        }
    };
    let mut events = doors.streams.begin(what, identity, token);
    SSE::new(futures_util::stream::poll_fn(move |context| events.poll_recv(context))).keep_alive(HEARTBEAT).into_response()
}

/// From where to go on, and what says so. A browser that comes back says it in the header, whatever it began with.
fn place(request: &Request) -> Option<(&'static str, &str)> {
    let last = request.header("last-event-id").filter(|last| !last.is_empty()).map(|last| ("Last-Event-ID", last));
    let query = request.uri().query().unwrap_or_default();
    last.or_else(|| query.split('&').find_map(|pair| pair.strip_prefix("since=")).map(|since| ("since", since)))
}

async fn enter(doors: &Doors, request: &Request) -> Result<(Identity, String), ApiError> {
    let token = token(request.headers(), request.uri().query().unwrap_or_default()).unwrap_or_default();
    let identity = doors.native.authenticator.verify(&token).await.map_err(refusal)?;
    if !doors.native.registry.has_room_for(&identity) {
        let detail = "nobody has more sockets and streams at once";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_connections", detail).into());
    }
    Ok((identity, token))
}

/// The token, wherever it is.
pub(super) fn token(headers: &HeaderMap, query: &str) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(token) = text(header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER))
    {
        return Some(token.1.trim().to_owned());
    }
    let mut protocols = text(header::SEC_WEBSOCKET_PROTOCOL).into_iter().flat_map(|value| value.split(',').map(str::trim));
    if protocols.find(|protocol| *protocol == BEARER).is_some()
        && let Some(token) = protocols.next()
    {
        return Some(token.to_owned());
    }
    query.split('&').find_map(|pair| pair.strip_prefix("token=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: header::HeaderName, value: &str, query: &str) -> Option<String> {
        token(&HeaderMap::from_iter([(name, value.parse().unwrap())]), query)
    }

    #[test]
    fn a_token_is_found_wherever_it_may_be() {
        assert_eq!(found(header::AUTHORIZATION, "Bearer t1", "token=t2").as_deref(), Some("t1"));
        assert_eq!(found(header::SEC_WEBSOCKET_PROTOCOL, "bearer, t1", "").as_deref(), Some("t1"));
        assert_eq!(found(header::SEC_WEBSOCKET_PROTOCOL, "other", "a=b&token=t2").as_deref(), Some("t2"));
        assert_eq!(found(header::SEC_WEBSOCKET_PROTOCOL, "bearer", ""), None);
    }
}
