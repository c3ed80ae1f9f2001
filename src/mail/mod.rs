//! How mails are written and leave the house: by SMTP, or into the dev inbox.

pub mod inbox;
pub mod leash;
pub mod rendering;
pub mod smtp;
pub mod templates;
pub mod transport;

mod answers;
mod breaker;
mod capacity;
mod checking;
mod connecting;
mod dialog;
mod facts;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod handover;
mod providers;
mod reply;
mod template_error;
