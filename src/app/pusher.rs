//! The doors of the Pusher protocol: its socket, and where the token of a header becomes a pass that the socket is shown.

use poem::web::websocket::WebSocket;
use poem::web::{Data, Form, Json};
use poem::{IntoResponse as _, Request, Response, handler};
use serde::{Deserialize, Serialize};

use super::sockets::{Doors, config, token};
use crate::api::caller::refusal;
use crate::error::{ApiError, fault};
use crate::realtime::loopback::Unanswered;
use crate::realtime::marks::RESUME_ID_MAX;
use crate::realtime::pusher::pass::Pass;
use crate::realtime::pusher::{Pusher, codes};
use crate::realtime::somebody::Somebody;

/// The longest id of a socket, and name of a channel, in bytes.
const NAME_MAX: usize = 200;

/// `/app/{key}`: the socket. Who names another application or protocol is told so on it, as clients expect.
#[handler]
pub fn socket(doors: Data<&Doors>, request: &Request, socket: WebSocket) -> Response {
    let key = request.raw_path_param("key").unwrap_or_default();
    let refusal = doors.pusher.refusal(key, request.uri().query().unwrap_or_default());
    let admitted = refusal.map_or_else(|| doors.pusher.registry.admit().ok_or(codes::FULL), Err);
    let (pusher, open) = (doors.pusher.clone(), doors.open.clone());
    let upgraded = socket.config(config()).on_upgrade(move |socket| {
        open.track_future(async move {
            match admitted {
                Err(closing) => Pusher::refuse(socket, closing).await,
                Ok(stranger) => pusher.serve(socket, stranger).await,
            }
        })
    });
    upgraded.into_response()
}

/// What a client asks to be let into.
#[derive(Deserialize)]
struct Asked {
    socket_id: String,
    channel_name: Option<String>,
    resume_id: Option<String>,
}

/// What it shows on its socket.
#[derive(Serialize)]
struct Answer {
    auth: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<String>,
}

/// `/pusher/auth`: a pass for one channel that they may hear; that is asked again when it is shown. Who may not is refused here, where clients can
/// try again: a channel that their socket refuses they hold to be on its way for as long as it is open.
#[handler]
pub async fn authorise(doors: Data<&Doors>, request: &Request, form: poem::Result<Form<Asked>>) -> Response {
    let answer = async {
        let Form(asked) = form.map_err(|_| malformed("the form has socket_id and channel_name"))?;
        let channel = asked.channel_name.as_deref().ok_or_else(|| malformed("the form has a channel_name"))?;
        let who = believed(&doors, request).await?;
        match doors.pusher.would_admit(&who, channel).await {
            // the socket asks again, and closes if that is not answered either: then the client comes back by itself
            Err(unanswered) if unanswered.is_passing() => {}
            answer => answer?,
        }
        let is_shown = channel.starts_with("presence-");
        let channel_data = if is_shown { Some(doors.pusher.profile(&who.bearer).await?.channel_data()) } else { None };
        let auth = sealed(&doors, &asked, who.bearer, channel_data.clone())?;
        Ok(Answer { auth, channel_data, user_data: None })
    };
    respond(answer.await)
}

/// `/pusher/user-auth`: a pass to sign in.
#[handler]
pub async fn authenticate(doors: Data<&Doors>, request: &Request, form: poem::Result<Form<Asked>>) -> Response {
    let answer = async {
        let Form(asked) = form.map_err(|_| malformed("the form has a socket_id"))?;
        let asked = Asked { channel_name: None, ..asked };
        let who = believed(&doors, request).await?;
        let user_data = doors.pusher.profile(&who.bearer).await?.user_data();
        let auth = sealed(&doors, &asked, who.bearer, Some(user_data.clone()))?;
        Ok(Answer { auth, channel_data: None, user_data: Some(user_data) })
    };
    respond(answer.await)
}

/// Why nothing is sealed.
enum Refused {
    /// It is nobody's token.
    Here(Box<ApiError>),
    /// The API said so, or would have.
    There(Unanswered),
}

impl From<Unanswered> for Refused {
    fn from(unanswered: Unanswered) -> Self {
        Self::There(unanswered)
    }
}

fn respond(answer: Result<Answer, Refused>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(Refused::Here(problem)) => (*problem).into_response(),
        Err(Refused::There(Unanswered { status, problem })) => {
            Response::builder().status(status).content_type("application/problem+json").body(problem.to_string())
        }
    }
}

/// Whose token it is, if it is somebody's.
async fn believed(doors: &Doors, request: &Request) -> Result<Somebody, Refused> {
    let token = token(request.headers(), "").unwrap_or_default();
    let somebody = Somebody::of_token(&doors.pusher.authenticator, &token).await;
    somebody.map_err(|error| Refused::Here(refusal(error).into()))
}

fn sealed(doors: &Doors, asked: &Asked, token: String, data: Option<String>) -> Result<String, Refused> {
    let Asked { socket_id, channel_name, resume_id } = asked;
    if socket_id.len() > NAME_MAX || channel_name.as_ref().is_some_and(|name| name.len() > NAME_MAX) {
        return Err(malformed("no socket or channel is called so"));
    }
    if resume_id.as_ref().is_some_and(|id| id.is_empty() || id.chars().count() > RESUME_ID_MAX) {
        return Err(malformed(&format!("resume_id has 1 to {RESUME_ID_MAX} characters")));
    }
    let pass = Pass { socket_id: socket_id.clone(), channel: channel_name.clone(), token, resume_id: resume_id.clone(), data };
    let sealed = doors.pusher.passes.seal(&doors.pusher.key, &pass);
    sealed.ok_or_else(|| Refused::Here(fault("a pass could not be sealed").into()))
}

fn malformed(detail: &str) -> Refused {
    Refused::There(Unanswered::malformed(detail))
}
