//! What successful replies are made of.

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::{Serialize, Serializer};
use warp::reply::Response;

use crate::domain::Moment;

/// A JSON reply.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("our replies have string keys and cannot fail to serialize");
    let mut response = Response::new(bytes.into());
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
