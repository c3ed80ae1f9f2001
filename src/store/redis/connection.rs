use std::{fmt, time::Duration};

use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisError, aio::MultiplexedConnection};
use thiserror::Error;
use tokio::{task::AbortHandle, time::timeout};

use super::{Unfit, meaning::meaning, socket::Socket};

/// No answer within this is a 503, well before the two seconds that are promised.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of what a server says is told, in characters.
const MOST_TOLD: usize = 300;

/// Where Redis is.
#[derive(Clone)]
pub struct RedisSettings {
    info: ConnectionInfo,
}

impl RedisSettings {
    /// Where `info` says, over a socket that notices a peer that is gone.
    pub fn new(info: ConnectionInfo) -> Self {
        let keepalive = redis::io::tcp::socket2::TcpKeepalive::new().with_time(Duration::from_secs(10));
        let tcp = info.tcp_settings().clone().set_nodelay(true).set_keepalive(keepalive);
        Self { info: info.set_tcp_settings(tcp.set_user_timeout(Duration::from_secs(5))) }
    }

    /// The address without user and password, for logs.
    pub fn address(&self) -> String {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
            other => other.to_string(),
        }
    }

    /// What a server said, or what became of asking it, as logs and readiness may tell it: on one line, of bounded length, and
    /// without the password, which a server that refuses it may repeat.
    pub(super) fn told(&self, said: &impl fmt::Display) -> String {
        let line: String = said.to_string().chars().take(MOST_TOLD).map(|c| if c.is_control() { ' ' } else { c }).collect();
        match self.info.redis_settings().password() {
            Some(password) if !password.is_empty() => line.replace(password, "[password]"),
            _ => line,
        }
    }
}

/// What went wrong with a server. Shown only by [`RedisSettings::told`].
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Unfit(#[from] Unfit),
    #[error("{}: {}", meaning(.0), .0)]
    Redis(#[from] RedisError),
    #[error("Redis did not answer in time")]
    Silent,
}

/// A connection, logged in. It ends when it is dropped, whatever is still unanswered.
pub(super) struct Connection {
    commands: MultiplexedConnection,
    driver: AbortHandle,
}

impl Connection {
    pub(super) async fn open(settings: &RedisSettings) -> Result<Self, Fault> {
        let opening = timeout(CONNECT_TIMEOUT * 2, Self::open_unhurried(&settings.info)).await;
        opening.map_err(|_| Fault::Silent)?
    }

    async fn open_unhurried(info: &ConnectionInfo) -> Result<Self, Fault> {
        let socket = timeout(CONNECT_TIMEOUT, Socket::open(info)).await.map_err(|_| Fault::Silent)?.map_err(RedisError::from)?;
        Self::over(socket, info.redis_settings()).await
    }

    /// Over a socket that is open.
    pub(super) async fn over(socket: Socket, login: &RedisConnectionInfo) -> Result<Self, Fault> {
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(1024);
        let (commands, driver) = MultiplexedConnection::new_with_config(login, socket, config).await?;
        Ok(Self { commands, driver: tokio::spawn(driver).abort_handle() })
    }

    /// A handle to say commands with: many may, at the same time. How long they wait for their answer is theirs to bound.
    pub(super) fn commands(&self) -> MultiplexedConnection {
        self.commands.clone()
    }

    /// The same, where each command waits no longer than [`RESPONSE_TIMEOUT`].
    pub(super) fn timed_commands(&self) -> MultiplexedConnection {
        let mut commands = self.commands();
        commands.set_response_timeout(RESPONSE_TIMEOUT);
        commands
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    #[test]
    fn what_a_server_says_is_told_on_one_line_of_bounded_length_without_our_password() {
        let settings = |url: &str| RedisSettings::new(url.into_connection_info().unwrap());
        let told = |said: &str| settings("redis://user:hush@localhost").told(&said);

        assert_eq!(told("no\r\n\u{1b}[31m ERROR\u{9b}2J"), "no   [31m ERROR 2J");
        assert_eq!(told(&"ä".repeat(1000)).chars().count(), MOST_TOLD);
        assert_eq!(told("bad AUTH user hush"), "bad AUTH user [password]");
        assert_eq!(settings("redis://localhost").told(&"no AUTH"), "no AUTH");
    }
}
