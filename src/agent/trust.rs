//! Whether Claude Code trusts a directory. It keeps that in its own file, `projects.<directory>.hasTrustDialogAccepted` in
//! `.claude.json` of `CLAUDE_CONFIG_DIR`, or else of the home directory, and it holds for the directories below, too (seen
//! with 2.1.332).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use serde_json::value::RawValue;

use super::spool::Owner;

const PROJECTS: &str = "projects";
const ACCEPTED: &str = "hasTrustDialogAccepted";
/// What it is once the dialog was answered with yes.
const YES: &str = "true";

/// How often a file is read again that was changed meanwhile.
const TRIES: u32 = 5;

/// An object of JSON, each value as it stands there.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// The file of an agent with these variables; `None` where they do not tell.
pub fn file(config_dir: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let directory = config_dir.filter(|dir| !dir.is_empty()).or(home)?;
    Some(Path::new(&directory).join(".claude.json"))
}

/// The directory through which this one is trusted: itself, or one above.
///
/// # Errors
/// Where the text is not what it must be.
pub fn trusted_by<'a>(text: &str, directory: &'a Path) -> Result<Option<&'a Path>, serde_json::Error> {
    let Some(projects) = at(text, PROJECTS)? else { return Ok(None) };
    for above in directory.ancestors() {
        let Some(project) = at(projects, &above.display().to_string())? else { continue };
        if at(project, ACCEPTED)? == Some(YES) {
            return Ok(Some(above));
        }
    }
    Ok(None)
}

/// The text with this directory trusted. Everything else stays as it is, byte for byte.
///
/// # Errors
/// Where the text is not what it must be.
pub fn with_trust(text: &str, directory: &Path) -> Result<String, serde_json::Error> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    set(text, &[PROJECTS, &directory.display().to_string(), ACCEPTED], YES)
}

