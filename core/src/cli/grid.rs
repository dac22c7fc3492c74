//! Tables on a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table};

/// Returns a table of texts with these headings.
pub(super) fn texts(headings: &[&str], rows: &[Vec<String>]) -> String {
    write(headings, rows, CellAlignment::Left)
}

/// Returns a table with these headings, the first column for names and the others for numbers.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    write(headings, rows, CellAlignment::Right)
}

fn write(headings: &[&str], rows: &[Vec<String>], others: CellAlignment) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING.header_separator(LineStyle::none().fill('─').junction('─')))
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings.to_vec());
    for row in rows {
        table.add_row(row.clone());
    }
    for (position, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 0));
        if position > 0 {
            column.set_padding((2, 0));
            column.set_cell_alignment(others);
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}
