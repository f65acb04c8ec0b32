//! The pages that machines and operators ask first: does it live, is it ready, what does it count?
//!
//! | page | answer |
//! | --- | --- |
//! | `/livez` | 200 as long as the process answers at all |
//! | `/readyz` | 200, or 503 and, in Vietnamese and English, what is not ready |
//! | `/metrics` | Prometheus text |
//!
//! A check is a name and one of three states, both written by programmers: nothing that came in a
//! message, so no personal data, can get onto these pages. They know no login; the address they
//! listen on is for the inside.

use std::fmt::Write;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Error;

/// How long open connections may take to end once told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// How one part of the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// Not there yet.
    Starting,
    /// Working.
    Ready,
    /// Not working.
    Failing,
}

/// What the pages are made from: named checks and a registry of metrics.
#[derive(Clone)]
pub struct Health {
    checks: Arc<Vec<Check>>,
    registry: Registry,
}

#[derive(Clone)]
struct Check {
    name: &'static str,
    state: watch::Receiver<CheckState>,
}

impl Health {
    /// Without checks it is always ready.
    pub fn new(registry: Registry) -> Self {
        Self { checks: Arc::default(), registry }
    }

    /// Adds a part to watch, such as `postgresql`, `rabbitmq` or `intake`. Whoever holds the sender
    /// keeps it up to date; a dropped sender is a part that stopped.
    #[must_use]
    pub fn with_check(mut self, name: &'static str, state: watch::Receiver<CheckState>) -> Self {
        Arc::make_mut(&mut self.checks).push(Check { name, state });
        self
    }

    /// The parts that are not ready, in the order they were added.
    pub fn not_ready(&self) -> Vec<(&'static str, CheckState)> {
        let states = self.checks.iter().map(|check| (check.name, check.state()));
        states.filter(|(_, state)| *state != CheckState::Ready).collect()
    }
}

impl Check {
    fn state(&self) -> CheckState {
        // An error says that the sender is gone, and with it the part it spoke for.
        if self.state.has_changed().is_err() { CheckState::Failing } else { *self.state.borrow() }
    }
}

/// Serves the pages until told to stop.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let (told, mut heard) = watch::channel(false);
    let serving = axum::serve(listener, router(health)).with_graceful_shutdown(async move {
        shutdown.await;
        told.send_replace(true);
    });
    let drained = async {
        // An error would say the same: nobody is left to tell.
        let _ = heard.wait_for(|told| *told).await;
        // A client that never finishes its request does not hold up the process.
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving.into_future() => served.map_err(Error::Serve),
        () = drained => Ok(()),
    }
}

fn router(health: Health) -> Router {
    Router::new()
        .route("/livez", get(async || page(StatusCode::OK, "ok\n".to_owned())))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || page(StatusCode::NOT_FOUND, "Không có trang này.\nNo such page.\n".to_owned()))
        .with_state(health)
}

async fn readyz(State(health): State<Health>) -> Response {
    let not_ready = health.not_ready();
    if not_ready.is_empty() {
        return page(StatusCode::OK, "Sẵn sàng.\nReady.\n".to_owned());
    }
    page(StatusCode::SERVICE_UNAVAILABLE, sentences(&not_ready))
}

async fn metrics(State(health): State<Health>) -> Response {
    match TextEncoder::new().encode_to_string(&health.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            let text = "Không ghi được số liệu.\nThe metrics cannot be written.\n";
            page(StatusCode::INTERNAL_SERVER_ERROR, text.to_owned())
        }
    }
}

