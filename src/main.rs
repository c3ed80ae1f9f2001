//! The `fiador` command.

fn main() {}
