//! Tests bytes from the terminal that are not keystrokes: pastes, and replies to queries.

use crate::harness::{Terminal, TestSimulator};

const ID: &str = "45c48cce-2e2d-4fba-8f1a-2d7bcf1aa7ff";
const OTHER_ID: &str = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de";

fn two_sessions() -> TestSimulator {
    TestSimulator::serve(&format!(
        "[[session]]\nid = \"{ID}\"\ntimeout = \"1h\"\n[[session]]\nid = \"{OTHER_ID}\"\ntimeout = \"2h\"\n"
    ))
}

/// Opens and closes the help, and waits until it is closed. The program has then handled all earlier bytes, too.
fn wait_for_earlier_bytes(terminal: &mut Terminal) {
    terminal.press("?");
    terminal.wait_for("back; never quits");
    terminal.press("?");
    terminal.wait_until("a screen without help", |screen| !screen.contents().contains("back; never quits"));
}

#[test]
fn pastes_and_replies_cause_no_action() {
    let api = two_sessions();
    let mut terminal = Terminal::keepwatch(&api, &[], &[], 120, 40);
    terminal.wait_for("RUNNING");
    for bytes in [
        "\x1b[200~checkout-qa\x1b[201~",                      // pasted text
        "\x1b[200~c\rx\r\x03q\x1b[201~", // pasted text that would copy, release and quit if typed
        "\x1b]11;rgb:1c1c/1c1c/1c1c\x1b\\", // reply: background colour
        "\x1b]10;rgb:cccc/cccc/cccc\x07", // reply: foreground colour, ended by BEL
        "\x1bP1+r436f=32;q=x\x1b\\",     // reply: terminal capability
        "\x1b_Gi=1;OKqc\x1b\\",          // reply: graphics support
        "\x1b[12;40R\x1b[?64;1;2c\x1b[<0;10;10M\x1b[I\x1b[O", // cursor position, device, mouse, focus
    ] {
        terminal.press(bytes);
        wait_for_earlier_bytes(&mut terminal);
        // The same bytes one by one, as a slow connection delivers them.
        for c in bytes.chars() {
            terminal.press(c.encode_utf8(&mut [0; 4]));
        }
        wait_for_earlier_bytes(&mut terminal);
    }
    assert!(terminal.wait_for_osc("anything", |_| true).clipboard.is_empty(), "nothing is copied");
    assert_eq!(api.connect_urls(), Vec::<String>::new(), "no connect URL is requested");
    terminal.press("q");
    assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0);
}

#[test]
fn pasted_id_is_selected_or_offered() {
    let api = two_sessions();
    let mut terminal = Terminal::keepwatch(&api, &[ID], &[], 120, 40);
    terminal.wait_for("RUNNING");
    terminal.press(&format!("\x1b[200~https://www.browserbase.com/sessions/{OTHER_ID}\x1b[201~"));
    terminal.wait_for(OTHER_ID);
    terminal.press("\r");
    terminal.wait_until("two running sessions", |screen| screen.contents().matches("RUNNING").count() >= 2);
    terminal.press(&format!("\x1b[200~{ID}\x1b[201~"));
    terminal.wait_until("the details of the first session", |screen| screen.contents().contains(ID));
}

#[test]
fn unfinished_sequences_do_not_lock_the_keyboard() {
    let api = two_sessions();
    for sequence in ["\x1b[200~never ended", "\x1b]11;rgb:", "\x1b[", "\x1bO", "\x1b[<", "\x1bP"] {
        let mut terminal = Terminal::keepwatch(&api, &[], &[], 80, 24);
        terminal.wait_for("RUNNING");
        terminal.press(sequence);
        // Ctrl-C is part of an unfinished paste, so the test waits until the paste has ended, after a second of
        // silence. Ctrl-C within any other unfinished sequence is a keystroke.
        if sequence.starts_with("\x1b[200~") {
            terminal.wait_for("pasted text");
        }
        terminal.press("\x03");
        assert_eq!(terminal.wait_for_restored_exit().exit_code(), 0, "{sequence:?}");
    }
}