/// Writes down in this file of this account's that the directory is trusted. The file is replaced as a whole and keeps mode and
/// owner; one that is missing is made for that account alone.
///
/// # Errors
/// What the system says, and where the file holds something else, is another account's, or keeps being changed.
pub fn seed(file: &Path, directory: &Path, owner: Owner) -> io::Result<()> {
    // A link of our own leads to where we keep it; one of another account's could lead anywhere.
    let real = if owner == Owner::Server { std::fs::canonicalize(file).ok() } else { None };
    let file = real.as_deref().unwrap_or(file);
    let (Some(place), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has no name"));
    };
    let place = rustix::fs::open(place, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let hidden = format!(".claude.json.{}.paliadin", std::process::id());
    let seeded = (0..TRIES).find_map(|_| replace(&place, Path::new(name), &hidden, directory, owner).transpose());
    if !matches!(seeded, Some(Ok(()))) {
        let _ = rustix::fs::unlinkat(&place, hidden.as_str(), AtFlags::empty());
    }
    seeded.unwrap_or_else(|| Err(io::Error::other("it keeps being changed")))
}

/// One try; `None` where somebody else has changed the file meanwhile.
fn replace(place: &OwnedFd, name: &Path, hidden: &str, directory: &Path, owner: Owner) -> io::Result<Option<()>> {
    let before = read(place, name, owner)?;
    let text = before.as_ref().map_or("", |(text, _)| text.as_str());
    let text = with_trust(text, directory)?;
    match rustix::fs::unlinkat(place, hidden, AtFlags::empty()) {
        Err(error) if error != Errno::NOENT => return Err(error.into()),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = rustix::fs::openat(place, hidden, flags, Mode::from_raw_mode(0o600))?;
    let (us, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (uid, gid, mode) = match (&before, owner) {
        (Some((_, stat)), _) => (stat.st_uid, stat.st_gid, stat.st_mode & 0o777),
        (None, Owner::Account { uid, gid }) => (uid, gid, 0o600),
        (None, _) => (us, group, 0o600),
    };
    if (uid, gid) != (us, group) {
        rustix::fs::fchown(&new, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    rustix::fs::fchmod(&new, Mode::from_raw_mode(mode))?;
    let mut new = File::from(new);
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    if read(place, name, owner)?.map(|(text, _)| text) != before.map(|(text, _)| text) {
        return Ok(None);
    }
    rustix::fs::renameat(place, hidden, place, name)?;
    Ok(Some(()))
}

/// What the file holds; `None` where there is none.
fn read(place: &OwnedFd, name: &Path, owner: Owner) -> io::Result<Option<(String, Stat)>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(place, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        file => file?,
    };
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || !owner.is(stat.st_uid) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is no file of that account's"));
    }
    Ok(Some((io::read_to_string(File::from(file))?, stat)))
}

fn at<'a>(text: &'a str, key: &str) -> Result<Option<&'a str>, serde_json::Error> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let object: Object<'a> = serde_json::from_str(text)?;
    Ok(object.get(key).map(|value| value.get()))
}

/// The text of an object with this value at the end of the path.
fn set(text: &str, path: &[&str], value: &str) -> Result<String, serde_json::Error> {
    let Some((key, rest)) = path.split_first() else { return Ok(value.to_owned()) };
    let object: Object<'_> = serde_json::from_str(text)?;
    if let Some(there) = object.get(*key) {
        // A part of the text itself, so its place there is known.
        let from = there.get().as_ptr() as usize - text.as_ptr() as usize;
        let until = from + there.get().len();
        return Ok(format!("{}{}{}", &text[..from], set(there.get(), rest, value)?, &text[until..]));
    }
    let nested = rest
        .iter()
        .rev()
        .try_fold(value.to_owned(), |inner, key| serde_json::to_string(key).map(|key| format!("{{{key}: {inner}}}")))?;
    let comma = if object.is_empty() { "" } else { ", " };
    // An object ends in a brace; what stands before it is the last value, or the opening one.
    let end = text.rfind('}').unwrap_or_default();
    let last = text[..end].trim_end().len();
    Ok(format!("{}{comma}{}: {nested}{}", &text[..last], serde_json::to_string(key)?, &text[last..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "/srv/paliadin/spool";

    #[test]
    fn trust_comes_from_a_directory_or_one_above() {
        let by = |text: &str| trusted_by(text, Path::new(DIR)).unwrap().map(Path::to_owned);
        assert_eq!(by(""), None);
        assert_eq!(by("{}"), None);
        assert_eq!(by(r#"{"projects":{"/srv/paliadin/spool":{"hasTrustDialogAccepted":false}}}"#), None);
        assert_eq!(by(r#"{"projects":{"/srv/paliadin/spool/x":{"hasTrustDialogAccepted":true}}}"#), None);
        assert_eq!(by(r#"{"projects":{"/srv":{"hasTrustDialogAccepted":true}}}"#), Some("/srv".into()));
        assert_eq!(
            by(r#"{"projects":{"\/srv\/paliadin\/spool":{"hasTrustDialogAccepted": true }}}"#),
            Some(DIR.into())
        );
        assert!(trusted_by("[]", Path::new(DIR)).is_err() && trusted_by("{", Path::new(DIR)).is_err());
    }

    #[test]
    fn nothing_but_the_trust_is_changed() {
        let entry = format!(r#""{DIR}": {{"hasTrustDialogAccepted": true}}"#);
        for (before, after) in [
            ("", format!(r#"{{"projects": {{{entry}}}}}"#)),
            ("{\n}\n", format!("{{\"projects\": {{{entry}}}\n}}\n")),
            // Order, spaces and numbers that no f64 holds.
            (
                "{\n  \"z\": 0.10000000000000000001,\n  \"a\": [1e999, \"}\"]\n}",
                format!(
                    "{{\n  \"z\": 0.10000000000000000001,\n  \"a\": [1e999, \"}}\"], \"projects\": {{{entry}}}\n}}"
                ),
            ),
            (
                r#"{"projects": {"/b": {"x": 1} }, "q": "é}"}"#,
                format!(r#"{{"projects": {{"/b": {{"x": 1}}, {entry} }}, "q": "é}}"}}"#),
            ),
            (
                r#"{"projects":{"/srv/paliadin/spool":{"hasTrustDialogAccepted":false,"b":2}}}"#,
                r#"{"projects":{"/srv/paliadin/spool":{"hasTrustDialogAccepted":true,"b":2}}}"#.to_owned(),
            ),
        ] {
            let made = with_trust(before, Path::new(DIR)).unwrap();
            assert_eq!(made, after);
            assert_eq!(trusted_by(&made, Path::new(DIR)).unwrap(), Some(Path::new(DIR)));
            assert_eq!(with_trust(&made, Path::new(DIR)).unwrap(), made);
        }
        for broken in ["[]", "{", r#"{"projects": 1}"#, r#"{"projects": {"/srv/paliadin/spool": []}}"#] {
            assert!(with_trust(broken, Path::new(DIR)).is_err(), "{broken}");
        }
    }
}
