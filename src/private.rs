//! Directories and files that are for our own account alone, and directories that are opened a little for others.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags};
use rustix::io::Errno;

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

/// As [`directory`], but others may pass through one that is there (mode 0711). They see nothing of what it holds.
///
/// # Errors
/// As [`directory`].
pub fn passable(path: &Path) -> io::Result<()> {
    let is_passage = |metadata: &Metadata| metadata.is_dir() && metadata.mode() & 0o777 == 0o711;
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if is_passage(&metadata) => owned(metadata.uid()),
        _ => directory(path),
    }
}

/// To whom a directory is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTo {
    /// Nobody: mode 0700.
    Nobody,
    /// Everyone, as far as the mode lets them.
    Others,
    /// This group, as far as the mode lets it.
    Group(u32),
}

/// Makes a directory of ours that is open by the mode `open`, or closed. One that is there is put right, if it is either.
///
/// # Errors
/// What the system says, and where it is no directory (or a link to one), belongs to another account, or has a mode that is
/// neither `open` nor 0700.
pub fn opened(path: &Path, open: u32, to: OpenTo) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::NOTDIR) => return refuse("is not a directory (a link will not do)".to_owned()),
        directory => directory?,
    };
    let stat = rustix::fs::fstat(&directory)?;
    owned(stat.st_uid)?;
    let (is, wanted) = (stat.st_mode & 0o7777, if to == OpenTo::Nobody { 0o700 } else { open });
    if ![0o700, open & 0o777].contains(&(is & 0o777)) {
        return refuse(format!("has mode {is:04o}; it must have {wanted:04o}"));
    }
    let moves = matches!(to, OpenTo::Group(group) if group != stat.st_gid);
    if moves && let OpenTo::Group(group) = to {
        rustix::fs::fchown(&directory, None, Some(Gid::from_raw(group)))?;
    }
    // After the group: nothing is opened to one that it is not for.
    if moves || is != wanted {
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(wanted))?;
    }
    Ok(())
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

fn owned(uid: u32) -> io::Result<()> {
    if uid == rustix::process::geteuid().as_raw() { Ok(()) } else { refuse("belongs to another account".to_owned()) }
}

fn ours(metadata: &Metadata) -> io::Result<()> {
    owned(metadata.uid())?;
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
    fn a_directory_is_opened_and_closed_again_and_a_stranger_to_both_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a");
        let mode = || std::fs::metadata(&path).unwrap().mode() & 0o7777;
        let group = rustix::process::getegid().as_raw();
        for (to, wanted) in [
            (OpenTo::Group(group), 0o2770),
            (OpenTo::Group(group), 0o2770),
            (OpenTo::Nobody, 0o700),
            (OpenTo::Nobody, 0o700),
            (OpenTo::Group(group), 0o2770),
        ] {
            opened(&path, 0o2770, to).unwrap();
            assert_eq!(mode(), wanted, "{to:?}");
        }
        assert!(passable(&path).is_err() && directory(&path).is_err());
        assert!(opened(&path, 0o750, OpenTo::Nobody).is_err(), "open in another way");
        for other in [0o755, 0o777, 0o1777, 0o704] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(other)).unwrap();
            assert!(opened(&path, 0o2770, OpenTo::Nobody).is_err(), "{other:o}");
        }
        symlink(base.path(), base.path().join("link")).unwrap();
        assert!(opened(&base.path().join("link"), 0o711, OpenTo::Others).is_err());
        let passage = base.path().join("passage");
        passable(&passage).unwrap();
        assert_eq!(std::fs::metadata(&passage).unwrap().mode() & 0o777, 0o700);
        opened(&passage, 0o711, OpenTo::Others).unwrap();
        passable(&passage).unwrap();
        assert!(directory(&passage).is_err());
        assert_eq!(std::fs::metadata(&passage).unwrap().mode() & 0o777, 0o711);
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
