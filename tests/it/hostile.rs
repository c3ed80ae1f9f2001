//! Peers that lie: a Redis that is not what it seems.

mod redis;
mod redis_floods;
