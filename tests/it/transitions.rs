//! The rules without a server: each transition on the record of one address, by a clock moved by hand.

mod checks;
mod ends;
mod histories;
mod mails;
mod one_address;
mod onlooker;
mod starts;
mod test_application;
mod users;
