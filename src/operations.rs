//! Operations: is it alive, is it ready, what is it doing; and the log line and the figures of each request.
//!
//! A log line holds method, path, operation, status, duration and who asked. Never a body, a token or a query string.

mod problems;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use poem::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use poem::http::{HeaderName, HeaderValue};
use poem::web::Data;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, handler};
use poem_openapi::OperationId;
use prometheus::{Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::api::caller::{RequestId, Subject};
use crate::db::Db;
use crate::error::ApiError;

pub use problems::{InOurWords, Paths};

/// The header that names a request in its answer, as the log and the audit do.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Upper bounds of the duration histogram's buckets, in seconds.
const DURATIONS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];

/// Answers as long as the process runs.
#[handler]
pub fn healthz() -> &'static str {
    "ok\n"
}

/// Answers once the database does.
#[handler]
pub async fn readyz(Data(db): Data<&Db>) -> Result<&'static str, ApiError> {
    db.ping().await?;
    Ok("ready\n")
}

/// The figures, in the text format of Prometheus.
#[handler]
pub fn metrics(Data(db): Data<&Db>, Data(figures): Data<&Figures>) -> Response {
    let (open, idle, waiting) = db.connections();
    for (gauge, value) in [(&figures.0.open, open), (&figures.0.idle, idle), (&figures.0.waiting, waiting)] {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    for (gauge, value) in figures.0.live.iter().zip(figures.0.live_now.get().map(|now| now()).unwrap_or_default()) {
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&figures.0.registry.gather(), &mut text) {
        Ok(()) => Response::builder().header(CONTENT_TYPE, encoder.format_type()).header(CACHE_CONTROL, "no-store").body(text),
        Err(error) => crate::error::fault(&error.to_string()).into_response(),
    }
}

/// What the server counts. Cheap to clone.
#[derive(Clone)]
pub struct Figures(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    open: IntGauge,
    idle: IntGauge,
    waiting: IntGauge,
    removed: IntCounter,
    kept_up: IntGauge,
    upkeep_failed: IntCounter,
    live: [IntGauge; 3],
    live_now: OnceLock<LiveNow>,
}

/// How many listen, to how many chats, and of how many of those something is still to be read.
type LiveNow = Box<dyn Fn() -> [usize; 3] + Send + Sync>;

impl Figures {
    /// Figures at zero.
    ///
    /// # Errors
    /// When a figure's name is not acceptable to Prometheus: a fault of this file.
    pub fn new() -> prometheus::Result<Self> {
        let inner = Inner {
            registry: Registry::new(),
            requests: IntCounterVec::new(Opts::new("tabletalk_requests_total", "Requests answered"), &["operation", "status"])?,
            durations: HistogramVec::new(
                HistogramOpts::new("tabletalk_request_duration_seconds", "Time from a request's head to its answer's")
                    .buckets(DURATIONS.to_vec()),
                &["operation"],
            )?,
            open: IntGauge::new("tabletalk_database_connections", "Connections to the database")?,
            idle: IntGauge::new("tabletalk_database_connections_idle", "Those of them that nobody uses")?,
            waiting: IntGauge::new("tabletalk_database_waiting", "Requests that wait for a connection")?,
            removed: IntCounter::new("tabletalk_upkeep_removed_messages_total", "Messages that this process removed for good")?,
            kept_up: IntGauge::new(
                "tabletalk_upkeep_last_success_timestamp_seconds",
                "When this process last came to the end of upkeep; 0: not yet, or others did",
            )?,
            upkeep_failed: IntCounter::new("tabletalk_upkeep_failures_total", "Times that this process' upkeep failed")?,
            live: [
                IntGauge::new("tabletalk_live_connections", "Sockets and streams that are open")?,
                IntGauge::new("tabletalk_live_chats", "Chats that somebody listens to")?,
                IntGauge::new("tabletalk_live_chats_due", "Those of them of which something is still to be read")?,
            ],
            live_now: OnceLock::new(),
        };
        inner.registry.register(Box::new(inner.requests.clone()))?;
        inner.registry.register(Box::new(inner.durations.clone()))?;
        for counter in [&inner.removed, &inner.upkeep_failed] {
            inner.registry.register(Box::new(counter.clone()))?;
        }
        for gauge in [&inner.open, &inner.idle, &inner.waiting, &inner.kept_up] {
            inner.registry.register(Box::new(gauge.clone()))?;
        }
        for gauge in &inner.live {
            inner.registry.register(Box::new(gauge.clone()))?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Where to ask what is live.
    pub fn live_from(&self, now: impl Fn() -> [usize; 3] + Send + Sync + 'static) {
        let _ = self.0.live_now.set(Box::new(now));
    }

    /// Counts what a slice of upkeep removed.
    pub fn removed(&self, messages: u64) {
        self.0.removed.inc_by(messages);
    }

    /// Counts a time that upkeep failed.
    pub fn upkeep_failed(&self) {
        self.0.upkeep_failed.inc();
    }

    /// Notes that upkeep came to its end at this moment.
    pub fn kept_up(&self, at: OffsetDateTime) {
        self.0.kept_up.set(at.unix_timestamp());
    }
}

/// Names each request, writes its log line and counts it. Stands outside of [`InOurWords`], so nothing fails within.
pub struct Observe(pub Figures);

impl<E: Endpoint> Middleware<E> for Observe {
    type Output = Observed<E>;

    fn transform(&self, endpoint: E) -> Observed<E> {
        Observed { endpoint, figures: self.0.clone() }
    }
}

/// An endpoint under observation.
pub struct Observed<E> {
    endpoint: E,
    figures: Figures,
}

impl<E: Endpoint> Endpoint for Observed<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let id = Uuid::now_v7();
        let subject = Subject::default();
        request.extensions_mut().insert(subject.clone());
        request.extensions_mut().insert(RequestId(id));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());

        let mut response = self.endpoint.call(request).await?.into_response();
        let operation = response.data::<OperationId>().copied();
        // the same answer may come compressed to somebody else
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }

        let (operation, status, elapsed) = (operation.map_or("", |o| o.0), response.status(), started.elapsed());
        self.figures.0.requests.with_label_values(&[operation, status.as_str()]).inc();
        self.figures.0.durations.with_label_values(&[operation]).observe(elapsed.as_secs_f64());
        tracing::info!(
            target: "tabletalk::request",
            request_id = %id,
            %method,
            path,
            operation,
            status = status.as_u16(),
            micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            sub = subject.0.get().map(tracing::field::display),
        );
        Ok(response)
    }
}
