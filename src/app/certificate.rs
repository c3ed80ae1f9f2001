use std::{sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};

use crate::{
    clock::Clock,
    config::{Tls, TlsUnusable},
    domain::Moment,
    http::encryption,
    live::Live,
};

/// How often its files are looked at.
const LOOKED_AT_EACH: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before its end it is told of, each day: whoever renews it by machine does so earlier.
const TOLD_BEFORE_END: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The certificate of HTTPS while the daemon runs.
pub(super) struct Certificate {
    shown: Live<Tls>,
    served: Live<ServerConfig>,
    clock: Clock,
    watching: JoinHandle<()>,
}

impl Certificate {
    /// Shows this one, and from then on what its files hold.
    pub(super) fn watch(tls: Tls, clock: Clock) -> Self {
        let (served, shown) = (Live::new(encryption(tls.certified())), Live::new(tls));
        let renewal =
            Renewal { shown: shown.clone(), served: served.clone(), clock: clock.clone(), told: None, told_of_end: None };
        Self { shown, served, clock, watching: actix_rt::spawn(renewal.run()) }
    }

    /// What the listeners encrypt with.
    pub(super) fn served(&self) -> Live<ServerConfig> {
        self.served.clone()
    }

    /// Whether `tls` may take the place of the one that is shown.
    ///
    /// # Errors
    /// It has run out, and that one has not.
    pub(super) fn judge(&self, tls: &Tls) -> Result<(), TlsUnusable> {
        tls.judge_as_successor(&self.shown.now(), self.clock.now())
    }

    /// Shows another one from now on.
    pub(super) fn replace(&self, tls: Tls) {
        self.served.replace(encryption(tls.certified()));
        self.shown.replace(tls);
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Looks after the certificate's files and its end.
struct Renewal {
    shown: Live<Tls>,
    served: Live<ServerConfig>,
    clock: Clock,
    /// Why the files' new contents are not taken, as the log says it last.
    told: Option<String>,
    /// Of which end the log tells, and when it did last.
    told_of_end: Option<(Moment, Moment)>,
}

impl Renewal {
    async fn run(mut self) {
        loop {
            self.tell_of_end();
            sleep(LOOKED_AT_EACH).await;
            self.look().await;
        }
    }

    /// Takes what the files hold if it is new and a pair. Until both are written they are none, and the old one is shown.
    async fn look(&mut self) {
        let shown = self.shown.now();
        let looked_at = shown.clone();
        let renewed = spawn_blocking(move || looked_at.renewed()).await.expect("reading returns its errors");
        if !Arc::ptr_eq(&shown, &self.shown.now()) {
            return; // a reload came first, which read the files itself
        }
        let judged = |tls: Tls| tls.judge_as_successor(&shown, self.clock.now()).map(|()| tls);
        match renewed.map(|read| read.and_then(judged)) {
            None => self.told = None,
            Some(Ok(tls)) => self.take(tls),
            Some(Err(unusable)) => self.tell_of_refusal(unusable.to_string()),
        }
    }

    fn take(&mut self, tls: Tls) {
        tracing::info!(certificate.expires_at = tls.expires_at().rfc3339(), "certificate renewed");
        self.served.replace(encryption(tls.certified()));
        self.shown.replace(tls);
        self.told = None;
    }

    fn tell_of_refusal(&mut self, cause: String) {
        if self.told.as_ref() != Some(&cause) {
            tracing::warn!(cause, "certificate not renewed; the one before is shown, and the files are looked at again");
            self.told = Some(cause);
        }
    }

    fn tell_of_end(&mut self) {
        let (now, expires_at) = (self.clock.now(), self.shown.now().expires_at());
        let was_told = self.told_of_end.is_some_and(|(end, told_at)| end == expires_at && now.since(told_at) < DAY);
        if expires_at.since(now) < TOLD_BEFORE_END && !was_told {
            let is_over = expires_at <= now;
            tracing::warn!(certificate.expires_at = expires_at.rfc3339(), certificate.is_over = is_over, "certificate runs out");
            self.told_of_end = Some((expires_at, now));
        }
    }
}
