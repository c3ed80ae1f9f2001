use std::{
    io::{Write, stdout},
    net::SocketAddr,
    path::absolute,
};

use crate::config::{Config, Mail, Store};

/// What the daemon prints when it listens: where everything is, and what to try.
pub(super) struct Banner {
    /// `http` or `https`.
    scheme: &'static str,
    store: String,
    mail: String,
    /// The names of test applications.
    test: Vec<String>,
    /// The file of the demo application's key.
    demo_key: Option<String>,
}

impl Banner {
    pub(super) fn of(config: &Config) -> Self {
        let store = match &config.store {
            Store::Embedded => format!("embedded, in {}", config.data_dir.display()),
            Store::Redis(server) => format!("Redis at {server}"),
        };
        let mail = match &config.mail {
            Mail::Smtp(servers) => {
                let names: Vec<String> = servers.iter().map(|smtp| format!("{}:{}", smtp.host, smtp.port)).collect();
                format!("SMTP to {}", names.join(", else to "))
            }
            Mail::DevInbox => "dev inbox, no mail leaves this machine".to_owned(),
        };
        let demo_key = config.data_dir.join("demo.key");
        let demo_key = absolute(&demo_key).unwrap_or(demo_key).display().to_string();
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let test = config.applications.iter().filter(|application| application.is_test);
        let test = test.map(|application| application.name.to_string()).collect();
        Self { scheme, store, mail, test, demo_key: config.demo_sender.is_some().then_some(demo_key) }
    }

    /// Prints it to standard output; that nobody reads it there is no reason to end.
    pub(super) fn print(&self, address: SocketAddr) {
        let _ = stdout().lock().write_all(self.text(address).as_bytes());
    }

    fn text(&self, address: SocketAddr) -> String {
        let Self { scheme, store, mail, test, demo_key } = self;
        let base = format!("{scheme}://{address}");
        let version = env!("CARGO_PKG_VERSION");
        let test = if test.is_empty() { String::new() } else { format!("  test:  {}: anyone passes\n", test.join(", ")) };
        let facts = format!("fiador {version} listens on {base}\n  store: {store}\n  mail:  {mail}\n{test}");
        let Some(demo_key) = demo_key else { return facts };
        let lines = try_lines(&base, demo_key);
        format!(
            "{facts}\nTry it in another shell: start a verification, read its mail, check the number.\n\n{lines}\n\n\
             An address has to wait 30 seconds for its next mail, unless its number was used.\n\
             All mails: {base}/dev/inbox\n"
        )
    }
}

/// Three lines for a shell with curl and grep: the first sets ID, the second NUMBER.
fn try_lines(base: &str, demo_key: &str) -> String {
    let demo_key = demo_key.replace('\'', r"'\''");
    let call = format!("-H \"Authorization: Bearer $(cat '{demo_key}')\" -H 'Content-Type: application/json'");
    [
        format!(
            "ID=$(curl -s {base}/v1/verifications {call} -d '{{\"email\":\"ada@example.org\"}}' | grep -o 'vrf_[A-Za-z0-9_-]*'); echo \"$ID\""
        ),
        format!(
            "NUMBER=$(curl -s '{base}/dev/inbox/messages?to=ada@example.org&wait_seconds=5' | grep -oE 'n[0-9]{{8}}' | grep -oE -m1 '[0-9]{{8}}' | head -n 1); echo \"$NUMBER\""
        ),
        format!("curl -s \"{base}/v1/verifications/$ID/check\" {call} -d \"{{\\\"number\\\":\\\"$NUMBER\\\"}}\""),
    ]
    .join("\n")
}
