//! Hands mails over to the Mailer. One whose kind it has just had no room for is stored without a lease instead: it would only be
//! given back, and the Mailer finds it in the queue as soon.

use std::{cell::RefCell, collections::HashSet, rc::Rc, time::Duration};

use tokio::time::Instant;

use crate::{
    domain::{ApplicationName, EmailAddress, LeasedMessage},
    messages::{Failure, MailQueued},
    supervision::{Ask, Reservation},
};

/// How long a refusal counts, at most.
const CROWDED_FOR: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct HandingOver {
    queued: Ask<MailQueued>,
    crowded: Rc<RefCell<Crowded>>,
}

/// Room for one mail with the Mailer.
pub(super) struct Room {
    reservation: Reservation<MailQueued>,
    crowded: Rc<RefCell<Crowded>>,
}

/// Of which application and to which domain mails were refused.
struct Crowded {
    kinds: HashSet<(ApplicationName, String)>,
    since: Instant,
}

impl HandingOver {
    pub(super) fn new(queued: Ask<MailQueued>) -> Self {
        Self { queued, crowded: Rc::new(RefCell::new(Crowded { kinds: HashSet::new(), since: Instant::now() })) }
    }

    /// None when the Mailer has no room, or had none for such a mail a moment ago.
    pub(super) fn room_for(&self, application: &ApplicationName, address: &EmailAddress) -> Option<Room> {
        let is_crowded = self.crowded.borrow().has(application, address);
        if is_crowded { None } else { self.room() }
    }

    /// The same, where it is not known to whom.
    pub(super) fn room(&self) -> Option<Room> {
        Some(Room { reservation: self.queued.reserve()?, crowded: self.crowded.clone() })
    }
}

impl Room {
    /// Hands it over, and waits for nothing.
    pub(super) fn hand_over(self, message: Box<LeasedMessage>) {
        fail::fail_point!("gateway.handover.before");
        let (application, address) = (message.application.clone(), message.address.clone());
        let told = self.reservation.tell(MailQueued { message });
        fail::fail_point!("gateway.handover.after");
        actix::spawn(async move {
            if let Ok(Err(Failure::Overloaded)) = told.await {
                self.crowded.borrow_mut().add(application, &address);
            }
        });
    }
}

impl Crowded {
    fn is_over(&self) -> bool {
        self.since.elapsed() > CROWDED_FOR
    }

    fn has(&self, application: &ApplicationName, address: &EmailAddress) -> bool {
        !self.kinds.is_empty() && !self.is_over() && self.kinds.contains(&(application.clone(), address.ascii_domain()))
    }

    fn add(&mut self, application: ApplicationName, address: &EmailAddress) {
        if self.is_over() {
            *self = Self { kinds: HashSet::new(), since: Instant::now() };
        }
        self.kinds.insert((application, address.ascii_domain()));
    }
}
