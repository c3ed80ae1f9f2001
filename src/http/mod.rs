//! The HTTP front: our own accept loop, warp's routes, and one place that turns refusals into problems.
//!
//! A connection comes in through the [`Acceptor`], which hands it to a cell ([`CellConnections`]); there TLS is spoken if the
//! listener has it, hyper reads requests, and the [`Front`] answers each: it names the request, lets warp's routes find the
//! handler, and writes the problem that a handler left. Handlers ask the Gateway and translate; they decide nothing.
//!
//! Not answered by the [`Front`] is what is no HTTP at all (400) or has over-long headers (431): without body and request id. A
//! connection that sends no whole header within [`Limits::header_time`] is closed, idle ones too. After a 408 or 413 the rest of
//! the body is not read, and the connection is closed.

mod activity;
mod body;
mod caller;
mod compat;
mod connection;
mod dev_inbox;
mod front;
#[cfg(feature = "testing")]
pub(crate) mod fuzzing;
mod health;
mod jwks;
mod members;
mod messages;
mod metering;
mod peers;
mod problem;
mod query;
mod rate_limit;
mod reply;
mod routes;
mod scraping;
mod server;
mod sign_ins;
mod system;
mod test_mark;
mod tls;
mod trail;
mod users;
mod verifications;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

pub use compat::CompatAsks;
pub use front::Front;
pub use jwks::PublishedKeys;
pub use metering::count_refusals_from_zero;
pub use peers::PeerRules;
pub use scraping::Scrape;
pub use server::{Acceptor, CellConnections, CellPort, CellPorts, ListenError, cell};
pub use system::{ActorView, LookAtSystem, SystemView};
pub use tls::encryption;

use crate::{
    domain::{Denied, Presented, Principal},
    messages::{
        AskReadiness, CancelVerification, CheckByNumber, CheckNumber, CreateUser, DeleteUser, ExportUser, FindUser, ListMails,
        ReadInbox, ReadMail, ReadUser, ReadVerification, ResendVerification, RetryMail, SetPassword, SignIn, SignInByNumber,
        StartVerification, UpdateUser,
    },
    supervision::Ask,
};

/// What says whose an API key is; it never waits.
pub type Authenticate = Arc<dyn Fn(&Presented<'_>) -> Result<Principal, Denied> + Send + Sync>;

/// Whom the routes ask, one handle a message.
pub struct Asks {
    /// Whose an API key is.
    pub authenticate: Authenticate,
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
    /// `GET /v1/messages`
    pub list_mails: Ask<ListMails>,
    /// `GET /v1/messages/{id}`
    pub read_mail: Ask<ReadMail>,
    /// `POST /v1/messages/{id}/retry`
    pub retry_mail: Ask<RetryMail>,
    /// `POST /v1/users`
    pub create_user: Ask<CreateUser>,
    /// `GET /v1/users/{id}`
    pub read_user: Ask<ReadUser>,
    /// `GET /v1/users?email=`
    pub find_user: Ask<FindUser>,
    /// `PATCH /v1/users/{id}`
    pub update_user: Ask<UpdateUser>,
    /// `DELETE /v1/users/{id}`
    pub delete_user: Ask<DeleteUser>,
    /// `GET /v1/users/{id}/export`
    pub export_user: Ask<ExportUser>,
    /// `POST /v1/users/{id}/password`
    pub set_password: Ask<SetPassword>,
    /// `POST /v1/sign-ins`
    pub sign_in: Ask<SignIn>,
    /// `POST /v1/sign-ins/number`
    pub sign_in_by_number: Ask<SignInByNumber>,
    /// `GET /health/ready`
    pub readiness: Ask<AskReadiness>,
    /// `GET /v1/system`
    pub system: LookAtSystem,
    /// `GET /dev/inbox`; none: there is no dev inbox, and its routes are unknown.
    pub inbox: Option<Ask<ReadInbox>>,
    /// `GET /.well-known/jwks.json`
    pub published_keys: PublishedKeys,
    /// `GET /health/live`: false when only a new process can help.
    pub is_live: Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>,
}

/// How much and how long the front puts up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, over all cells, those in the TLS handshake too; further ones wait in the listener's backlog.
    /// Default 16,384.
    pub connections: usize,
    /// How many of them one peer may have (IPv6: one /64), unless [`PeerRules`] exempt it; further ones are closed at once.
    /// Default 256: the pool of a busy server fits in, and it takes 64 strangers to have them all.
    pub connections_per_peer: usize,
    /// How long a TLS handshake may take. Default 5 s.
    pub handshake_time: Duration,
    /// How long a connection may take for a request's header, waiting for its first byte included, before it is
    /// closed: this stops clients that hold connections by sending slowly. Over HTTP/2, where later headers come among other
    /// frames, twice that for them: it is how long a ping may be unanswered. Default 5 s.
    pub header_time: Duration,
    /// How long a connection may be kept without a request that runs. HTTP/1.1's waiting for the next header ends sooner, with
    /// `header_time`; this holds for HTTP/2, and for who does not take its answer. Default 30 s.
    pub idle_time: Duration,
    /// How long a request's body may take, before a 408, for the same reason. Default 10 s.
    pub body_time: Duration,
    /// How long the ask of a request may take before a 503. Default 1.9 s: a failed dependency is a clear
    /// 503 within two seconds.
    pub ask_time: Duration,
    /// How long requests in flight may go on after the stop. Default 25 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_peer: 256,
            handshake_time: Duration::from_secs(5),
            header_time: Duration::from_secs(5),
            idle_time: Duration::from_secs(30),
            body_time: Duration::from_secs(10),
            ask_time: Duration::from_millis(1_900),
            grace: Duration::from_secs(25),
        }
    }
}
