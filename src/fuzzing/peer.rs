//! The other end of a line, which says what it was told to say and hangs up.

use std::{future::poll_fn, io, pin::Pin, task::Poll};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    runtime::{Builder, Runtime},
    task::yield_now,
};

/// More than one of our mails has; it is asked for as a whole each time.
const ROOM: usize = 1 << 14;
/// What stands between two answers: in no RESP that a seed needs, and in no SMTP reply.
const BETWEEN: u8 = b'~';
/// So often ours may get its turn without a word before the next answer comes unasked.
const PATIENCE: usize = 4;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a system has room for a runtime");
}

/// Lets `ours` speak over a stream whose other end answers with `answers` in turn, then hangs up; what ours said. Where ours waits
/// for more, the next answer comes without a question: nobody ever waits.
pub(super) fn meet<F: Future<Output = ()>>(answers: &[u8], ours: impl FnOnce(DuplexStream) -> F) -> Vec<u8> {
    let (near, far) = duplex(ROOM);
    let both = async { tokio::join!(ours(near), answer(far, answers)).1 };
    RUNTIME.with(|runtime| runtime.block_on(both))
}

async fn answer(mut line: DuplexStream, answers: &[u8]) -> Vec<u8> {
    let mut told = Vec::new();
    for answer in answers.split(|&byte| byte == BETWEEN) {
        listen(&mut line, &mut told).await;
        if line.write_all(answer).await.is_err() {
            break; // ours hung up
        }
    }
    listen(&mut line, &mut told).await;
    told
}

/// Hears all that ours says before it waits.
async fn listen(line: &mut DuplexStream, told: &mut Vec<u8>) {
    for _ in 0..PATIENCE {
        yield_now().await;
        while heard(line, told).await {}
    }
}

/// Whether there was something.
async fn heard(line: &mut DuplexStream, told: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    let mut buffer = ReadBuf::new(&mut bytes);
    let poll = poll_fn(|cx| match Pin::new(&mut *line).poll_read(cx, &mut buffer) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
    });
    let is_open = poll.await.is_ok();
    told.extend_from_slice(buffer.filled());
    is_open && !buffer.filled().is_empty()
}
