//! The mark on all that a test application is answered, so that nobody takes its approvals for real ones.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

const HEADER: HeaderName = HeaderName::from_static("fiador-test");

/// Whether a request is one of a test application. Shared by the front, which marks the reply, and whoever finds out.
#[derive(Clone, Default)]
pub(super) struct TestMark(Arc<AtomicBool>);

impl TestMark {
    pub fn set(&self, is_test: bool) {
        self.0.store(is_test, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The header of any reply, with a body or without.
    pub fn write(&self, headers: &mut HeaderMap) {
        if self.is_set() {
            headers.insert(HEADER, HeaderValue::from_static("true"));
        }
    }

    /// The body with the member `test`, where it is marked.
    pub fn on<B>(&self, body: B) -> Marked<B> {
        if self.is_set() { Marked::Test { body, test: true } } else { Marked::Real(body) }
    }
}

/// A JSON object and its mark.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Marked<B> {
    Real(B),
    Test {
        #[serde(flatten)]
        body: B,
        test: bool,
    },
}
