//! A cell whose thread ends takes its own connections with it, and nothing else.

use reqwest::Method;

use crate::kit::{
    caller::Caller,
    daemon::Home,
    scrape::{MEASURED, Scrape},
};

#[tokio::test]
async fn a_cell_whose_thread_ends_is_made_anew_and_accepts_again() {
    let (home, key) = Home::with_application("[dev]\ninbox = true");
    let mut daemon = home.start_with(&[MEASURED, ("FAILPOINTS", "cell.ends=1*return")]).await;
    let caller = Caller::of(&daemon, &key);

    let _ = caller.request(Method::GET, "/v1/verifications/vrf_any").send().await; // answered or not, the cell ends with it
    daemon.until_logged("a cell's thread ended; it is made anew").await;

    let cells = std::thread::available_parallelism().unwrap().get();
    while Scrape::of(&daemon).await.0.matches("fiador_permits_in_use{actor=\"gateway\"").count() < cells {}
    for _ in 0..2 * cells {
        let on_a_connection_of_its_own = Caller::of(&daemon, &key);
        on_a_connection_of_its_own.read("vrf_any").await.problem(404, "not-found");
    }
    assert_eq!(caller.get("/health/live").await.status, 200);
    assert_eq!(Scrape::of(&daemon).await.count("fiador_cell_restarts_total", &[]), 1);
    daemon.terminate().await;
    assert_eq!(daemon.ended().await, Some(0));
}

#[tokio::test]
async fn cells_that_end_too_often_end_the_daemon_with_70() {
    let (home, key) = Home::with_application("[dev]\ninbox = true");
    let mut daemon = home.start_with(&[("FAILPOINTS", "cell.ends=return")]).await;

    let ending = async {
        loop {
            let _ = Caller::of(&daemon, &key).request(Method::GET, "/v1/verifications/vrf_any").send().await;
            if daemon.logged().iter().any(|line| line.contains("an actor fell too often")) {
                return;
            }
        }
    };
    ending.await;

    assert_eq!(daemon.ended().await, Some(70));
    let remade = daemon.logged().iter().filter(|line| line.contains("it is made anew")).count();
    assert_eq!(remade, 5);
}
