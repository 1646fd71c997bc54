//! The whole program: as it is typed, on a terminal, against servers.

mod command_line;
mod contract;
mod documents;
mod ends;
mod harness;
mod picture;
mod screen;
