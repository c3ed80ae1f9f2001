//! What successful replies are made of.

use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
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

/// A moment as the API writes it: RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Rfc3339(pub Moment);

/// The last moment with a year of four digits, which is all that RFC 3339 can write.
const LAST_MOMENT_MS: u64 = 253_402_300_799_999;

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = self.0.0.min(LAST_MOMENT_MS);
        let utc = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
            .expect("years up to 9999 are in range");
        let (year, month, day) = (utc.year(), u8::from(utc.month()), utc.day());
        let (hour, minute, second, millisecond) = utc.time().as_hms_milli();
        serializer.collect_str(&format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_with_milliseconds() {
        let written = |ms| serde_json::to_value(Rfc3339(Moment(ms))).unwrap();

        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(1_795_388_394_007), "2026-11-22T22:59:54.007Z");
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
