use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::task::{JoinHandle, spawn_blocking};

use super::*;
use crate::domain::EmailAddress;

fn passwords(workers: usize) -> Passwords {
    Passwords::new(Zeroizing::new([7; 32]), workers)
}

fn new(text: &str) -> NewPassword {
    NewPassword::parse(text, &EmailAddress::parse("ada@example.org").unwrap()).unwrap()
}

fn presented(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

async fn run<T: Send + 'static>(passwords: &Passwords, work: impl FnOnce(&Argon) -> T + Send + 'static) -> Result<T, Busy> {
    passwords.admit()?.run(work).await
}

/// Runs that say when they begin, and end when they are let.
struct Runs {
    begun: Receiver<usize>,
    tell: Sender<usize>,
}

/// Ends a run.
type Release = Sender<()>;

impl Runs {
    fn new() -> Self {
        let (tell, begun) = channel();
        Self { begun, tell }
    }

    fn start(&self, passwords: &Passwords, name: usize) -> (JoinHandle<Result<(), Busy>>, Release) {
        let (release, released) = channel();
        let (passwords, tell) = (passwords.clone(), self.tell.clone());
        let run = async move {
            let work = move |_: &Argon| {
                tell.send(name).unwrap();
                let _ = released.recv(); // or the test has ended
            };
            run(&passwords, work).await
        };
        (tokio::spawn(run), release)
    }

    async fn next_begun(self) -> (Self, usize) {
        spawn_blocking(move || {
            let name = self.begun.recv().unwrap();
            (self, name)
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn one_more_than_there_are_workers_waits_and_one_more_than_may_wait_is_refused_at_once() {
    let (passwords, runs) = (passwords(2), Runs::new());
    let mut started: Vec<_> = (0..2 + 32).map(|name| runs.start(&passwords, name)).collect();
    let (runs, first) = runs.next_begun().await;
    let (runs, second) = runs.next_begun().await;

    assert_eq!([first, second].iter().sum::<usize>(), 1);
    assert_eq!(run(&passwords, |_| ()).await, Err(Busy));
    assert!(runs.begun.try_recv().is_err());

    let (ended, release) = started.remove(0);
    drop(release);
    assert_eq!(ended.await.unwrap(), Ok(()));
    let (runs, third) = runs.next_begun().await;
    assert_eq!(third, 2);
    assert!(runs.begun.try_recv().is_err());
    let (passwords, last) = (passwords.clone(), runs.start(&passwords, 34));
    drop(started);
    drop(last.1);
    assert_eq!(last.0.await.unwrap(), Ok(()));
    assert_eq!(run(&passwords, |_| ()).await, Ok(()));
}

#[tokio::test]
async fn who_goes_away_while_it_waits_or_runs_leaves_no_place_taken() {
    let (passwords, runs) = (passwords(1), Runs::new());
    let (running, release) = runs.start(&passwords, 0);
    let (runs, _) = runs.next_begun().await;
    let waiting: Vec<_> = (1..=16).map(|name| runs.start(&passwords, name)).collect();
    tokio::task::yield_now().await; // all of them are in the queue
    assert_eq!(run(&passwords, |_| ()).await, Err(Busy));

    running.abort();
    for (run, _) in &waiting {
        run.abort();
    }
    for (run, _) in waiting {
        assert!(run.await.unwrap_err().is_cancelled());
    }
    assert_eq!((passwords.workers.available_permits(), passwords.places.available_permits()), (0, 16));
    drop(release);
    assert_eq!(run(&passwords, |_| ()).await, Ok(()));
    assert_eq!((passwords.workers.available_permits(), passwords.places.available_permits()), (1, 17));
}

#[tokio::test]
async fn a_password_passes_in_whichever_way_its_letters_are_composed() {
    let passwords = passwords(1);
    let kept = passwords.admit().unwrap().hash(new("caf\u{e9} au lait")).await.unwrap();

    let verdict = passwords.admit().unwrap().verify(presented("cafe\u{301} au lait"), Some(kept.clone())).await;
    assert_eq!(verdict, Ok(Verdict::Right { rehashed: None }));
    assert_eq!(passwords.admit().unwrap().verify(presented("cafe au lait"), Some(kept)).await, Ok(Verdict::Wrong));
}

#[tokio::test]
async fn an_unknown_user_a_wrong_password_and_one_that_is_too_long_cost_one_run_each() {
    let passwords = passwords(1);
    let longest = "kq".repeat(127) + "z7";
    let kept = passwords.admit().unwrap().hash(new(&longest)).await.unwrap();
    let before = passwords.runs();

    for (text, kept) in [
        (longest.clone(), None),
        ("another password".to_owned(), Some(kept.clone())),
        (longest.clone() + "k", Some(kept.clone())),
        (String::new(), Some(kept.clone())),
        (String::new(), None),
    ] {
        assert_eq!(passwords.admit().unwrap().verify(Zeroizing::new(text), kept).await, Ok(Verdict::Wrong));
    }
    assert_eq!(passwords.runs() - before, 5);
    assert_eq!(
        passwords.admit().unwrap().verify(Zeroizing::new(longest), Some(kept)).await,
        Ok(Verdict::Right { rehashed: None })
    );
}

#[tokio::test]
async fn hashes_are_made_on_every_core_behind_everything_else() {
    assert_eq!(default_workers(), available_parallelism().unwrap().get());
    let priority_here = || rustix::process::getpriority_process(None);
    let before = priority_here();

    assert_eq!(run(&passwords(2), move |_| priority_here()).await, Ok(Ok(19)));
    assert_eq!(priority_here(), before);
}
