//! All integration tests in one binary: one module a promise; `kit` is what they share.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod architecture;
mod canaries;
mod configuration;
mod conformance;
mod conformance_users;
mod daemon;
mod drawing;
mod embedded_store;
mod faults;
mod fuzz_seeds;
mod handing_over;
mod histories;
mod hostile;
mod http;
mod in_process;
mod kit;
mod mail_lists;
mod mailer;
mod mails;
mod neighbours;
mod old_contract;
mod providers;
mod races;
mod readme;
mod redis_store;
mod sign_in_cost;
mod smtp;
mod supervision;
mod templates;
mod transitions;
mod users;
