//! The tables: on the terminal, and in docs/benchmarks.md beside its plots.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::Context;

use crate::{
    book::{Book, Contender, Entry},
    machine,
    plan::{Bench, CHECK, START},
    plot::{Plot, Series},
    sign_ins::SignInFigures,
    targets::{Target, of_sign_ins, targets},
};

pub struct Results<'a> {
    pub bench: &'a Bench,
    /// Plain HTTP and HTTPS, measured in turn.
    pub https: &'a Book,
    /// An empty and a full Redis, measured in turn.
    pub full: &'a Book,
    pub sign_ins: &'a SignInFigures,
    pub took: Duration,
    pub is_quick: bool,
}

const SIGN_INS: &str = "Sign-ins by password, and other calls beside them";
const HEAD: [&str; 10] =
    ["scenario", "who", "connections", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU s/1000", "Redis CPU s/1000", "MiB"];

impl Results<'_> {
    /// What the terminal is told.
    pub fn text(&self) -> String {
        let mut text = format!("\n{}\n", machine::description());
        for (title, book) in self.tables() {
            let _ = write!(text, "\n{title}\n{}", aligned(book)); // writing to a String cannot fail
        }
        text.push('\n');
        for target in targets(self) {
            text.push_str(&marked(&target));
        }
        text + &self.closing()
    }

    fn tables(&self) -> [(&'static str, &Book); 4] {
        [
            ("All but what follows", &self.bench.book),
            ("HTTPS and plain HTTP in turn", self.https),
            ("A full Redis and an empty one in turn", self.full),
            (SIGN_INS, &self.sign_ins.book),
        ]
    }

    fn closing(&self) -> String {
        let singles = &self.bench.singles;
        let quick = if self.is_quick { " A quick run: it shows that all of it works, and its figures mean nothing." } else { "" };
        format!(
            "\nAt most {} mails were queued while starts and mails went on. {} It took {} s.{quick}",
            singles.deepest_queue,
            self.sign_ins.sentence(),
            self.took.as_secs()
        )
    }

    /// Writes benchmarks.md and its plots.
    pub fn write_to(&self, directory: &Path) -> anyhow::Result<()> {
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
        };
        write("benchmarks.md", self.document())?;
        write("benchmarks-throughput.svg", self.plot("Requests a second", Entry::rate).svg())?;
        write("benchmarks-latency.svg", self.plot("p99, in milliseconds", |entry| entry.latency(0.99)).svg())
    }

    fn document(&self) -> String {
        let mut text = include_str!("preface.md").replace("MACHINE", &machine::description());
        text.push_str("## Targets\n\n");
        for target in targets(self) {
            let _ = writeln!(text, "- {}", emphasised(&target));
        }
        text.push_str(
            "\n## Plots\n\n![Requests a second against connections](benchmarks-throughput.svg)\n\n\
             ![p99 against connections, closed loop](benchmarks-latency.svg)\n",
        );
        for (title, book) in self.tables() {
            let _ = write!(text, "\n## {title}\n\n{}", markdown(book));
        }
        text + &self.closing() + "\n"
    }

    fn plot(&self, title: &'static str, figure: impl Fn(&Entry) -> f64) -> Plot {
        let sides = [START, CHECK].into_iter().flat_map(|scenario| [(scenario, Contender::Fiador), (scenario, Contender::Bare)]);
        let series = sides.map(|(scenario, contender)| {
            let of = |&connections: &usize| {
                let entry = self.bench.book.find(scenario, contender, connections)?;
                Some((connections, figure(entry)))
            };
            let points = self.bench.extent.connections.iter().filter_map(of).collect();
            Series { name: format!("{scenario}, {}", contender.name()), points }
        });
        Plot { title, series: series.collect() }
    }
}

/// What the terminal is told when nothing else was measured than what these targets are about.
pub fn part(bench: &Bench, targets: impl Fn(&mut Vec<Target>, &Book, usize)) -> String {
    let mut found = Vec::new();
    for &connections in &bench.extent.targeted {
        targets(&mut found, &bench.book, connections);
    }
    let targets: String = found.iter().map(marked).collect();
    format!("\n{}\n\n{}\n{targets}", machine::description(), aligned(&bench.book))
}

/// The same, of sign-ins.
pub fn sign_ins(figures: &SignInFigures) -> String {
    let target = marked(&of_sign_ins(figures));
    format!("\n{}\n\n{SIGN_INS}\n{}\n{target}\n{}", machine::description(), aligned(&figures.book), figures.sentence())
}

fn marked(target: &Target) -> String {
    let mark = if target.is_met() { "  " } else { "! " };
    format!("{mark}{target}\n")
}

fn emphasised(target: &Target) -> String {
    if target.is_met() { target.to_string() } else { format!("**{target}**") }
}

fn cells(entry: &Entry) -> [String; 10] {
    [
        entry.key.scenario.to_owned(),
        entry.key.contender.name().to_owned(),
        entry.key.connections.to_string(),
        format!("{:.0}", entry.rate()),
        format!("{:.2}", entry.latency(0.5)),
        format!("{:.2}", entry.latency(0.99)),
        format!("{:.2}", entry.latency(0.999)),
        cost(entry.server_cpu()),
        cost(entry.redis_cpu()),
        format!("{:.0}", entry.resident_mib),
    ]
}

fn cost(seconds: f64) -> String {
    if seconds.is_nan() { "–".to_owned() } else { format!("{seconds:.3}") }
}

fn rows(book: &Book) -> Vec<[String; 10]> {
    let mut entries: Vec<&Entry> = book.entries.iter().collect();
    let order = |scenario: &str| book.entries.iter().position(|entry| entry.key.scenario == scenario);
    entries.sort_by_key(|entry| (order(entry.key.scenario), entry.key.connections));
    entries.into_iter().map(cells).collect()
}

/// In columns: names to the left, figures to the right.
fn aligned(book: &Book) -> String {
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(rows(book)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let padded = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn markdown(book: &Book) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = HEAD.iter().enumerate().map(|(column, _)| if column < 2 { "---".to_owned() } else { "---:".to_owned() });
    let mut text = line(&HEAD.map(str::to_owned)) + &line(&rule.collect::<Vec<_>>());
    for row in rows(book) {
        text.push_str(&line(&row));
    }
    text
}
