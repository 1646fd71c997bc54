//! Builders for tests, of this crate and of those that enable the feature `testing`.

#![expect(clippy::unwrap_used, reason = "a builder given invalid text is a mistake in the test")]

pub mod inputs;

use std::time::Duration;

use crate::clock::{Timestamp, later};
use crate::session::{Region, Session, SessionId, Status};

/// A session as tests want one: running, started at `started`, with nothing that is optional.
#[must_use]
pub fn running(id: &str, started: Timestamp, timeout: Duration) -> Session {
    Session {
        id: SessionId::parse(id).unwrap(),
        project: None,
        status: Status::Running,
        created: Some(started),
        updated: Some(started),
        started: Some(started),
        ended: None,
        expires: Some(later(started, timeout)),
        proxy_bytes: Some(0),
        keep_alive: Some(false),
        context: None,
        region: Some(Region::UsWest2),
        metadata: None,
        connect: None,
        others: Vec::new(),
        others_left_out: 0,
    }
}
