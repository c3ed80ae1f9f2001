//! The HTTP front over real sockets, in front of a scripted Gateway.

use std::net::SocketAddr;

use fiador::{
    audit::AuditLog,
    http::{Acceptor, Front, Limits, PeerRules, cell, encryption},
    live::Live,
};
use reqwest::{
    Method, RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::{JoinHandle, spawn_local},
};

use super::{
    scripted_gateway::{ID, KEY, Script},
    tls::TestCertificate,
};

pub const LOOPBACK: &str = "127.0.0.1:0";

/// How a test wants its front.
pub struct Wishes {
    pub limits: Limits,
    /// The scripted Gateway's permits.
    pub permits: u32,
    pub has_inbox: bool,
    pub is_live: fn() -> bool,
    /// With it the front speaks TLS.
    pub certificate: Option<TestCertificate>,
    pub rules: PeerRules,
}

impl Default for Wishes {
    fn default() -> Self {
        let (limits, rules) = (Limits::default(), PeerRules::default());
        Self { limits, permits: 64, has_inbox: true, is_live: || true, certificate: None, rules }
    }
}

/// One cell behind one port.
pub struct TestFront {
    pub address: SocketAddr,
    pub script: Script,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<bool>,
}

impl TestFront {
    pub async fn start() -> Self {
        Self::start_with(Wishes::default()).await
    }

    pub async fn start_with(wishes: Wishes) -> Self {
        let script = Script::new();
        let mut asks = script.asks(wishes.permits, wishes.is_live);
        asks.inbox = asks.inbox.filter(|_| wishes.has_inbox);
        let acceptor = Acceptor::bind(LOOPBACK.parse().unwrap(), wishes.limits).await.unwrap();
        let acceptor = acceptor.with_rules(Live::new(wishes.rules));
        let acceptor = match &wishes.certificate {
            Some(certificate) => acceptor.encrypted(Live::new(encryption(certificate.certified()))),
            None => acceptor,
        };
        let address = acceptor.local_address();
        let (port, connections) = cell(|| true);
        let (stop, stopped) = oneshot::channel();
        let served = spawn_local(connections.serve(Front::new(asks, wishes.limits, AuditLog::off()), wishes.limits));
        spawn_local(acceptor.run(vec![port], async { drop(stopped.await) }));
        Self { address, script, client: reqwest::Client::new(), stop, served }
    }

    /// Stops; what remains is the cell's report whether all requests were answered.
    pub fn stop(self) -> JoinHandle<bool> {
        self.stop.send(()).unwrap();
        self.served
    }

    /// A request with the API key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(KEY)
    }

    /// One without.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, path).header("Content-Type", "application/json").body(body)
    }

    pub fn start_verification(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.post("/v1/verifications", body)
    }

    pub fn check(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.post(&format!("/v1/verifications/{ID}/check"), body)
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes that no HTTP client would send, over a connection of their own.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut connection = self.connect().await;
        connection.write_all(bytes.as_ref()).await.unwrap();
        read_reply(&mut connection).await
    }
}

/// A reply of which holds what holds for all.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self::new(status, headers, response.text().await.unwrap())
    }

    pub fn new(status: u16, headers: HeaderMap, text: String) -> Self {
        let reply = Self { status, headers, text };
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-request-id").unwrap().len(), 36);
        reply
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text))
    }

    /// The problem of that status and code, complete, and without any planted secret.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}", self.text);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["request_id"], self.header("x-request-id").unwrap());
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        self.assert_no_secret();
        problem
    }

    /// Tests spell secrets, and only secrets, with CANARY or 13579.
    fn assert_no_secret(&self) {
        let by_chance = self.header("x-request-id").unwrap_or("none"); // it is drawn, of hexadecimal digits
        let all = format!("{} {:?}", self.text, self.headers).replace(by_chance, "").to_lowercase();
        assert!(!all.contains("canary") && !all.contains("13579"), "a secret is repeated: {all}");
    }
}

/// The next reply on a connection, which need not end after it.
pub async fn read_reply(connection: &mut (impl AsyncRead + Unpin)) -> Reply {
    let mut bytes = Vec::new();
    loop {
        if let Some(reply) = parse_reply(&bytes) {
            return reply;
        }
        assert_ne!(connection.read_buf(&mut bytes).await.unwrap(), 0, "the connection ended before its reply");
    }
}

fn parse_reply(bytes: &[u8]) -> Option<Reply> {
    let (head, body) = str::from_utf8(bytes).unwrap().split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: HeaderMap = lines.map(parse_header).collect();
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    (body.len() >= length).then(|| Reply::new(status, headers, body[..length].to_owned()))
}

fn parse_header(line: &str) -> (HeaderName, HeaderValue) {
    let (name, value) = line.split_once(": ").unwrap();
    (name.parse().unwrap(), value.parse().unwrap())
}
