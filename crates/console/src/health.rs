//! The pages that machines and operators ask first: does it live, is it ready, what does it count?
//!
//! | page | answer |
//! | --- | --- |
//! | `/livez` | 200 as long as the process answers at all |
//! | `/readyz` | 200, or 503 and, in Vietnamese and English, what is not ready |
//! | `/readyz?verbose` | the same, then a line a part: what is wrong, since when, what to do |
//! | `/metrics` | Prometheus text, of the nation |
//! | `/metrics/offices` | Prometheus text, by office |
//!
//! A check is a name and one of three states, both written by programmers: nothing that came in a
//! message, so no personal data, can get onto these pages. They know no login; the address they
//! listen on is for the inside.

use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Error;
use crate::parts::{self, Part};

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

/// Something that is found out when a page is asked for.
pub type Asked<T> = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = T> + Send>> + Send + Sync>;

/// What the pages are made from: named checks and a registry of metrics.
#[derive(Clone)]
pub struct Health {
    checks: Arc<Vec<Check>>,
    registry: Registry,
    parts: Option<Asked<Vec<Part>>>,
    offices: Option<Asked<Option<String>>>,
}

#[derive(Clone)]
struct Check {
    name: &'static str,
    at: Option<String>,
    state: watch::Receiver<CheckState>,
}

impl Health {
    /// Without checks it is always ready.
    pub fn new(registry: Registry) -> Self {
        Self { checks: Arc::default(), registry, parts: None, offices: None }
    }

    /// Adds a part to watch, such as `postgresql`, `rabbitmq` or `intake`. Whoever holds the sender
    /// keeps it up to date; a dropped sender is a part that stopped.
    #[must_use]
    pub fn with_check(mut self, name: &'static str, state: watch::Receiver<CheckState>) -> Self {
        Arc::make_mut(&mut self.checks).push(Check { name, at: None, state });
        self
    }

    /// The same for a part that is somewhere else: host and port, which the page shows. No login.
    #[must_use]
    pub fn with_check_at(mut self, name: &'static str, at: String, state: watch::Receiver<CheckState>) -> Self {
        Arc::make_mut(&mut self.checks).push(Check { name, at: Some(at), state });
        self
    }

    /// What `/readyz?verbose` says of each part. It decides nothing: the checks do.
    #[must_use]
    pub fn with_parts(mut self, parts: Asked<Vec<Part>>) -> Self {
        self.parts = Some(parts);
        self
    }

    /// The page of `/metrics/offices`; none when it cannot be made just now.
    #[must_use]
    pub fn with_offices(mut self, offices: Asked<Option<String>>) -> Self {
        self.offices = Some(offices);
        self
    }

    fn not_ready(&self) -> Vec<(&Check, CheckState)> {
        let states = self.checks.iter().map(|check| (check, check.state()));
        states.filter(|(_, state)| *state != CheckState::Ready).collect()
    }
}

impl Check {
    fn state(&self) -> CheckState {
        // An error says that the sender is gone, and with it the part it spoke for.
        if self.state.has_changed().is_err() { CheckState::Failing } else { *self.state.borrow() }
    }

    fn place(&self) -> String {
        match &self.at {
            Some(at) => format!("{} ({at})", self.name),
            None => self.name.to_owned(),
        }
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
        .route("/metrics/offices", get(offices))
        .fallback(async || page(StatusCode::NOT_FOUND, "Không có trang này.\nNo such page.\n".to_owned()))
        .with_state(health)
}

async fn readyz(State(health): State<Health>, RawQuery(query): RawQuery) -> Response {
    let wanted = query.is_some_and(|query| query.split('&').any(|key| key == "verbose" || key == "verbose=true"));
    // Asked first: it may take a while, and the status is to be that of the moment of the answer.
    let parts = match &health.parts {
        Some(ask) if wanted => ask().await,
        _ => Vec::new(),
    };
    let not_ready = health.not_ready();
    let (status, mut text) = if not_ready.is_empty() {
        (StatusCode::OK, "Sẵn sàng.\nReady.\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, sentences(&not_ready))
    };
    text.push_str(&parts::lines(&parts));
    page(status, text)
}

async fn offices(State(health): State<Health>) -> Response {
    let text = match &health.offices {
        Some(ask) => ask().await,
        None => None,
    };
    match text {
        Some(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        None => {
            let text = "Chưa lấy được số liệu.\nThe figures cannot be had just now.\n";
            page(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }
    }
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
fn sentences(not_ready: &[(&Check, CheckState)]) -> String {
    let mut text = String::from("Chưa sẵn sàng:\n");
    for (check, state) in not_ready {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- {}: {}", check.place(), vietnamese(check.name, *state));
    }
    text.push_str("Not ready:\n");
    for (check, state) in not_ready {
        let _ = writeln!(text, "- {}: {}", check.place(), english(check.name, *state));
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
    async fn verbose_adds_a_line_a_part_and_changes_no_status() {
        let (rabbitmq, line) = watch::channel(CheckState::Ready);
        let parts = || vec![Part::good("a", "well"), Part::look("b", "look at it"), Part::bad("c", "gone\nfor good")];
        let health = Health::new(Registry::new())
            .with_check_at("rabbitmq", "10.0.0.7:5671".to_owned(), line)
            .with_parts(Arc::new(move || Box::pin(async move { parts() })));
        let running = start(health).await;
        let lines = "[+] a: well\n[!] b: look at it\n[-] c: gone for good\n";

        let (head, body) = ask(running.at, "GET", "/readyz?verbose").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, format!("Sẵn sàng.\nReady.\n{lines}"));
        let (_, body) = ask(running.at, "GET", "/readyz?verbosely").await;
        assert_eq!(body, "Sẵn sàng.\nReady.\n");

        rabbitmq.send(CheckState::Failing).unwrap();
        let (head, body) = ask(running.at, "GET", "/readyz?a=b&verbose").await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
        assert!(body.contains("- rabbitmq (10.0.0.7:5671): RabbitMQ cannot be reached"), "{body}");
        assert!(body.ends_with(lines), "{body}");
    }

    #[tokio::test]
    async fn figures_by_office_have_a_page_of_their_own() {
        let there = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let asked = there.clone();
        let offices: Asked<Option<String>> = Arc::new(move || {
            let text = asked.load(std::sync::atomic::Ordering::Relaxed).then(|| "xacminh_office_x 1\n".to_owned());
            Box::pin(async move { text })
        });
        let running = start(Health::new(Registry::new()).with_offices(offices)).await;
        let (head, body) = ask(running.at, "GET", "/metrics/offices").await;
        assert!(head.starts_with("http/1.1 200") && head.contains("version=0.0.4"), "{head}");
        assert!(body.contains("xacminh_office_x 1\n"), "{body}");
        let (_, nation) = ask(running.at, "GET", "/metrics").await;
        assert!(!nation.contains("office"), "{nation}");
        there.store(false, std::sync::atomic::Ordering::Relaxed);
        let (head, body) = ask(running.at, "GET", "/metrics/offices").await;
        assert!(head.starts_with("http/1.1 503") && body.contains("cannot be had"), "{head} {body}");
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
