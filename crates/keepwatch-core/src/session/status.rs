//! The API's enumerations `status` and `region`. Values that this version does not know are kept.

use serde::{Deserialize, Serialize};

use crate::text::Untrusted;

/// The `status` of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Created, but not started.
    Pending,
    /// The browser runs, with or without a connected client.
    Running,
    /// Ended by a failure.
    Error,
    /// Ended at its `expiresAt`.
    TimedOut,
    /// Ended in an orderly way, but not at its `expiresAt`. The API does not give the reason.
    Completed,
    /// A status that this version does not know, unchanged.
    Other(Untrusted),
}

/// The consequence of a [`Status`] for polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The session can still change, so polling continues.
    Alive,
    /// The session can no longer change.
    Ended,
    /// This version does not know the status. Polling continues unless `endedAt` is set.
    Unknown,
}

impl Status {
    /// All documented statuses, in the documented order.
    pub const KNOWN: [Self; 5] = [Self::Pending, Self::Running, Self::Error, Self::TimedOut, Self::Completed];

    /// Returns the status with this name in the API.
    #[must_use]
    pub fn from_api(name: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|known| known.raw() == name)
            .unwrap_or_else(|| Self::Other(Untrusted::new(name)))
    }

    /// Returns the name in the API. It is not safe for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::Other(name) => name.raw(),
            known => known.into(),
        }
    }

    /// Returns the name in the API, sanitised, at most `columns` wide.
    #[must_use]
    pub fn sanitise(&self, columns: usize) -> String {
        match self {
            Self::Other(name) => name.sanitise(columns),
            known => crate::text::truncate(known.raw(), columns),
        }
    }

    /// Returns true if a session with this status has ended. [`Session::is_final`](super::Session::is_final) also
    /// considers `endedAt`.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.phase() == Phase::Ended
    }

    /// Returns the phase of a session with this status.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Pending | Self::Running => Phase::Alive,
            Self::Error | Self::TimedOut | Self::Completed => Phase::Ended,
            Self::Other(_) => Phase::Unknown,
        }
    }
}

/// The region in which a session runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Region {
    /// `us-west-2`
    UsWest2,
    /// `us-east-1`
    UsEast1,
    /// `eu-central-1`
    EuCentral1,
    /// `ap-southeast-1`
    ApSoutheast1,
    /// A region that this version does not know, unchanged.
    Other(Untrusted),
}

impl Region {
    /// All documented regions, in the documented order.
    pub const KNOWN: [Self; 4] = [Self::UsWest2, Self::UsEast1, Self::EuCentral1, Self::ApSoutheast1];

    /// Returns the region with this name in the API.
    #[must_use]
    pub fn from_api(name: &str) -> Self {
        Self::KNOWN
            .into_iter()
            .find(|known| known.raw() == name)
            .unwrap_or_else(|| Self::Other(Untrusted::new(name)))
    }

    /// Returns the name in the API. It is not safe for a terminal.
    #[must_use]
    pub fn raw(&self) -> &str {
        match self {
            Self::UsWest2 => "us-west-2",
            Self::UsEast1 => "us-east-1",
            Self::EuCentral1 => "eu-central-1",
            Self::ApSoutheast1 => "ap-southeast-1",
            Self::Other(name) => name.raw(),
        }
    }

    /// Returns the name in the API, sanitised, at most `columns` wide.
    #[must_use]
    pub fn sanitise(&self, columns: usize) -> String {
        match self {
            Self::Other(name) => name.sanitise(columns),
            known => crate::text::truncate(known.raw(), columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_round_trip() {
        for status in Status::KNOWN {
            assert_eq!(Status::from_api(status.raw()), status);
        }
        for region in Region::KNOWN {
            assert_eq!(Region::from_api(region.raw()), region);
        }
    }

    #[test]
    fn undocumented_status_has_unknown_phase() {
        assert_eq!(Status::from_api("HIBERNATING").phase(), Phase::Unknown);
    }
}
