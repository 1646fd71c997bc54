//! Scenario files: a timeline of sessions and faults, and what is expected of whoever watches them.
//!
//! All times are relative to the simulator's start, so a scenario plays the same at any date and any speed. A field
//! that is not known here is refused: a misspelt one would otherwise make a scenario test nothing.
//!
//! ```toml
//! name = "early-end"
//! about = "A keep-alive session that ends after ten seconds of its fifteen minutes"
//! latency = "40ms"              # of every reply, in real time whatever the clock's speed
//! skew = "-45s"                 # the server's clock against the machine's
//!
//! [project]
//! name = "acme-prod"
//! default_timeout = "5m"        # of sessions that state none
//! concurrency = 25
//!
//! [[session]]                   # every field may be left out
//! name = "checkout"             # what faults call it
//! id = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de" # else made from the scenario's name and the session's place
//! appears = "0s"                # unknown to the API before
//! created = "-2s"               # createdAt and startedAt; else as it appears
//! starts = "3s"                 # PENDING before; else RUNNING at once
//! timeout = "15m"               # from `created`; TIMED_OUT then, by itself
//! keep_alive = true
//! region = "us-west-2"
//! context = "1d2c…"
//! metadata = { owner = "growth", run = { id = "checkout-881" } }
//! proxy = [{ from = "-12m", to = "30s", bytes_per_second = 25_000, wave = "40s" }] # overlapping ones add up
//! ends = { at = "9s 600ms", status = "COMPLETED", ended_at = "9s", omit_ended_at = false }
//! overdue = false               # true: it does not end at its expiry
//! vanishes = "10m"              # 404 from then on
//! unlisted = [{ from = "20s", to = "40s" }] # retrieved as ever, and in no list
//! says = [{ from = "5s", to = "8s", on = "list", set = { status = "SLEEPING" }, without = ["region"] }]
//! repeat = { every = "45s", count = 60, vary = "20s" } # copies; `{n}` in metadata is the copy's number, from 1
//!
//! [[fault]]
//! from = "30s"                  # else from the start
//! to = "33s"                    # else for good
//! on = "all"                    # or "list", "retrieve", "projects", a session's name or id
//! count = 3                     # only the first requests of the window
//! slow = "2s"                   # the answer comes later, in real time
//! pad = 2_000_000               # the body has so many blanks before it, which JSON allows
//! status = 429                  # if left out, the answer is the true one, only slow or padded
//! message = "Slow down"         # any value; one that fits the status if left out
//! code = "RATE_LIMITED"
//! retry_after = "3s"
//! retry_after_as = "seconds"    # or "date", or "ms" for retry-after-ms
//! headers = { age = "7" }
//!
//! [[fault]]
//! reply = "hang"                # instead of a status: also "html", "truncated", or "dropped" without any reply
//!
//! [[expect]]                    # kept as it is, for tests
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::fault::{Fault, On};
use super::offset::{Offset, Span};
use super::session::Session;

/// The scenarios that the program carries: name and text.
const BUILTIN: &[(&str, &str)] = &[("default", include_str!("../../assets/scenarios/default.toml"))];

/// The most sessions that a script may make, copies included.
const MOST_SESSIONS: usize = 100_000;

/// A scenario as written, checked as a whole. The default one is an empty project.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// What the scenario is called; the file's name if it does not say.
    pub name: String,
    /// What it shows, in one sentence.
    pub about: String,
    /// How long every reply takes, in real time.
    pub latency: Span,
    /// How far the server's clock is ahead of the machine's.
    pub skew: Offset,
    /// The project that the sessions belong to.
    pub project: Project,
    /// The sessions, in the file's order.
    #[serde(rename = "session")]
    pub sessions: Vec<Session>,
    /// What goes wrong. For each request the first that fits holds.
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
    /// What a test expects of a program that watches this. Nothing here reads it.
    pub expect: Vec<toml::Table>,
}

/// The project, as `GET /v1/projects` shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The timeout of sessions that state none.
    pub default_timeout: Span,
    /// How many sessions may run at once.
    pub concurrency: u32,
}

impl Default for Project {
    fn default() -> Self {
        Self {
            id: "b9f4c1f7-2d6e-4c58-9f0e-6a1d0c7ef3a9".to_owned(),
            name: "acme-prod".to_owned(),
            default_timeout: Span(Duration::from_secs(300)),
            concurrency: 25,
        }
    }
}

