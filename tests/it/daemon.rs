//! The daemon as its users have it: the real program, a process of its own, spoken to over HTTP and by signals.

mod audit;
mod backlog;
mod cells;
mod crash;
mod damaged;
mod enumeration;
mod falls;
mod first_use;
mod guesses;
mod https;
mod key_ring;
mod keys;
mod kills;
mod logs;
mod mail;
mod metrics;
mod no_room;
mod overload;
mod poison;
mod redis;
mod reload;
mod requests;
mod stop;
mod system;
mod systemd;
mod test_application;
