//! The skill `paliadin`: what an agent has to know to answer turns, as files where it looks for skills.
//!
//! They may lie in a directory that an agent writes to. So each directory below the one that is given is opened relative to
//! its parent and without following links, and each file is put in place by rename.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// The skill's name, and that of its directory.
pub const NAME: &str = "paliadin";

/// Its files, by their path in the skill's directory.
pub const FILES: &[(&str, &str)] = &[
    ("SKILL.md", include_str!("../../skills/paliadin/SKILL.md")),
    ("references/data-access.md", include_str!("../../skills/paliadin/references/data-access.md")),
    ("references/files.md", include_str!("../../skills/paliadin/references/files.md")),
    ("references/input.md", include_str!("../../skills/paliadin/references/input.md")),
    ("references/row-level-security.md", include_str!("../../skills/paliadin/references/row-level-security.md")),
];

/// What we put there, as `sha256sum` writes and checks it. By this a later version knows which files are ours to remove.
const LIST: &str = ".installed";
/// Bytes of [`LIST`] that are read.
const MAX_LIST: usize = 64 * 1024;
/// Everybody may read what everybody can download; the agent may have another account than we.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// What an installation changed: paths of files. Nothing, where all was up to date.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that were made or replaced.
    pub written: Vec<PathBuf>,
    /// Files of an older version that were removed.
    pub removed: Vec<PathBuf>,
}

/// Puts the skill into `<root>/<below>/paliadin`, where `below` is a relative path (empty for `root` itself). `root` has to
/// be there and is taken as it is; the directories below it are made where they are missing, and none of them may be a
/// link. Only files whose content differs are written. Files of an older version that this one does not have are removed,
/// unless somebody has changed them since.
///
/// # Errors
/// What the system says, with the path; and where `below` leads out of `root`.
pub fn install(root: &Path, below: &Path) -> io::Result<Changes> {
    let shown = root.join(below).join(NAME);
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open(root, flags, Mode::empty()).map_err(|error| at(root, error))?;
    for part in below.components().chain([Component::Normal(NAME.as_ref())]) {
        let Component::Normal(part) = part else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: leads elsewhere", below.display())));
        };
        dir = subdirectory(dir.as_fd(), Path::new(part), true).map_err(|error| at(&shown, error))?;
    }
    let mut changes = Changes::default();
    let mut list = String::new();
    for (path, text) in FILES {
        if write(dir.as_fd(), path, text).map_err(|error| at(&shown.join(path), error))? {
            changes.written.push(shown.join(path));
        }
        list.push_str(&format!("{}  {path}\n", digest(text.as_bytes())));
    }
    let before = read(dir.as_fd(), LIST, MAX_LIST).ok().flatten().unwrap_or_default();
    if before != list.as_bytes() {
        for (sum, path) in String::from_utf8_lossy(&before).lines().filter_map(|line| line.split_once("  ")) {
            if FILES.iter().all(|(known, _)| *known != path) && remove(dir.as_fd(), path, sum).unwrap_or_default() {
                changes.removed.push(shown.join(path));
            }
        }
        // Last, so that whoever was interrupted finds the older list again.
        write(dir.as_fd(), LIST, &list).map_err(|error| at(&shown.join(LIST), error))?;
    }
    Ok(changes)
}

fn at(path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Opens a directory by its name, and makes it where it is missing and `make` says so.
fn subdirectory(parent: BorrowedFd<'_>, name: &Path, make: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) if make => match rustix::fs::mkdirat(parent, name, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EXIST) => rustix::fs::openat(parent, name, flags, Mode::empty()).and_then(|made| {
                // The process's umask may have closed it to the agent's account.
                rustix::fs::fchmod(&made, DIRECTORY_MODE)?;
                Ok(made)
            }),
            Err(error) => Err(error),
        },
        opened => opened,
    };
    match opened {
        Err(Errno::LOOP | Errno::NOTDIR) => {
            let problem = format!("{} is no directory (a link will not do)", name.display());
            Err(io::Error::new(io::ErrorKind::NotADirectory, problem))
        }
        opened => Ok(opened?),
    }
}

/// The directory of a file of the skill, and the file's name in it.
fn place<'a>(dir: BorrowedFd<'_>, path: &'a str, make: bool) -> io::Result<(OwnedFd, &'a str)> {
    match path.split_once('/') {
        Some((parent, name)) => Ok((subdirectory(dir, Path::new(parent), make)?, name)),
        None => Ok((dir.try_clone_to_owned()?, path)),
    }
}

/// Puts a file in place, unless this is what it holds already; says whether it did.
fn write(dir: BorrowedFd<'_>, path: &str, text: &str) -> io::Result<bool> {
    let (dir, name) = place(dir, path, true)?;
    if read(dir.as_fd(), name, text.len())?.is_some_and(|held| held == text.as_bytes()) {
        return Ok(false);
    }
    // Two at the same time write a file each, and the last rename wins.
    let hidden = format!(".{name}.{}.new", uuid::Uuid::new_v4().simple());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(&dir, hidden.as_str(), flags, FILE_MODE)?);
    let placed = file
        .write_all(text.as_bytes())
        .and_then(|()| Ok(rustix::fs::fchmod(&file, FILE_MODE)?))
        .and_then(|()| Ok(rustix::fs::renameat(&dir, hidden.as_str(), &dir, name)?));
    if placed.is_err() {
        let _ = rustix::fs::unlinkat(&dir, hidden.as_str(), AtFlags::empty());
    }
    placed.map(|()| true)
}

/// What a regular file holds; `None` where there is none, or something else, or more than `limit` bytes.
fn read(dir: BorrowedFd<'_>, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(file) => file,
        // What cannot be read is replaced, or says itself why not.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stat = rustix::fs::fstat(&file)?;
    let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || size > limit {
        return Ok(None);
    }
    let mut held = Vec::with_capacity(size + 1);
    File::from(file).take(limit as u64).read_to_end(&mut held)?;
    Ok(Some(held))
}

/// Removes a file that we once put there, if it still is what we put there; says whether it did. The list may be anybody's
/// by now, so its words lead nowhere but to files of the skill's own directories.
fn remove(dir: BorrowedFd<'_>, path: &str, sum: &str) -> io::Result<bool> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.as_bytes().contains(&0);
    if !path.split('/').all(plain) || path.split('/').count() > 2 {
        return Ok(false);
    }
    let (dir, name) = place(dir, path, false)?;
    let ours = read(dir.as_fd(), name, MAX_STALE)?.is_some_and(|held| digest(&held) == sum);
    if ours {
        rustix::fs::unlinkat(&dir, name, AtFlags::empty())?;
    }
    Ok(ours)
}

/// Bytes that a file of an older version may have.
const MAX_STALE: usize = 1024 * 1024;

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
