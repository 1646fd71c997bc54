//! The summary of one session in one run, and its columns in the database. A run replaces its summary of a session
//! whenever the session changes. `keepwatch history` merges the summaries of a session into one row.

use std::time::Duration;

use rusqlite::{Connection, Row, named_params};

use super::RunId;
use super::reader::{duration_from_millis, from_millis, to_millis};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Metadata, Region, SessionId, Status};
use keepwatch_core::text::{Untrusted, redact};

/// One session as one run saw it. If the comment of a field is only a name in backticks, the field holds the newest
/// value of the API's field with that name.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// The session.
    pub session: SessionId,
    /// The run.
    pub run: RunId,
    /// Name of the profile, if there were several.
    pub profile: Option<String>,
    /// Host of the API.
    pub host: String,
    /// `projectId`
    pub project: Option<Untrusted>,
    /// Owner of the session, from its metadata.
    pub owner: Option<Untrusted>,
    /// `status`
    pub status: Option<Status>,
    /// `region`
    pub region: Option<Region>,
    /// `keepAlive`
    pub keep_alive: Option<bool>,
    /// `contextId`
    pub context: Option<Untrusted>,
    /// `createdAt`
    pub created: Option<Timestamp>,
    /// `startedAt`
    pub started: Option<Timestamp>,
    /// End of the session, if it has ended.
    pub ended: Option<Timestamp>,
    /// True if `ended` is the exact end. Otherwise it is the latest possible one.
    pub is_end_exact: bool,
    /// `expiresAt`
    pub expires: Option<Timestamp>,
    /// Receive time of the first response about the session, on the server's clock.
    pub first_seen: Timestamp,
    /// Receive time of the newest response about the session, on the server's clock.
    pub last_seen: Timestamp,
    /// Time during which responses came without long gaps.
    pub watched: Duration,
    /// Number of responses about the session.
    pub responses: u64,
    /// `proxyBytes`
    pub proxy_bytes: Option<i64>,
    /// The verdict on the session's end.
    pub verdict: Option<StoredVerdict>,
    /// `userMetadata`, which may hold secrets. They are redacted before the summary is stored.
    pub metadata: Option<Metadata>,
}

/// A verdict in the words of the run that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVerdict {
    /// Name of the verdict, as in `keepwatch events`.
    pub name: String,
    /// Confidence, as in `keepwatch events`: `said` (reported), `likely`, `perhaps` (possible) or `unknown`.
    pub confidence: String,
    /// The sentence. It may quote the API, so it is untrusted.
    pub sentence: Untrusted,
}

/// Lists the columns, in the order of the values in [`INSERT`]. Three columns keep an old name, while their fields are
/// called differently: `end_exact` (`is_end_exact`), `replies` (`responses`) and `sure` (`confidence`).
macro_rules! columns {
    () => {
        "session, run, profile, host, project, owner, status, region, keep_alive, context, created, started, ended, \
         end_exact, expires, first_seen, last_seen, watched_ms, replies, proxy_bytes, verdict, sure, sentence, metadata"
    };
}

const INSERT: &str = concat!(
    "INSERT OR REPLACE INTO summary (",
    columns!(),
    ") VALUES (:session, :run, :profile, :host, :project, :owner, :status, :region, :keep_alive, :context, :created, \
      :started, :ended, :end_exact, :expires, :first_seen, :last_seen, :watched, :replies, :bytes, :verdict, :sure, \
      :sentence, :metadata)"
);

/// Selects all summaries of the sessions that any run saw at `?1` or later. See [`SessionSummary::seen_since`].
const SELECT_SINCE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM summary WHERE session IN (SELECT session FROM summary WHERE last_seen >= ?1) \
     ORDER BY session, last_seen DESC, run"
);

impl SessionSummary {
    /// Returns the approximate size in the queue, in bytes.
    pub(super) fn estimated_size(&self) -> usize {
        /// Approximate size of everything but the metadata.
        const FIXED_SIZE: usize = 600;
        self.metadata.as_ref().map_or(0, |metadata| metadata.json().len()).saturating_add(FIXED_SIZE)
    }

