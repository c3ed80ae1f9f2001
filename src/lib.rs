//! Fiador vouches for email addresses: it mails a one-time number and gives the caller's token back exactly once.

pub mod actors;
pub mod api_key;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
pub mod http;
pub mod mail;
pub mod messages;
pub mod store;
pub mod supervision;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
