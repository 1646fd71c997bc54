//! The stored alerts: the incidents that were raised, and the alerts that the user acknowledged. Owns their table and the
//! token by which a writer notices the acknowledgements of other processes.
//!
//! ```text
//!   pane A: `A` ──► alert row, new token ──► file ◄── pane B's next transaction: another token than before?
//!                                                        └──► AcknowledgementListener ──► pane B's model
//! ```

use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::deletion::DeletionMarks;
use super::reader::{from_millis, to_millis};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::AlertKind;

/// Maximum number of alerts that one query returns: the newest.
pub(super) const MAX_READ: i64 = 10_000;

/// An alert in the journal. The host, the project, the session and the kind identify it: panes observe the same alert at
/// different times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAlert {
    /// Host of the API.
    pub host: String,
    /// The session's project, if it is known.
    pub project: Option<Untrusted>,
    /// The session.
    pub session: SessionId,
    /// The kind.
    pub kind: AlertKind,
    /// The time at which the alert was raised, on the server's clock.
    pub raised: Timestamp,
    /// The time at which the user acknowledged the alert, on the server's clock; `None` if the user did not.
    pub acknowledged: Option<Timestamp>,
}

/// Receives the acknowledged alerts in the file, of all hosts, whenever another process has acknowledged an alert.
#[derive(Clone)]
pub struct AcknowledgementListener(Arc<dyn Fn(Vec<StoredAlert>) + Send + Sync>);

impl AcknowledgementListener {
    /// Creates a listener. The writer thread calls `listener`, which must not block.
    pub fn new(listener: impl Fn(Vec<StoredAlert>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub(super) fn notify(&self, alerts: Vec<StoredAlert>) {
        (self.0)(alerts);
    }
}

impl fmt::Debug for AcknowledgementListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AcknowledgementListener")
    }
}

impl StoredAlert {
    /// Combines two states of the same alert: keeps the earlier time of raising, and the later acknowledgement.
    pub(super) fn merge(&mut self, other: &Self) {
        self.raised = self.raised.min(other.raised);
        self.acknowledged = self.acknowledged.max(other.acknowledged);
    }

    /// Inserts the alert, or merges it into the stored one. Returns true if this adds an
    /// acknowledgement or makes it later.
    fn write(&self, db: &Connection) -> rusqlite::Result<bool> {
        let project = self.project.as_ref().map_or("", Untrusted::raw);
        let kind = self.kind.to_string();
        let stored: Option<Option<i64>> = db
            .prepare_cached(
                "SELECT acknowledged FROM alert WHERE host = ?1 AND project = ?2 AND session = ?3 AND kind = ?4",
            )?
            .query_row(params![self.host, project, self.session.raw(), kind], |row| row.get(0))
            .optional()?;
        let acknowledged = self.acknowledged.map(to_millis);
        // promise: acknowledgement-stays, mutant: ifnull(acknowledged, excluded.acknowledged) -> excluded.acknowledged
        db.prepare_cached(
            "INSERT INTO alert (host, project, session, kind, raised, acknowledged) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET
                 raised = min(raised, excluded.raised),
                 acknowledged = max(ifnull(acknowledged, excluded.acknowledged),
                                    ifnull(excluded.acknowledged, acknowledged))",
        )?
        .execute(params![
            self.host,
            project,
            self.session.raw(),
            kind,
            to_millis(self.raised),
            acknowledged
        ])?;
        Ok(acknowledged > stored.flatten())
    }

    /// Returns true if pruning has deleted the data of the session: the alert is no newer than the newest deleted data,
    /// and nothing else is left of the session.
    fn is_pruned(&self, db: &Connection, marks: DeletionMarks) -> rusqlite::Result<bool> {
        if to_millis(self.raised) > marks.pruned {
            return Ok(false);
        }
        let mut statement = db.prepare_cached(
            "SELECT 1 FROM mention WHERE session = ?1 UNION ALL SELECT 1 FROM summary WHERE session = ?1",
        )?;
        Ok(!statement.exists([self.session.raw()])?)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        // A newer version may have stored a kind that this version does not know.
        let Some(kind) = AlertKind::parse(&row.get::<_, String>("kind")?) else { return Ok(None) };
        let project: String = row.get("project")?;
        Ok(Some(Self {
            host: row.get("host")?,
            project: (!project.is_empty()).then(|| Untrusted::new(project)),
            session: SessionId::from_api(Untrusted::new(row.get::<_, String>("session")?)),
            kind,
            raised: from_millis(row.get("raised")?),
            acknowledged: row.get::<_, Option<i64>>("acknowledged")?.map(from_millis),
        }))
    }
}

