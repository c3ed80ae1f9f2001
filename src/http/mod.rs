//! The HTTP front: our own accept loop, warp's routes, and one place that turns refusals into problems.
//!
//! A connection comes in through the [`Acceptor`], which hands it to a cell ([`CellConnections`]); there hyper reads
//! requests and the [`Front`] answers each: it names the request, lets warp's routes find the handler, and writes the
//! problem that a handler left. Handlers ask the Gateway and translate; they decide nothing.
//!
//! Not answered by us, but by hyper, is what is no HTTP at all (400) or has over-long headers (431): without body and
//! request id. A connection that sends no whole header within [`Limits::header_time`] is closed, idle ones too. After a
//! 408 or 413 the rest of the body is not read, and the connection is closed.

mod body;
mod caller;
mod compat;
mod dev_inbox;
mod front;
mod health;
mod members;
mod metering;
mod problem;
mod rate_limit;
mod reply;
mod routes;
mod scraping;
mod server;
mod system;
mod trail;
mod verifications;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

pub use compat::CompatAsks;
pub use front::Front;
pub use scraping::Scrape;
pub use server::{Acceptor, CellConnections, CellPort, CellPorts, ListenError, cell};
pub use system::{ActorView, LookAtSystem, SystemView};

use crate::{
    messages::{
        AskReadiness, Authenticate, CancelVerification, CheckByNumber, CheckNumber, ReadInbox, ReadVerification,
        ResendVerification, StartVerification,
    },
    supervision::Ask,
};

/// Whom the routes ask, one handle a message.
pub struct Asks {
    /// Whose an API key is.
    pub authenticate: Ask<Authenticate>,
    /// `POST /v1/verifications`
    pub start_verification: Ask<StartVerification>,
    /// `GET /v1/verifications/{id}`
    pub read_verification: Ask<ReadVerification>,
    /// `POST /v1/verifications/{id}/check`
    pub check_number: Ask<CheckNumber>,
    /// `POST /v1/verifications/check`
    pub check_by_number: Ask<CheckByNumber>,
    /// `POST /v1/verifications/{id}/resend`
    pub resend_verification: Ask<ResendVerification>,
    /// `DELETE /v1/verifications/{id}`
    pub cancel_verification: Ask<CancelVerification>,
    /// `GET /health/ready`
    pub readiness: Ask<AskReadiness>,
    /// `GET /v1/system`
    pub system: LookAtSystem,
    /// `GET /dev/inbox`; none: there is no dev inbox, and its routes are unknown.
    pub inbox: Option<Ask<ReadInbox>>,
    /// `GET /health/live`: false when only a new process can help.
    pub is_live: Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

/// How much and how long the front puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over all cells; further ones wait in the listener's backlog. Default 16,384.
    pub connections: usize,
    /// How long a connection may take for a request's header, waiting for its first byte included, before it is
    /// closed: this stops clients that hold connections by sending slowly. Default 5 s.
    pub header_time: Duration,
    /// How long a request's body may take, before a 408, for the same reason. Default 10 s.
    pub body_time: Duration,
    /// How long all asks of one request may take together before a 503. Default 1.9 s: a failed dependency is a clear
    /// 503 within two seconds.
    pub ask_time: Duration,
    /// How long requests in flight may go on after the stop. Default 25 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            header_time: Duration::from_secs(5),
            body_time: Duration::from_secs(10),
            ask_time: Duration::from_millis(1_900),
            grace: Duration::from_secs(25),
        }
    }
}
