//! The program on the screen: its state, what changes it, and the loop that owns both.
//!
//! ```text
//!   Message ──► Model::update ──► Vec<Effect>      pure; effects are data
//!      ▲             │
//!      │             ▼ &Model, now
//!   run: the only select!     effects: performs them
//! ```

mod effects;
mod effort;
mod flags;
mod fleets;
pub mod keys;
mod model;
mod mute;
mod persistence;
mod press;
mod recent;
mod release;
mod replay;
mod rows;
mod run;
mod terminal_events;
mod typing;
mod update;
pub mod view;

pub use effort::{Effort, Spent, Took};
pub use flags::KnownFlags;
pub use fleets::{Fleets, Marks, Origin, Place, Source};
pub use model::{Effect, Focus, Message, Model, Notice, Pane, Part, Replay, Settings, Slots, Tone, Want};
pub use mute::Muted;
pub use persistence::{
    HistoryRequest, JournalScope, PersistenceCommand, PersistenceConfig, PersistenceEvent, PersistenceWarning,
};
pub use recent::{Asked, Listed, Recent};
pub use replay::replay;
pub use rows::{Choice, Counts, Rows, Sort, SortBy};
pub use run::run;
