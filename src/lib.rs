//! Fiador vouches for email addresses: it mails a one-time number and gives the caller's token back exactly once.

pub mod actors;
pub mod domain;
pub mod mail;
pub mod messages;
pub mod supervision;
