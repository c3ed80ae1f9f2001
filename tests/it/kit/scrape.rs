//! What a real daemon tells Prometheus.

use reqwest::Client;

use super::daemon::Daemon;

/// Has the daemon measure, on a port of its own.
pub const MEASURED: (&str, &str) = ("FIADOR__METRICS__LISTEN", "127.0.0.1:0");

/// One scrape.
pub struct Scrape(pub String);

impl Scrape {
    pub async fn of(daemon: &Daemon) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        let reply = client.get(format!("http://{}/metrics", address(daemon).await)).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Self(reply.text().await.unwrap())
    }

    /// The sum of the metric's series that have all of these labels; none when there are none.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has_labels = |series: &&str| labels.iter().all(|(name, value)| series.contains(&format!("{name}=\"{value}\"")));
        let series = self.0.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric)).filter(has_labels);
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).reduce(|sum, value| sum + value)
    }

    /// How many series the metric has.
    pub fn lines(&self, metric: &str) -> usize {
        self.0.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric)).count()
    }

    /// [`Self::sum`], as a count.
    pub fn count(&self, metric: &str, labels: &[(&str, &str)]) -> u32 {
        format!("{:.0}", self.sum(metric, labels).unwrap_or_default()).parse().unwrap()
    }
}

/// Where the daemon tells it.
pub async fn address(daemon: &Daemon) -> String {
    daemon.logged_address("metrics.listen").await
}
