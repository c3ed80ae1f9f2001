//! What is measured: what each metric means, and the recorder that collects them. Who measures names a metric through the crate
//! `metrics`; without this recorder, in process, that does nothing. No label holds what a client sent.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

/// Of requests and of what the store does.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0];
/// Of mails, which may be tried again for minutes.
const DELIVERY_SECONDS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 3600.0];

/// Why nothing is measured.
#[derive(Debug, Error)]
#[error("metrics: the process has a recorder already")]
pub struct MetersError;

/// What was measured so far. Cheap to clone.
#[derive(Clone)]
pub struct Meters(PrometheusHandle);

impl Meters {
    /// Measures from here on, for the whole process. Called once, before the actors are made: what they measure with is looked
    /// up then.
    ///
    /// # Errors
    /// [`MetersError`] when somebody measures already.
    pub fn install() -> Result<Self, MetersError> {
        let buckets = |builder: PrometheusBuilder, name: &str, bounds: &[f64]| {
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds).expect("the bounds are not empty")
        };
        let builder = buckets(PrometheusBuilder::new(), "fiador_request_seconds", &SECONDS);
        let builder = buckets(builder, "fiador_store_seconds", &SECONDS);
        let builder = buckets(builder, "fiador_mail_delivery_seconds", &DELIVERY_SECONDS);
        let handle = builder.install_recorder().map_err(|_| MetersError)?;
        describe();
        Ok(Self(handle))
    }

    /// All of it, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Sums up what was measured since the last time, which lies about in single values until then.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    describe_counter!("fiador_requests_total", "HTTP requests by route, method and status");
    describe_counter!("fiador_refusals_total", "Problems answered, by code");
    describe_counter!("fiador_budgets_spent_total", "Requests refused because a budget was spent, by budget");
    describe_counter!("fiador_asks_total", "Asks from actor to actor, by the asked, the message and what came of it");
    describe_counter!("fiador_actor_restarts_total", "Restarts of actors, by cause");
    describe_counter!("fiador_cell_restarts_total", "Cells made anew because their thread ended");
    describe_counter!("fiador_mails_total", "Tries of mails, by what came of them");
    describe_gauge!("fiador_mail_queue", "Mails in the store's queue by state; NaN while the store does not answer");
    describe_gauge!("fiador_permits_in_use", "Asks on their way to an actor, by actor and place");
    describe_gauge!("fiador_connections", "Open HTTP connections");
    describe_histogram!("fiador_request_seconds", Unit::Seconds, "How long HTTP requests took, by route");
    describe_histogram!("fiador_store_seconds", Unit::Seconds, "How long the store took to answer, by message");
    describe_histogram!(
        "fiador_mail_delivery_seconds",
        Unit::Seconds,
        "From the start or resend that queued a mail until the SMTP server or the dev inbox took it"
    );
}
