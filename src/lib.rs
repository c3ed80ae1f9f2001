//! Fiador vouches for email addresses: it mails a one-time number and gives the caller's token back exactly once.
//!
//! It confirms control of a mailbox: not identity, not a second factor. The daemon is `fiador serve`; this crate is the
//! same thing in process, where every call of the HTTP API is a message ([`messages`]) to the Gateway:
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # fn main() {
//! use fiador::{domain::{Refusal, Token}, messages::Failure, testing::TestService};
//!
//! actix::System::new().block_on(async {
//!     let service = TestService::start().await;
//!     let verification = service.start_verification("ada@example.org", "tok-1").await.unwrap();
//!     let number = service.mailed_number("ada@example.org").await;
//!
//!     let approval = service.check(&verification.id, &number).await.unwrap();
//!     assert_eq!(approval.token, Some(Token::Text("tok-1".to_owned())));
//!
//!     let again = service.check(&verification.id, &number).await;
//!     assert_eq!(again, Err(Failure::Refused(Refusal::AlreadyApproved)));
//! });
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! [`app::Service`] runs it in process on a configuration of your own, [`app::run`] as the daemon. How the parts hang
//! together: `domain` has the rules, pure; `messages` what actors say to one another; `actors` the Gateway, the stores and the
//! Mailer; `store` names, seals and commits records; `mail` writes and sends; `http` is the front; `supervision` keeps actors
//! alive; `app` puts all of it together.

pub mod actors;
pub mod api_key;
pub mod app;
pub mod assertions;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
#[cfg(feature = "testing")]
pub mod fail_points;
pub mod foreseen;
#[cfg(feature = "testing")]
pub mod fuzzing;
pub mod http;
pub mod live;
pub mod mail;
pub mod messages;
pub mod meters;
pub mod passwords;
mod planted;
pub mod private_file;
pub mod store;
pub mod supervision;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wiped;
