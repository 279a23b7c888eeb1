//! Named points at which tests make the program fail for real. Without the feature `faults` a point is nothing.
//!
//! `PALIADIN_FAULTS` names a directory with a file for each point that a test has armed:
//!
//! - With the word `panic` in it, whoever passes [`point`] panics; the file is removed before.
//! - With the word `stop` in it, whoever comes to [`halt`] waits there for ever, and nothing else does; the file is renamed
//!   to `<point>.reached` before. What follows is for the test to decide: it may kill the process.
//! - With the word `hold` in it, whoever comes to [`halt`] waits there until the test removes the file, which is renamed to
//!   `<point>.held` before.

/// Between two looks whether whoever is held may go on: nothing tells of it here.
#[cfg(feature = "faults")]
const HELD_LOOK: std::time::Duration = std::time::Duration::from_millis(10);

/// Passes a point.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn point(_name: &str) {}

/// Passes a point.
///
/// # Panics
/// Where a test asked for it.
#[cfg(feature = "faults")]
pub fn point(name: &str) {
    if let Some(file) = armed(name, "panic")
        && std::fs::remove_file(&file).is_ok()
    {
        panic!("fault point {name}");
    }
}

/// Passes a point, or stays there as a test asked for it.
#[cfg(not(feature = "faults"))]
#[inline]
pub async fn halt(_name: &str) {}

/// Passes a point, or stays there as a test asked for it.
#[cfg(feature = "faults")]
pub async fn halt(name: &str) {
    if let Some(file) = armed(name, "stop")
        && std::fs::rename(&file, file.with_file_name(format!("{name}.reached"))).is_ok()
    {
        tracing::warn!(name, "halted at a fault point");
        std::future::pending::<()>().await;
    }
    if let Some(file) = armed(name, "hold") {
        let held = file.with_file_name(format!("{name}.held"));
        if std::fs::rename(&file, &held).is_ok() {
            while held.exists() {
                tokio::time::sleep(HELD_LOOK).await;
            }
        }
    }
}

#[cfg(feature = "faults")]
fn armed(name: &str, word: &str) -> Option<std::path::PathBuf> {
    let file = std::path::Path::new(&std::env::var_os("PALIADIN_FAULTS")?).join(name);
    std::fs::read_to_string(&file).is_ok_and(|text| text.trim() == word).then_some(file)
}
