//! Text for `--ascii`. Replacements keep the width in columns, so that layouts do not change.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Converts `text` to ASCII of the same width. Symbols that keepwatch prints become look-alikes, ASCII letters lose
/// their combining marks, and everything else becomes one '?' per column.
#[must_use]
pub fn to_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        if cluster.is_ascii() {
            ascii.push_str(cluster);
            continue;
        }
        let lookalike = cluster.chars().next().map_or('?', ascii_lookalike);
        let replacement = std::iter::once(lookalike).chain(std::iter::repeat('?'));
        ascii.extend(replacement.take(cluster.width()));
    }
    ascii
}

fn ascii_lookalike(c: char) -> char {
    match c {
        '\0'..='\x7f' => c,
        // No-break spaces, and spaces of other widths.
        '\u{A0}' | '\u{2002}'..='\u{200A}' | '\u{202F}' => ' ',
        '·' => '.',
        '…' | '⋯' | '≈' => '~',
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => '-',
        '“' | '”' | '„' | '″' => '"',
        '‘' | '’' | '‚' | '′' => '\'',
        '•' | '●' | '◆' | '★' | '⬤' => '*',
        '○' | '◌' | '◯' | '◐' | '◑' | '◒' | '◓' | '◇' | '°' => 'o',
        '✓' | '✔' => '+',
        '✗' | '✘' | '✕' | '×' => 'x',
        '⚑' | '⚐' | '⚠' => '!',
        '↑' | '▲' | '△' | '▴' => '^',
        '↓' | '▼' | '▽' | '▾' => 'v',
        '→' | '▶' | '▸' | '▷' | '›' | '»' | '≥' | '▌' | '▐' => '>',
        '←' | '◀' | '◂' | '◁' | '‹' | '«' | '≤' | '⏎' | '↵' => '<',
        '⏸' => '=',
        // Bars of a sparkline, from low to high, and shades, from light to dark.
        '▁' | '░' => '.',
        '▂' | '▒' => ':',
        '▃' => '-',
        '▄' => '=',
        '▅' => '+',
        '▆' => '*',
        '▇' | '▓' => '%',
        '█' | '■' | '▀' => '#',
        '▏' | '▎' | '▍' | '▋' | '▊' | '▉' | '▕' => '|',
        // Box drawing: light horizontal lines, heavy and double ones, vertical lines, then corners and crossings.
        '─' | '┄' | '┈' | '╌' | '╴' | '╶' => '-',
        '━' | '┅' | '┉' | '╍' | '═' | '╸' | '╺' | '╼' | '╾' => '=',
        '│' | '┃' | '┆' | '┇' | '┊' | '┋' | '╎' | '╏' | '║' | '╵' | '╷' | '╹' | '╻' | '╽' | '╿' => {
            '|'
        }
        '\u{2500}'..='\u{257F}' => '+',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_symbols_become_lookalikes() {
        for (text, ascii) in [
            ("● RUNNING ◌ PENDING ✓ COMPLETED ✗ ERROR ⚑ 2", "* RUNNING o PENDING + COMPLETED x ERROR ! 2"),
            ("▌ LEFT ▲ ━━━── ▁▂▃▄▅▆▇█", "> LEFT ^ ===-- .:-=+*%#"),
            ("┌─┬─┐│╭╯", "+-+-+|++"),
            ("expiring… · “acme” — ••••", "expiring~ . \"acme\" - ****"),
            ("10\u{a0}s, 1\u{202f}500, a\u{2009}b", "10 s, 1 500, a b"),
            ("plain\ttext\n", "plain\ttext\n"),
        ] {
            assert_eq!(to_ascii(text), ascii);
        }
    }

    #[test]
    fn question_marks_keep_the_width() {
        for (text, ascii) in
            [("日本 x", "???? x"), ("für", "f?r"), ("fu\u{308}r", "fur"), ("👍🇩🇪", "????"), ("\u{FFFD}", "?")]
        {
            assert_eq!(to_ascii(text), ascii, "{text:?}");
        }
    }
}
