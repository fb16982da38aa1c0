//! Whom the collector runs as (`-u`, `-g`): privileges are needed to bind, not to
//! collect.

use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid};

/// A user and a group of this system, and nothing beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user as it was asked for; `None` is who runs this.
    pub user: Option<String>,
    /// The group as it was asked for; `None` is that of the user.
    pub group: Option<String>,
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// Why there is no such user, or why the process can't become it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error("there is no user `{0}`")]
    NoUser(String),
    #[error("there is no group `{0}`")]
    NoGroup(String),
    #[error("the user `{0}` has no group")]
    NoGroupOf(String),
    #[error("cannot look up `{0}`: {1}")]
    Failed(String, Errno),
    #[error("cannot become `{0}`: {1}")]
    Denied(String, Errno),
    #[error("cannot give up privileges for good: it could become `{0}` and go back")]
    Kept(String),
}

impl UserError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoUser(_) | Self::NoGroup(_) | Self::Failed(..) => {
                "`getent passwd` and `getent group` list those there are; numbers do as well"
            }
            Self::NoGroupOf(_) => "name its group with `-g GROUP`",
            Self::Denied(..) | Self::Kept(_) => "start as root, or as that user without `-u` and `-g`",
        }
    }
}

impl User {
    /// Looks up a user and a group, by name or number. A user alone has its own group; a
    /// group alone belongs to who runs this.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, UserError> {
        let Some(name) = user.or(group) else { return Ok(None) };
        let (uid, own_gid) = match user {
            Some(user) => find_user(user)?,
            None => (Uid::current(), None),
        };
        let gid = match group {
            Some(group) => find_group(group)?,
            None => own_gid.ok_or_else(|| UserError::NoGroupOf(name.to_owned()))?,
        };
        let (user, group) = (user.map(ToOwned::to_owned), group.map(ToOwned::to_owned));
        Ok(Some(Self { user, group, uid: uid.as_raw(), gid: gid.as_raw() }))
    }

    fn name(&self) -> String {
        self.user.clone().or_else(|| self.group.clone()).unwrap_or_default()
    }

    /// Becomes this user for good, in all threads: supplementary groups go first, as
    /// nobody else may drop them.
    pub(crate) fn assume(&self) -> Result<(), UserError> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let is_reached = || {
            let is_uid = getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [uid; 3]);
            let is_gid = getresgid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [gid; 3]);
            is_uid && is_gid && getgroups().is_ok_and(|groups| groups.iter().all(|&group| group == gid))
        };
        if is_reached() {
            return Ok(());
        }
        let denied = |error| UserError::Denied(self.name(), error);
        setgroups(&[gid]).map_err(denied)?;
        setresgid(gid, gid, gid).map_err(denied)?;
        setresuid(uid, uid, uid).map_err(denied)?;
        let root = Uid::from_raw(0);
        let can_return = !uid.is_root() && setresuid(root, root, root).is_ok();
        if can_return || !is_reached() { Err(UserError::Kept(self.name())) } else { Ok(()) }
    }

    /// Creates a directory for this user where there is none: the one above may be root's.
    pub(crate) fn create_directory(&self, path: &Path) -> io::Result<()> {
        if !Uid::effective().is_root() || path.symlink_metadata().is_ok() {
            return Ok(());
        }
        crate::durable::create_directory(&crate::fs::RealFs, path)?;
        lchown(path, Some(self.uid), Some(self.gid))
    }
}

fn find_user(text: &str) -> Result<(Uid, Option<Gid>), UserError> {
    use nix::unistd::User;
    let number = text.parse().ok().map(Uid::from_raw);
    let found = number.map_or_else(|| User::from_name(text), User::from_uid);
    match found.map_err(|error| UserError::Failed(text.to_owned(), error))? {
        Some(user) => Ok((user.uid, Some(user.gid))),
        None => number.map(|uid| (uid, None)).ok_or_else(|| UserError::NoUser(text.to_owned())),
    }
}

fn find_group(text: &str) -> Result<Gid, UserError> {
    if let Ok(number) = text.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(text).map_err(|error| UserError::Failed(text.to_owned(), error))?;
    found.map(|group| group.gid).ok_or_else(|| UserError::NoGroup(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(user: Option<&str>, group: Option<&str>, expected: Result<Option<(u32, u32)>, &str>) {
        let found = User::find(user, group).map(|user| user.map(|user| (user.uid, user.gid)));
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(ToOwned::to_owned));
    }

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let own = Uid::current().as_raw();
        check(None, None, Ok(None));
        check(Some("root"), None, Ok(Some((0, 0))));
        check(Some("0"), Some("4000000"), Ok(Some((0, 4_000_000))));
        check(Some("4000000"), Some("root"), Ok(Some((4_000_000, 0))));
        check(None, Some("root"), Ok(Some((own, 0))));
        check(Some("4000000"), None, Err("the user `4000000` has no group"));
        check(Some("no-such-user"), None, Err("there is no user `no-such-user`"));
        check(None, Some("no-such-group"), Err("there is no group `no-such-group`"));
    }
}
