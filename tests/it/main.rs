//! One file a promise; `kit` is what they share.

mod conformance;
mod kit;
