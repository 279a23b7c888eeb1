//! Accounts of the system: the one under which a profile's agents run, where it is not the server's own.

use std::path::PathBuf;

use nix::unistd::{Group, User};

use super::spool::Owner;

/// The shell of an account for which none is noted. Source: passwd(5).
const DEFAULT_SHELL: &str = "/bin/sh";

/// The accounts of this host alone, a line each; those of a directory service are not in it.
const LOCAL_ACCOUNTS: &str = "/etc/passwd";

/// Why no agent can run under an account. One line, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// There is none of this name.
    #[error("there is no account {0:?} on this host")]
    Unknown(String),
    /// The account database does not answer.
    #[error("the account {name:?} cannot be looked up: {error}")]
    Lookup {
        /// The account's name.
        name: String,
        /// What the system said.
        error: String,
    },
    /// What is opened to its group would be open to others, too.
    #[error(
        "the group {group:?} of the account {name:?} is also that of {others}, which could then read its spool; give the \
         account a primary group of its own"
    )]
    SharedGroup {
        /// The account's name.
        name: String,
        /// Its primary group.
        group: String,
        /// Who else is in it.
        others: String,
    },
    /// The server can give nothing to its group.
    #[error(
        "the server's account is not in the group {group:?} of the account {name:?}: add it to that group, and start the \
         server anew"
    )]
    NotInGroup {
        /// The account's name.
        name: String,
        /// Its primary group.
        group: String,
    },
}

/// What the account database says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
    /// Its home directory.
    pub home: PathBuf,
    /// Its shell.
    pub shell: PathBuf,
}

impl Account {
    /// Looks an account up. May wait for a directory service.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] and [`AccountError::Lookup`].
    pub fn find(name: &str) -> Result<Self, AccountError> {
        let user = User::from_name(name)
            .map_err(|error| AccountError::Lookup { name: name.to_owned(), error: error.to_string() })?
            .ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
        let shell = if user.shell.as_os_str().is_empty() { PathBuf::from(DEFAULT_SHELL) } else { user.shell };
        Ok(Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir, shell })
    }

    /// Who this is, for a spool.
    pub fn owner(&self) -> Owner {
        if is_server(self.uid) { Owner::Server } else { Owner::Account { uid: self.uid, gid: self.gid } }
    }

    /// Whether the server can give its agent a spool that nobody else can read.
    ///
    /// # Errors
    /// [`AccountError::SharedGroup`] and [`AccountError::NotInGroup`].
    pub fn check(&self) -> Result<(), AccountError> {
        if is_server(self.uid) {
            return Ok(());
        }
        let (name, group) = (self.name.clone(), Group::from_gid(self.gid.into()).ok().flatten());
        let members = group.as_ref().map(|group| group.mem.clone()).unwrap_or_default();
        let group = group.map_or_else(|| self.gid.to_string(), |group| group.name);
        let others = self.others(members);
        if !others.is_empty() {
            return Err(AccountError::SharedGroup { name, group, others: others.join(", ") });
        }
        let ours = rustix::process::getgroups().unwrap_or_default();
        let is_ours = |gid| rustix::process::getegid() == gid || ours.contains(&gid);
        if !rustix::process::geteuid().is_root() && !is_ours(rustix::process::Gid::from_raw(self.gid)) {
            return Err(AccountError::NotInGroup { name, group });
        }
        Ok(())
    }

    /// Who else is known to be in the primary group, of which these are the members by name.
    fn others(&self, members: Vec<String>) -> Vec<String> {
        let is_other = |uid: u32| uid != self.uid && uid != 0 && !is_server(uid);
        let uid_of = |name: &String| User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
        let mut others: Vec<String> = members.into_iter().filter(|name| uid_of(name).is_some_and(is_other)).collect();
        for line in std::fs::read_to_string(LOCAL_ACCOUNTS).unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let &[name, _, uid, gid, ..] = fields.as_slice() else { continue };
            if gid.parse() == Ok(self.gid) && uid.parse().is_ok_and(is_other) {
                others.push(name.to_owned());
            }
        }
        others.sort();
        others.dedup();
        others
    }
}

fn is_server(uid: u32) -> bool {
    rustix::process::geteuid().as_raw() == uid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name() {
        let root = Account::find("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.home.is_absolute() && root.shell.is_absolute());
        for name in ["no-such-account", "", "a\0b"] {
            assert!(matches!(Account::find(name), Err(AccountError::Unknown(_))), "{name:?}");
        }
        let own = Account { uid: rustix::process::geteuid().as_raw(), ..root };
        assert_eq!((own.owner(), own.check()), (Owner::Server, Ok(())));
    }

    #[test]
    fn a_group_with_others_in_it_is_refused() {
        let text = std::fs::read_to_string(LOCAL_ACCOUNTS).unwrap();
        // An account that is neither root nor ours, as on every system.
        let account = text.lines().find_map(|line| Account::find(line.split(':').next()?).ok().filter(|it| it.uid > 0));
        let Some(known) = account.filter(|account| !is_server(account.uid)) else { return };
        let stranger = Account { name: "stranger".to_owned(), uid: u32::MAX - 1, ..known.clone() };
        let refused = stranger.check().unwrap_err();
        assert!(
            matches!(&refused, AccountError::SharedGroup { others, .. } if others.contains(&known.name)),
            "{refused}"
        );
    }
}
