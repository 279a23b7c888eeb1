//! `make bench`: rows of the performance table, each against its floor, sample by sample in turns.
//!
//! Rows 1, 2, 3, 8, 10 and 11 are times, as ratios to their floors; row 9 is memory and processor time of sessions that do nothing.
//!
//! Arguments: `--floors-only`, `--only ROW`, `--samples N` (default 200). The table goes to `target/bench.md` and to the terminal.

mod floors;
mod idle;
mod measure;
mod report;
mod rows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use floors::commit::Commit;
use floors::death::Death;
use floors::hook::Hook;
use floors::idle_sessions::{self, IdleSessions};
use floors::inotify_to_socket::InotifyToSocket;
use floors::paste_to_pane::PasteToPane;
use floors::turn_chain::TurnChain;
use idle::Idle;
use measure::{Measured, Outcome};
use report::{Percentile, Report, Samples};
use rows::{AgentDies, AnswerToEnd, CleanStart, Killed, PostToPane, Sessions, StopToEnd, WholeTurn};

/// Samples of each floor and each row; the 99th percentile is then the third worst.
const SAMPLES: usize = 200;
/// Samples before the first that counts.
const WARM_UP: usize = 20;
/// Samples of what starts a server or an agent.
const STARTS: usize = 60;
/// Rest before each sample, in which the one before runs dry: write-back of its commits, removal of its files.
const REST: Duration = Duration::from_millis(20);

/// Starts what a row measures: the floor, and with the product or without it.
type Start = fn(&Path, bool) -> Outcome<Row>;
/// The rows that are times, by number.
const ROWS: [(u8, Start); 6] = [(1, row_1), (2, row_2), (3, row_3), (8, row_8), (10, row_10), (11, row_11)];
/// The row about sessions that do nothing.
const IDLE_ROW: u8 = 9;

/// One row of the table.
struct Row {
    metric: &'static str,
    floor_name: &'static str,
    /// At which percentile the ratio counts.
    at: Percentile,
    /// The ratio may be this large.
    goal: f64,
    /// Whose goal that is, where it is not the contract's.
    remark: &'static str,
    /// Samples that are enough, where one takes long.
    at_most: Option<usize>,
    floor: Box<dyn Measured>,
    row: Option<Box<dyn Measured>>,
}

struct Options {
    floors_only: bool,
    /// The number of the only row that is wanted.
    only: Option<u8>,
    samples: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match floors::receiver::run(&arguments).and_then(|is_done| Ok(is_done || idle_sessions::run(&arguments)?)) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => return failed(error.as_ref()),
    }
    match options(&arguments).and_then(|options| bench(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error.as_ref()),
    }
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> ExitCode {
    eprintln!("bench: {error}");
    ExitCode::FAILURE
}

fn options(arguments: &[String]) -> Outcome<Options> {
    let mut options = Options { floors_only: false, only: None, samples: SAMPLES };
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            // Cargo's own.
            "--bench" => {}
            "--floors-only" => options.floors_only = true,
            "--only" => options.only = Some(words.next().unwrap_or_default().parse()?),
            "--samples" => options.samples = words.next().unwrap_or_default().parse()?,
            other => return Err(format!("unknown argument {other:?}; --floors-only, --only ROW, --samples N").into()),
        }
    }
    if options.samples == 0 {
        return Err("--samples must be at least 1".into());
    }
    Ok(options)
}

fn bench(options: &Options) -> Outcome<()> {
    // Beside the build, because /tmp is memory on many machines, and a commit there costs nothing.
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(scratch)?;
    let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(scratch)?;
    let mut report = Report::new(directory.path(), options.samples, WARM_UP);

    let mut bare = Commit::open(&fresh(directory.path(), "commit")?)?;
    let mut commits = Samples::default();
    for index in 0..WARM_UP + options.samples {
        let sample = take(&mut bare)?;
        if index >= WARM_UP {
            commits.push(sample);
        }
    }
    report.bare_commit(commits);

    let is_wanted = |number| options.only.is_none_or(|only| only == number);
    for (number, start) in ROWS {
        if !is_wanted(number) {
            continue;
        }
        let mut row = start(directory.path(), !options.floors_only)?;
        let samples = row.at_most.unwrap_or(usize::MAX).min(options.samples);
        let (mut floor, mut product) = (Samples::default(), Samples::default());
        for index in 0..WARM_UP + samples {
            let below = take(row.floor.as_mut())?;
            let above = row.row.as_mut().map(|row| take(row.as_mut())).transpose()?;
            if index >= WARM_UP {
                floor.push(below);
                above.into_iter().for_each(|sample| product.push(sample));
            }
        }
        let tally = row.row.as_mut().map(|row| row.tally()).transpose()?.flatten();
        report.row(number, &row, floor, product, tally);
    }
    if is_wanted(IDLE_ROW) {
        let mut processes: Vec<Box<dyn Idle>> =
            vec![Box::new(IdleSessions::open(&fresh(directory.path(), "floor-9")?)?)];
        if !options.floors_only {
            processes.push(Box::new(Sessions::open(&fresh(directory.path(), "row-9")?)?));
        }
        let idled = idle::measure(&mut processes)?;
        if let [floor, product @ ..] = idled.as_slice() {
            report.idle(floor, product.first());
        }
    }
    let target = scratch.parent().unwrap_or(scratch);
    report.publish(&target.join("bench.md"))
}

