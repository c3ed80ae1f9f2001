//! The threads on which hashes are made: one for each core, at the lowest priority. The cells' threads go before them, so these
//! take what the cells leave of every core, and a core is the cells' whenever they want it.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// The kernel's lowest priority.
const NICEST: i32 = 19;

pub(super) struct Pool {
    /// Only its blocking threads are used; none after the drop.
    runtime: Option<Runtime>,
}

impl Pool {
    pub fn new(threads: usize) -> Self {
        let mut builder = Builder::new_current_thread();
        let builder = builder.max_blocking_threads(threads).thread_name("fiador-argon2id").on_thread_start(go_behind);
        Self { runtime: Some(builder.build().expect("without drivers it needs nothing of the system")) }
    }

    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.runtime.as_ref().expect("it is there until the drop").spawn_blocking(work)
    }
}

impl Drop for Pool {
    /// What runs goes on to its end; nobody waits for it.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn go_behind() {
    if let Err(error) = rustix::process::setpriority_process(None, NICEST) {
        tracing::warn!(%error, "hashes are made at the priority of everything else");
    }
}
