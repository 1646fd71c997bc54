//! The screen while the network fails: it keeps what it knew and says so, and needs no key to be well again.

use super::behaviour::Behaviour;
use super::test_network::{IDS, Route, TestNetwork};
use crate::harness::{KEY, PROGRAM, Terminal};

const REFUSED: &str = "refuses connections: nothing listens there";

fn watch(network: &TestNetwork) -> Terminal {
    let mut env: Vec<(&str, &str)> =
        network.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    env.extend([("BROWSERBASE_BASE_URL", network.url.as_str()), ("BROWSERBASE_API_KEY", KEY)]);
    Terminal::start(&[PROGRAM, "-i", "1s", IDS[0], IDS[1]], &env, 140, 40)
}

/// Whether the row of the second session, which is not selected, is there, and dim.
fn is_dim(screen: &vt100::Screen) -> Option<bool> {
    let (place, line) =
        screen.rows(0, 140).enumerate().find(|(_, line)| line.contains("RUNNING    6512bd43"))?;
    let column = line.chars().position(|letter| letter == 'R')?;
    let cell = screen.cell(u16::try_from(place).unwrap(), u16::try_from(column).unwrap())?;
    assert_eq!(cell.contents(), "R");
    Some(cell.dim())
}

#[test]
fn stale_rows_are_dimmed_until_recovery() {
    let place = TestNetwork::new(Route::Plain, Behaviour::Normal);
    let terminal = watch(&place);
    terminal.wait_until("a row, and not dim", |screen| is_dim(screen) == Some(false));
    place.set_behaviour(Behaviour::Refuses);
    let says = |screen: &vt100::Screen| {
        let text = screen.contents();
        text.contains(REFUSED)
            && (text.contains("next try in ") || text.contains("trying now"))
            && text.contains("no data for ")
    };
    let screen = terminal.wait_until("why, and when the next try is", says);
    assert!(screen.contains("nightly-42") && screen.contains("RUNNING"), "the last data stays\n{screen}");
    terminal.wait_until("the row is dim", |screen| is_dim(screen) == Some(true));
    place.recover();
    terminal.wait_until("all is well", |screen| {
        is_dim(screen) == Some(false) && !screen.contents().contains("no data for")
    });
    assert!(!terminal.screen().contains(REFUSED), "{}", terminal.screen());
}

#[test]
fn screen_starts_without_network() {
    let place = TestNetwork::new(Route::Plain, Behaviour::Refuses);
    let terminal = watch(&place);
    let screen = terminal.wait_until("the screen, and why it is empty", |screen| {
        screen.contents().contains(REFUSED) && screen.contents().contains("keepwatch")
    });
    assert!(!screen.contains("RUNNING"), "{screen}");
    place.recover();
    terminal.wait_until("the session", |screen| {
        is_dim(screen) == Some(false) && !screen.contents().contains(REFUSED)
    });
}