#[expect(clippy::disallowed_methods, reason = "a rest between samples; nothing is waited for")]
fn take(measured: &mut dyn Measured) -> Outcome<Duration> {
    measured.prepare()?;
    std::thread::sleep(REST);
    measured.sample()
}

/// A new directory in the scratch directory.
fn fresh(scratch: &Path, name: &str) -> Outcome<PathBuf> {
    let directory = scratch.join(name);
    std::fs::create_dir(&directory)?;
    Ok(directory)
}

fn row_1(scratch: &Path, with_product: bool) -> Outcome<Row> {
    Ok(Row {
        metric: "answer file renamed → client holds `end`",
        floor_name: "inotify, one commit, one loopback write",
        at: Percentile::P99,
        goal: 3.0,
        remark: "",
        at_most: None,
        floor: Box::new(InotifyToSocket::open(&fresh(scratch, "floor-1")?)?),
        row: if with_product { Some(Box::new(AnswerToEnd::open(&fresh(scratch, "row-1")?)?)) } else { None },
    })
}

fn row_2(scratch: &Path, with_product: bool) -> Outcome<Row> {
    Ok(Row {
        metric: "`POST` sent → message in the pane",
        floor_name: "two commits, control-mode paste",
        at: Percentile::P50,
        goal: 3.0,
        remark: "",
        at_most: None,
        floor: Box::new(PasteToPane::open(&fresh(scratch, "floor-2")?)?),
        row: if with_product { Some(Box::new(PostToPane::open(&fresh(scratch, "row-2")?)?)) } else { None },
    })
}

fn row_3(scratch: &Path, with_product: bool) -> Outcome<Row> {
    Ok(Row {
        metric: "whole turn, instant agent: `POST` sent → client holds `end`",
        floor_name: "two commits, paste, answer by rename, inotify, one commit, one loopback write",
        at: Percentile::P50,
        goal: 3.0,
        remark: "",
        at_most: None,
        floor: Box::new(TurnChain::open(&fresh(scratch, "floor-3")?)?),
        row: if with_product { Some(Box::new(WholeTurn::open(&fresh(scratch, "row-3")?)?)) } else { None },
    })
}

fn row_8(scratch: &Path, with_product: bool) -> Outcome<Row> {
    Ok(Row {
        metric: "`kill -9` in mid-turn → answer delivered by the next server",
        floor_name: "a clean start of the same program that serves an answer from the store",
        at: Percentile::P50,
        goal: 2.0,
        remark: "",
        at_most: Some(STARTS),
        floor: Box::new(CleanStart::open(&fresh(scratch, "floor-8")?)?),
        row: if with_product { Some(Box::new(Killed::open(&fresh(scratch, "row-8")?)?)) } else { None },
    })
}

fn row_10(scratch: &Path, with_product: bool) -> Outcome<Row> {
    Ok(Row {
        metric: "with hooks: the agent's `Stop` → client holds `end`",
        floor_name: "the hook's process alone, from its start to its end",
        at: Percentile::P50,
        goal: 2.0,
        remark: " (a goal of our own)",
        at_most: None,
        floor: Box::new(Hook::open(&fresh(scratch, "floor-10")?)?),
        row: if with_product { Some(Box::new(StopToEnd::open(&fresh(scratch, "row-10")?)?)) } else { None },
    })
}

fn row_11(scratch: &Path, with_product: bool) -> Outcome<Row> {
    Ok(Row {
        metric: "`kill -9` of the agent in mid-turn → client holds `error` `agent_died`",
        floor_name: "a process's death told by its handle, one commit, one loopback write",
        at: Percentile::P50,
        goal: 10.0,
        remark: " (a goal of our own; a death is to be seen within 100 ms)",
        at_most: Some(STARTS),
        floor: Box::new(Death::open(&fresh(scratch, "floor-11")?)?),
        row: if with_product { Some(Box::new(AgentDies::open(&fresh(scratch, "row-11")?)?)) } else { None },
    })
}
