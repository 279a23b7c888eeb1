//! Who has a file open for writing. Asked where no event can tell it: of a file that was there before anybody watched.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The access mode in the flags of an open file; zero is reading only.
const ACCESS_MODE: u32 = 0o3;

/// Whether this file is there, and no process has it open for writing. Of processes of other accounts nothing is known, and
/// they count as done. Takes a look at every open file of every process, so some milliseconds.
///
/// Source: proc(5), `/proc/<pid>/fd` and `/proc/<pid>/fdinfo`.
pub fn is_closed(file: &Path) -> bool {
    let Ok(file) = fs::symlink_metadata(file) else { return false };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let descriptors = processes.flat_map(|process| fs::read_dir(process.path().join("fdinfo"))).flatten().flatten();
    !descriptors.into_iter().any(|info| writes_to(&info.path(), &file))
}

/// `info` is `/proc/<pid>/fdinfo/<fd>`.
fn writes_to(info: &Path, file: &Metadata) -> bool {
    let Ok(told) = fs::read_to_string(info) else { return false };
    let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let mode = field("flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok()).unwrap_or_default();
    // Since Linux 5.14; most descriptors are done with here, without touching what they stand for.
    let is_another = field("ino:").is_some_and(|inode| inode != file.ino().to_string());
    if mode & ACCESS_MODE == 0 || is_another {
        return false;
    }
    let Some((process, fd)) = info.parent().and_then(Path::parent).zip(info.file_name()) else { return false };
    fs::metadata(process.join("fd").join(fd)).is_ok_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};

    use super::*;

    #[test]
    fn a_file_is_closed_when_nobody_can_write_to_it_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        assert!(!is_closed(&path), "it is not there");
        let written = File::create(&path).unwrap();
        fs::write(&other, "x").unwrap();
        assert!(!is_closed(&path));
        assert!(is_closed(&other));
        fs::rename(&path, dir.path().join("c")).unwrap();
        assert!(!is_closed(&dir.path().join("c")), "whatever its name");
        drop(written);
        let read = File::open(dir.path().join("c")).unwrap();
        assert!(is_closed(&dir.path().join("c")), "only read");
        drop(read);
        let appended = OpenOptions::new().append(true).open(&other).unwrap();
        assert!(!is_closed(&other));
        drop(appended);
    }

    #[test]
    fn another_process_counts_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut cat = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(File::create(&path).unwrap())
            .spawn()
            .unwrap();
        assert!(!is_closed(&path));
        drop(cat.stdin.take());
        cat.wait().unwrap();
        assert!(is_closed(&path));
    }
}
