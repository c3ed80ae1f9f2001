use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::prelude::*;
use futures_util::future::join_all;

use crate::{
    messages::Probe,
    supervision::{Guarded, Prober, Vitals},
};

const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// Where an actor runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this cell's thread; the first is 1.
    Cell(usize),
    /// On the Mailer's thread.
    Mailer,
    /// On the thread that started it, in process.
    Here,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell(number) => write!(f, "cell {number}"),
            Self::Mailer => f.write_str("mailer"),
            Self::Here => f.write_str("here"),
        }
    }
}

/// All actors, whichever thread they run on. Cheap to clone; all clones are one. It keeps the actors on it alive.
#[derive(Clone, Default)]
pub(super) struct Roster(Arc<Mutex<Vec<Member>>>);

/// An actor on the roster.
#[derive(Clone)]
pub(super) struct Member {
    pub place: Place,
    pub vitals: Vitals,
    probe: Arc<Prober<Probe>>,
}

impl Roster {
    pub fn enter<A>(&self, place: Place, actor: &Guarded<A>)
    where
        A: Actor<Context = Context<A>> + Handler<Probe>,
    {
        let member = Member { place, vitals: actor.vitals(), probe: Arc::new(actor.probes()) };
        self.members_mut().push(member);
    }

    /// Takes off those that ran at `place`.
    pub fn strike(&self, place: Place) {
        self.members_mut().retain(|member| member.place != place);
    }

    pub fn members(&self) -> Vec<Member> {
        self.members_mut().clone()
    }

    /// Whether no new process is needed: asks every actor, without a permit and without a dependency. One that is down and
    /// looked after by its guard counts as alive.
    pub async fn all_alive(&self) -> bool {
        let members = self.members();
        let alive = join_all(members.iter().map(|member| member.probe.is_alive(Probe, PROBE_DEADLINE))).await;
        alive.into_iter().all(|is_alive| is_alive)
    }

    fn members_mut(&self) -> MutexGuard<'_, Vec<Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
