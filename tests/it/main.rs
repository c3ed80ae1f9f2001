//! Every integration test, in one binary.

#[cfg(test)]
mod supervision;
