//! What the tests share.

pub mod budgets;
pub mod caller;
pub mod canaries;
pub mod daemon;
pub mod disk;
pub mod fail_points;
pub mod fake_store;
pub mod h2;
pub mod http;
pub mod liar;
pub mod monitor;
pub mod notify_socket;
pub mod place;
pub mod post;
pub mod proxy;
pub mod redis;
pub mod scrape;
pub mod scripted_gateway;
pub mod scripted_users;
pub mod sealed;
pub mod smtp_script;
pub mod smtp_server;
pub mod smtp_sink;
pub mod store_users;
pub mod stores;
pub mod tls;
