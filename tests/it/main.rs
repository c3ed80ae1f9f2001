//! All integration tests in one binary: one module a promise; `kit` is what they share.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod configuration;
mod conformance;
mod drawing;
mod embedded_store;
mod histories;
mod http;
mod in_process;
mod kit;
mod mailer;
mod mails;
mod races;
mod redis_store;
mod smtp;
mod supervision;
mod transitions;
