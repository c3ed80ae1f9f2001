//! The accept loop. The port is bound once; the acceptor hands each connection to the cell with the fewest, and the cell
//! serves it on its own thread until the end.
//!
//! A stop goes through the acceptor: when it ends, the cells' queues close, each cell lets its requests in flight finish and
//! closes its idle connections.

use std::{
    cell::Cell,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::gauge;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

use super::{
    Front, Limits,
    connection::{Connection, Entrance},
    peers::{PeerCounts, PeerPlace, PeerRules},
};
use crate::live::Live;

/// After an error that more tries will only repeat, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the log says that a peer has its fill: an attacker does not write it.
const TOLD_EACH: Duration = Duration::from_secs(60);

/// Why there is no listener.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Another program has it, perhaps another Fiador.
    #[error("cannot listen on {0}: the port is taken; stop the program that has it, or choose another port")]
    Taken(SocketAddr),
    /// The operating system refuses.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// What was asked for.
        address: SocketAddr,
        /// What it says.
        source: io::Error,
    },
}

/// The bound port.
pub struct Acceptor {
    listener: TcpListener,
    local_address: SocketAddr,
    limits: Limits,
    entrance: Entrance,
    free_connections: Arc<Semaphore>,
    peers: PeerCounts,
    told_at: Cell<Option<Instant>>,
}

impl Acceptor {
    /// Binds the port; port 0 lets the system choose one. It accepts nothing before [`run`](Self::run).
    ///
    /// # Errors
    /// [`ListenError`], which names the address.
    pub async fn bind(address: SocketAddr, limits: Limits) -> Result<Self, ListenError> {
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken(address),
            _ => ListenError::Refused { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local_address = listener.local_addr().map_err(refused)?;
        let entrance = Entrance { tls: None, rules: Live::new(PeerRules::default()) };
        let free_connections = Arc::new(Semaphore::new(limits.connections));
        let (peers, told_at) = (PeerCounts::default(), Cell::default());
        Ok(Self { listener, local_address, limits, entrance, free_connections, peers, told_at })
    }

    /// The same, encrypted: see [`encryption`](super::encryption). What is put in place of `tls` holds from the next connection
    /// on.
    #[must_use]
    pub fn encrypted(self, tls: Live<ServerConfig>) -> Self {
        Self { entrance: Entrance { tls: Some(tls), ..self.entrance }, ..self }
    }

    /// The same, where some peers are unlike others. What is put in place of `rules` holds from the next request on.
    #[must_use]
    pub fn with_rules(self, rules: Live<PeerRules>) -> Self {
        Self { entrance: Entrance { rules, ..self.entrance }, ..self }
    }

    /// Where it listens, with the port that the system chose.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Accepts connections and hands them to the cells until `stop`. With its end the port is free, and the cells
    /// finish.
    pub async fn run(self, cells: impl Into<CellPorts>, stop: impl Future<Output = ()>) {
        let (cells, mut stop) = (cells.into(), pin!(stop));
        loop {
            select! {
                () = &mut stop => return,
                arrival = self.accept() => hand_over(&mut cells.lock(), arrival),
            }
        }
    }

    async fn accept(&self) -> Arrival {
        let of_all = self.free_connections.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(of_peer) = self.place_of(peer.ip()) else { continue };
                    let place = Place { _of_all: of_all, _of_peer: of_peer };
                    return Arrival { stream, peer, entrance: self.entrance.clone(), place };
                }
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Acceptor {
    /// A place for one more connection of `peer`; none when it has its fill.
    fn place_of(&self, peer: IpAddr) -> Option<PeerPlace> {
        let most = if self.entrance.rules.now().caps(peer) { self.limits.connections_per_peer } else { usize::MAX };
        let place = self.peers.place(peer, most);
        if place.is_none() {
            self.tell_of_refusal(peer, most);
        }
        place
    }

    fn tell_of_refusal(&self, peer: IpAddr, most: usize) {
        if self.told_at.get().is_none_or(|told_at| told_at.elapsed() > TOLD_EACH) {
            self.told_at.set(Some(Instant::now()));
            tracing::warn!(%peer, connections = most, "a peer has as many connections as one may have; more are closed");
        }
    }
}

/// Whether only the one connection failed.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}

/// An accepted connection.
struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
    place: Place,
}

/// One of [`Limits::connections`], and of [`Limits::connections_per_peer`].
struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_peer: PeerPlace,
}

