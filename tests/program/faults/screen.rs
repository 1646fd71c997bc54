//! Tests the screen while the network fails. The screen keeps the last data, shows the error, and recovers
//! without a keystroke.

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

/// Returns `Some(true)` if the row of the second session, which is not selected, is dim. Returns `None` if the screen
/// has no such row.
fn is_dim(screen: &vt100::Screen) -> Option<bool> {
    let (row, line) =
        screen.rows(0, 140).enumerate().find(|(_, line)| line.contains("RUNNING    6512bd43"))?;
    let column = line.chars().position(|letter| letter == 'R')?;
    let cell = screen.cell(u16::try_from(row).unwrap(), u16::try_from(column).unwrap())?;
    assert_eq!(cell.contents(), "R");
    Some(cell.dim())
}

#[test]
fn stale_rows_are_dimmed_until_recovery() {
    let network = TestNetwork::new(Route::Plain, Behaviour::Normal);
    let terminal = watch(&network);
    terminal.wait_until("a row that is not dim", |screen| is_dim(screen) == Some(false));
    network.set_behaviour(Behaviour::Refuses);
    let shows_error = |screen: &vt100::Screen| {
        let text = screen.contents();
        text.contains(REFUSED)
            && (text.contains("next try in ") || text.contains("trying now"))
            && text.contains("no data for ")
    };
    let screen = terminal.wait_until("the error and the time of the next try", shows_error);
    assert!(screen.contains("nightly-42") && screen.contains("RUNNING"), "the last data stays\n{screen}");
    terminal.wait_until("a dim row", |screen| is_dim(screen) == Some(true));
    network.recover();
    terminal.wait_until("the recovery", |screen| {
        is_dim(screen) == Some(false) && !screen.contents().contains("no data for")
    });
    assert!(!terminal.screen().contains(REFUSED), "{}", terminal.screen());
}

#[test]
fn screen_starts_without_network() {
    let network = TestNetwork::new(Route::Plain, Behaviour::Refuses);
    let terminal = watch(&network);
    let screen = terminal.wait_until("the screen with the error", |screen| {
        screen.contents().contains(REFUSED) && screen.contents().contains("keepwatch")
    });
    assert!(!screen.contains("RUNNING"), "{screen}");
    network.recover();
    terminal.wait_until("the session", |screen| {
        is_dim(screen) == Some(false) && !screen.contents().contains(REFUSED)
    });
}
