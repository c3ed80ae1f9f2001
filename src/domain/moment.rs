use std::{
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::StaticFormatDescription, macros::format_description};

/// The last moment with a year of four digits, which is all that RFC 3339 can write.
const LAST_WRITABLE_MS: u64 = 253_402_300_799_999;

/// RFC 3339 of UTC, with milliseconds.
const WRITTEN: StaticFormatDescription =
    format_description!(version = 2, "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const WRITTEN_LENGTH: usize = "2026-01-01T00:00:00.000Z".len();

/// A point in time by the store's clock, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    /// When what has no end ends.
    pub const NEVER: Self = Self(LAST_WRITABLE_MS);

    /// How long it is from `earlier` until this moment; nothing when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment as it is written: RFC 3339, UTC, with milliseconds.
    pub fn rfc3339(self) -> String {
        let milliseconds = self.0.min(LAST_WRITABLE_MS);
        let utc = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
            .expect("years up to 9999 are in range");
        let mut text = Vec::with_capacity(WRITTEN_LENGTH);
        utc.format_into(&mut text, WRITTEN).expect("it has all parts");
        String::from_utf8(text).expect("it is ASCII")
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_with_milliseconds() {
        for (ms, written) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_388_394_007, "2026-11-22T22:59:54.007Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Moment(ms).rfc3339(), written);
        }
    }
}
