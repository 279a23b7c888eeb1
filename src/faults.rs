//! Named points at which tests make the program fail for real. Without the feature `faults` a point is nothing.
//!
//! `PALIADIN_FAULTS` names a directory. Where it holds a file `<point>` with the word `panic`, the file is removed
//! and whoever passes the point panics.

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
    let Some(dir) = std::env::var_os("PALIADIN_FAULTS") else { return };
    let file = std::path::Path::new(&dir).join(name);
    if std::fs::read_to_string(&file).is_ok_and(|word| word.trim() == "panic") && std::fs::remove_file(&file).is_ok() {
        panic!("fault point {name}");
    }
}
