//! Clients that start and check verifications without a pause, and take nothing but success for an answer.

use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Duration, timeout},
};

use crate::kit::caller::{Caller, other_than};

const CLIENTS: usize = 4;
/// Longer than any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Load {
    clients: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    rounds: watch::Receiver<usize>,
}

impl Load {
    /// `callers` says where a client starts verifications, and where it checks them.
    pub fn start(callers: impl Fn() -> (Caller, Caller)) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (done, rounds) = watch::channel(0);
        let clients = (0..CLIENTS).map(|_| tokio::spawn(work(callers(), done.clone(), stopped.clone()))).collect();
        Self { clients, stop, rounds }
    }

    /// Returns once each client, on average, has been through two more verifications.
    pub async fn go_on_for_a_while(&mut self) {
        let enough = *self.rounds.borrow() + 2 * CLIENTS;
        let going_on = timeout(PATIENCE, self.rounds.wait_for(|rounds| *rounds >= enough)).await;
        assert!(matches!(going_on, Ok(Ok(_))), "the clients came to a halt");
    }

    /// Not one of them was refused anything.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

async fn work((starting, checking): (Caller, Caller), done: watch::Sender<usize>, stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let address = format!("{}@example.org", uuid::Uuid::new_v4().simple());
        let id = starting.start_for(&address).await;
        let read = checking.read(&id).await;
        assert_eq!(read.status, 200, "{}", read.text);
        let number = starting.mailed_number(&address).await;
        checking.check(&id, &other_than(&number)).await.problem(422, "number-incorrect");
        let approval = checking.check(&id, &number).await;
        assert_eq!((approval.status, approval.json()["token"].take()), (200, json!("tok-1")), "{}", approval.text);
        done.send_modify(|rounds| *rounds += 1);
    }
}
