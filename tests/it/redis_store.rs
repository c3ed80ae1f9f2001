//! `RedisStore` on real servers: what it sends, what it refuses, and how it lives through their failures.

mod commits;
mod gate;
mod gone;
mod keys;
mod reach;
mod replies;
mod trips;
