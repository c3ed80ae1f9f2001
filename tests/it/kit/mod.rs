//! What tests share.

pub mod redis;
pub mod stores;