    /// Inserts the summary, or replaces the one of the same session and run. Redacts secrets.
    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let redacted = |text: &Untrusted| redact(text.raw()).into_owned();
        let mut statement = db.prepare_cached(INSERT)?;
        statement.execute(named_params! {
            ":session": self.session.raw(),
            ":run": self.run.as_str(),
            ":profile": self.profile,
            ":host": self.host,
            ":project": self.project.as_ref().map(Untrusted::raw),
            ":owner": self.owner.as_ref().map(redacted),
            ":status": self.status.as_ref().map(Status::raw),
            ":region": self.region.as_ref().map(Region::raw),
            ":keep_alive": self.keep_alive,
            ":context": self.context.as_ref().map(Untrusted::raw),
            ":created": self.created.map(to_millis),
            ":started": self.started.map(to_millis),
            ":ended": self.ended.map(to_millis),
            ":end_exact": self.is_end_exact,
            ":expires": self.expires.map(to_millis),
            ":first_seen": to_millis(self.first_seen),
            ":last_seen": to_millis(self.last_seen),
            ":watched": i64::try_from(self.watched.as_millis()).unwrap_or(i64::MAX),
            ":replies": i64::try_from(self.responses).unwrap_or(i64::MAX),
            ":bytes": self.proxy_bytes,
            ":verdict": self.verdict.as_ref().map(|verdict| &verdict.name),
            ":sure": self.verdict.as_ref().map(|verdict| &verdict.confidence),
            ":sentence": self.verdict.as_ref().map(|verdict| redacted(&verdict.sentence)),
            // promise: journal-metadata, mutant: .redacted() -> .clone()
            ":metadata": self.metadata.as_ref().map(|metadata| metadata.redacted().json().to_owned()),
        })?;
        Ok(())
    }

    /// Reads the summaries for [`JournalReader::summaries`](super::JournalReader::summaries), in its order.
    pub(super) fn seen_since(db: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Self>> {
        let mut statement = db.prepare_cached(SELECT_SINCE)?;
        statement.query_map([to_millis(since)], Self::from_row)?.collect()
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let untrusted = |column| row.get::<_, Option<String>>(column).map(|text| text.map(Untrusted::new));
        let time = |column| row.get::<_, Option<i64>>(column).map(|ms| ms.map(from_millis));
        let (name, confidence): (Option<String>, Option<String>) = (row.get("verdict")?, row.get("sure")?);
        let verdict = name.zip(confidence).zip(untrusted("sentence")?);
        Ok(Self {
            session: SessionId::from_api(Untrusted::new(row.get::<_, String>("session")?)),
            run: RunId::from_stored(&row.get::<_, String>("run")?),
            profile: row.get("profile")?,
            host: row.get("host")?,
            project: untrusted("project")?,
            owner: untrusted("owner")?,
            status: row.get::<_, Option<String>>("status")?.map(|word| Status::from_api(&word)),
            region: row.get::<_, Option<String>>("region")?.map(|word| Region::from_api(&word)),
            keep_alive: row.get("keep_alive")?,
            context: untrusted("context")?,
            created: time("created")?,
            started: time("started")?,
            ended: time("ended")?,
            is_end_exact: row.get("end_exact")?,
            expires: time("expires")?,
            first_seen: from_millis(row.get("first_seen")?),
            last_seen: from_millis(row.get("last_seen")?),
            watched: duration_from_millis(row.get("watched_ms")?),
            responses: u64::try_from(row.get::<_, i64>("replies")?).unwrap_or(0),
            proxy_bytes: row.get("proxy_bytes")?,
            verdict: verdict.map(|((name, confidence), sentence)| StoredVerdict {
                name,
                confidence,
                sentence,
            }),
            metadata: row.get::<_, Option<String>>("metadata")?.map(|json| Metadata::new(&json)),
        })
    }
}
