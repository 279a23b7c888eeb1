//! The socket's place: a directory that only its owner may enter, since whoever reaches the socket rules every agent.

use std::path::Path;

use super::TmuxError;
use crate::private;

/// The longest path of a Unix socket in bytes: `sun_path` of Linux without its NUL.
const LONGEST: usize = 107;

/// Makes the socket's directory (mode 0700, its missing parents too), or checks the one that is there: ours, and
/// closed to everyone else.
pub(super) fn prepare(socket: &Path) -> Result<(), TmuxError> {
    let length = socket.as_os_str().len();
    if length > LONGEST {
        let message = format!("{} has {length} bytes; a socket's path has at most {LONGEST}", socket.display());
        return Err(TmuxError::SocketDir(message));
    }
    let directory = match socket.parent() {
        Some(directory) if socket.is_absolute() => directory,
        _ => return Err(TmuxError::SocketDir(format!("{} is not an absolute path", socket.display()))),
    };
    private::directory(directory).map_err(|error| TmuxError::SocketDir(format!("{} {error}", directory.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_missing_directory_is_made_private() {
        let base = tempfile::tempdir().unwrap();
        let socket = base.path().join("a/b/tmux.sock");
        prepare(&socket).unwrap();
        prepare(&socket).unwrap();
        let mode = std::fs::metadata(base.path().join("a/b")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_others_may_enter_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let open = base.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o750)).unwrap();
        symlink(base.path(), base.path().join("link")).unwrap();
        for socket in [open.join("s"), base.path().join("link/s"), base.path().join("x".repeat(120)), "s".into()] {
            assert!(matches!(prepare(&socket), Err(TmuxError::SocketDir(_))), "{}", socket.display());
        }
    }
}
