//! How a spent budget is told in headers, the same in all replies that are 429.
//!
//! Source: draft-ietf-httpapi-ratelimit-headers-10, and RFC 9651 for the form of its fields.

use http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};

use crate::domain::{Budget, Quota};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// A budget of which nothing is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpentBudget {
    pub budget: Budget,
    pub quota: Quota,
    pub retry_after_seconds: u64,
}

impl SpentBudget {
    /// `q` is what the budget holds, `w` the seconds in which as much comes back, which is left out where places become free
    /// when something ends. Nothing is left (`r`), and `t` is `Retry-After`.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Self { budget, quota: Quota { most, window }, retry_after_seconds } = self;
        let name = budget.as_str();
        let window = window.map(|window| format!(";w={}", window.as_millis().div_ceil(1000))).unwrap_or_default();
        headers.insert(RETRY_AFTER, (*retry_after_seconds).into());
        headers.insert(POLICY, visible(format!("\"{name}\";q={most}{window}")));
        headers.insert(LEFT, visible(format!("\"{name}\";r=0;t={retry_after_seconds}")));
    }
}

fn visible(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("names of budgets and digits are visible ASCII")
}
