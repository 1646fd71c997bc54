//! One session as one run saw it: what `keepwatch history` shows. Replaced as it changes.

use std::time::Duration;

use rusqlite::{Connection, Row, named_params};

use super::RunId;
use super::reader::{duration_from_millis, from_millis, to_millis};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Metadata, Region, SessionId, Status};
use keepwatch_core::text::{Untrusted, redact};

/// What one run knows of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// Which session.
    pub session: SessionId,
    /// Which run.
    pub run: RunId,
    /// The profile that it was reached by, if one was chosen.
    pub profile: Option<String>,
    /// The host that was asked.
    pub host: String,
    /// `projectId`
    pub project: Option<Untrusted>,
    /// Whose it is, by its metadata.
    pub owner: Option<Untrusted>,
    /// The newest `status`.
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
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// Whether that is the end itself, and not only the latest that it can be.
    pub is_end_exact: bool,
    /// `expiresAt`
    pub expires: Option<Timestamp>,
    /// The first reply about it came.
    pub first_seen: Timestamp,
    /// The newest reply about it came.
    pub last_seen: Timestamp,
    /// For how long it was really watched: the time in which replies came as they should.
    pub watched: Duration,
    /// How many replies came.
    pub responses: u64,
    /// `proxyBytes`
    pub proxy_bytes: Option<i64>,
    /// What probably lies behind its end.
    pub verdict: Option<StoredVerdict>,
    /// `userMetadata`; what looks like a secret in it is masked as it is written.
    pub metadata: Option<Metadata>,
}

/// A verdict, as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVerdict {
    /// Its name, as in `keepwatch events`.
    pub name: String,
    /// How sure it is, in the word of `keepwatch events`: said, likely, perhaps or unknown.
    pub confidence: String,
    /// The sentence; as what the API said may be quoted in it, it is not trusted with the terminal.
    pub sentence: Untrusted,
}

/// The columns, in the order of the values in [`INSERT`].
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

/// By session, the run that saw it last first.
const SELECT_SINCE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM summary WHERE session IN (SELECT session FROM summary WHERE last_seen >= ?1) \
     ORDER BY session, last_seen DESC, run"
);

impl SessionSummary {
    /// About how many bytes it takes while it waits.
    pub(super) fn estimated_size(&self) -> usize {
        const FIXED_SIZE: usize = 600;
        self.metadata.as_ref().map_or(0, |metadata| metadata.json().len()).saturating_add(FIXED_SIZE)
    }

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
            ":verdict": self.verdict.as_ref().map(|why| &why.name),
            ":sure": self.verdict.as_ref().map(|why| &why.confidence),
            ":sentence": self.verdict.as_ref().map(|why| redacted(&why.sentence)),
            // promise: journal-metadata, mutant: .redacted() -> .clone()
            ":metadata": self.metadata.as_ref().map(|metadata| metadata.redacted().json().to_owned()),
        })?;
        Ok(())
    }

    /// All of the sessions that were seen since `since`, with what earlier runs knew of them; by session, the run that saw
    /// it last first.
    pub(super) fn seen_since(db: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Self>> {
        let mut statement = db.prepare_cached(SELECT_SINCE)?;
        statement.query_map([to_millis(since)], Self::from_row)?.collect()
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let untrusted = |column| row.get::<_, Option<String>>(column).map(|text| text.map(Untrusted::new));
        let at = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(from_millis));
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
            created: at("created")?,
            started: at("started")?,
            ended: at("ended")?,
            is_end_exact: row.get("end_exact")?,
            expires: at("expires")?,
            first_seen: from_millis(row.get("first_seen")?),
            last_seen: from_millis(row.get("last_seen")?),
            watched: duration_from_millis(row.get("watched_ms")?),
            responses: u64::try_from(row.get::<_, i64>("replies")?).unwrap_or(0),
            proxy_bytes: row.get("proxy_bytes")?,
            verdict: verdict.map(|((name, sure), sentence)| StoredVerdict {
                name,
                confidence: sure,
                sentence,
            }),
            metadata: row.get::<_, Option<String>>("metadata")?.map(|json| Metadata::new(&json)),
        })
    }
}