impl Script {
    /// The scenario that the program carries under `name`.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let (_, text) = BUILTIN.iter().find(|(known, _)| *known == name)?;
        Self::read(text, name, Path::new(name)).ok() // a test reads them all
    }

    /// The names of the scenarios that the program carries.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// The scenario in the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ScriptError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScriptError::Unreadable { file: path.into(), source })?;
        Self::read(&text, &path.file_stem().unwrap_or_default().to_string_lossy(), path)
    }

    /// The scenario that `word` means: the name of a built-in one, or else a file, if it looks like one's path.
    pub fn find(word: &str) -> Result<Self, ScriptError> {
        let path = Path::new(word);
        match Self::builtin(word) {
            Some(script) => Ok(script),
            None if path.extension().is_some() || path.components().count() > 1 || path.exists() => {
                Self::load(path)
            }
            None => Err(ScriptError::Unknown { name: word.to_owned() }),
        }
    }

    /// The scenario written in `text`.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        Self::read(text, "scenario", Path::new("scenario"))
    }

    fn read(text: &str, name: &str, file: &Path) -> Result<Self, ScriptError> {
        let wrong = |line, what| ScriptError::Wrong { file: file.into(), line, what };
        let mut script: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|above| above.matches('\n').count() + 1);
            wrong(line, error.message().replace('\n', ", "))
        })?;
        if script.name.is_empty() {
            name.clone_into(&mut script.name);
        }
        script.check().map_err(|what| wrong(None, what))?;
        Ok(script)
    }

    /// What one table alone cannot know to be wrong.
    fn check(&self) -> Result<(), String> {
        let mut ids: Vec<_> = self.sessions.iter().filter_map(|session| session.id.as_deref()).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find_map(|pair| pair.first().filter(|id| pair.last() == Some(id)))
        {
            return Err(format!("two sessions have the id “{twice}”"));
        }
        if self.sessions.iter().map(Session::copies).fold(0, usize::saturating_add) > MOST_SESSIONS {
            return Err(format!("it repeats sessions to more than {MOST_SESSIONS}"));
        }
        for fault in &self.faults {
            if let On::Session(word) = &fault.on
                && !self.sessions.iter().any(|session| session.is_called(word))
            {
                return Err(format!(
                    "a fault is on “{word}”, which is neither a session's name or id, nor all, list, retrieve or projects"
                ));
            }
        }
        Ok(())
    }
}

/// Why there is no scenario. Its `Display` is one sentence.
#[derive(Debug)]
pub enum ScriptError {
    /// No built-in scenario has this name.
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The file could not be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text is not a scenario.
    Wrong {
        /// The file, or the built-in scenario's name.
        file: PathBuf,
        /// Where, counted from 1, if it is in one place.
        line: Option<usize>,
        /// What is wrong there.
        what: String,
    },
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                let known = Script::builtin_names().collect::<Vec<_>>().join(", ");
                write!(f, "no scenario is named “{name}”; there are: {known}")
            }
            Self::Unreadable { file, source } => {
                write!(f, "the scenario {} cannot be read: {source}", file.display())
            }
            Self::Wrong { file, line: Some(line), what } => {
                write!(f, "the scenario {} is wrong in line {line}: {what}", file.display())
            }
            Self::Wrong { file, line: None, what } => {
                write!(f, "the scenario {} is wrong: {what}", file.display())
            }
        }
    }
}

impl std::error::Error for ScriptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Unknown { .. } | Self::Wrong { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_scenario_can_be_read_and_is_about_something() {
        for (name, text) in BUILTIN {
            let script = Script::read(text, name, Path::new(name)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(&script.name, name);
            assert!(!script.about.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_scenario_in_this_modules_header_can_be_read() {
        let header: String = include_str!("script.rs")
            .lines()
            .skip_while(|line| *line != "//! ```toml")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").trim_start().to_owned() + "\n")
            .collect();
        let script = Script::parse(&header).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((script.sessions.len(), script.faults.len(), script.expect.len()), (1, 2, 1));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_sentence_with_its_line() {
        for (text, said) in [
            ("about = 'x'\nlatency = '4 parsecs'", "in line 2: “4 parsecs” is not a length of time"),
            ("[[session]]\ncreated = '-12 moons'", "in line 2: “-12 moons” is not a time"),
            ("[[session]]\nname = 'a'\ncolour = 'red'", "in line 3: unknown field `colour`"),
            (
                "[[session]]\n\n[[session]]\nends = { at = '1s', status = 'RUNNING' }",
                "in line 4: unknown variant",
            ),
            (
                "[[session]]\nname = 'list'",
                "in line 2: “list” means requests, and cannot be a session's name",
            ),
            ("\n[[fault]]\nto = '3s'", "in line 2: a fault needs"),
            (
                "\n[[fault]]\nstatus = 429\nreply = 'hang'",
                "in line 2: a fault has either a `status` or a `reply`",
            ),
            ("\n[[fault]]\nstatus = 42", "in line 2: 42 is not an HTTP status"),
            (
                "[[fault]]\non = 'list'\nstatus = 500\nheaders = { 'a b' = '1' }",
                "in line 1: “a b: 1” is not a header",
            ),
            ("[[fault]]\non = 'nobody'\nstatus = 500", "is wrong: a fault is on “nobody”"),
            ("[[session]]\nid = 'a'\n[[session]]\nid = 'a'", "two sessions have the id “a”"),
            ("[[session]]\nrepeat = { every = '1s', count = 200000 }", "more than 100000"),
            ("name = ", "in line 1: "),
        ] {
            let error = Script::parse(text).expect_err(text).to_string();
            assert!(error.contains(said), "{error}\n{text}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_scenario_is_found_by_name_or_by_file() {
        assert_eq!(Script::find("default").unwrap().name, "default");
        let unknown = Script::find("foo").unwrap_err().to_string();
        assert!(unknown.starts_with("no scenario is named “foo”; there are: default"), "{unknown}");
        let unreadable = Script::find("nowhere/foo.toml").unwrap_err().to_string();
        assert!(unreadable.starts_with("the scenario nowhere/foo.toml cannot be read: "), "{unreadable}");

        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), "[[session]]\n").unwrap();
        let script = Script::find(file.path().to_str().unwrap()).unwrap();
        assert_eq!(script.name, file.path().file_stem().unwrap().to_str().unwrap());
    }
}
