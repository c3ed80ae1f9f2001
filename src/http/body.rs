//! Reads a request's body: what it may be, how long, and in what time.

use std::time::Duration;

use futures_util::StreamExt;
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    problem::{Code, Problem},
    routes::BodyStream,
};
use crate::wiped::WipedBuffer;

/// The longest body, in bytes.
pub(super) const LONGEST: usize = 64 * 1024;

/// The bytes of a JSON body, which has numbers and tokens in it. What is too large is refused as soon as that is known, and the rest is not read.
pub(super) async fn read(headers: &HeaderMap, body: BodyStream, body_time: Duration) -> Result<Zeroizing<Vec<u8>>, Problem> {
    if !is_plain_json(headers) {
        let detail = "Send one header Content-Type: application/json, and no Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    if declared_length(headers).is_some_and(|length| length > LONGEST as u64) {
        return Err(too_large());
    }
    let late = |_elapsed| Problem::new(Code::RequestTimeout, format!("It must be here within {} s", body_time.as_secs()));
    timeout(body_time, collect(body)).await.map_err(late)?
}

/// Whether there is a body at all, as the headers declare it.
pub(super) fn is_declared(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || declared_length(headers).is_some_and(|length| length > 0)
}

async fn collect(mut body: BodyStream) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut bytes = WipedBuffer::default();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_broken_off| {
            Problem::new(Code::MalformedBody, "It broke off, or its chunks are not framed as HTTP has them")
        })?;
        if bytes.len() + chunk.len() > LONGEST {
            return Err(too_large());
        }
        bytes.extend(&chunk);
    }
    Ok(bytes.into_bytes())
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, format!("It may have at most {LONGEST} bytes"))
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Parameters such as `charset=utf-8` are let pass: JSON is UTF-8, whatever they say (RFC 8259, 8.1 and 11).
fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else { return false };
    let essence = media_type.as_bytes().split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    let is_encoded = headers.contains_key(CONTENT_ENCODING);
    essence.eq_ignore_ascii_case(b"application/json") && !is_encoded
}
