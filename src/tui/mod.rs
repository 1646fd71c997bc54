//! The program on the screen: its state, what changes it, and the loop that owns both.
//!
//! ```text
//!   Message ──► Model::update ──► Vec<Effect>      pure; effects are data
//!      ▲             │
//!      │             ▼ &Model, now
//!   run: the only select!, and the only place where effects happen
//! ```

mod effort;
mod flags;
mod fleets;
mod keeper;
pub mod keys;
mod memory;
mod model;
mod mute;
mod past;
mod press;
mod recent;
mod release;
mod replay;
mod rows;
mod run;
mod summary;
mod typing;
mod update;
pub mod view;

pub use effort::{Effort, Spent, Took};
pub use flags::KnownFlags;
pub use fleets::{Fleets, Marks, Origin, Place, Source};
pub use keeper::{Keep, Who};
pub use model::{Effect, Focus, Message, Model, Notice, Pane, Part, Replay, Settings, Slots, Tone, Want};
pub use mute::Muted;
pub use recent::{Asked, Listed, Recent};
pub use replay::replay;
pub use rows::{Choice, Counts, Rows, Sort, SortBy};
pub use run::run;
