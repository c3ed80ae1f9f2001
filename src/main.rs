//! The `fiador` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nothing came before this");
    fiador::cli::run()
}
