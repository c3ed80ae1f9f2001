//! The HTTP front over real sockets: replies, refusals in their order, strict bodies, the dev inbox, the accept loop, TLS and
//! HTTP/2.

mod dev_inbox;
mod framing;
mod h2;
mod messages;
mod refusals;
mod replies;
mod server;
mod sign_ins;
mod test_application;
mod tls;
mod users;
