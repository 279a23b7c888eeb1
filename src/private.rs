//! Directories and files that are for our own account alone.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Makes a directory (mode 0700, its missing parents too), or checks the one that is there.
///
/// # Errors
/// Where it cannot be made, is no directory (or a link to one), belongs to another account, or others may enter it.
pub fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return refuse("is not a directory (a link will not do)".to_owned());
    }
    ours(&metadata)
}

/// Puts a file in place, by rename: mode 0600, never through a link, never readable on the way.
///
/// # Errors
/// What the system says.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let hidden = path.with_extension("new");
    match std::fs::remove_file(&hidden) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&hidden)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(hidden, path)
}

/// Reads a file that nobody else can have written or read.
///
/// # Errors
/// What the system says, and where the file is a link, is not ours, or others may use it.
pub fn read(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
    ours(&file.metadata()?)?;
    io::read_to_string(file)
}

/// Opens a file of ours for locking, and makes it where it is missing.
///
/// # Errors
/// What the system says, and where the file is a link.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).custom_flags(flags).open(path)
}

fn ours(metadata: &Metadata) -> io::Result<()> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("belongs to another account".to_owned());
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return refuse(format!("has mode {mode:04o}; it must be closed to others (chmod go= on it)"));
    }
    Ok(())
}

fn refuse(problem: String) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_missing_directory_is_made_private_and_an_open_one_refused() {
        let base = tempfile::tempdir().unwrap();
        let made = base.path().join("a/b");
        directory(&made).unwrap();
        directory(&made).unwrap();
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(&made, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(directory(&made).is_err());
        symlink(base.path(), base.path().join("link")).unwrap();
        assert!(directory(&base.path().join("link")).is_err());
    }

    #[test]
    fn a_file_is_never_written_through_what_lies_there() {
        let base = tempfile::tempdir().unwrap();
        let (precious, path) = (base.path().join("precious"), base.path().join("cli.token"));
        std::fs::write(&precious, "precious").unwrap();
        symlink(&precious, base.path().join("cli.new")).unwrap();
        write(&path, "secret").unwrap();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(read(&path).unwrap(), "secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&path).is_err());
    }
}
