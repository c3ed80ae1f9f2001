//! Peers that lie: a Redis that is not what it seems, a mail server that wants the number in clear or all of our memory; and
//! callers who want a second mail or header in an address.

mod injection;
mod redis;
mod redis_floods;
mod smtp;
