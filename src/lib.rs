//! Fiador vouches for email addresses: it mails a one-time number and gives the caller's token back exactly once.

pub mod domain;
pub mod http;
pub mod messages;
pub mod supervision;
