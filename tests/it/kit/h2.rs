//! Clients of HTTP/2: one that behaves, and one that writes what frames it likes.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::{JoinHandle, spawn_local},
};

use super::{http::Reply, scripted_gateway::KEY};

/// One that behaves.
pub struct H2Client {
    requests: SendRequest<Bytes>,
    /// How the connection ended.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

impl H2Client {
    pub async fn new(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Self {
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        Self { requests, connection: spawn_local(connection) }
    }

    /// How many requests at once the server takes.
    pub fn most_requests(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// What the request is answered, its body as given; none: it never ends.
    pub async fn send(&self, request: http::request::Builder, body: Option<&str>) -> (StatusCode, http::HeaderMap, String) {
        let mut requests = self.requests.clone().ready().await.unwrap();
        let request = request.header("authorization", format!("Bearer {KEY}")).body(()).unwrap();
        let (response, mut sending) = requests.send_request(request, body == Some("")).unwrap();
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            sending.send_data(Bytes::from(body.to_owned()), true).unwrap();
        }
        let (head, mut body) = response.await.unwrap().into_parts();
        let mut bytes = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.unwrap();
            body.flow_control().release_capacity(chunk.len()).unwrap();
            bytes.extend_from_slice(&chunk);
        }
        (head.status, head.headers, String::from_utf8(bytes).unwrap())
    }

    /// The Front's answer.
    pub async fn reply(&self, request: http::request::Builder, body: Option<&str>) -> Reply {
        let (status, headers, text) = self.send(request, body).await;
        Reply::new(status.as_u16(), headers, text)
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.reply(Request::get(format!("https://localhost{path}")), Some("")).await
    }
}

/// A start, without its body.
pub fn start() -> http::request::Builder {
    Request::post("https://localhost/v1/verifications").header("content-type", "application/json")
}

/// One that writes what frames it likes (RFC 9113, 4.1 and 6).
pub struct RawH2<S> {
    stream: S,
    read: Vec<u8>,
    next_stream: u32,
}

/// Of a frame: its type, flags and payload.
type Frame = (u8, u8, Vec<u8>);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 400` as HPACK's static table has it: entry 12, indexed (RFC 7541, 6.1 and appendix A).
const STATUS_400: u8 = 0x8c;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
pub const ENHANCE_YOUR_CALM: u8 = 11;

impl<S: AsyncRead + AsyncWrite + Unpin> RawH2<S> {
    pub async fn new(stream: S) -> Self {
        let mut this = Self { stream, read: Vec::new(), next_stream: 1 };
        let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        opening.extend(frame(SETTINGS, 0, 0, &[]));
        this.write(&opening).await;
        this
    }

    /// The frames of a request that is whole.
    pub fn request(&mut self) -> Vec<u8> {
        let stream = self.open();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", "/health/live"))
    }

    /// Those of one more field in a request that is whole but for it.
    pub fn request_with(&mut self, name: &str, value: &str) -> Vec<u8> {
        let stream = self.open();
        let mut head = head("GET", "/health/live");
        field(&mut head, name, value);
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)
    }

    /// Whether the peer refuses to answer the newest request: it resets its stream, answers with a 4xx, or ends the connection.
    pub async fn refuses(&mut self) -> bool {
        loop {
            match self.next().await {
                Some((RST_STREAM | GOAWAY, ..)) | None => return true,
                Some((HEADERS, _, block)) => return block.first() == Some(&STATUS_400),
                Some(_) => {}
            }
        }
    }

    /// Those of a header that does not end.
    pub fn endless_header(&mut self) -> Vec<u8> {
        let stream = self.open();
        frame(HEADERS, 0, stream, &head("GET", "/health/live"))
    }

    /// Those of a start, and of its end by us.
    pub fn start_and_reset(&mut self) -> (Vec<u8>, Vec<u8>) {
        let stream = self.open();
        let header = frame(HEADERS, END_HEADERS, stream, &head("POST", "/v1/verifications"));
        let body = frame(DATA, END_STREAM, stream, br#"{"email":"ada@example.org"}"#);
        ([header, body].concat(), frame(RST_STREAM, 0, stream, &CANCEL))
    }

    /// Writes as much as the peer takes.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Returns once the peer has read what was written; false when it ended the connection instead.
    pub async fn is_read(&mut self) -> bool {
        self.write(&frame(PING, 0, 0, &[7; 8])).await;
        loop {
            match self.next().await {
                Some((PING, 1, _)) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// What the peer says with its last GOAWAY, once it has ended the connection.
    pub async fn goodbye(mut self) -> Option<u8> {
        let mut said = None;
        while let Some((kind, _, payload)) = self.next().await {
            if kind == GOAWAY {
                said = Some(payload[7]);
            }
        }
        said
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(length) = self.read.get(..9).map(|head| 9 + usize::from(u16::from_be_bytes([head[1], head[2]])))
                && self.read.len() >= length
            {
                let frame: Vec<u8> = self.read.drain(..length).collect();
                return Some((frame[3], frame[4], frame[9..].to_vec()));
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    fn open(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The fields as HPACK has them, each spelled out and not indexed (RFC 7541, 6.2.2).
fn head(method: &str, path: &str) -> Vec<u8> {
    let key = format!("Bearer {KEY}");
    let fields = [
        (":method", method),
        (":scheme", "https"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/json"),
        ("authorization", &key),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        field(&mut block, name, value);
    }
    block
}

fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).unwrap());
        block.extend(text.as_bytes());
    }
}
