//! Row 9: what sessions cost that do nothing. Memory is counted as growth, from one batch of sessions to the next, so that
//! what a process needs once does not count; and processor time while the first batch idles.

use std::time::Duration;

use crate::measure::Outcome;

/// Sessions before the first that counts.
pub const WARM_UP: usize = 10;
/// Sessions of a batch.
pub const BATCH: usize = 100;
/// Batches.
const BATCHES: usize = 3;
/// Rest after a batch, in which what it needed for a moment is given back.
const SETTLE: Duration = Duration::from_secs(3);
/// For how long processor time is counted: everything that comes at an interval comes at least once.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Ticks in a second, as `/proc` counts them.
const USER_HZ: f64 = 100.0;

/// A process with sessions.
pub trait Idle {
    /// Makes so many sessions more; returns when they idle.
    fn grow(&mut self, by: usize) -> Outcome<()>;

    /// Whose memory and time are counted.
    fn process(&self) -> u32;
}

/// What was counted of one process.
pub struct Idled {
    /// Bytes per session, batch by batch.
    bytes: Vec<f64>,
    /// Share of one core while [`WARM_UP`] and [`BATCH`] sessions idle.
    share: f64,
}

impl Idled {
    /// Kibibytes per session: the median of the batches.
    pub fn kibibytes(&self) -> f64 {
        let mut sorted = self.bytes.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).map_or(f64::NAN, |bytes| bytes / 1024.0)
    }

    /// The batches in their order.
    pub fn batches(&self) -> String {
        let each: Vec<_> = self.bytes.iter().map(|bytes| format!("{:.1}", bytes / 1024.0)).collect();
        each.join(", ")
    }

    /// Hundredths of one core.
    pub fn percent(&self) -> f64 {
        self.share * 100.0
    }
}

/// Measures these processes side by side, batch by batch in turns.
pub fn measure(processes: &mut [Box<dyn Idle>]) -> Outcome<Vec<Idled>> {
    let mut idled: Vec<Idled> = processes.iter().map(|_| Idled { bytes: Vec::new(), share: 0.0 }).collect();
    for process in processes.iter_mut() {
        process.grow(WARM_UP)?;
    }
    for batch in 0..BATCHES {
        for (process, idled) in processes.iter_mut().zip(&mut idled) {
            rest(SETTLE);
            let before = private(process.process())?;
            process.grow(BATCH)?;
            rest(SETTLE);
            let grown = private(process.process())? - before;
            idled.bytes.push(grown / BATCH as f64);
        }
        if batch == 0 {
            let before = processes.iter().map(|process| busy(process.process())).collect::<Outcome<Vec<_>>>()?;
            rest(WINDOW);
            for ((process, idled), before) in processes.iter().zip(&mut idled).zip(before) {
                idled.share = (busy(process.process())? - before) / WINDOW.as_secs_f64();
            }
        }
    }
    Ok(idled)
}

#[expect(clippy::disallowed_methods, reason = "this is about time in which nothing happens")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// Bytes of memory that this process alone has, and has written to.
fn private(process: u32) -> Outcome<f64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).ok_or("no Private_Dirty")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024.0)
}

/// Seconds of processor time that this process has used, in its own code and in the kernel.
fn busy(process: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The program's name, in parentheses, may hold anything. Fields 14 and 15 are the 12th and 13th after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / USER_HZ)
}
