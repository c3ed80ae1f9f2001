//! The guard and the handle for asks, driven through real actors. Time is tokio's, paused: it moves on to the next timer
//! when nothing else is left to do, so nothing is waited for.

mod asks;
mod counter;
mod falls;

use fiador::supervision::Ask;

use counter::{Count, DEADLINE};

#[test]
fn handles_and_their_futures_go_wherever_they_are_needed() {
    fn everywhere<T: Clone + Send + Sync>(_: impl Fn(T)) {}
    fn across_threads<F: Send>(_: impl Fn(Ask<Count>) -> F) {}
    everywhere(|_: Ask<Count>| {});
    across_threads(async |asks: Ask<Count>| asks.ask(Count, DEADLINE).await);
}

#[test]
fn panics_unwind_in_every_build() {
    const { assert!(cfg!(panic = "unwind")) };
    let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
    for (name, profile) in manifest["profile"].as_table().unwrap() {
        let panic = profile.get("panic").map_or("unwind", |panic| panic.as_str().unwrap());
        assert_eq!(panic, "unwind", "in the profile `{name}`");
    }
}
