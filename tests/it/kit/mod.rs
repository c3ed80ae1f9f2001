//! What several tests share.

pub mod http;
pub mod scripted_gateway;
