//! One keep-alive connection: a request out, its reply in.

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::api::Api;

const MOST_HEADERS: usize = 32;

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// What was answered.
pub struct Reply<'a> {
    pub status: u16,
    /// In seconds.
    pub retry_after: Option<u64>,
    pub body: &'a [u8],
}

/// Where a reply's parts are.
struct Head {
    status: u16,
    retry_after: Option<u64>,
    length: usize,
    body_length: usize,
}

impl Connection {
    pub async fn open(api: &Api) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(api.address).await.with_context(|| format!("connecting to {}", api.address))?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &api.tls {
            Some(connector) => Box::new(connector.connect("localhost".try_into()?, tcp).await?),
            None => Box::new(tcp),
        };
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Reply<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let head = self.read_head().await?;
        let whole = head.length + head.body_length;
        while self.buffer.len() < whole {
            self.read_more().await?;
        }
        if self.buffer.len() > whole {
            bail!("more than one reply to one request: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(Reply { status: head.status, retry_after: head.retry_after, body: &self.buffer[head.length..] })
    }

    async fn read_head(&mut self) -> anyhow::Result<Head> {
        loop {
            self.read_more().await?;
            if let Some(head) = head_in(&self.buffer)? {
                return Ok(head);
            }
        }
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection ended before its reply, after {:?}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(())
    }
}

fn head_in(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.context("a reply without a status")?;
    let body_length = number_in(response.headers, "content-length")?;
    let body_length =
        body_length.with_context(|| format!("a reply without Content-Length: {}", String::from_utf8_lossy(bytes)))?;
    Ok(Some(Head {
        status,
        retry_after: number_in(response.headers, "retry-after")?,
        length,
        body_length: usize::try_from(body_length)?,
    }))
}

fn number_in(headers: &[httparse::Header<'_>], name: &str) -> anyhow::Result<Option<u64>> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    found.map(|header| Ok(std::str::from_utf8(header.value)?.parse()?)).transpose()
}
