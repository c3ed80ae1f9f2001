//! What the campaign plays in: two daemons of one service, each on its own road to one Redis, and the post office.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use fiador::api_key::ApiKey;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, timeout};

use super::{
    clock::{Time, pass},
    post_office::PostOffice,
    road::Road,
};
use crate::kit::{
    daemon::{Daemon, Home, application_whose_key},
    redis::TestRedis,
};

/// Nothing that was acknowledged may be lost by a crash of Redis.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
/// How long a daemon may take until it is ready, once nothing stands in its way.
const RECOVERY: Duration = Duration::from_secs(15);

pub struct World {
    pub time: Time,
    pub redis: tokio::sync::Mutex<TestRedis>,
    pub office: PostOffice,
    pub sites: [Site; 2],
    /// Of the application whose numbers are checked with an id, and of that whose numbers alone identify.
    pub keys: [String; 2],
    /// A bug that is planted in the daemons.
    bug: Option<&'static str>,
    fallen: Mutex<Vec<String>>,
    /// Until then new things are begun.
    until: Instant,
    is_cut_short: AtomicBool,
}

/// Where one daemon is.
pub struct Site {
    home: Home,
    pub road: Road,
    daemon: tokio::sync::Mutex<Option<Daemon>>,
    address: Mutex<String>,
}

impl World {
    pub async fn new(bug: Option<&'static str>, lasts: Duration, rng: Rng) -> Arc<Self> {
        let (time, redis) = (Time::new(), TestRedis::start_with(&DURABLE));
        let office = PostOffice::open(time.clone(), rng).await;
        let keys = [ApiKey::draw().as_str().to_owned(), ApiKey::draw().as_str().to_owned()];
        let sites = [Site::new(&redis, &office, &keys).await, Site::new(&redis, &office, &keys).await];
        let (until, is_cut_short) = (Instant::now() + lasts, AtomicBool::new(false));
        let (redis, fallen) = (redis.into(), Mutex::default());
        let world = Self { time, redis, office, sites, keys, bug, fallen, until, is_cut_short };
        world.start(0).await;
        let keyring = "data/keyring.toml";
        world.sites[1].home.write(keyring, &world.sites[0].home.read(keyring));
        world.start(1).await;
        Arc::new(world)
    }

    /// Whether nothing new is to be begun.
    pub fn is_closing(&self) -> bool {
        self.is_cut_short.load(Ordering::SeqCst) || Instant::now() >= self.until
    }

    /// Enough is known.
    pub fn cut_short(&self) {
        self.is_cut_short.store(true, Ordering::SeqCst);
    }

    pub async fn start(&self, site: usize) {
        let ahead = self.time.ahead_seconds().to_string();
        let planted = self.bug.map(|bug| format!("planted.{bug}=return")).unwrap_or_default();
        let environment =
            [("FIADOR_TESTING_CLOCK_AHEAD_SECONDS", ahead.as_str()), ("FIADOR__LOG__LEVEL", "warn"), ("FAILPOINTS", &planted)];
        let site = &self.sites[site];
        let daemon = site.home.start_with(&environment).await;
        site.address.lock().unwrap().clone_from(&daemon.address);
        *site.daemon.lock().await = Some(daemon);
    }

    pub async fn kill(&self, site: usize) {
        if let Some(daemon) = self.sites[site].daemon.lock().await.take() {
            self.note_falls(&daemon);
            daemon.kill().await;
        }
    }

    /// SIGTERM, and until it has ended.
    pub async fn stop(&self, site: usize) {
        if let Some(mut daemon) = self.sites[site].daemon.lock().await.take() {
            daemon.terminate().await;
            daemon.ended().await;
            self.note_falls(&daemon);
        }
    }

    pub async fn signal(&self, site: usize, signal: Signal) {
        if let Some(daemon) = &*self.sites[site].daemon.lock().await {
            let process = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
            kill_process(process, signal).unwrap();
        }
    }

    /// All daemons end, and find themselves so much later when they are back.
    pub async fn leap(&self, span: Duration) {
        for site in 0..self.sites.len() {
            self.kill(site).await;
        }
        self.time.leap(span);
        for site in 0..self.sites.len() {
            self.start(site).await;
        }
    }

    pub fn url(&self, site: usize, path: &str) -> String {
        format!("http://{}{path}", self.sites[site].address.lock().unwrap())
    }

    /// Panics, and actors that fell: no fault of another may cause one.
    pub fn falls(&self) -> Vec<String> {
        self.fallen.lock().unwrap().clone()
    }

    pub async fn note_all_falls(&self) {
        for site in &self.sites {
            if let Some(daemon) = &*site.daemon.lock().await {
                self.note_falls(daemon);
            }
        }
    }

    fn note_falls(&self, daemon: &Daemon) {
        let fell = daemon.logged().into_iter().filter(|line| line.contains("panicked"));
        self.fallen.lock().unwrap().extend(fell);
    }

    /// Whether the daemon says that it is ready, in good time.
    pub async fn becomes_ready(&self, site: usize) -> Result<(), String> {
        let (client, since) = (reqwest::Client::builder().no_proxy().build().unwrap(), Instant::now());
        let mut said = String::new();
        while since.elapsed() < RECOVERY {
            let asked = timeout(Duration::from_secs(3), client.get(self.url(site, "/health/ready")).send()).await;
            match asked {
                Ok(Ok(response)) if response.status() == 200 => return Ok(()),
                Ok(Ok(response)) => said = response.text().await.unwrap_or_default(),
                Ok(Err(error)) => said = error.to_string(),
                Err(late) => said = late.to_string(),
            }
            pass(Duration::from_millis(100)).await;
        }
        Err(format!("daemon {site} is not ready after {RECOVERY:?}: {said}"))
    }
}

impl Site {
    async fn new(redis: &TestRedis, office: &PostOffice, keys: &[String; 2]) -> Self {
        let (home, road) = (Home::new(), Road::to(redis.port()).await);
        let (url, port) = (road.url(), office.port);
        let smtp = format!("host = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"fiador@example.org\"");
        let by_id = application_whose_key("by-id", &keys[0], "");
        let by_number = application_whose_key("by-number", &keys[1], "");
        let config = format!(
            "[store]\nredis_url = \"{url}\"\n[shutdown]\ngrace_seconds = 3\n[[smtp]]\n{smtp}\n{by_id}{by_number}lookup = \"number\"\n"
        );
        home.write("config.toml", &config);
        Self { home, road, daemon: None.into(), address: Mutex::default() }
    }
}