fn page(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// All in Vietnamese, then all in English.
fn sentences(not_ready: &[(&'static str, CheckState)]) -> String {
    let mut text = String::from("Chưa sẵn sàng:\n");
    for (name, state) in not_ready {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {name}: {}", vietnamese(name, *state));
    }
    text.push_str("Not ready:\n");
    for (name, state) in not_ready {
        let _ = writeln!(text, "- {name}: {}", english(name, *state));
    }
    text
}

fn vietnamese(name: &str, state: CheckState) -> &'static str {
    match (state, name) {
        (CheckState::Ready, _) => "sẵn sàng.",
        (CheckState::Starting, _) => "đang khởi động.",
        (CheckState::Failing, "postgresql") => "không kết nối được PostgreSQL; chưa ghi nhận được yêu cầu mới.",
        (CheckState::Failing, "rabbitmq") => "không kết nối được RabbitMQ; thông điệp đang chờ gửi, không bị mất.",
        (CheckState::Failing, "intake") => "bộ phận tiếp nhận đang ngừng; yêu cầu chờ trong hàng đợi, không bị mất.",
        (CheckState::Failing, _) => "đang ngừng.",
    }
}

fn english(name: &str, state: CheckState) -> &'static str {
    match (state, name) {
        (CheckState::Ready, _) => "ready.",
        (CheckState::Starting, _) => "starting.",
        (CheckState::Failing, "postgresql") => "PostgreSQL cannot be reached; no new request can be stored.",
        (CheckState::Failing, "rabbitmq") => "RabbitMQ cannot be reached; messages wait to be sent, none is lost.",
        (CheckState::Failing, "intake") => "the intake has stopped; requests wait in their queue, none is lost.",
        (CheckState::Failing, _) => "stopped.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    struct Running {
        at: SocketAddr,
        stop: oneshot::Sender<()>,
        served: JoinHandle<Result<(), Error>>,
    }

    async fn start(health: Health) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, health, async move {
            let _ = stopped.await;
        }));
        Running { at, stop, served }
    }

    /// Status line and head, and the body.
    async fn ask(at: SocketAddr, method: &str, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    #[tokio::test]
    async fn it_lives_and_knows_its_pages() {
        let (_state, failing) = watch::channel(CheckState::Failing);
        let running = start(Health::new(Registry::new()).with_check("rabbitmq", failing)).await;
        let (head, body) = ask(running.at, "GET", "/livez").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "ok\n");
        let (head, body) = ask(running.at, "GET", "/nowhere").await;
        assert!(head.starts_with("http/1.1 404"), "{head}");
        assert_eq!(body, "Không có trang này.\nNo such page.\n");
        let (head, _) = ask(running.at, "POST", "/livez").await;
        assert!(head.starts_with("http/1.1 405"), "{head}");
    }

    #[tokio::test]
    async fn ready_is_said_in_two_languages_and_follows_the_checks() {
        let (postgresql, pg) = watch::channel(CheckState::Failing);
        let (rabbitmq, rb) = watch::channel(CheckState::Starting);
        let (intake, role) = watch::channel(CheckState::Ready);
        let health = Health::new(Registry::new())
            .with_check("postgresql", pg)
            .with_check("rabbitmq", rb)
            .with_check("intake", role);
        let running = start(health).await;

        let (head, body) = ask(running.at, "GET", "/readyz").await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert!(head.contains("text/plain; charset=utf-8"), "{head}");
        let expected = "Chưa sẵn sàng:\n\
            - postgresql: không kết nối được PostgreSQL; chưa ghi nhận được yêu cầu mới.\n\
            - rabbitmq: đang khởi động.\n\
            Not ready:\n\
            - postgresql: PostgreSQL cannot be reached; no new request can be stored.\n\
            - rabbitmq: starting.\n";
        assert_eq!(body, expected);

        postgresql.send(CheckState::Ready).unwrap();
        rabbitmq.send(CheckState::Ready).unwrap();
        let (head, body) = ask(running.at, "GET", "/readyz").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "Sẵn sàng.\nReady.\n");

        drop(intake);
        let (head, body) = ask(running.at, "GET", "/readyz").await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert!(body.contains("- intake: bộ phận tiếp nhận đang ngừng"), "{body}");
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let registry = Registry::new();
        let accepted = prometheus::IntCounter::new("xacminh_requests_total", "Requests accepted.").unwrap();
        registry.register(Box::new(accepted.clone())).unwrap();
        accepted.inc_by(3);
        let running = start(Health::new(registry)).await;
        let (head, body) = ask(running.at, "GET", "/metrics").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/plain; version=0.0.4\r\n"), "{head}");
        assert!(body.contains("xacminh_requests_total 3\n"), "{body}");
    }

    #[tokio::test]
    async fn it_stops_when_told() {
        let running = start(Health::new(Registry::new())).await;
        ask(running.at, "GET", "/livez").await;
        running.stop.send(()).unwrap();
        running.served.await.unwrap().unwrap();
        assert!(TcpStream::connect(running.at).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_does_not_hold_it_up() {
        let running = start(Health::new(Registry::new())).await;
        let mut stuck = TcpStream::connect(running.at).await.unwrap();
        stuck.write_all(b"GET /livez HTTP/1.1\r\nhost: ").await.unwrap();
        // Asked after it on the same loop, so the stuck connection was taken before.
        ask(running.at, "GET", "/livez").await;
        let told = std::time::Instant::now();
        running.stop.send(()).unwrap();
        running.served.await.unwrap().unwrap();
        assert!(told.elapsed() < DRAIN * 3, "{:?}", told.elapsed());
    }
}
