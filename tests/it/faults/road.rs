//! The road from one daemon to Redis, on which replies are cut, delayed or lost.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::clock::pass;

/// What the road does with what is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Clear,
    /// Each connection breaks in the middle of its next reply.
    CutsReplies,
    /// Each piece arrives late, there and back.
    Delays(Duration),
    /// Connections stand, and nothing passes any more.
    HalfOpen,
}

pub struct Road {
    port: u16,
    weather: watch::Sender<Weather>,
}

impl Road {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, weather) = (SocketAddr::from(([127, 0, 0, 1], port)), watch::Sender::new(Weather::Clear));
        let road = Self { port: listener.local_addr().unwrap().port(), weather };
        let forecast = road.weather.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, address, forecast.clone()));
            }
        });
        road
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn becomes(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

/// Until either side hangs up, or the weather breaks the connection.
async fn carry(client: TcpStream, server: SocketAddr, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        _ = pump(&mut from_client, &mut to_server, Way::There, weather.clone()) => {}
        _ = pump(&mut from_server, &mut to_client, Way::Back, weather) => {}
    }
}

async fn pump<R, W>(from: &mut R, to: &mut W, way: Way, mut weather: watch::Receiver<Weather>) -> Option<()>
where
    R: AsyncReadExt + Unpin,
    W: AsyncWriteExt + Unpin,
{
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        let now = *weather.borrow();
        match now {
            Weather::Clear => {}
            Weather::CutsReplies if way == Way::There => {}
            Weather::CutsReplies => {
                let _ = to.write_all(&piece[..length / 2]).await;
                return None;
            }
            Weather::Delays(span) => pass(span).await,
            Weather::HalfOpen => {
                // what is lost is lost: with better weather the connection breaks
                let _ = weather.wait_for(|weather| *weather != Weather::HalfOpen).await;
                return None;
            }
        }
        to.write_all(&piece[..length]).await.ok()?;
    }
}
