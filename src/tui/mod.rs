//! The program on the screen: its state, what changes it, and the loop that owns both.
//!
//! ```text
//!   Message ──► Model::update ──► Vec<Effect>      pure; effects are data
//!      ▲             │
//!      │             ▼ &Model, now
//!   event_loop: the only select!     effect_runner: performs them
//! ```

mod effect;
mod effect_runner;
mod effort;
mod event_loop;
mod event_scope;
mod flags;
mod focus;
mod key_handler;
pub mod keymap;
mod message;
mod model;
mod mute;
mod next_change;
mod notice;
mod persistence;
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

pub use effect::Effect;
pub use effort::{Effort, Spent, Took};
pub use event_loop::run;
pub(crate) use event_scope::{COUNT_LIMIT, EventScope};
pub use flags::KnownFlags;
pub use focus::{Focus, Pane, Part};
pub use message::Message;
pub use model::Model;
pub use mute::Muted;
pub(crate) use next_change::MINUTES_FROM;
pub use notice::{Notice, Tone};
pub use persistence::{
    HistoryRequest, JournalScope, PersistenceCommand, PersistenceConfig, PersistenceEvent, PersistenceWarning,
};
pub use profiles::{EventRef, ProfileId, ProfileInfo, ProfileLabels, ProfileState, Profiles, ReadCursors};
pub use recent::{Asked, Listed, Recent};
pub use replay::replay;
pub use replay_state::Replay;
pub use rows::{Choice, Counts, Rows, Sort, SortBy};
pub use settings::Settings;
pub use slots::Slots;
pub use table_state::TableState;
pub use theme::Theme;
pub use viewport::{Extent, Viewport};
