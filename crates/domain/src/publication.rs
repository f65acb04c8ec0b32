//! What of a table of counts may be published: none under a least count, and none that could be
//! worked out from what stands beside it (handbook §9).
//!
//! A cell belongs to at most two sums: that of its row, whose total is the first column, and that of
//! its column, whose total is the last row. Sums are the nodes of a graph and withheld cells its
//! edges; a cell that belongs to one sum alone ends in a node where nothing need add up. What is
//! withheld can be varied without a change of any sum just along cycles, so an edge on no cycle can
//! be worked out: another cell of its sums is withheld too, until there is none.

use std::collections::VecDeque;

/// Counts in rows and columns, of one table.
#[derive(Debug, Clone)]
pub struct Grid {
    /// The counts, row by row, all rows of the same length.
    pub rows: Vec<Vec<u64>>,
    /// The first column is the sum of the others.
    pub row_totals: bool,
    /// The last row is the sum of the others.
    pub total_row: bool,
}

impl Grid {
    /// Which counts to withhold so that none under `least` is told or can be worked out; `also` are
    /// withheld whatever they are, for the sake of another table with the same totals.
    pub fn withhold(&self, least: u64, also: &[(usize, usize)]) -> Vec<Vec<bool>> {
        let mut withheld: Vec<Vec<bool>> =
            self.rows.iter().map(|row| row.iter().map(|count| *count < least).collect()).collect();
        for (row, column) in also {
            withheld[*row][*column] = true;
        }
        while let Some((row, column)) =
            self.told_too_much(&withheld, least).and_then(|sums| self.pick(&withheld, &sums))
        {
            withheld[row][column] = true;
        }
        withheld
    }

