//! What successful replies are made of.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::{Serialize, Serializer};
use warp::reply::Response;

use crate::{domain::Moment, wiped::WipedBuffer};

/// A JSON reply. It may have a token in it, so our copy is wiped once it is sent.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut bytes = WipedBuffer::default();
    serde_json::to_writer(&mut bytes, body).expect("our replies have string keys and cannot fail to serialize");
    let mut response = Response::new(Bytes::from_owner(bytes.into_bytes()).into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A moment as the API writes it.
#[derive(Clone, Copy)]
pub(super) struct Rfc3339(pub Moment);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.rfc3339())
    }
}
