//! Percentiles, and the table as Markdown.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Row;
use crate::idle::{self, Idled};
use crate::measure::{Outcome, Tally};

/// Which value of the sorted samples.
#[derive(Clone, Copy)]
pub enum Percentile {
    /// The median.
    P50,
    /// 99 of 100 are not above it.
    P99,
}

impl Percentile {
    fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P99 => "p99",
        }
    }
}

/// Samples of one thing.
#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Takes one more.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// By the nearest rank; `None` where there are no samples.
    fn at(&self, percentile: Percentile) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let share = match percentile {
            Percentile::P50 => 50,
            Percentile::P99 => 99,
        };
        sorted.get((sorted.len() * share).div_ceil(100).checked_sub(1)?).copied()
    }
}

/// What `target/bench.md` is made of.
pub struct Report {
    facts: String,
    table: String,
    idle: String,
}

impl Report {
    /// Begins with what the numbers depend on. `directory` is where the databases and spools lie.
    pub fn new(directory: &Path, samples: usize, warm_up: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cpu = read("/proc/cpuinfo").lines().find_map(|line| Some(line.strip_prefix("model name")?.to_owned()));
        let cpu = cpu.as_deref().and_then(|line| line.split_once(": ")).map_or("unknown processor", |(_, name)| name);
        let kernel = read("/proc/sys/kernel/osrelease");
        let tmux = Command::new("tmux").arg("-V").output().map(|output| output.stdout).unwrap_or_default();
        let starts = samples.min(crate::STARTS);
        let facts = format!(
            "- {cores} cores ({cpu}), Linux {}, {}, {}\n- {samples} samples of each ({starts} of starts) after {warm_up} to warm up; \
             floor and product in turns, {} ms of rest before each\n",
            kernel.trim(),
            String::from_utf8_lossy(&tmux).trim(),
            file_system(directory),
            crate::REST.as_millis(),
        );
        let table = "| # | metric | floor | floor p50 | floor p99 | product p50 | product p99 | ratio p50 | ratio p99 \
                     | goal | met |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
        Self { facts, table: table.to_owned(), idle: String::new() }
    }

    /// The unit that all floors are made of.
    pub fn bare_commit(&mut self, samples: Samples) {
        let (p50, p99) = (shown(samples.at(Percentile::P50)), shown(samples.at(Percentile::P99)));
        let _ = writeln!(self.facts, "- one bare commit: p50 {p50} ms, p99 {p99} ms");
    }

    /// One line of the table; no `product` samples, no ratio.
    pub fn row(&mut self, number: u8, row: &Row, floor: Samples, product: Samples, tally: Option<Tally>) {
        let ratio = |at| Some(product.at(at)?.as_secs_f64() / floor.at(at)?.as_secs_f64());
        let is_kept = tally.as_ref().is_none_or(|tally| tally.is_kept);
        let counted = tally.map(|tally| format!("; {}", tally.text)).unwrap_or_default();
        let met = ratio(row.at).map_or("–", |ratio| if ratio <= row.goal && is_kept { "yes" } else { "no" });
        let times =
            [&floor, &product].map(|samples| [Percentile::P50, Percentile::P99].map(|at| shown(samples.at(at))));
        let ratios =
            [Percentile::P50, Percentile::P99].map(|at| ratio(at).map_or("–".into(), |it| format!("{it:.2}")));
        let _ = writeln!(
            self.table,
            "| {number} | {}{counted} | {} | {} | {} | ≤ {} at {}{} | {met} |",
            row.metric,
            row.floor_name,
            times.concat().join(" | "),
            ratios.join(" | "),
            row.goal,
            row.at.name(),
            row.remark,
        );
    }

    /// The section about sessions that do nothing: of the floor, and of the product where it was measured.
    pub fn idle(&mut self, floor: &Idled, product: Option<&Idled>) {
        let sessions = idle::WARM_UP + idle::BATCH;
        let each: Vec<_> = [Some(floor), product].into_iter().flatten().map(Idled::batches).collect();
        let _ = writeln!(
            self.idle,
            "\n## Sessions that do nothing\n\n{} sessions to warm up, then batches of {}. Memory: what a batch added, the \
             median of the batches (floor; product, in KiB: {}). Processor time: for {} s, share of one core.\n\n\
             | # | metric | floor | floor's | product's | ratio | goal | met |\n|---|---|---|---|---|---|---|---|",
            idle::WARM_UP,
            idle::BATCH,
            each.join("; "),
            idle::WINDOW.as_secs(),
        );
        let mut line = |metric: &str, name: &str, value: fn(&Idled) -> f64, goal: f64, unit: &str| {
            let (floor, product) = (value(floor), product.map(value));
            let shown = product.map_or("–".to_owned(), |product| format!("{product:.2} {unit}"));
            let ratio = product.filter(|_| floor > 0.0);
            let ratio = ratio.map_or("–".to_owned(), |product| format!("{:.2}", product / floor));
            let met = product.map_or("–", |product| if product <= goal { "yes" } else { "no" });
            let _ = writeln!(
                self.idle,
                "| 9 | {metric} | {name} | {floor:.2} {unit} | {shown} | {ratio} | ≤ {goal} {unit} | {met} |"
            );
        };
        let metric = "memory per idle agent session, without the agent";
        line(metric, "two actors, a process handle, a watch", Idled::kibibytes, 16.0, "KiB");
        let metric = format!("processor time with {sessions} idle sessions");
        line(&metric, "as many of these in a bare runtime", Idled::percent, 1.0, "%");
    }

    /// Prints everything and writes it to `path`.
    pub fn publish(&self, path: &Path) -> Outcome<()> {
        let text = format!("# Benchmark\n\n{}\nTimes in milliseconds.\n\n{}{}", self.facts, self.table, self.idle);
        println!("{text}");
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written to {}", path.display());
        Ok(())
    }
}

/// Milliseconds.
fn shown(time: Option<Duration>) -> String {
    time.map_or("–".to_owned(), |time| format!("{:.3}", time.as_secs_f64() * 1e3))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The type of the file system that holds `directory`: of the mount with the longest path that leads to it.
fn file_system(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_default();
    let mounts = read("/proc/self/mounts");
    let holding = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, kind) = (words.next()?, words.next()?);
        directory.starts_with(path).then_some((path.len(), kind))
    });
    // The last of equals lies over the ones before it.
    holding.max_by_key(|(length, _)| *length).map_or("unknown file system", |(_, kind)| kind).to_owned()
}