    fn columns(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// The sum of a row, then those of columns: as many nodes, and one where nothing need add up.
    fn nodes(&self, row: usize, column: usize) -> (usize, usize) {
        let ground = self.rows.len() + self.columns();
        let of_row = if self.row_totals { row } else { ground };
        let of_column = if self.total_row { self.rows.len() + column } else { ground };
        (of_row, of_column)
    }

    /// The cells of a sum, its total last.
    fn cells(&self, sum: usize) -> Vec<(usize, usize)> {
        let (rows, columns) = (self.rows.len(), self.columns());
        if sum < rows {
            (1..columns).chain([0]).map(|column| (sum, column)).collect()
        } else {
            (0..rows).map(|row| (row, sum - rows)).collect()
        }
    }

    /// Sums in which another count must be withheld, any of them; none when all is well, or cannot be
    /// better.
    fn told_too_much(&self, withheld: &[Vec<bool>], least: u64) -> Option<Vec<usize>> {
        let ground = self.rows.len() + self.columns();
        let has_room = |sum: usize| sum != ground && self.cells(sum).iter().any(|(r, c)| !withheld[*r][*c]);
        // What is withheld of a sum must itself be no small number.
        for sum in (0..ground).filter(|sum| has_room(*sum)) {
            if (sum < self.rows.len() && !self.row_totals) || (sum >= self.rows.len() && !self.total_row) {
                continue;
            }
            let cells = self.cells(sum);
            let (parts, total) = cells.split_at(cells.len() - 1);
            let small: u64 = parts.iter().filter(|(r, c)| withheld[*r][*c]).map(|(r, c)| self.rows[*r][*c]).sum();
            let any = parts.iter().any(|(r, c)| withheld[*r][*c]);
            if any && small < least && total.iter().all(|(r, c)| !withheld[*r][*c]) {
                return Some(vec![sum]);
            }
        }
        let edges: Vec<(usize, usize)> = (0..self.rows.len())
            .flat_map(|row| (0..self.columns()).map(move |column| (row, column)))
            .filter(|(row, column)| withheld[*row][*column])
            .map(|(row, column)| self.nodes(row, column))
            .collect();
        let mut at: Vec<Vec<usize>> = vec![Vec::new(); ground + 1];
        for (edge, (a, b)) in edges.iter().enumerate() {
            at[*a].push(edge);
            at[*b].push(edge);
        }
        let mut sums = Vec::new();
        for (edge, (a, b)) in edges.iter().enumerate() {
            if a != b && !is_on_a_cycle(edge, &edges, &at) {
                sums.extend([*a, *b].into_iter().filter(|sum| has_room(*sum)));
            }
        }
        (!sums.is_empty()).then_some(sums)
    }

    /// A count of these sums that is still told: rather one that closes a cycle, rather a small one, and
    /// a total last.
    fn pick(&self, withheld: &[Vec<bool>], sums: &[usize]) -> Option<(usize, usize)> {
        let mut touched = vec![false; self.rows.len() + self.columns() + 1];
        for (row, hidden) in withheld.iter().enumerate() {
            for (column, _) in hidden.iter().enumerate().filter(|(_, hidden)| **hidden) {
                let (of_row, of_column) = self.nodes(row, column);
                (touched[of_row], touched[of_column]) = (true, true);
            }
        }
        let told = sums.iter().flat_map(|sum| self.cells(*sum)).filter(|(r, c)| !withheld[*r][*c]);
        told.min_by_key(|(r, c)| {
            let is_total = (self.row_totals && *c == 0) || (self.total_row && *r + 1 == self.rows.len());
            let (of_row, of_column) = self.nodes(*r, *c);
            (is_total, !(touched[of_row] && touched[of_column]), self.rows[*r][*c])
        })
    }
}

/// Whether its two ends are joined by other edges too.
fn is_on_a_cycle(edge: usize, edges: &[(usize, usize)], at: &[Vec<usize>]) -> bool {
    let (from, to) = edges[edge];
    let mut seen = vec![false; at.len()];
    seen[from] = true;
    let mut next = VecDeque::from([from]);
    while let Some(node) = next.pop_front() {
        for other in at[node].iter().filter(|other| **other != edge) {
            let (a, b) = edges[*other];
            let end = if a == node { b } else { a };
            if end == to {
                return true;
            }
            if !seen[end] {
                seen[end] = true;
                next.push_back(end);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LEAST: u64 = 5;

    /// A table with both sorts of totals from its inner counts.
    fn summed(inner: &[Vec<u64>]) -> Grid {
        let mut rows: Vec<Vec<u64>> =
            inner.iter().map(|row| [row.iter().sum()].into_iter().chain(row.iter().copied()).collect()).collect();
        rows.push((0..=inner[0].len()).map(|column| rows.iter().map(|row| row[column]).sum()).collect());
        Grid { rows, row_totals: true, total_row: true }
    }

    fn told(grid: &Grid) -> Vec<String> {
        let withheld = grid.withhold(LEAST, &[]);
        let cell = |(count, hidden): (&u64, &bool)| if *hidden { "·".to_owned() } else { count.to_string() };
        grid.rows
            .iter()
            .zip(&withheld)
            .map(|(row, hidden)| row.iter().zip(hidden).map(cell).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn what_is_not_small_is_told() {
        assert_eq!(told(&summed(&[vec![10, 20], vec![30, 40]])), ["30 10 20", "70 30 40", "100 40 60"]);
    }

    #[test]
    fn a_single_small_count_takes_three_others_with_it() {
        let grid = summed(&[vec![3, 20, 30], vec![50, 60, 70], vec![80, 90, 100]]);
        assert_eq!(told(&grid), ["53 · · 30", "180 · · 70", "270 80 90 100", "503 133 170 200"]);
    }

    #[test]
    fn a_column_without_sums_in_its_rows_hides_a_second_count() {
        let grid =
            Grid { rows: [30, 2, 17, 8, 57].map(|count| vec![count]).to_vec(), row_totals: false, total_row: true };
        assert_eq!(told(&grid), ["30", "·", "17", "·", "57"]);
    }

    /// Whether a withheld count follows from what is told, by elimination over a field: an oracle that
    /// knows nothing of graphs.
    fn can_be_worked_out(grid: &Grid, withheld: &[Vec<bool>]) -> Vec<(usize, usize)> {
        const P: i128 = (1 << 61) - 1;
        let columns = grid.columns();
        let unknown: Vec<(usize, usize)> = (0..grid.rows.len())
            .flat_map(|r| (0..columns).map(move |c| (r, c)))
            .filter(|(r, c)| withheld[*r][*c])
            .collect();
        let mut sums: Vec<Vec<i128>> = Vec::new();
        let mut sum = |cells: Vec<((usize, usize), i128)>| {
            let sign = |u: &(usize, usize)| cells.iter().find(|(cell, _)| cell == u).map_or(0, |(_, sign)| *sign);
            sums.push(unknown.iter().map(sign).collect());
        };
        if grid.row_totals {
            for r in 0..grid.rows.len() {
                sum((0..columns).map(|c| ((r, c), if c == 0 { P - 1 } else { 1 })).collect());
            }
        }
        if grid.total_row {
            for c in 0..columns {
                let last = grid.rows.len() - 1;
                sum((0..=last).map(|r| ((r, c), if r == last { P - 1 } else { 1 })).collect());
            }
        }
        let inverse = |of: i128| {
            let (mut result, mut base, mut power) = (1, of, P - 2);
            while power > 0 {
                if power & 1 == 1 {
                    result = result * base % P;
                }
                (base, power) = (base * base % P, power >> 1);
            }
            result
        };
        let mut done = 0;
        let mut pivots = Vec::new();
        for column in 0..unknown.len() {
            let Some(row) = (done..sums.len()).find(|row| sums[*row][column] != 0) else { continue };
            sums.swap(done, row);
            let by = inverse(sums[done][column]);
            sums[done].iter_mut().for_each(|x| *x = *x * by % P);
            let pivot = sums[done].clone();
            for (other, row) in sums.iter_mut().enumerate() {
                let times = row[column];
                if other != done && times != 0 {
                    row.iter_mut().zip(&pivot).for_each(|(x, p)| *x = (*x + (P - times) * p) % P);
                }
            }
            pivots.push(column);
            done += 1;
        }
        let alone = pivots.iter().enumerate().filter(|(row, _)| sums[*row].iter().filter(|x| **x != 0).count() == 1);
        alone.map(|(_, column)| unknown[*column]).collect()
    }

    proptest! {
        #[test]
        fn no_small_count_is_told_or_can_be_worked_out(
            inner in (1..7_usize).prop_flat_map(|columns| vec(vec(prop_oneof![2 => 0..5_u64, 3 => 5..200_u64], columns), 1..12)),
            row_totals in any::<bool>(),
        ) {
            let mut grid = summed(&inner);
            if !row_totals {
                grid.rows.iter_mut().for_each(|row| { row.remove(0); });
                grid.row_totals = false;
            }
            let withheld = grid.withhold(LEAST, &[]);
            for (row, hidden) in grid.rows.iter().zip(&withheld) {
                prop_assert!(row.iter().zip(hidden).all(|(count, hidden)| *hidden || *count >= LEAST));
            }
            let found = can_be_worked_out(&grid, &withheld);
            prop_assert!(found.is_empty(), "{:?} follow from {:?}", found, told(&grid));
        }
    }
}
