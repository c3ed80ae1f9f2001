//! The `fiador` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nothing came before this");
    #[cfg(feature = "testing")]
    let _fail_points = fiador::fail_points::arm();
    fiador::cli::run()
}
