//! Places the columns of a table: decides which columns fit the screen, where each starts, and how wide each is.
//!
//! ratatui's layout cannot leave a column out, add one if there is room, or widen the gaps before it widens a column.
//! So this module spends the spare room step by step, in an order that the caller gives.

/// The width of the left margin of a table, in columns: the selection marker and a blank.
pub(super) const LEFT_MARGIN: u16 = 2;
/// The width of the right margin of a table, in columns.
const RIGHT_MARGIN: u16 = 1;

/// A column with its position and width, both in screen columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlacedColumn<K> {
    pub(super) key: K,
    /// Distance from the left end of the table.
    pub(super) x: u16,
    pub(super) width: u16,
}

/// One way to spend the room that the minimum widths leave.
#[derive(Clone, Copy, Debug)]
pub(super) enum WidthStep<K> {
    /// Widens a visible column to this width, or as far as there is room.
    Widen(K, u16),
    /// Widens all gaps from one blank to two, if there is room for all of them.
    WidenGaps,
    /// Adds a column whose minimum width is 0, if there is room for this width and a gap.
    Add(K, u16),
}

impl<K: Copy> WidthStep<K> {
    /// Returns the step with its width limited to `max_width` of its column.
    pub(super) fn limit(self, max_width: impl Fn(K) -> u16) -> Self {
        match self {
            Self::Widen(key, width) => Self::Widen(key, width.min(max_width(key))),
            Self::Add(key, width) => Self::Add(key, width.min(max_width(key))),
            Self::WidenGaps => Self::WidenGaps,
        }
    }
}

/// Places the columns of a table that is `table_width` columns wide.
///
/// `columns` are the columns with their minimum widths. A column of width 0 is left out unless a step adds it. `gap` is
/// the number of blanks between two columns before any step widens the gaps.
pub(super) fn solve_columns<K: Copy + PartialEq>(
    columns: impl IntoIterator<Item = (K, u16)>,
    steps: impl IntoIterator<Item = WidthStep<K>>,
    mut gap: u16,
    table_width: u16,
) -> Vec<PlacedColumn<K>> {
    let mut placed: Vec<PlacedColumn<K>> =
        columns.into_iter().map(|(key, width)| PlacedColumn { key, x: 0, width }).collect();
    let visible_count = placed.iter().filter(|column| column.width > 0).count();
    let mut gap_count = u16::try_from(visible_count).unwrap_or(u16::MAX).saturating_sub(1);
    let margins_and_gaps =
        LEFT_MARGIN.saturating_add(gap_count.saturating_mul(gap)).saturating_add(RIGHT_MARGIN);
    let min_width = placed.iter().fold(margins_and_gaps, |sum, column| sum.saturating_add(column.width));
    let mut spare = table_width.saturating_sub(min_width);
    for step in steps {
        let used = match step {
            // Each gap needs one more column.
            WidthStep::WidenGaps if spare >= gap_count => {
                gap = 2;
                gap_count
            }
            WidthStep::WidenGaps => 0,
            WidthStep::Widen(key, max_width) => {
                let column = placed.iter_mut().find(|column| column.key == key && column.width > 0);
                column.map_or(0, |column| {
                    let more = max_width.saturating_sub(column.width).min(spare);
                    column.width = column.width.saturating_add(more);
                    more
                })
            }
            WidthStep::Add(key, width) => {
                let has_room = spare >= width.saturating_add(gap);
                let column = placed.iter_mut().find(|column| column.key == key && column.width == 0);
                column.filter(|_| has_room).map_or(0, |column| {
                    column.width = width;
                    gap_count = gap_count.saturating_add(1);
                    width.saturating_add(gap)
                })
            }
        };
        spare = spare.saturating_sub(used);
    }
    placed.retain(|column| column.width > 0);
    let mut next_x = LEFT_MARGIN;
    for column in &mut placed {
        column.x = next_x;
        next_x = next_x.saturating_add(column.width).saturating_add(gap);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEPS: [WidthStep<char>; 4] =
        [WidthStep::Add('b', 4), WidthStep::WidenGaps, WidthStep::Widen('a', 10), WidthStep::Widen('b', 99)];

    /// Returns the key, the position and the width of each column of a table that is `width` columns wide.
    fn solved_columns(width: u16) -> Vec<(char, u16, u16)> {
        let columns = solve_columns([('a', 3), ('b', 0), ('c', 5)], STEPS, 1, width);
        columns.into_iter().map(|column| (column.key, column.x, column.width)).collect()
    }

    #[test]
    fn steps_are_taken_in_order() {
        assert_eq!(solved_columns(12), [('a', 2, 3), ('c', 6, 5)], "minimum widths");
        assert_eq!(solved_columns(13), [('a', 2, 3), ('c', 7, 5)], "wider gaps");
        assert_eq!(solved_columns(17), [('a', 2, 3), ('b', 6, 4), ('c', 11, 5)], "one more column");
        assert_eq!(
            solved_columns(19),
            [('a', 2, 3), ('b', 7, 4), ('c', 13, 5)],
            "wider gaps and one more column"
        );
        assert_eq!(solved_columns(40), [('a', 2, 10), ('b', 14, 18), ('c', 34, 5)], "wider columns");
    }

    proptest! {
        #[test]
        fn columns_never_touch_and_stay_inside(
            min_widths in prop::collection::vec(0_u16..20, 1..10),
            steps in prop::collection::vec((0_usize..10, 0_u16..30, 0_u8..3), 0..12),
            gap in 1_u16..3,
            width in 0_u16..200,
        ) {
            let steps = steps.into_iter().map(|(key, width, kind)| match kind {
                0 => WidthStep::Add(key, width),
                1 => WidthStep::Widen(key, width),
                _ => WidthStep::WidenGaps,
            });
            // Gaps are widened only once, from one blank to two. So keep only the first such step, and none if the gaps
            // are wide from the start.
            let mut has_wide_gaps = gap > 1;
            let steps: Vec<_> = steps
                .filter(|step| {
                    !matches!(step, WidthStep::WidenGaps) || !std::mem::replace(&mut has_wide_gaps, true)
                })
                .collect();
            let min_total = min_widths.iter().filter(|width| **width > 0).map(|width| width + gap).sum::<u16>();
            let placed = solve_columns(min_widths.iter().copied().enumerate(), steps, gap, width);
            for pair in placed.windows(2) {
                prop_assert!(pair[0].x + pair[0].width < pair[1].x, "{placed:?}");
            }
            // A table that is too narrow for the minimum widths cannot hold its last column.
            if let Some(last) = placed.last().filter(|_| LEFT_MARGIN + min_total < width) {
                prop_assert!(last.x + last.width < width, "{placed:?} of {width}");
            }
        }
    }
}
