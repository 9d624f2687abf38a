//! Every path of the server, and what stands in front of all of them.

use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::header::CONTENT_SECURITY_POLICY as CSP;
use poem::http::{HeaderName, Method, StatusCode, header};
use poem::middleware::{AddData, CatchPanic, Compression, Cors, SetHeader};
use poem::web::{CompressionAlgo, CompressionLevel, Html};
use poem::{
    Body, Endpoint, EndpointExt as _, IntoEndpoint as _, IntoResponse as _, Middleware, Request, Response, Route, get, post,
};

use tokio::time::timeout;

use crate::api;
use crate::api::caller::Gate;
use crate::api::waiting::WaitingRoom;
use crate::auth::Authenticator;
use crate::db::Db;
use crate::operations::{self, Figures, InOurWords, Observe, Paths, REQUEST_ID};
use crate::web::{self, PublicUrl};

use super::asyncapi;
use super::origins::Origins;
use super::pusher;
use super::sockets::{self, Doors};
use super::supabase;

/// The longest body that is read, in bytes: the longest text that `chat.settings.text_max` allows, escaped, and room to spare.
const BODY_MAX: usize = 1 << 20;
/// The longest body of an import, in bytes: its 5,000 messages at 800 each. Longer texts are imported fewer at a time: their chat is locked
/// meanwhile, and who writes in it waits no longer than 5 s.
const IMPORT_BODY_MAX: usize = 4 << 20;
/// How long a body may take to arrive: who drips it is not idle, and holds a connection.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// How long a browser may remember what CORS allows, in seconds.
const CORS_MAX_AGE: i32 = 600;

/// The documents' page runs its own script and talks to this server alone.
const DOCS_POLICY: &str = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:";

/// All of it, as one endpoint.
pub fn routes(
    db: &Db,
    authenticator: Authenticator,
    doors: Doors,
    url: &str,
    origins: Origins,
    figures: Figures,
    waiting: &WaitingRoom,
) -> BoxEndpoint<'static, Response> {
    let service = api::document::service(api::all(db, waiting));
    let document = api::document::document(&service);
    let paths = Paths::of(&document);
    let frames = asyncapi::Document::beside(&serde_json::from_str(&document).unwrap_or_default()).json();
    let docs = Html(web::docs(&service.scalar_html(), &service.spec(), &document));
    Route::new()
        .at("/healthz", get(operations::healthz))
        .at("/readyz", get(operations::readyz))
        .at("/metrics", get(operations::metrics))
        .at("/openapi.json", get(poem::endpoint::make_sync(move |_| document.clone().with_content_type("application/json"))))
        .at("/asyncapi.json", get(poem::endpoint::make_sync(move |_| frames.clone().with_content_type("application/json"))))
        .at("/ws", get(sockets::native).data(doors.clone()))
        .at("/app/:key", get(pusher::socket).data(doors.clone()))
        .at("/pusher/auth", post(pusher::authorise).data(doors.clone()))
        .at("/pusher/user-auth", post(pusher::authenticate).data(doors.clone()))
        .at("/stream", get(sockets::stream).data(doors.clone()))
        .at("/chats/:chatId/stream", get(sockets::stream).data(doors.clone()))
        .at("/realtime/v1/websocket", get(supabase::socket).data(doors.clone()))
        .at("/socket/websocket", get(supabase::socket).data(doors.clone()))
        .at("/realtime/v1/api/broadcast", post(supabase::broadcasts).data(doors.clone()))
        .at("/realtime/v1/api/broadcast/:topic/events/:event", post(supabase::broadcast).data(doors.clone()))
        .at("/api/broadcast", post(supabase::broadcasts).data(doors.clone()))
        .at("/api/broadcast/:topic/events/:event", post(supabase::broadcast).data(doors))
        .nest("/docs", get(poem::endpoint::make_sync(move |_| docs.clone())).with(SetHeader::new().overriding(CSP, DOCS_POLICY)))
        .nest("/", Front { home: get(web::home).map_to_response(), rest: service.into_endpoint().map_to_response() })
        .with(LimitBody)
        .with(CatchPanic::new().with_handler(|_| crate::error::fault("a handler panicked").into_response()))
        .with(AddData::new(db.clone()))
        .with(AddData::new(Gate::new(authenticator, db.clone())))
        .with(AddData::new(PublicUrl(url.to_owned())))
        .with(AddData::new(figures.clone()))
        // problems are answers before CORS looks at them, so that pages may read them; what CORS itself refuses becomes one outside
        .with(InOurWords(paths.clone()))
        .with(cors(origins))
        .with(InOurWords(paths))
        .with(Compression::new().algorithms([CompressionAlgo::GZIP]).with_quality(CompressionLevel::Fastest))
        .with(Streamed)
        .with(Observe(figures))
        .map_to_response()
        .boxed()
}

fn cors(origins: Origins) -> Cors {
    Cors::new()
        .allow_origins_fn(move |origin| origins.allow(origin))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_NONE_MATCH])
        .allow_headers(["apikey", "x-client-info"].map(HeaderName::from_static))
        .expose_headers([header::LOCATION, header::RETRY_AFTER, header::ETAG, REQUEST_ID])
        .allow_credentials(false)
        .max_age(CORS_MAX_AGE)
}

/// The root's own page, in front of everything that is nested under it: a route would take one for the other.
struct Front<H, R> {
    home: H,
    rest: R,
}

impl<H: Endpoint<Output = Response>, R: Endpoint<Output = Response>> Endpoint for Front<H, R> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if request.uri().path() == "/" { self.home.call(request).await } else { self.rest.call(request).await }
    }
}

/// Keeps streams from being compressed: what is said now would wait for what is said later.
struct Streamed;

impl<E: Endpoint> Middleware<E> for Streamed {
    type Output = Uncompressed<E>;

    fn transform(&self, endpoint: E) -> Uncompressed<E> {
        Uncompressed(endpoint)
    }
}

struct Uncompressed<E>(E);

impl<E: Endpoint> Endpoint for Uncompressed<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> poem::Result<E::Output> {
        if request.uri().path().ends_with("/stream") {
            request.headers_mut().remove(header::ACCEPT_ENCODING);
        }
        self.0.call(request).await
    }
}

/// Reads bodies up to [`BODY_MAX`], imports up to [`IMPORT_BODY_MAX`], and refuses longer ones, whether they say their length or not.
struct LimitBody;

impl<E: Endpoint> Middleware<E> for LimitBody {
    type Output = Limited<E>;

    fn transform(&self, endpoint: E) -> Limited<E> {
        Limited(endpoint)
    }
}

struct Limited<E>(E);

impl<E: Endpoint> Endpoint for Limited<E> {
    type Output = E::Output;

    async fn call(&self, mut request: Request) -> poem::Result<E::Output> {
        let path = request.uri().path();
        let imports = *request.method() == Method::POST && path.starts_with("/chats/") && path.ends_with("/import");
        let most = if imports { IMPORT_BODY_MAX } else { BODY_MAX };
        let reading = request.take_body().into_bytes_limit(most);
        let Ok(bytes) = timeout(BODY_WAIT, reading).await else {
            return Err(poem::Error::from_status(StatusCode::REQUEST_TIMEOUT));
        };
        request.set_body(Body::from_bytes(bytes?));
        self.0.call(request).await
    }
}
