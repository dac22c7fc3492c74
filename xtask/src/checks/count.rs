//! Counting tests from what the test runners print, so that "nothing ran" cannot look green.

use std::fmt;

/// How many tests ran and how they ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TestCount {
    /// Tests that ended well.
    pub passed: u64,
    /// Tests that failed, did not end in time or did not leave cleanly.
    pub failed: u64,
    /// Tests that did not run.
    pub skipped: u64,
}

impl TestCount {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Adds what a line of output says: nextest's summary, or `cargo test`'s result line.
    pub fn read_line(&mut self, line: &str) {
        let line = without_colour(line);
        // `     Summary [   0.1s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped`
        let nextest = line
            .trim_start()
            .strip_prefix("Summary [")
            .and_then(|rest| rest.split_once(" run: "));
        // `test result: ok. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; ...`,
        // which nextest shows too, indented, as part of the output of a failed test.
        let cargo = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "));
        let Some((_, counts)) = nextest.or(cargo) else {
            return;
        };
        for part in counts.split([',', ';']) {
            let mut words = part.split_whitespace();
            let Some(Ok(number)) = words.next().map(str::parse::<u64>) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed" | "timed" | "exec") => self.failed += number,
                Some("skipped" | "ignored") => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for TestCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// The text without terminal escape sequences (`ESC [ ... letter`).
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::TestCount;

    fn count(lines: &str) -> TestCount {
        let mut count = TestCount::default();
        lines.lines().for_each(|line| count.read_line(line));
        count
    }

    #[test]
    fn nextest_summary_is_counted_with_and_without_colour() {
        let plain = "     Summary [   2.013s] 9 tests run: 5 passed (1 slow), 3 failed, 1 timed out, 2 skipped";
        let coloured = "\u{1b}[31;1m     Summary\u{1b}[0m [   2.013s] \u{1b}[1m9\u{1b}[0m tests run: \u{1b}[1m5\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, 4 failed, 2 skipped";
        let expected = TestCount {
            passed: 5,
            failed: 4,
            skipped: 2,
        };
        assert_eq!((count(plain), count(coloured)), (expected, expected));
    }

    #[test]
    fn result_lines_of_cargo_test_are_added_up() {
        let lines = "running 3 tests\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s\n\
            test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            count(lines),
            TestCount {
                passed: 3,
                failed: 4,
                skipped: 1
            }
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        let lines = "test a ... ok\n3 passed\nSummary of 4 failed, 2 passed\n\
            PASS [ 0.1s] x run: 5 passed\n    \
            test result: FAILED. 0 passed; 1 failed; 0 ignored";
        assert_eq!(count(lines), TestCount::default());
    }
}
