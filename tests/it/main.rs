//! Every integration test, in one binary.

#[cfg(test)]
mod http;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod supervision;
