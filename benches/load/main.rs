//! Measures the daemon beside the bare reference and the old design, and says whether the targets are met. `scripts/bench`
//! builds what this needs and runs it.
//!
//! `load [--quick] [--only redis|embedded|sign-in] --daemon PROGRAM --bare PROGRAM --express DIRECTORY --out DIRECTORY`

mod api;
mod book;
mod connection;
mod daemon;
mod drive;
mod fill;
mod hashes;
mod machine;
mod phases;
mod plan;
mod plot;
mod processes;
mod report;
mod sign_ins;
mod sink;
mod targets;
mod users;
mod work;

use std::{
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::{
    book::Book,
    plan::{Bench, Extent, Programs, Singles},
    report::Results,
    sign_ins::SignInFigures,
    targets::{beside_bare, embedded},
};

/// How long the slow SMTP server takes for each answer: no client gives up on it, and eight of them have a mail in two seconds.
const SLOW_ANSWER: Duration = Duration::from_secs(4);

struct Options {
    is_quick: bool,
    /// Nothing else is measured, and nothing is written.
    only: Option<Part>,
    programs: Programs,
    out: PathBuf,
}

/// What can be measured alone.
#[derive(Clone, Copy)]
enum Part {
    /// Start and check on Redis, beside the bare reference.
    Redis,
    /// Start and check on the embedded store, beside a bare handler over redb.
    Embedded,
    SignIn,
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        match name {
            "redis" => Ok(Self::Redis),
            "embedded" => Ok(Self::Embedded),
            "sign-in" => Ok(Self::SignIn),
            other => bail!("--only takes redis, embedded or sign-in, not {other}"),
        }
    }
}

fn options() -> anyhow::Result<Options> {
    let mut arguments = std::env::args().skip(1);
    let (mut is_quick, mut only, mut daemon, mut bare, mut express, mut out) = (false, None, None, None, None, None);
    while let Some(argument) = arguments.next() {
        let slot = match argument.as_str() {
            "--quick" => {
                is_quick = true;
                continue;
            }
            "--only" => &mut only,
            "--daemon" => &mut daemon,
            "--bare" => &mut bare,
            "--express" => &mut express,
            "--out" => &mut out,
            other => bail!("there is no option {other}"),
        };
        *slot = arguments.next().map(PathBuf::from);
    }
    let programs = Programs {
        daemon: daemon.context("--daemon PROGRAM is missing")?.canonicalize().context("--daemon")?,
        bare: bare.context("--bare PROGRAM is missing")?,
        express: express.context("--express DIRECTORY is missing")?,
    };
    let only = only.map(|part| part.to_string_lossy().parse()).transpose()?;
    Ok(Options { is_quick, only, programs, out: out.context("--out DIRECTORY is missing")? })
}

fn whole() -> Extent {
    Extent {
        connections: vec![1, 4, 32, 128],
        targeted: vec![32, 128],
        rounds: 4,
        leg: Duration::from_millis(750),
        mail_leg: Duration::from_millis(1500),
        hashing_leg: Duration::from_secs(3),
        idle: Duration::from_secs(10),
        weighed: 100_000,
        filled: 1_000_000,
    }
}

/// Enough to see that all of it works.
fn quick() -> Extent {
    Extent {
        connections: vec![4, 32],
        targeted: vec![32],
        rounds: 1,
        leg: Duration::from_millis(500),
        mail_leg: Duration::from_millis(500),
        hashing_leg: Duration::from_secs(1),
        idle: Duration::from_secs(2),
        weighed: 5_000,
        filled: 50_000,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = options()?;
    let (smtp, post) = sink::start(Duration::ZERO)?;
    let (slow_smtp, _post) = sink::start(SLOW_ANSWER)?;
    let extent = if options.is_quick { quick() } else { whole() };
    let (book, singles) = (Book::default(), Singles::default());
    let mut bench = Bench { extent, programs: options.programs, smtp, slow_smtp, post, book, singles, sizes: String::new() };
    if let Some(part) = options.only {
        println!("{}", only(&mut bench, part).await?);
        return Ok(());
    }
    let began = Instant::now();
    let (https, full, sign_ins) = run(&mut bench).await?;
    let results = Results {
        bench: &bench,
        https: &https,
        full: &full,
        sign_ins: &sign_ins,
        took: began.elapsed(),
        is_quick: options.is_quick,
    };
    println!("{}", results.text());
    results.write_to(&options.out)
}

/// One part, and what the terminal is told of it.
async fn only(bench: &mut Bench, part: Part) -> anyhow::Result<String> {
    bench.extent.connections.clone_from(&bench.extent.targeted);
    match part {
        Part::Redis => {
            bench.weigh_values().await.context("weighing values")?;
            bench.on_redis().await?;
            Ok(report::part(bench, beside_bare))
        }
        Part::Embedded => {
            bench.weigh_values().await.context("weighing values")?;
            bench.embedded().await?;
            Ok(report::part(bench, embedded))
        }
        Part::SignIn => Ok(report::sign_ins(&bench.sign_ins().await?)),
    }
}

/// All parts, in order; the books of those that measure the daemon anew.
async fn run(bench: &mut Bench) -> anyhow::Result<(Book, Book, SignInFigures)> {
    let began = Instant::now();
    let say = |part: &str| eprintln!("{:>4} s  {part}", began.elapsed().as_secs());
    bench.weigh_values().await.context("weighing values")?;
    say("idle");
    bench.idle().await?;
    say("what verifications weigh");
    bench.weigh_mailed().await.context("weighing verifications")?;
    say("start, check, mail on Redis, beside the bare reference");
    bench.on_redis().await?;
    say("the old contract, beside the old design");
    bench.old_contract().await?;
    say("the embedded store, beside a bare handler over redb");
    bench.embedded().await?;
    say("HTTPS");
    let https = bench.https().await?;
    say("a full Redis");
    let full = bench.full_redis().await?;
    say("sign-ins, beside bare argon2 and other calls");
    let sign_ins = bench.sign_ins().await.context("sign-ins")?;
    say("done");
    Ok((https, full, sign_ins))
}
