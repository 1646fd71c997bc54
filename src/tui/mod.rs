//! The terminal user interface: the state of the screen, the messages that change this state, and the event loop.
//!
//! ```text
//!   Message ──► Model::update ──► Vec<Effect>        pure; effects are data
//!      ▲             │                 │
//!      │             ▼ &Model, now     ▼
//!   event_loop   view::draw       effect_runner      called by the event loop
//! ```
//!
//! The event loop owns the model. The model does no I/O and reads no clock. Only `effect_runner` performs effects. For
//! a recording, `replay` is the event loop, and itself performs the effects that control the replay.

mod acknowledged;
mod away;
mod effect;
mod effect_runner;
mod event_loop;
mod event_scope;
mod focus;
mod key_handler;
mod keyboard_layout;
pub mod keymap;
mod message;
mod model;
mod mute;
mod next_change;
mod notice;
mod paste;
mod persistence;
mod poll_stats;
mod profiles;
mod recent;
mod release;
mod replay;
mod replay_state;
mod rows;
mod scroll;
mod settings;
mod slots;
mod table_state;
mod terminal_events;
mod text_input;
mod theme;
mod title;
mod update;
mod url_requests;
pub mod view;
mod viewport;

pub use acknowledged::AcknowledgedAlerts;
pub use away::{
    Absence, AbsenceKind, AwayExtent, AwayReport, AwaySession, AwayState, OwnerTotals, UnwatchedPeriod,
    UnwatchedReason,
};
pub use effect::Effect;
pub use event_loop::run;
pub(crate) use event_scope::{COUNT_LIMIT, EventScope};
pub use focus::{DetailsSection, Focus, Pane};
pub use message::Message;
pub use model::Model;
pub use mute::MutedSessions;
pub(crate) use next_change::MINUTES_ONLY_THRESHOLD;
pub use notice::{Notice, NoticeLevel};
pub use persistence::{
    HistoryRequest, JournalScope, PersistenceCommand, PersistenceConfig, PersistenceEvent,
    PersistenceWarning, WarningLabel,
};
pub use poll_stats::{LatencyStats, MinuteTotals, PollStats};
pub use profiles::{
    EventRef, ProfileId, ProfileInfo, ProfileLabels, ProfileState, Profiles, TimelineCursors,
};
pub use recent::{RecentRequestState, RecentSession, RecentSessions};
pub use replay::run_replay;
pub use replay_state::ReplayProgress;
pub use rows::{RowCriteria, Rows, Sort, SortColumn, StatusCounts};
pub use settings::Settings;
pub use slots::ProjectSlots;
pub use table_state::TableState;
pub use theme::Theme;
pub use viewport::{ScrollExtent, Viewport};
