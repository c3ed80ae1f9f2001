//! Disks that lose power or are full: never an acknowledgement of what is not durable.

use fiador::{
    clock::{Clock, Hand, system_random},
    domain::{LeasedMessage, Refusal, Status, VerificationView},
    messages::Failure,
    store::{KeyRing, Vault, embedded::Writer},
};
use futures_util::future::join_all;

use crate::kit::{
    disk::Disk,
    stores::{TestStore, guarded_embedded_store},
};

/// How many disks lose power, each at another moment.
const LOSSES: u64 = 20;
const ADDRESSES: usize = 24;

struct Machine {
    ring: KeyRing,
    clock: Clock,
    hand: Hand,
}

impl Machine {
    fn new() -> Self {
        let (clock, hand) = Clock::manual();
        Self { ring: KeyRing::generate(&mut system_random()), clock, hand }
    }

    /// A store on this disk, under the same keys and the same clock each time.
    fn store(&self, disk: &Disk) -> TestStore {
        let disk = disk.clone();
        let writer = Writer::start_on(move || disk.open(), Vault::new(self.ring.clone()), self.clock.clone()).unwrap();
        TestStore::of(guarded_embedded_store(writer), self.hand.clone())
    }
}

/// What was acknowledged while there still was power.
enum Acknowledged {
    Start(VerificationView, LeasedMessage),
    Approval(VerificationView, LeasedMessage),
}

/// Starts and checks of one address: what was acknowledged before the loss.
async fn use_it(store: &TestStore, disk: &Disk, address: &str) -> Option<Acknowledged> {
    let opened = store.open(TestStore::opening(address)).await.ok().filter(|_| !disk.has_lost_power())?;
    let (verification, mail) = (opened.verification, *opened.message?);
    let approved = store.check(&verification.id, mail.digits().unwrap()).await.is_ok();
    let in_time = approved && !disk.has_lost_power();
    Some(if in_time { Acknowledged::Approval(verification, mail) } else { Acknowledged::Start(verification, mail) })
}

#[actix::test]
async fn what_was_acknowledged_outlives_a_loss_of_power_at_any_moment() {
    let mut found = (0, 0);
    for seed in 0..LOSSES {
        let (machine, disk) = (Machine::new(), Disk::new(seed));
        let store = machine.store(&disk);
        disk.lose_power_within(150);
        let addresses: Vec<String> = (0..ADDRESSES).map(|n| format!("ada{n}@example.org")).collect();
        let acknowledged = join_all(addresses.iter().map(|address| use_it(&store, &disk, address))).await;
        while !disk.has_lost_power() {
            store.start(&format!("{}@example.org", uuid::Uuid::new_v4().simple())).await;
        }

        let store = machine.store(&disk.after_the_loss());
        for one in acknowledged.into_iter().flatten() {
            match one {
                Acknowledged::Start(verification, mail) => {
                    // its check may have been stored, too, and not acknowledged any more
                    let check = store.check(&verification.id, mail.digits().unwrap()).await;
                    assert!(matches!(check, Ok(_) | Err(Failure::Refused(Refusal::AlreadyApproved))), "{seed}: {check:?}");
                    found.0 += 1;
                }
                Acknowledged::Approval(verification, mail) => {
                    let check = store.check(&verification.id, mail.digits().unwrap()).await;
                    assert_eq!(check, Err(Failure::Refused(Refusal::AlreadyApproved)), "{seed}");
                    assert_eq!(store.look_up(&verification.id).await.unwrap().status, Status::Approved, "{seed}");
                    found.1 += 1;
                }
            }
        }
    }
    assert!(found.0 > 0 && found.1 > 0, "the losses came too early to tell anything: {found:?}");
}

#[actix::test]
async fn a_full_disk_acknowledges_nothing_and_is_written_again_once_there_is_room() {
    let (machine, disk) = (Machine::new(), Disk::new(0));
    let store = machine.store(&disk);
    let (verification, mail) = store.start("ada@example.org").await;
    disk.set_full(true);

    for n in 0..3 {
        assert_eq!(store.open(TestStore::opening(&format!("bob{n}@example.org"))).await, Err(Failure::Unavailable));
        assert_eq!(store.check(&verification.id, mail.digits().unwrap()).await, Err(Failure::Unavailable));
    }
    disk.set_full(false);
    assert!(store.check(&verification.id, mail.digits().unwrap()).await.is_ok());
    store.start("bob0@example.org").await;
}
