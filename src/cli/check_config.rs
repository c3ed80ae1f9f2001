use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use super::Refusal;
use crate::{
    clock::Clock,
    config::{Config, Mail, Smtp, SmtpTls, Store, Tls},
    domain::Application,
    mail::templates::Templates,
};

/// Says what the daemon would do, without doing any of it.
pub(super) fn run(file: Option<&Path>) -> Result<ExitCode, Refusal> {
    let config = Config::load(file)?;
    io::stdout().lock().write_all(summary(&config).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn summary(config: &Config) -> String {
    [
        format!("listener:     {}, {}\n", config.listen, encryption(config.tls.as_ref())),
        format!("metrics:      {}\n", metrics(config)),
        format!("store:        {}\n", store(config)),
        format!("durability:   {}\n", durability(&config.store)),
        format!("mail:         {}\n", mail(&config.mail)),
        format!("templates:    {}\n", templates(&config.templates)),
        format!("applications: {}\n", applications(config)),
    ]
    .concat()
}

fn metrics(config: &Config) -> String {
    config.metrics.map_or_else(|| "off".to_owned(), |listen| format!("{listen}, without keys"))
}

fn encryption(tls: Option<&Tls>) -> String {
    let Some(expires_at) = tls.map(Tls::expires_at) else { return "plain HTTP".to_owned() };
    let holds = if expires_at > Clock::system().now() { "holds until" } else { "RAN OUT at" };
    format!("HTTPS, with a certificate that {holds} {}", expires_at.rfc3339())
}

fn store(config: &Config) -> String {
    match &config.store {
        Store::Embedded => format!("embedded, in {}", config.data_dir.display()),
        Store::Redis(server) => format!("Redis at {server}"),
    }
}

fn durability(store: &Store) -> &'static str {
    match store {
        Store::Embedded => "what is acknowledged is on disk",
        Store::Redis(_) => {
            "nothing acknowledged is lost with appendfsync always and no failover; everysec can lose the last second, \
             snapshots alone all since the newest, a failover what was not yet replicated; \
             the server's persistence is told in the log at start"
        }
    }
}

fn mail(mail: &Mail) -> String {
    match mail {
        Mail::Smtp(servers) => format!("SMTP to {}", servers.iter().map(server).collect::<Vec<_>>().join("; else to ")),
        Mail::DevInbox => "dev inbox; none is sent".to_owned(),
    }
}

fn server(smtp: &Smtp) -> String {
    format!("{}:{}, {}, {}", smtp.host, smtp.port, manner(smtp.tls), login(smtp))
}

fn manner(tls: SmtpTls) -> &'static str {
    match tls {
        SmtpTls::Implicit => "TLS from the first byte",
        SmtpTls::StartTls => "STARTTLS required",
        SmtpTls::None => "without TLS",
    }
}

fn login(smtp: &Smtp) -> &'static str {
    if smtp.login.is_some() { "with a login" } else { "without a login" }
}

fn templates(templates: &Templates) -> String {
    let languages: Vec<String> = templates.locales().map(|locale| locale.to_string()).collect();
    let source = templates
        .directory()
        .map_or_else(|| "built in".to_owned(), |path| format!("from {} before those built in", path.display()));
    format!("{}, {source}", languages.join(", "))
}

fn applications(config: &Config) -> String {
    if config.demo_sender.is_some() {
        return format!("demo, made at the first start; its key is in {}", config.data_dir.join("demo.key").display());
    }
    let told = |Application { name, is_test, .. }: &Application| {
        if *is_test { format!("{name} (test: anyone passes, no mail is sent)") } else { name.to_string() }
    };
    config.applications.iter().map(told).collect::<Vec<_>>().join(", ")
}
