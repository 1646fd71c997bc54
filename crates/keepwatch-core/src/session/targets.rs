//! The choice of sessions to watch.

use super::{List, SessionId};

/// The sessions to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// These sessions, each by its id.
    Ids(Vec<SessionId>),
    /// Every running or pending session of the project.
    All,
    /// Every session of one list.
    OneList(List),
}

impl Targets {
    /// Returns the lists to poll: none for [`Targets::Ids`].
    #[must_use]
    pub fn lists(&self) -> &[List] {
        match self {
            Self::Ids(_) => &[],
            Self::All => &List::ALL,
            Self::OneList(list) => std::slice::from_ref(list),
        }
    }
}
