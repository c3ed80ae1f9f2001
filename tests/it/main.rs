//! Tests of the whole, against real servers where they matter.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod kit;
mod mailer;
mod mails;
mod smtp;
