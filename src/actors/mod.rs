//! The actors: each translates messages into what `domain`, `store` and `mail` do.

pub mod mailer;
