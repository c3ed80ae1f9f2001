use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join, select},
};
use metrics::{counter, gauge};
use strum::VariantNames;
use tokio::time::interval;

use super::{
    StartError,
    roster::{Member, Roster},
};
use crate::{
    actors,
    domain::{MailCounts, MessageOutcome},
    http::{self, Acceptor, ActorView, Front, Limits, LookAtSystem, Scrape, SystemView},
    messages::CountMails,
    meters::Meters,
    supervision::{Ask, Health},
};

const COUNT_DEADLINE: Duration = Duration::from_secs(1);
const MOST_SCRAPERS: usize = 64;
/// How often what was measured is summed up when nobody asks for it.
const TIDIED_EVERY: Duration = Duration::from_secs(5);

/// Sees how all actors are, and how many mails are queued.
#[derive(Clone)]
pub(super) struct Observatory {
    roster: Roster,
    count_mails: Ask<CountMails>,
}

impl Observatory {
    pub fn new(roster: Roster, count_mails: Ask<CountMails>) -> Self {
        Self { roster, count_mails }
    }

    /// For `GET /health/live`.
    pub fn is_live(&self) -> Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync> {
        let roster = self.roster.clone();
        Arc::new(move || {
            let roster = roster.clone();
            async move { roster.all_alive().await }.boxed()
        })
    }

    /// For `GET /v1/system`.
    pub fn look(&self) -> LookAtSystem {
        let observatory = self.clone();
        Arc::new(move || {
            let observatory = observatory.clone();
            async move { observatory.view().await }.boxed()
        })
    }

    /// For `GET /metrics`.
    pub fn scrape(&self, meters: Meters) -> Scrape {
        let observatory = self.clone();
        Arc::new(move || {
            let (observatory, meters) = (observatory.clone(), meters.clone());
            async move {
                observatory.gauge().await;
                meters.render()
            }
            .boxed()
        })
    }

    async fn view(&self) -> SystemView {
        let mails = self.count_mails().await;
        SystemView { actors: self.roster.members().iter().map(view_of).collect(), mails }
    }

    async fn count_mails(&self) -> Option<MailCounts> {
        self.count_mails.ask(CountMails, COUNT_DEADLINE).await.ok()
    }

    /// Sets what has to be looked at to be known.
    async fn gauge(&self) {
        let mails = self.count_mails().await;
        let set = |state: &'static str, count: Option<u64>| {
            gauge!("fiador_mail_queue", "state" => state).set(count.map_or(f64::NAN, approximate));
        };
        set("due", mails.map(|mails| mails.due));
        set("later", mails.map(|mails| mails.later));
        set("failed", mails.map(|mails| mails.failed));
        for Member { place, vitals, .. } in self.roster.members() {
            let (in_use, _) = vitals.permits();
            gauge!("fiador_permits_in_use", "actor" => vitals.actor(), "place" => place.to_string()).set(in_use);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and nobody has so many mails")]
fn approximate(count: u64) -> f64 {
    count as f64
}

fn view_of(member: &Member) -> ActorView {
    let report = member.vitals.report();
    let (permits_in_use, permits) = member.vitals.permits();
    ActorView {
        actor: member.vitals.actor(),
        place: member.place.to_string(),
        state: match report.health {
            Health::Up => "up",
            Health::Down { .. } => "restarting",
            Health::Dead => "dead",
        },
        restarts: report.restarts,
        last_cause: report.last_cause.map(|cause| cause.to_string()),
        permits_in_use,
        permits,
    }
}

/// The listener of `GET /metrics`.
pub(super) struct MetricsListener {
    acceptor: Acceptor,
    meters: Meters,
    limits: Limits,
}

impl MetricsListener {
    /// Binds the port, and measures from here on.
    ///
    /// # Errors
    /// [`StartError`], which names the key.
    pub async fn bind(listen: SocketAddr, limits: Limits) -> Result<Self, StartError> {
        let limits = Limits { connections: MOST_SCRAPERS, ..limits };
        let acceptor = Acceptor::bind(listen, limits).await.map_err(StartError::MetricsListen)?;
        let meters = Meters::install()?;
        count_from_zero();
        Ok(Self { acceptor, meters, limits })
    }

    /// Serves what is measured, on this thread, until `stop`.
    pub async fn serve(self, observatory: Observatory, stop: impl Future<Output = ()>) {
        let Self { acceptor, meters, limits } = self;
        tracing::info!(metrics.listen = %acceptor.local_address(), "metrics are served");
        let (port, connections) = http::cell(|| true);
        let front = Front::metrics(observatory.scrape(meters.clone()));
        let served = join(acceptor.run(vec![port], stop), connections.serve(front, limits));
        select(pin!(served), pin!(tidy(meters))).await;
    }
}

/// What alarms look for is there from the start: else the first of each would be no increase.
fn count_from_zero() {
    http::count_refusals_from_zero();
    actors::count_budgets_from_zero();
    counter!("fiador_cell_restarts_total").increment(0);
    for outcome in MessageOutcome::VARIANTS {
        counter!("fiador_mails_total", "outcome" => *outcome).increment(0);
    }
}

/// Never ends.
async fn tidy(meters: Meters) {
    let mut ticks = interval(TIDIED_EVERY);
    loop {
        ticks.tick().await;
        meters.tidy();
    }
}
