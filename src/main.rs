//! The `fiador` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A request allocates a hundred times; this one takes a quarter of the time for it that the system's does.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nothing came before this");
    #[cfg(feature = "testing")]
    let _fail_points = fiador::fail_points::arm();
    fiador::cli::run()
}
