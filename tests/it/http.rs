//! The HTTP front over real sockets: replies, refusals in their order, strict bodies, the dev inbox, the accept loop.

mod dev_inbox;
mod framing;
mod refusals;
mod replies;
mod server;