/// The result of a check for alerts that another process has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AcknowledgementCheck {
    /// The token in the file: a random number, which is replaced when an alert is acknowledged.
    pub(super) token: i64,
    /// The acknowledged alerts, the newest first, if another process has acknowledged one since the last check, and at the
    /// first check. Otherwise `None`.
    pub(super) changed: Option<Vec<StoredAlert>>,
}

impl AcknowledgementCheck {
    /// Reads the token. If it differs from `known_token`, which the last check returned, also reads the acknowledged alerts.
    pub(super) fn read(db: &Connection, known_token: Option<i64>) -> rusqlite::Result<Self> {
        let token = db.prepare_cached("SELECT token FROM alert_change")?.query_row([], |row| row.get(0))?;
        // promise: acknowledged-elsewhere, mutant: known_token != Some(token) -> false
        let is_changed = known_token != Some(token);
        let changed = is_changed.then(|| acknowledged_alerts(db)).transpose()?;
        Ok(Self { token, changed })
    }
}

/// Writes alerts, except those of sessions whose data pruning has deleted. If this adds an acknowledgement or makes one
/// later, replaces the token and returns the new one.
pub(super) fn write_alerts<'a>(
    db: &Connection,
    alerts: impl Iterator<Item = &'a StoredAlert>,
    marks: DeletionMarks,
) -> rusqlite::Result<Option<i64>> {
    let mut is_changed = false;
    for alert in alerts {
        // promise: pruned-alert-stays-pruned, mutant: !alert.is_pruned(db, marks)? -> true
        if !alert.is_pruned(db, marks)? {
            is_changed |= alert.write(db)?;
        }
    }
    let new_token = || {
        let mut statement = db.prepare_cached("UPDATE alert_change SET token = random() RETURNING token")?;
        statement.query_row([], |row| row.get(0))
    };
    is_changed.then(new_token).transpose()
}

/// Returns the newest acknowledged alerts of all hosts, the newest first.
fn acknowledged_alerts(db: &Connection) -> rusqlite::Result<Vec<StoredAlert>> {
    let mut statement = db.prepare_cached(
        "SELECT * FROM alert WHERE acknowledged IS NOT NULL ORDER BY acknowledged DESC LIMIT ?1",
    )?;
    let rows = statement.query_map([MAX_READ], StoredAlert::from_row)?;
    rows.filter_map(Result::transpose).collect()
}

/// Returns the newest alerts of a host, the newest first.
pub(super) fn alerts_of_host(db: &Connection, host: &str) -> rusqlite::Result<Vec<StoredAlert>> {
    let mut statement = db.prepare_cached(
        "SELECT * FROM alert WHERE host = ?1 ORDER BY max(raised, ifnull(acknowledged, raised)) DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![host, MAX_READ], StoredAlert::from_row)?;
    rows.filter_map(Result::transpose).collect()
}

/// Deletes the alerts of sessions of which pruning has left nothing else. Also deletes the alerts that are older than
/// `cutoff`, in milliseconds since 1970. If `cutoff` is `None`, no alert is too old.
pub(super) fn prune_alerts(db: &Connection, cutoff: Option<i64>) -> rusqlite::Result<()> {
    // promise: pruned-alerts
    db.prepare_cached(
        "DELETE FROM alert
         WHERE raised <= (SELECT pruned FROM deletion)
             AND NOT EXISTS (SELECT 1 FROM mention WHERE mention.session = alert.session)
             AND NOT EXISTS (SELECT 1 FROM summary WHERE summary.session = alert.session)",
    )?
    .execute([])?;
    if let Some(cutoff) = cutoff {
        db.prepare_cached("DELETE FROM alert WHERE max(raised, ifnull(acknowledged, raised)) < ?1")?
            .execute([cutoff])?;
    }
    Ok(())
}
