//! The actors. Each file reads in one order: limits, private messages, state, constructor, lifecycle, handlers, the rest.

mod asks;
mod embedded_store;
mod gateway;
pub mod mailer;
mod redis_store;
mod store_requests;

pub use asks::{MailAsks, StoreAsks, count_budgets_from_zero};
pub use embedded_store::EmbeddedStore;
pub use gateway::{Gateway, Provers};
pub use mailer::Mailer;
pub use redis_store::RedisStore;
