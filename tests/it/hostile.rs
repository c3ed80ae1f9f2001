//! Peers that lie: a Redis that is not what it seems, a mail server that wants the number in clear or all of our memory.

mod redis;
mod redis_floods;
mod smtp;
