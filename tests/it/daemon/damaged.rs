//! A damaged store: the operator reads one line, which says what to do.

use std::fs;

use crate::kit::{caller::Caller, daemon::Home};

const PAGE: usize = 4096;

/// A home whose store has been in use, and the bytes of that store.
async fn used() -> (Home, Vec<u8>) {
    let home = Home::new();
    let daemon = home.start().await;
    let caller = Caller::of(&daemon, &home.demo_key());
    for n in 0..20 {
        caller.start_for(&format!("ada{n}@example.org")).await;
    }
    daemon.kill().await;
    let bytes = fs::read(home.path("data/fiador.redb")).unwrap();
    (home, bytes)
}

#[tokio::test]
async fn whatever_became_of_the_file_nothing_is_said_but_the_refusal() {
    let (home, whole) = used().await;
    let pages = whole.len() / PAGE;
    let cut = (0..pages).step_by(pages / 12).map(|page| whole[..page * PAGE].to_vec());
    let zeroed = (0..24).map(|page| [&whole[..page * PAGE], &[0; PAGE], &whole[(page + 1) * PAGE..]].concat());
    let noisy = (1..24).map(|page| [&whole[..page * PAGE], &[0xa5; PAGE], &whole[(page + 1) * PAGE..]].concat());

    let mut refusals = 0;
    for damaged in cut.chain(zeroed).chain(noisy) {
        fs::write(home.path("data/fiador.redb"), damaged).unwrap();
        let said = home.start_and_stop().await;
        if let Err(said) = said {
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.starts_with("fiador: ") && said.contains("data/fiador.redb: "), "{said}");
            assert!(said.contains("restore it, or move it away"), "{said}");
            refusals += 1;
        }
    }
    assert!(refusals > 12, "{refusals}");
}