/// To the healthy cell with the fewest connections. Without a healthy one to any that is left, whose answers say what
/// is wrong; without any at all it is closed.
fn hand_over(cells: &mut [CellPort], arrival: Arrival) {
    // Of cells with equally many each gets its turn.
    cells.rotate_left(usize::from(!cells.is_empty()));
    let mut by_preference: Vec<&CellPort> = cells.iter().filter(|cell| !cell.queue.is_closed()).collect();
    by_preference.sort_by_key(|cell| (!(cell.is_healthy)(), cell.connections.load(Ordering::Relaxed)));
    let Some(cell) = by_preference.first() else { return };
    // A stream belongs to the reactor of the thread that made it: the cell is to register it with its own.
    let Ok(stream) = arrival.stream.into_std() else { return };
    let Arrival { peer, entrance, place, .. } = arrival;
    let connection = Handed { stream, peer, entrance, _place: place, _counted: Counted::new(&cell.connections) };
    // A cell that ended in this moment closes it.
    let _ = cell.queue.send(connection);
}

/// The acceptor's end of a cell.
pub struct CellPort {
    /// Bounded by [`Limits::connections`].
    queue: mpsc::UnboundedSender<Handed>,
    connections: Arc<AtomicUsize>,
    is_healthy: Box<dyn Fn() -> bool + Send + Sync>,
}

/// The cells that an acceptor hands connections to. Cheap to clone; all clones are one list.
#[derive(Clone, Default)]
pub struct CellPorts(Arc<Mutex<Vec<CellPort>>>);

impl CellPorts {
    /// Adds a cell, and takes those off that have ended.
    pub fn add(&self, port: CellPort) {
        let mut ports = self.lock();
        ports.retain(|port| !port.queue.is_closed());
        ports.push(port);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<CellPort>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Vec<CellPort>> for CellPorts {
    fn from(ports: Vec<CellPort>) -> Self {
        Self(Arc::new(Mutex::new(ports)))
    }
}

/// The cell's end: the connections that it is to serve.
pub struct CellConnections {
    queue: mpsc::UnboundedReceiver<Handed>,
}

/// Both ends of a cell. `is_healthy` is asked at every connection, on the acceptor's thread, and must not block.
pub fn cell(is_healthy: impl Fn() -> bool + Send + Sync + 'static) -> (CellPort, CellConnections) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let port = CellPort { queue: sender, connections: Arc::default(), is_healthy: Box::new(is_healthy) };
    (port, CellConnections { queue: receiver })
}

impl CellConnections {
    /// Serves connections on the current thread, which must run a `LocalSet` (an actix arbiter does), until the acceptor
    /// ends, and then until the requests in flight are answered, at most [`Limits::grace`]. True when all were;
    /// otherwise the rest ends with the thread.
    pub async fn serve(mut self, front: Front, limits: Limits) -> bool {
        let stop = watch::Sender::new(false);
        while let Some(connection) = self.queue.recv().await {
            spawn_local(connection.serve(front.clone(), limits, stop.subscribe()));
        }
        stop.send_replace(true);
        timeout(limits.grace, stop.closed()).await.is_ok()
    }
}

/// A connection on its way to its cell, and there.
struct Handed {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
    _place: Place,
    _counted: Counted,
}

impl Handed {
    async fn serve(self, front: Front, limits: Limits, stop: watch::Receiver<bool>) {
        let Ok(stream) = TcpStream::from_std(self.stream) else { return };
        Connection { peer: self.peer, entrance: self.entrance, front, limits, stop }.serve(stream).await;
    }
}

/// One of a cell's connections, for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        gauge!("fiador_connections").increment(1.0);
        Self(connections.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        gauge!("fiador_connections").decrement(1.0);
    }
}
